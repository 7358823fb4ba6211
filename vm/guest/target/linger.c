// SPDX-License-Identifier: MIT
// In place of a stop: the target goes on in one of these ways until the host writes to its last word of scratch
// memory.
#include <asm/signal.h>
#include <linux/errno.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include "../common/syscall.h"
#include "target.h"

#define NAP_MS 50

long clone_and_run(unsigned long flags, void *stack, void (*function)(void));

// The child calls the function on a stack of its own, and never comes back.
#ifdef __x86_64__
asm(".pushsection .text\n"
    "clone_and_run:\n"
    "	mov %rdx, %r9\n"
    "	xor %edx, %edx\n"
    "	xor %r10d, %r10d\n"
    "	xor %r8d, %r8d\n"
    "	mov $56, %eax\n" // clone
    "	syscall\n"
    "	test %rax, %rax\n"
    "	jz 1f\n"
    "	ret\n"
    "1:	call *%r9\n"
    "	ud2\n"
    ".popsection\n");
#else
asm(".pushsection .text\n"
    "clone_and_run:\n"
    "	push %ebp\n"
    "	push %edi\n"
    "	push %esi\n"
    "	push %ebx\n"
    "	mov 20(%esp), %ebx\n"
    "	mov 24(%esp), %ecx\n"
    "	mov 28(%esp), %ebp\n"
    "	xor %edx, %edx\n"
    "	xor %esi, %esi\n"
    "	xor %edi, %edi\n"
    "	mov $120, %eax\n" // clone
    "	int $0x80\n"
    "	test %eax, %eax\n"
    "	jz 1f\n"
    "	pop %ebx\n"
    "	pop %esi\n"
    "	pop %edi\n"
    "	pop %ebp\n"
    "	ret\n"
    "1:	call *%ebp\n"
    "	ud2\n"
    ".popsection\n");
#endif

static volatile u64 *release_word(void)
{
	return (volatile u64 *)(void *)(target_scratch + SCRATCH_BYTES - sizeof(u64));
}

void linger_prepare(void)
{
	*release_word() = 0;
}

static void sleep_until_released(void)
{
	while (*release_word() == 0)
		SYS(poll, NULL, 0, NAP_MS);
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
	long child = clone_and_run(CLONE_VM | CLONE_VFORK | SIGCHLD, &stack[256], live_as_vfork_child);

	if (child < 0)
		target_die(DIED_OF_OP);
	process_wait_for(child);
}

void linger(u64 how)
{
	switch (how) {
	case LINGER_SPIN:
		while (*release_word() == 0)
			;
		break;
	case LINGER_SLEEP:
		sleep_until_released();
		break;
	case LINGER_VFORK:
		wait_in_vfork();
		break;
	default:
		target_die(DIED_OF_OP);
	}
}
