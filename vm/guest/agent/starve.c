// SPDX-License-Identifier: MIT
// `race` with a caller that is killed where it waits, by how=: swapping, for a page that a slow device reads; locked,
// for the mmap lock; executing, for a target that becomes another program; or, signalled, that gets a signal with the
// last write before it would wait for the lock. The device is as slow as is needed: all
// processes of this come first on the only processor, and the kernel's worker that reads does not run before they
// sleep, which is over. A read of /proc/PID/mem keeps the mmap lock meanwhile, and who waits to write keeps out others
// that read. The result is EINTR, or ETIMEDOUT where the caller did not end at once, ENXIO where it was not met.
#include <asm/signal.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include "agent.h"

#define MAX_TURNS 300
// The device writes a page in less.
#define WRITTEN_MS 50

static void come_first(int pid, bool first)
{
	int priority = first;

	SYS(sched_setscheduler, pid, first ? SCHED_FIFO : SCHED_NORMAL, &priority);
}

// As proc_state(), from a file for which nobody waits: for /proc/PID/stat newer kernels wait for the end of an exec.
static bool is_in_state(int pid, char state)
{
	static const char line[] = "\nState:\t";
	char bytes[1024];
	long length = proc_read(pid, "status", bytes, sizeof(bytes) - 1);

	bytes[length > 0 ? length : 0] = '\0';
	for (const char *at = bytes; *at != '\0'; at++)
		if (text_starts(at, line))
			return at[sizeof(line) - 1] == state;
	return false;
}

// Has the others run that come first until one of them is in this state.
static bool reaches(int pid, char state)
{
	for (int turn = 0; turn < MAX_TURNS; turn++) {
		if (is_in_state(pid, state))
			return true;
		SYS(sched_yield);
	}
	return false;
}

static void read_page(int target, u64 page)
{
	long fd = proc_open(target, "mem");
	u8 byte;

	SYS(pread64, fd, &byte, 1, (unsigned long)page, 0);
	SYS(close, fd);
}

// Leaves a page on the device alone: what was read back from there needs not be written to it again.
static void swap_out(int target, u64 page)
{
	race_page_out(target, page, PAGE_BYTES);
	sys_sleep_ms(WRITTEN_MS);
	read_page(target, page);
	race_page_out(target, page, PAGE_BYTES);
}

// The target of a race goes on to its next stop; this one becomes another program.
static int start_executing(volatile u8 *page)
{
	int pid = (int)SYS(fork);
	int status;

	if (pid == 0) {
		const char *words[] = { "/target", NULL };
		int self = (int)SYS(getpid);

		*page = 1;
		SYS(kill, self, SIGSTOP);
		SYS(execve, words[0], words, words + 1);
		SYS(exit_group, 1);
	}
	if (pid > 0)
		sys_wait(pid, &status, WUNTRACED);
	return pid;
}

// Takes the mmap lock as a writer: of what clear_refs can do this one changes no page.
static void write_lock(int target)
{
	char path[64];
	long fd = SYS(open, text_print(path, sizeof(path), "/proc/%d/clear_refs", target), O_WRONLY | O_CLOEXEC);

	SYS(write, fd, "5", 1);
	SYS(close, fd);
}

// Does something in a child, which ends then; gives its pid.
#define IN_CHILD(work) \
	({ \
		int child = (int)SYS(fork); \
		if (child == 0) { \
			work; \
			SYS(exit_group, 0); \
		} \
		child; \
	})

static int start_caller(const struct command *command, int target, int fd)
{
	return IN_CHILD(sys_sigaction(SIGUSR1, ignore_signal, 0);
			SYS_PADDED(command->nr, target, fd, 0, 0, 0, 0));
}

static void end(int pid)
{
	if (pid <= 0)
		return;
	SYS(kill, pid, SIGKILL);
	process_wait(pid);
}

#define RECORD_MM 201

