// SPDX-License-Identifier: MIT
#include "common.h"

#include <asm/poll.h>
#include <asm/signal.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <linux/mman.h>
#include <linux/time.h>
#include <linux/wait.h>

#ifdef __x86_64__

asm(".pushsection .text\n"
    ".globl sys_call\n"
    "sys_call:\n"
    "	mov %rdi, %rax\n"
    "	mov %rsi, %rdi\n"
    "	mov %rdx, %rsi\n"
    "	mov %rcx, %rdx\n"
    "	mov %r8, %r10\n"
    "	mov %r9, %r8\n"
    "	mov 8(%rsp), %r9\n"
    "	syscall\n"
    "	ret\n"
    "signal_return:\n"
    "	mov $15, %eax\n" // rt_sigreturn
    "	syscall\n"
    "	ud2\n"
    // The kernel's stack at entry: argc, argv..., NULL, environment..., NULL, auxiliary vector.
    ".globl _start\n"
    "_start:\n"
    "	xor %ebp, %ebp\n"
    "	mov %rsp, %rdi\n"
    "	and $-16, %rsp\n"
    "	call start\n"
    "	ud2\n"
    ".popsection\n");

#else

asm(".pushsection .text\n"
    ".globl sys_call\n"
    "sys_call:\n"
    "	push %ebp\n"
    "	push %edi\n"
    "	push %esi\n"
    "	push %ebx\n"
    "	mov 20(%esp), %eax\n"
    "	mov 24(%esp), %ebx\n"
    "	mov 28(%esp), %ecx\n"
    "	mov 32(%esp), %edx\n"
    "	mov 36(%esp), %esi\n"
    "	mov 40(%esp), %edi\n"
    "	mov 44(%esp), %ebp\n"
    "	int $0x80\n"
    "	pop %ebx\n"
    "	pop %esi\n"
    "	pop %edi\n"
    "	pop %ebp\n"
    "	ret\n"
    "signal_return:\n"
    "	mov $173, %eax\n" // rt_sigreturn
    "	int $0x80\n"
    "	ud2\n"
    ".globl _start\n"
    "_start:\n"
    "	xor %ebp, %ebp\n"
    "	mov %esp, %eax\n"
    "	and $-16, %esp\n"
    "	sub $12, %esp\n"
    "	push %eax\n"
    "	call start\n"
    "	ud2\n"
    ".popsection\n");

#endif

extern char signal_return[];

void *sys_map_anonymous(size_t length, bool shared)
{
	int flags = MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE);

	return (void *)SYS(mmap, 0, length, PROT_READ | PROT_WRITE, flags, -1, 0);
}

long sys_pread(int fd, void *buffer, size_t length, u64 offset)
{
	// Where the offset fits a register, the kernel looks no further.
	return SYS(pread64, fd, buffer, length, offset, (u32)(offset >> 32));
}

s64 sys_seek(int fd, u64 offset, int whence)
{
#ifdef __x86_64__
	return SYS(lseek, fd, offset, whence);
#else
	u64 position = 0;
	long result = SYS(_llseek, fd, (u32)(offset >> 32), (u32)offset, &position, whence);

	return result < 0 ? result : (s64)position;
#endif
}

// Gives up all groups and takes these ids; 0, 0, 0 changes nothing but the groups.
long sys_set_ids(u32 uid, u32 euid, u32 gid)
{
	long error = SYS(setgroups, 0, 0);

	if (error >= 0)
		error = SYS(setresgid, gid, gid, gid);
	if (error >= 0)
		error = SYS(setresuid, uid, euid, euid);
	// A kernel without CONFIG_MULTIUSER has no such calls, and root alone.
	return error == -ENOSYS && uid == 0 && euid == 0 && gid == 0 ? 0 : error;
}

long sys_socketpair(int fds[2])
{
	return SYS(socketpair, AF_UNIX, SOCK_STREAM | O_CLOEXEC, 0, fds);
}

long sys_pipe(int fds[2], int flags)
{
	long error = SYS(pipe2, fds, flags);

	if (error != -ENOSYS)
		return error;
	// Before 2.6.27.
	error = SYS(pipe, fds);
	for (int i = 0; error >= 0 && i < 2; i++) {
		if (flags & O_CLOEXEC)
			SYS(fcntl, fds[i], F_SETFD, FD_CLOEXEC);
		if (flags & O_NONBLOCK)
			SYS(fcntl, fds[i], F_SETFL, O_NONBLOCK);
	}
	return error;
}

long sys_close_range(u32 first, u32 last)
{
	long error = SYS(close_range, first, last, 0);

	if (error != -ENOSYS)
		return error;
	// Before 5.9; nobody here has more descriptors.
	for (u32 fd = first; fd <= last && fd < 1024; fd++)
		SYS(close, fd);
	return 0;
}

