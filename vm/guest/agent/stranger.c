// SPDX-License-Identifier: MIT
#include "stranger.h"

#include <asm/signal.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <linux/wait.h>

#include "channel.h"
#include "process.h"
#include "procfs.h"
#include "../common/syscall.h"

// Has a child that ends and is never waited for; tells its pid once it is a zombie. Ends with the agent, or
// when everything is cleaned away.
__attribute__((noreturn)) static void keep_zombie(int out)
{
	SYS(prctl, PR_SET_PDEATHSIG, SIGKILL);
	long child = SYS(fork);

	if (child == 0)
		SYS(exit_group, 0);
	if (child > 0) {
		long error;

		do {
			error = SYS(waitid, P_PID, child, NULL, WEXITED | WNOWAIT, NULL);
		} while (error == -EINTR);
		if (error < 0)
			child = error;
	}
	SYS(write, out, &child, sizeof(child));
	for (;;)
		SYS(pause);
}

static long make_zombie(void)
{
	int ends[2];
	long zombie = -EIO;
	long error = sys_pipe(ends, O_CLOEXEC);

	if (error < 0)
		return error;
	long keeper = SYS(fork);

	if (keeper == 0)
		keep_zombie(ends[1]);
	SYS(close, ends[1]);
	if (keeper < 0)
		zombie = keeper;
	else if (SYS(read, ends[0], &zombie, sizeof(zombie)) != sizeof(zombie))
		zombie = -EIO;
	SYS(close, ends[0]);
	return zombie;
}

static long make_dead(void)
{
	long child = SYS(fork);

	if (child == 0)
		SYS(exit_group, 0);
	if (child > 0)
		process_wait((int)child);
	return child;
}

static long find_thread(int pid)
{
	u8 bytes[1024] __attribute__((aligned(8)));
	long fd = proc_open(pid, "task", O_RDONLY | O_DIRECTORY);
	long found = fd < 0 ? fd : -ENOENT;
	long count;

	while (fd >= 0 && (count = SYS(getdents64, fd, bytes, sizeof(bytes))) > 0) {
		for (long at = 0; at < count;) {
			// struct linux_dirent64: inode, offset, length (16 bits), type, name.
			const char *name = (const char *)(bytes + at + 19);
			u64 thread;

			if (text_number(name, &thread) && thread != (u64)pid)
				found = (long)thread;
			at += *(const u16 *)(bytes + at + 16);
		}
	}
	if (fd >= 0)
		SYS(close, fd);
	return found;
}

void command_stranger(const struct command *command)
{
	const char *what = command_need_text(command, "what");
	long pid = -EINVAL;
	int leader;

	if (what == NULL)
		return;
	if (text_equal(what, "zombie")) {
		pid = make_zombie();
	} else if (text_equal(what, "dead")) {
		pid = make_dead();
	} else if (text_equal(what, "thread")) {
		if (!command_pid(command, &leader))
			return;
		pid = find_thread(leader);
	}
	if (pid < 0) {
		reply_error(pid, what);
		return;
	}
	reply_start("ok");
	reply_number("pid", pid);
	reply_send();
}
