// SPDX-License-Identifier: MIT
#include "agent.h"

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

u64 proc_status_number(const char *status, const char *name)
{
	u64 value = 0;

	while (*status != '\0' && !text_starts(status, name))
		status++;
	if (*status != '\0') {
		status += text_length(name);
		text_digits(&status, 16, &value);
	}
	return value;
}

// What follows the name in stat: the state and numbers. The name in parentheses may hold anything, parentheses and
// spaces too, so the last one counts. NULL when there is no such process.
static const char *stat_fields(int pid, char *bytes, size_t size)
{
	long length = proc_read(pid, "stat", bytes, size);

	while (length > 0 && bytes[length - 1] != ')')
		length--;
	return length <= 0 || bytes[length] != ' ' ? NULL : bytes + length + 1;
}

char proc_state(int pid)
{
	char bytes[1024];
	const char *fields = stat_fields(pid, bytes, sizeof(bytes));

	return fields == NULL ? '\0' : fields[0];
}

int proc_session(int pid)
{
	char bytes[1024];
	const char *field = stat_fields(pid, bytes, sizeof(bytes));
	u64 session = 0;

	// State, parent, group, session.
	for (int skip = 0; field != NULL && skip < 3; field++)
		if (*field == ' ')
			skip++;
	if (field != NULL)
		text_digits(&field, 10, &session);
	return (int)session;
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

long proc_maps(int pid, const char **maps)
{
	// Room for as many mappings as a process can have. Of memory it takes what is written to.
	static char bytes[16 << 20];
	long length = proc_read(pid, "maps", bytes, sizeof(bytes));

	*maps = bytes;
	return length == sizeof(bytes) - 1 ? -EFBIG : length;
}

long maps_next(const char **maps, struct mapping *mapping)
{
	const char *at = *maps;

	if (*at == '\0')
		return 0;
	if (!text_digits(&at, 16, &mapping->start) || *at++ != '-' || !text_digits(&at, 16, &mapping->end) ||
	    mapping->end <= mapping->start || *at != ' ')
		return -EBADMSG;
	mapping->is_executable = at[3] == 'x';
	while (*at != '\0' && *at++ != '\n')
		;
	*maps = at;
	return 1;
}