long sys_set_limit(int resource, u64 limit)
{
	u64 limits[] = { limit, limit };
	long error = SYS(prlimit64, 0, resource, limits, 0);

	if (error != -ENOSYS)
		return error;
	// Before 2.6.36. What does not fit a word is no limit.
	unsigned long words[] = { limit > ~0UL ? ~0UL : (unsigned long)limit, 0 };

	words[1] = words[0];
	return SYS(setrlimit, resource, words);
}

void sys_clock(int clock, struct time *now)
{
#ifdef __x86_64__
	SYS(clock_gettime, clock, now);
#else
	if (SYS(clock_gettime64, clock, now) != -ENOSYS)
		return;
	// Before 5.1.
	s32 old[2] = { 0, 0 };

	SYS(clock_gettime, clock, old);
	now->seconds = old[0];
	now->nanoseconds = old[1];
#endif
}

s64 sys_milliseconds(void)
{
	struct time now;

	sys_clock(CLOCK_MONOTONIC, &now);
	return now.seconds * 1000 + (s32)now.nanoseconds / 1000000;
}

void sys_sleep_ms(int ms)
{
	SYS(poll, 0, 0, ms);
}

int sys_poll(int fd, int events, int other, int ms)
{
	struct {
		int fd;
		short events;
		short revents;
	} entries[] = { { fd, (short)events, 0 }, { other, POLLIN, 0 } };

	return SYS(poll, entries, ARRAY_SIZE(entries), ms) > 0 ? entries[0].revents : 0;
}

long sys_wait(long pid, int *status, int options)
{
	long result;

	do {
		result = SYS(wait4, pid, status, options | __WALL, 0);
	} while (result == -EINTR);
	return result;
}

long sys_read_file(const char *path, char *bytes, size_t size)
{
	long fd = SYS(open, path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	long count = 0;

	if (fd < 0)
		return fd;
	while (length + 1 < size && (count = SYS(read, fd, bytes + length, size - 1 - length)) > 0)
		length += (size_t)count;
	SYS(close, fd);
	bytes[length] = '\0';
	return count < 0 ? count : (long)length;
}

long sys_write_all(int fd, const void *bytes, size_t length)
{
	const char *at = bytes;

	while (length > 0) {
		long written = SYS(write, fd, at, length);

		if (written == -EINTR)
			continue;
		if (written <= 0)
			return written == 0 ? -EIO : written;
		at += written;
		length -= (size_t)written;
	}
	return 0;
}

void sys_close(int fd)
{
	if (fd >= 0)
		SYS(close, fd);
}

void ignore_signal(int signal)
{
	(void)signal;
}

long sys_sigaction(int signal, void *handler, unsigned long flags)
{
	// Without SA_SIGINFO an i386 kernel builds the old frame, from which another call returns.
	struct kernel_sigaction action = {
		.handler = handler,
		.flags = flags | SA_SIGINFO | SA_RESTORER,
		.restorer = signal_return,
	};

	return SYS(rt_sigaction, signal, &action, 0, sizeof(action.mask));
}

// What mmap(2), as SYS() calls it, counts offsets in.
#ifdef __x86_64__
#define MMAP_UNIT 1
#else
#define MMAP_UNIT PAGE_BYTES
#endif

// So often it can tell: nobody takes away what it tells.
#define RING_RESULTS 128

// Has an io_uring of this process do something, so many times side by side. What the mappings hold stays when the
// descriptors are closed.
static long submit_to_ring(const struct io_uring_sqe *what, u32 times)
{
	struct io_uring_params params = { .flags = IORING_SETUP_CQSIZE, .cq_entries = RING_RESULTS };
	long ring = SYS(io_uring_setup, times, &params);

	if (ring < 0)
		return ring;
	u8 *queue = (u8 *)SYS(mmap, NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	struct io_uring_sqe *entries = (void *)SYS(mmap, NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, ring,
						   IORING_OFF_SQES / MMAP_UNIT);

	if ((unsigned long)queue >= -PAGE_BYTES || (unsigned long)entries >= -PAGE_BYTES)
		return -ENOMEM;
	for (u32 i = 0; i < times; i++) {
		entries[i] = *what;
		((u32 *)(void *)(queue + params.sq_off.array))[i] = i;
	}
	*(u32 *)(void *)(queue + params.sq_off.tail) = times;
	return SYS(io_uring_enter, ring, times, 0, 0, NULL, 0);
}

long sys_poll_for_work(int fd)
{
	const struct io_uring_sqe poll = {
		.opcode = IORING_OP_POLL_ADD, .fd = fd, .poll32_events = POLLIN, .len = IORING_POLL_ADD_MULTI,
	};

	return submit_to_ring(&poll, 1);
}

// They fill a page.
#define MAX_ENTRIES 64

long sys_read_by_ring(int fd, u8 *byte)
{
	const struct io_uring_sqe read = {
		.opcode = IORING_OP_READ, .fd = fd, .addr = (unsigned long)byte, .len = 1, .off = ~0ULL,
	};

	return submit_to_ring(&read, MAX_ENTRIES);
}
