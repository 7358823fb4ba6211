// SPDX-License-Identifier: MIT
// `ckpt PID FILE`: the agent's program under another name, in a shell of the guest. Makes the call under test, whose
// number is in the environment.
#include "agent.h"

#include <linux/fs.h>

#define NUMBER "CKPTEST_NR="

static const struct {
	long number;
	const char *name;
} ERRORS[] = {
#define ERROR(name) { name, #name }
	ERROR(EPERM),	 ERROR(ENOENT),	      ERROR(ESRCH),	   ERROR(EINTR),  ERROR(EIO),	 ERROR(EBADF),
	ERROR(EAGAIN),	 ERROR(ENOMEM),	      ERROR(EACCES),	   ERROR(EFAULT), ERROR(EBUSY),	 ERROR(EINVAL),
	ERROR(EFBIG),	 ERROR(ENOSPC),	      ERROR(EPIPE),	   ERROR(ENOSYS), ERROR(EROFS),	 ERROR(EDQUOT),
	ERROR(ENODATA),	 ERROR(ENAMETOOLONG), ERROR(EOPNOTSUPP),   ERROR(EISDIR), ERROR(ENOTDIR), ERROR(EHWPOISON),
};

__attribute__((noreturn)) static void end(int status, const char *text)
{
	char line[MAX_LINE];

	text_print(line, sizeof(line), "ckpt: %s\n", text);
	sys_write_all(2, line, text_length(line));
	SYS(exit_group, status);
	__builtin_unreachable();
}

__attribute__((noreturn)) static void end_with_error(const char *what, long error)
{
	char line[MAX_LINE];
	const char *name = "";

	for (size_t i = 0; i < ARRAY_SIZE(ERRORS); i++)
		if (ERRORS[i].number == -error)
			name = ERRORS[i].name;
	end(1, text_print(line, sizeof(line), "%s: errno %ld %s", what, -error, name));
}

static bool call_number(const char *const *environment, u64 *nr)
{
	for (; *environment != NULL; environment++)
		if (text_starts(*environment, NUMBER))
			return text_number(*environment + text_length(NUMBER), nr);
	return false;
}

bool ckpt_is_meant(const unsigned long *stack)
{
	const char *name = stack[0] > 0 ? (const char *)stack[1] : "";
	size_t length = text_length(name);

	return length >= 4 && text_equal(name + length - 4, "ckpt");
}

void ckpt_run(const unsigned long *stack)
{
	const char *const *words = (const char *const *)(stack + 1);
	size_t count = stack[0];
	char line[MAX_LINE];
	u64 pid;
	u64 nr;

	if (count != 3 || !text_number(words[1], &pid))
		end(2, "usage: ckpt PID FILE (- is standard output)");
	if (!call_number(words + count + 1, &nr))
		end(2, NUMBER "NUMBER of the system call is not in the environment");
	bool is_stdout = text_equal(words[2], "-");
	long fd = is_stdout ? 1 : SYS(open, words[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0)
		end_with_error(words[2], fd);
	long result = SYS_PADDED((long)nr, pid, fd, 0, 0, 0, 0);

	if (result < 0)
		end_with_error(text_print(line, sizeof(line), "checkpoint(%llu)", pid), result);
	if (!is_stdout)
		end(0, text_print(line, sizeof(line), "checkpoint %ld of %llu: %lld bytes in %s", result, pid,
				  sys_seek((int)fd, 0, SEEK_CUR), words[2]));
	SYS(exit_group, 0);
	__builtin_unreachable();
}
