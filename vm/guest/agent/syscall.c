// SPDX-License-Identifier: MIT
// `syscall nr=N ...`: the agent makes a system call. Its arguments are the words `n` (a number), `s` (a string)
// and `b` (bytes in hexadecimal, which the kernel may write to), in their order. Answers the result, and the
// bytes after the call. What needs no command of its own: opening, mounting, renaming, poking.
#include "agent.h"

#define MAX_ARGUMENTS 6

// Hexadecimal digits to bytes, in place: the bytes are never more than the digits. The length, or -1.
static long decode_hex(char *text)
{
	char *to = text;
	const char *from = text;

	for (; *from != '\0'; from += 2) {
		int byte = text_byte(from);

		if (byte < 0)
			return -1;
		*to++ = (char)byte;
	}
	return to - text;
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
