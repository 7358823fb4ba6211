// SPDX-License-Identifier: MIT
// What stands between the agent and the kernel of this machine: a checkpoint call, and for some tests a kernel of 2008,
// which lacks what is younger.
#include "../common/common.h"

#include "host_kernel.h"

#include <asm/ptrace-abi.h>
#include <linux/ptrace.h>

// The last system call of Linux 2.6.28: inotify_init1.
#define LAST_NR __NR_inotify_init1
#define F_SETPIPE_SIZE 1031

#define PRESENT_OR_SWAPPED (3ULL << 62)
// What 2.6.28 leaves in the upper half of an entry of pagemap: the bits for the page's size.
#define PAGE_SHIFT_BITS (6ULL << 56)

static bool is_on;
static int memory_fd = -1;
static int pagemap_fd = -1;
static long tracee;

static bool has_wrong_ldt;

void wrong_ldt_start(void)
{
	has_wrong_ldt = true;
}

void old_kernel_start(void)
{
	is_on = true;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = text_length(text);
	size_t end_length = text_length(end);

	return length >= end_length && text_equal(text + length - end_length, end);
}

// What a call is refused with; 0: not at all.
static long refusal(long nr, long a, long b)
{
	if (nr > LAST_NR)
		return -ENOSYS;
	switch (nr) {
	case __NR_ptrace:
		// PTRACE_GETREGSET is the first request of those that came later.
		return a >= PTRACE_GETREGSET ? -EIO : 0;
	case __NR_fcntl:
		return b == F_SETPIPE_SIZE ? -EINVAL : 0;
	case __NR_open:
		return text_starts((const char *)a, "/proc/") && ends_with((const char *)a, "/comm") ? -ENOENT : 0;
	case __NR_pread64:
		return a == memory_fd && tracee == 0 ? -ESRCH : 0;
	default:
		return 0;
	}
}

// An entry of pagemap as i386 kernels before 2.6.30 give it: the upper half tells nothing. No two are the same, since
// 2.6.28 has no zero page.
static u64 cut_entry(u64 entry, long i)
{
	return PAGE_SHIFT_BITS | ((entry & PRESENT_OR_SWAPPED) != 0 ? 1 + (u32)i : 0);
}

static void take_note(long nr, long a, long b, long result)
{
	if (nr == __NR_open && ends_with((const char *)a, "/mem"))
		memory_fd = (int)result;
	if (nr == __NR_open && ends_with((const char *)a, "/pagemap"))
		pagemap_fd = (int)result;
	if (nr == __NR_close && a == memory_fd)
		memory_fd = -1;
	if (nr == __NR_close && a == pagemap_fd)
		pagemap_fd = -1;
	if (nr == __NR_ptrace && a == PTRACE_ATTACH)
		tracee = b;
	if (nr == __NR_ptrace && a == PTRACE_DETACH)
		tracee = 0;
	if (nr == __NR_pread64 && a == pagemap_fd)
		for (long i = 0; i < result / 8; i++)
			((u64 *)b)[i] = cut_entry(((u64 *)b)[i], i);
}

#define STAND_IN_NR 1000000

// In place of the system call under test, on a machine that does not have it: writes so many bytes, byte i
// being i modulo 251, in portions as a checkpoint might.
static long stand_in(int fd, u64 length)
{
	static u8 portion[4096 + 44];
	u64 done = 0;

	for (u64 i = 0; done < length; i++) {
		u64 left = length - done;
		u64 wanted = i % 2 == 0 ? 44 : sizeof(portion);
		size_t size = (size_t)(left < wanted ? left : wanted);

		for (size_t k = 0; k < size; k++)
			portion[k] = (u8)((u32)(done + k) % 251);
		for (size_t at = 0; at < size;) {
			long written = SYS(write, fd, portion + at, size - at);

			if (written <= 0)
				return written;
			at += (size_t)written;
		}
		done += size;
	}
	return 1;
}

long host_kernel_call(long nr, long a, long b, long c, long d, long e, long f)
{
	long result = is_on ? refusal(nr, a, b) : 0;

	if (nr == STAND_IN_NR)
		return stand_in((int)b, (u64)c);
	// This machine goes on without the agent, which speaks to whoever started it.
	if (nr == __NR_reboot)
		return 0;
	if (nr == __NR_open && text_equal((const char *)a, "/dev/console"))
		return sys_call(__NR_dup, 2, 0, 0, 0, 0, 0);
	if (result < 0)
		return result;
	result = sys_call(nr, a, b, c, d, e, f);
	// Of such a length nothing else is read.
	if (has_wrong_ldt && nr == __NR_pread64 && result == 65536)
		((u8 *)b)[8] ^= 1;
	if (is_on && result >= 0)
		take_note(nr, a, b, result);
	return result;
}