// Reads record by record, until the one behind MM is in the pipe and the caller waits to write the name of its file:
// the last write before it looks at memory.
static bool reads_to_memory(int caller, int reader)
{
	do {
		SYS(read, reader, channel_buffer, PAGE_BYTES);
		if (!reaches(caller, 'S'))
			return false;
	} while (*(const short *)(const void *)channel_buffer != RECORD_MM);
	return true;
}

// What came of it when all had come first: EINTR as it should be.
static long kill_waiting(const struct command *command, u64 page, int pids[4], int reader, int fd)
{
	bool swaps = text_equal(command->how, "swapping");
	bool executes = text_equal(command->how, "executing");
	bool is_signalled = text_equal(command->how, "signalled");
	int target = pids[0];

	// What is in the pipe keeps the caller before the lock until others hold that.
	if (!executes) {
		pids[1] = start_caller(command, target, fd);
		if (!reaches(pids[1], swaps ? 'D' : 'S') || (is_signalled && !reads_to_memory(pids[1], reader)))
			return -ENXIO;
	}
	if (swaps) {
		// Returns later if the caller holds the lock while it waits.
		write_lock(target);
	} else {
		pids[2] = IN_CHILD(read_page(target, page));
		if (!reaches(pids[2], 'D'))
			return -ENXIO;
		pids[3] = IN_CHILD(write_lock(target));
		if (!reaches(pids[3], 'D'))
			return -ENXIO;
		if (is_signalled)
			SYS(kill, pids[1], SIGUSR1);
		if (!executes)
			SYS(read, reader, channel_buffer, PAGE_BYTES);
	}
	if (is_signalled)
		return reaches(pids[1], 'Z') ? -EINTR : -ETIMEDOUT;
	if (executes) {
		come_first(target, true);
		SYS(kill, target, SIGCONT);
		if (!reaches(target, 'D'))
			return -ENXIO;
		pids[1] = start_caller(command, target, fd);
	}
	if (!reaches(pids[1], 'D'))
		return swaps ? -ETIMEDOUT : -ENXIO;
	SYS(kill, pids[1], SIGKILL);
	return reaches(pids[1], 'Z') ? -EINTR : -ETIMEDOUT;
}

bool race_is_starved(const char *how)
{
	return text_equal(how, "swapping") || text_equal(how, "locked") || text_equal(how, "executing") ||
	       text_equal(how, "signalled");
}

long race_starved(const struct command *command)
{
	bool executes = text_equal(command->how, "executing");
	u8 *own = sys_map_anonymous(PAGE_BYTES, false);
	u64 page = executes ? (u64)(unsigned long)own : command->offset;
	int pids[4] = { executes ? start_executing(own) : (int)command->pid };
	int fds[2];
	long error = sys_pipe(fds, O_CLOEXEC);
	// Takes what comes before the page.
	int null = (int)SYS(open, "/dev/null", O_WRONLY | O_CLOEXEC);
	struct hash blob;

	if (error < 0)
		return error;
	SYS(fcntl, fds[1], F_SETPIPE_SZ, PAGE_BYTES);
	if (text_equal(command->how, "signalled"))
		SYS(fcntl, fds[1], F_SETFL, O_DIRECT);
	SYS(write, fds[1], channel_buffer, PAGE_BYTES);
	swap_out(pids[0], page);
	come_first(0, true);
	int fd = text_equal(command->how, "swapping") ? null : fds[1];
	s64 head[] = { kill_waiting(command, page, pids, fds[0], fd), 0 };

	come_first(0, false);
	// The target last: who waits for it ends first.
	for (int i = 3; i >= 0; i--)
		end(pids[i]);
	SYS(close, null);
	SYS(close, fds[0]);
	SYS(close, fds[1]);
	SYS(munmap, own, PAGE_BYTES);
	hash_start(&blob);
	blob_write(&blob, head, sizeof(head));
	blob_end("race", &blob);
	return 0;
}
