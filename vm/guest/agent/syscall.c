// SPDX-License-Identifier: MIT
// `syscall nr=N ...`: the agent makes a system call. Its arguments are the words `n` (a number), `s` (a string)
// and `b` (bytes in hexadecimal, which the kernel may write to), in their order. Answers the result, and the
// bytes after the call. What needs no command of its own: opening, mounting, renaming, poking.
#include <linux/errno.h>

#include "channel.h"
#include "command.h"
#include "../common/syscall.h"

#define MAX_ARGUMENTS 6

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Hexadecimal digits to bytes, in place: the bytes are never more than the digits. The length, or -1.
static long decode_hex(char *text)
{
	size_t length = text_length(text);

	if (length % 2 != 0)
		return -1;
	for (size_t i = 0; i < length; i += 2) {
		int high = digit(text[i]);
		int low = digit(text[i + 1]);

		if (high < 0 || low < 0)
			return -1;
		text[i / 2] = (char)(high << 4 | low);
	}
	return (long)length / 2;
}

long command_syscall(const struct command *command)
{
	long arguments[MAX_ARGUMENTS] = { 0 };
	const char *bytes = NULL;
	long length = 0;
	int count = 0;

	for (int i = 0; i < command->word_count; i++) {
		char kind = command->words[i].key[0];
		char *value = command->words[i].value;
		u64 number = 0;

		if (command->words[i].key[1] != '\0')
			continue; // nr
		if (count == MAX_ARGUMENTS || (kind == 'n' && !text_number(value, &number)) ||
		    (kind == 'b' && (length = decode_hex(value)) < 0) ||
		    (kind != 'n' && kind != 's' && kind != 'b'))
			return failed(-EINVAL, "the arguments of a system call are up to six of n, s and b");
		if (kind == 'b')
			bytes = value;
		arguments[count++] = kind == 'n' ? (long)number : (long)value;
	}
	long result = sys_call((long)command->nr, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
			       arguments[5]);

	reply(" result=%ld bytes=", result);
	for (long i = 0; i < length; i++)
		reply("%02x", (u8)bytes[i]);
	return 0;
}
