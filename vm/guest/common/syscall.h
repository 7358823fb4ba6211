// SPDX-License-Identifier: MIT
// System calls without a libc. The result is the kernel's own: a value, or a negative errno.
#ifndef CKPTEST_SYSCALL_H
#define CKPTEST_SYSCALL_H

#include <asm/unistd.h>

#include "types.h"

long sys_call(long nr, long a, long b, long c, long d, long e, long f);

#ifdef CKPTEST_HOST_TEST
// A kernel with the call under test, or an old one, stands in between: testing/host_kernel.c.
long host_kernel_call(long nr, long a, long b, long c, long d, long e, long f);
#define SYS_CALL host_kernel_call
#else
#define SYS_CALL sys_call
#endif

#define SYS_PADDED(nr, a, b, c, d, e, f, ...) \
	SYS_CALL(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

// SYS(name, arguments...): missing arguments are zero.
#define SYS(name, ...) SYS_PADDED(__NR_##name, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)

// Calls whose number or arguments differ between the two architectures.
#ifndef __x86_64__
#undef __NR_mmap
#define __NR_mmap __NR_mmap2 // the offset in pages
#undef __NR_setgroups
#define __NR_setgroups __NR_setgroups32
#undef __NR_setresgid
#define __NR_setresgid __NR_setresgid32
#undef __NR_setresuid
#define __NR_setresuid __NR_setresuid32
#endif
void *sys_map_anonymous(size_t length, bool shared);
long sys_pread(int fd, void *buffer, size_t length, u64 offset);
s64 sys_seek(int fd, u64 offset, int whence);
long sys_set_ids(u32 uid, u32 euid, u32 gid);

// Calls that old kernels have not, and what does the same there.
long sys_pipe(int fds[2], int flags);
long sys_close_range(u32 first, u32 last);
long sys_set_limit(int resource, u64 limit);

struct time {
	s64 seconds;
	s64 nanoseconds;
};

void sys_clock(int clock, struct time *now);
s64 sys_milliseconds(void); // of the monotonic clock
void sys_sleep_ms(int ms);

// Waits for one of `events` on `fd`, or for input on `other`; -1 is none. What there is on `fd`.
int sys_poll(int fd, int events, int other, int ms);

// Waits for a child, or with `options` looks for one; what wait4() gives, and never -EINTR.
long sys_wait(long pid, int *status, int options);

// Reads a small file whole and ends it with a NUL; the length, or a negative errno.
long sys_read_file(const char *path, char *bytes, size_t size);
long sys_write_all(int fd, const void *bytes, size_t length);

struct kernel_sigaction {
	void *handler;
	unsigned long flags;
	void *restorer;
	u64 mask;
};

// Sets what a signal does. SA_RESTORER is added, since x86-64 refuses to do without, and SA_SIGINFO.
long sys_sigaction(int signal, void *handler, unsigned long flags);

#endif
