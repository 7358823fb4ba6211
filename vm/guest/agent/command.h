// SPDX-License-Identifier: MIT
// One command of the host: a name, then key=value words.
#ifndef CKPTEST_COMMAND_H
#define CKPTEST_COMMAND_H

#include "../common/types.h"

#define MAX_WORDS 512

struct command {
	const char *name;
	int count;
	struct {
		const char *key;
		char *value;
	} words[MAX_WORDS];
};

// Splits a line in place. False after it has answered `err`.
bool command_parse(struct command *command, char *line);

// The value of a key, decoded; NULL when it is absent.
char *command_text(const struct command *command, const char *key);

// The value of a key that must be there; answers `err` and gives NULL when it is not.
char *command_need_text(const struct command *command, const char *key);

// A number that must be there. False after it has answered `err`.
bool command_need_number(const struct command *command, const char *key, u64 *value);

// A number that keeps its value when the key is absent. False after it has answered `err`.
bool command_number(const struct command *command, const char *key, u64 *value);

// pid=P as a path's part: a positive decimal number. False after it has answered `err`.
bool command_pid(const struct command *command, int *pid);

#endif
