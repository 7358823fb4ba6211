// SPDX-License-Identifier: MIT
#include "caller.h"

#include <asm/poll.h>
#include <asm/signal.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/io_uring.h>
#include <linux/mman.h>
#include <linux/time.h>

#include "../common/syscall.h"
#include "../common/text.h"

#define IMAGE_FD 3
#define RLIMIT_FSIZE 1
#define SIG_IGNORE ((void *)1)

// What mmap(2), as SYS() calls it, counts offsets in.
#ifdef __x86_64__
#define MMAP_UNIT 1
#else
#define MMAP_UNIT PAGE_BYTES
#endif

static void ignore_signal(int signal)
{
	(void)signal;
}

// Arms the kernel's fault injection for this task: a descriptor for disarm_fault(), or a negative errno.
static long arm_fault(u64 nth)
{
	char bytes[24];
	struct text digits = TEXT_IN(bytes);
	long fd = SYS(open, "/proc/thread-self/fail-nth", O_RDWR);

	if (fd < 0)
		return fd;
	text_format(&digits, "%llu", nth);
	long error = SYS(write, fd, bytes, digits.length);

	return error < 0 ? error : fd;
}

// Disarms it. True if the fault came: the count has come down to 0.
static bool disarm_fault(long fd)
{
	char digit = '?';
	bool came = SYS(pread64, fd, &digit, 1, 0, 0) == 1 && digit == '0';

	SYS(write, fd, "0", 1);
	return came;
}

static long call_once(const struct command *call, int fd)
{
	return SYS_PADDED(call->nr, call->pid, fd, call->flags, 0, 0, 0);
}

// Whoever may still use addresses of the kernel after the call can have it write its own memory to a file.
static long probe_kernel_address(void)
{
#ifdef __x86_64__
	const void *address = (const void *)0xffffffff81000000UL;
#else
	const void *address = (const void *)0xc1000000UL;
#endif
	int fds[2];
	long error = sys_pipe(fds, 0);

	return error < 0 ? error : SYS(write, fds[1], address, 1);
}

// Has an io_uring of this process poll a descriptor, again and again. What the mappings hold stays when the descriptors
// are closed.
static long poll_for_work(int fd)
{
	struct io_uring_params params;

	memset(&params, 0, sizeof(params));
	long ring = SYS(io_uring_setup, 1, &params);

	if (ring < 0)
		return ring;
	u8 *queue = (u8 *)SYS(mmap, NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	struct io_uring_sqe *entry = (void *)SYS(mmap, NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, ring,
						 IORING_OFF_SQES / MMAP_UNIT);

	if ((unsigned long)queue >= -PAGE_BYTES || (unsigned long)entry >= -PAGE_BYTES)
		return -ENOMEM;
	*entry = (struct io_uring_sqe){
		.opcode = IORING_OP_POLL_ADD, .fd = fd, .poll32_events = POLLIN, .len = IORING_POLL_ADD_MULTI,
	};
	*(u32 *)(void *)(queue + params.sq_off.array) = 0;
	*(u32 *)(void *)(queue + params.sq_off.tail) = 1;
	return SYS(io_uring_enter, ring, 1, 0, 0, NULL, 0);
}

// Nothing is open but the image, and there are no handlers but the one that was asked for.
void caller_run(const struct command *call, int fd, struct call_outcome *outcome)
{
	if (call->work_fd != NEVER)
		outcome->result = poll_for_work((int)call->work_fd);
	if (fd >= 0 && fd != IMAGE_FD)
		SYS(dup2, fd, IMAGE_FD);
	sys_close_range(0, IMAGE_FD - 1);
	sys_close_range(fd >= 0 ? IMAGE_FD + 1 : IMAGE_FD, ~0U);
	if (call->handled_signal != 0)
		sys_sigaction((int)call->handled_signal, ignore_signal, SA_RESTART);
	if (call->ignores_signals) {
		sys_sigaction(SIGPIPE, SIG_IGNORE, 0);
		sys_sigaction(SIGXFSZ, SIG_IGNORE, 0);
	}
	if (call->rlimit_fsize != NEVER)
		sys_set_limit(RLIMIT_FSIZE, call->rlimit_fsize);
	if (outcome->result >= 0)
		outcome->result = sys_set_ids((u32)call->uid,
					      call->euid == NEVER ? (u32)call->uid : (u32)call->euid,
					      (u32)call->gid);
	if (outcome->result < 0)
		SYS(exit_group, 1);
	if (call->alarm != 0) {
		long period[] = { 0, (long)call->alarm, 0, (long)call->alarm };

		sys_sigaction(SIGALRM, ignore_signal, SA_RESTART);
		SYS(setitimer, ITIMER_REAL, period, 0);
	}
	sys_clock(CLOCK_REALTIME, &outcome->real_before);
	sys_clock(CLOCK_MONOTONIC, &outcome->before);
	long fault = call->fail_nth > 0 ? arm_fault(call->fail_nth) : -1;

	if (call->fail_nth > 0 && fault < 0) {
		outcome->result = fault;
		SYS(exit_group, 1);
	}
	outcome->result = call_once(call, fd >= 0 ? IMAGE_FD : -1);
	// At once: whatever else the caller does allocates and copies, too.
	outcome->fault_came = fault >= 0 && disarm_fault(fault);
	for (u64 i = 1; i < call->times; i++) {
		long result = call_once(call, fd >= 0 ? IMAGE_FD : -1);

		if (result != outcome->result)
			outcome->other_result = outcome->result;
		outcome->result = result;
	}
	sys_clock(CLOCK_MONOTONIC, &outcome->after);
	sys_clock(CLOCK_REALTIME, &outcome->real_after);
	if (call->alarm != 0)
		SYS(setitimer, ITIMER_REAL, (long[4]){ 0 }, 0);
	outcome->probe = probe_kernel_address();
	outcome->returned = true;
	SYS(exit_group, 0);
	__builtin_unreachable();
}
