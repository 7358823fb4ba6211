// SPDX-License-Identifier: MIT
#include "procfs.h"

#include <linux/fcntl.h>

#include "../common/syscall.h"
#include "../common/text.h"

long proc_open(int pid, const char *name)
{
	char path[256];

	return SYS(open, text_print(path, sizeof(path), "/proc/%d/%s", pid, name), O_RDONLY | O_CLOEXEC);
}

long proc_read(int pid, const char *name, char *bytes, size_t size)
{
	char path[64];

	return sys_read_file(text_print(path, sizeof(path), "/proc/%d/%s", pid, name), bytes, size);
}

char proc_state(int pid)
{
	char bytes[1024];
	long length = proc_read(pid, "stat", bytes, sizeof(bytes));

	// The name in parentheses may hold anything, parentheses and spaces too: look for the last one.
	while (length > 0 && bytes[length - 1] != ')')
		length--;
	return length <= 0 || bytes[length] != ' ' ? '\0' : bytes[length + 1];
}

bool proc_is_stopped(int pid)
{
	char ignored[256];
	char state = proc_state(pid);

	if (state != 'T' && state != 't')
		return false;
	// To tell the stack pointer, the kernel waits until the task is off its CPU.
	proc_read(pid, "syscall", ignored, sizeof(ignored));
	return true;
}

bool proc_is_over(int pid)
{
	char state = proc_state(pid);

	return state == '\0' || state == 'Z' || state == 'X';
}
