// SPDX-License-Identifier: MIT
// `race`: the agent makes the call under test again and again, and sends what came of each: its result, how long its
// image is, and the image. Meanwhile another process does something to the target, after a while that is never the
// same. With how=stopped there is none: the agent continues the target before each call, and calls as soon as it hears
// that it has stopped, which is before it is off its CPU. With how=shared the other makes as many calls, to the same
// open file: what is sent is the last result and all that was written. With how=frozen the image's file system is
// frozen until the caller waits, as it must: else ETIMEDOUT.
#include <asm/signal.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/mempolicy.h>
#include <linux/mman.h>
#include <linux/ptrace.h>
#include <linux/wait.h>

#include "agent.h"

#define MAX_TURNS_SHIFT 14 // of 32 bits

void race_page_out(int pid, u64 start, u64 length)
{
	unsigned long range[] = { (unsigned long)start, (unsigned long)length };
	long fd = SYS(pidfd_open, pid, 0);

	SYS(process_madvise, fd, range, 1, MADV_PAGEOUT, 0);
	SYS(close, fd);
}

// Moves the page in the middle, which may be a huge one, to a node of memory.
static void migrate(const struct command *command, int node)
{
	void *page = (void *)(unsigned long)(command->offset + command->length / 2);
	int status;

	SYS(move_pages, command->pid, 1, &page, &node, &status, MPOL_MF_MOVE);
}

static void look(int pid)
{
	unsigned long word;

	SYS(ptrace, PTRACE_PEEKUSR, pid, 0, &word);
}

static long call(const struct command *command, long fd)
{
	return SYS_PADDED(command->nr, command->pid, fd, 0, 0, 0, 0);
}

__attribute__((noreturn)) static void disturb(const struct command *command, long fd)
{
	int pid = (int)command->pid;
	struct visit visit;

	if (text_equal(command->how, "inspected"))
		tracer_visit(&visit, pid);
	if (text_equal(command->how, "shared")) {
		for (u64 i = 0; i < command->times; i++)
			call(command, fd);
		SYS(exit_group, 0);
	}
	if (text_equal(command->how, "frozen")) {
		long parent = SYS(getppid);

		while (proc_state((int)parent) != 'D')
			sys_sleep_ms(1);
		SYS(ioctl, fd, FITHAW, 0);
		SYS(exit_group, 0);
	}
	for (u32 chance = 1;; chance = chance * 1103515245 + 12345) {
		// A page is to be on its way as often as can be.
		bool waits = command->how[0] != 'm';

		for (volatile u32 turns = waits ? chance >> MAX_TURNS_SHIFT : 0; turns > 0; turns--)
			;
		switch (command->how[0]) {
		case 'c': // continued
			SYS(kill, pid, SIGCONT);
			break;
		case 'i':
			look(pid);
			break;
		case 'k': // killed
			SYS(kill, pid, SIGKILL);
			SYS(exit_group, 0);
			break;
		case 'm': // migrated
			migrate(command, chance >> 30 & 1);
			break;
		case 'p': // paged out
			race_page_out(pid, command->offset, command->length);
			break;
		default: // traced
			if (tracer_visit(&visit, pid) >= 0)
				tracer_leave(&visit, 0);
		}
	}
}

// Puts the agent and the target on one processor, or the agent on any: where both must share it, a target that is
// continued runs in the midst of the call.
static void share_processor(int pid, unsigned long processors)
{
	SYS(sched_setaffinity, 0, sizeof(processors), &processors);
	if (processors == 1)
		SYS(sched_setaffinity, pid, sizeof(processors), &processors);
}

static void continue_to_stop(int pid)
{
	int status;

	SYS(kill, pid, SIGCONT);
	sys_wait(pid, &status, WUNTRACED);
}

static void send_image(struct hash *blob, int fd, s64 result)
{
	s64 head[] = { result, sys_seek(fd, 0, SEEK_CUR) };
	long count;

	blob_write(blob, head, sizeof(head));
	sys_seek(fd, 0, SEEK_SET);
	while ((count = SYS(read, fd, channel_buffer, BUFFER_BYTES)) > 0)
		blob_write(blob, channel_buffer, (size_t)count);
	sys_seek(fd, 0, SEEK_SET);
	SYS(ftruncate, fd, 0);
}

long command_race(const struct command *command)
{
	if (race_is_starved(command->how))
		return race_starved(command);
	int pid = (int)command->pid;
	bool is_alone = text_equal(command->how, "stopped");
	bool is_shared = text_equal(command->how, "shared");
	bool is_frozen = text_equal(command->how, "frozen");
	long fd = SYS(open, WORK_DIRECTORY "/race", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	long error = fd >= 0 && is_frozen ? SYS(ioctl, fd, FIFREEZE, 0) : fd;

	if (error < 0)
		return failed(error, "the image's file");
	long other = is_alone ? 0 : SYS(fork);
	long result = 0;
	struct hash blob;

	if (other < 0)
		return other;
	if (other == 0 && !is_alone)
		disturb(command, fd);
	if (command->shares_processor != 0)
		share_processor(pid, 1);
	// Between the stop and the tracer's it runs.
	while (text_equal(command->how, "inspected") && proc_state(pid) != 't' && !proc_is_over(pid))
		SYS(sched_yield);
	hash_start(&blob);
	for (u64 i = 0; i < command->times; i++) {
		if (is_alone)
			continue_to_stop(pid);
		result = call(command, fd);
		if (is_frozen && SYS(ioctl, fd, FITHAW, 0) >= 0)
			result = -ETIMEDOUT;
		if (!is_shared)
			send_image(&blob, (int)fd, result);
	}
	if (!is_alone) {
		if (!is_shared)
			SYS(kill, other, SIGKILL);
		process_wait((int)other);
	}
	if (is_shared)
		send_image(&blob, (int)fd, result);
	SYS(close, fd);
	share_processor(pid, ~0UL);
	blob_end("race", &blob);
	return 0;
}
