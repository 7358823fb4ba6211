// SPDX-License-Identifier: MIT
#include "procfs.h"

#include <asm/signal.h>
#include <linux/errno.h>
#include <linux/fcntl.h>

#include "channel.h"
#include "process.h"
#include "../common/syscall.h"

struct directory_entry {
	u64 inode;
	s64 offset;
	u16 length;
	u8 type;
	char name[];
};

long proc_open(int pid, const char *name, int flags)
{
	char bytes[256];
	struct text path = TEXT_IN(bytes);

	text_put(&path, "/proc/");
	text_decimal(&path, (u64)pid);
	text_char(&path, '/');
	text_put(&path, name);
	if (path.full)
		return -ENAMETOOLONG;
	return SYS(open, text_end(&path), flags | O_CLOEXEC);
}

long proc_read(int pid, const char *name, char *bytes, size_t size)
{
	long fd = proc_open(pid, name, O_RDONLY);
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

static int number_at(const char **at)
{
	int value = 0;

	while (**at == ' ')
		(*at)++;
	for (; **at >= '0' && **at <= '9'; (*at)++)
		value = value * 10 + (**at - '0');
	return value;
}

bool proc_stat(int pid, struct process_stat *stat)
{
	char bytes[1024];
	long length = proc_read(pid, "stat", bytes, sizeof(bytes));

	// The name in parentheses may hold anything, parentheses and spaces too: look for the last one.
	while (length > 0 && bytes[length - 1] != ')')
		length--;
	if (length <= 0 || bytes[length] != ' ')
		return false;
	stat->state = bytes[length + 1];
	const char *at = bytes + length + 2;

	stat->parent = number_at(&at);
	number_at(&at); // process group
	stat->session = number_at(&at);
	return true;
}

bool proc_is_stopped(int pid)
{
	struct process_stat stat;
	char ignored[256];

	if (!proc_stat(pid, &stat) || (stat.state != 'T' && stat.state != 't'))
		return false;
	// To tell the stack pointer, the kernel waits until the task is off its CPU.
	proc_read(pid, "syscall", ignored, sizeof(ignored));
	return true;
}

bool proc_is_over(int pid)
{
	struct process_stat stat;

	return !proc_stat(pid, &stat) || stat.state == 'Z' || stat.state == 'X';
}

static bool is_descendant(struct process_stat stat, int root)
{
	// A bound, since parents may change while we look.
	for (int steps = 0; steps < 64 && stat.parent > 1; steps++) {
		if (stat.parent == root)
			return true;
		if (!proc_stat(stat.parent, &stat))
			return false;
	}
	return false;
}

static bool kill_if_member(int pid, int session, int root)
{
	struct process_stat stat;

	if (pid <= 1 || !proc_stat(pid, &stat))
		return false;
	if (pid != root && (session <= 1 || stat.session != session) && !is_descendant(stat, root))
		return false;
	if (stat.state == 'Z' || stat.state == 'X')
		return false;
	SYS(kill, pid, SIGKILL);
	return true;
}

// One look at all processes; true when one had to be killed.
static bool kill_members(int session, int root)
{
	u8 bytes[2048] __attribute__((aligned(8)));
	bool found = false;
	long fd = SYS(open, "/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long count;

	while (fd >= 0 && (count = SYS(getdents64, fd, bytes, sizeof(bytes))) > 0) {
		for (long at = 0; at < count;) {
			const struct directory_entry *entry = (const void *)(bytes + at);
			const char *digits = entry->name;
			int pid = number_at(&digits);

			at += entry->length;
			if (*digits == '\0' && kill_if_member(pid, session, root))
				found = true;
		}
	}
	if (fd >= 0)
		SYS(close, fd);
	return found;
}

void proc_kill_all(int session, int root)
{
	while (kill_members(session, root)) {
		process_reap();
		sys_sleep_ms(1);
	}
	process_reap();
}
