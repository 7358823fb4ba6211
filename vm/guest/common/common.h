// SPDX-License-Identifier: MIT
// What agent and target have in place of a libc: system calls, strings, text built up in a fixed buffer, and the digest
// of blocks on the wire.
#ifndef CKPTEST_COMMON_H
#define CKPTEST_COMMON_H

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <stdbool.h>
#include <stddef.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed int s32;
typedef signed long long s64;

#define PAGE_BYTES 4096UL
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

// No header of the kernel has them for programs.
#define AF_UNIX 1
#define SOCK_STREAM 1

// What a target tells of itself, on its event pipe.
struct event {
	u32 is_busy; // it goes on in place of a stop
	u32 label;
	u64 pid;
	u64 scratch;
	u64 resume_address;
};

// syscall.c. The result is the kernel's own: a value, or a negative errno.
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
// Two ends that are closed by execve(2).
long sys_socketpair(int fds[2]);
long sys_close_range(u32 first, u32 last);
long sys_set_limit(int resource, u64 limit);

// Has work come for this process each time that there is something to read.
long sys_poll_for_work(int fd);

// Has the kernel read bytes for this process as they come, each to the same place.
long sys_read_by_ring(int fd, u8 *byte);

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
// A negative descriptor is none.
void sys_close(int fd);

struct kernel_sigaction {
	void *handler;
	unsigned long flags;
	void *restorer;
	u64 mask;
};

// A handler that does nothing.
void ignore_signal(int signal);
// Sets what a signal does. SA_RESTORER is added, since x86-64 refuses to do without, and SA_SIGINFO.
long sys_sigaction(int signal, void *handler, unsigned long flags);

// text.c
void *memcpy(void *to, const void *from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *to, int byte, size_t length);
int memcmp(const void *a, const void *b, size_t length);
size_t text_length(const char *text);
bool text_equal(const char *a, const char *b);
bool text_starts(const char *text, const char *prefix);

// Reads the digits at a place of a text and goes behind them; false where there are none, or too many.
bool text_digits(const char **at, u32 base, u64 *value);
// Reads a whole decimal or 0x number; false when there is anything else in the text, or it does not fit.
bool text_number(const char *text, u64 *value);
// The byte of two hexadecimal digits, or -1.
int text_byte(const char *digits);
// Undoes percent-encoding in place; false on a bad sequence or a NUL.
bool text_unescape(char *text);

// Text under construction. What does not fit is dropped, and `full` says so. With `escapes`, bytes of a %s outside of
// 0x21 to 0x7e, and '%', go as %XX.
struct text {
	char *bytes;
	size_t length;
	size_t size;
	bool escapes;
	bool full;
};

void text_char(struct text *text, char c);
// As printf, with %s, %d, %u and %x, their `l` and `ll`, and a least number of digits such as %016llx.
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
// As snprintf; gives `bytes`.
char *text_print(char *bytes, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

// hash.c; the other statement of the digest is lib/abi/block_hash.ts. It finds accidents, not forgery.
struct hash {
	u32 a;
	u32 b;
	u32 tail;
	u32 tail_bytes;
	u64 length;
};

void hash_start(struct hash *hash);
void hash_update(struct hash *hash, const void *bytes, size_t length);
// The two lanes, a in the high half. The hash must not be updated after it.
u64 hash_finish(struct hash *hash);
u64 hash_of(const void *bytes, size_t length);
// Whether it is, finished, the digest with these 16 digits.
bool hash_is(struct hash *hash, const char *digits);

#endif
