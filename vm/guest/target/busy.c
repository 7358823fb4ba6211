// SPDX-License-Identifier: MIT
// A busy target, in place of a stop: it goes on in one of these ways until the host writes to its last word of scratch
// memory; without the thread that led it, until SIGCONT.
#include "target.h"

#include <asm/signal.h>
#include <linux/sched.h>
#include <linux/wait.h>

#define NAP_MS 50

static volatile u64 *release_word(void)
{
	return (volatile u64 *)(void *)(target_scratch + SCRATCH_BYTES - sizeof(u64));
}

void busy_prepare(void)
{
	*release_word() = 0;
}

// The call asks for nothing that could be wrong: it ends by time, or by a signal.
static void sleep_until_released(void)
{
	while (*release_word() == 0) {
		long result = SYS(poll, NULL, 0, NAP_MS);

		if (result != 0 && result != -EINTR)
			target_die(DIED_OF_CALL);
	}
}

static void live_as_vfork_child(void)
{
	sleep_until_released();
	SYS(exit_group, 0);
}

// vfork(2) with a stack for the child: the parent waits for its end in the call.
static void wait_in_vfork(void)
{
	static u64 stack[256] __attribute__((aligned(64)));
	long child = process_clone(CLONE_VM | CLONE_VFORK | SIGCHLD, stack + ARRAY_SIZE(stack), live_as_vfork_child);

	if (child < 0)
		target_die(DIED_OF_OP);
	sys_wait(child, NULL, 0);
}

// Blocked: one that comes early waits.
static const u64 go_on = 1ULL << (SIGCONT - 1);

// The thread that stays carries on with the program.
static void stay(void)
{
	SYS(rt_sigtimedwait, &go_on, NULL, NULL, sizeof(go_on));
	target_run();
}

// Ends the thread that leads the process. The other one's stack lies below the release word, aligned as behind a call.
static __attribute__((noreturn)) void leave(void)
{
	SYS(rt_sigprocmask, SIG_BLOCK, &go_on, NULL, sizeof(go_on));
	if (process_clone(THREAD_FLAGS, target_scratch + SCRATCH_BYTES - 8, stay) < 0)
		target_die(DIED_OF_OP);
	SYS(exit, 0);
	__builtin_unreachable();
}

void busy_wait(u64 how)
{
	switch (how) {
	case BUSY_RUNNING:
		while (*release_word() == 0)
			;
		break;
	case BUSY_SLEEPING:
		sleep_until_released();
		break;
	case BUSY_VFORK:
		wait_in_vfork();
		break;
	case BUSY_EXITED_LEADER:
		leave();
	default:
		target_die(DIED_OF_OP);
	}
}
