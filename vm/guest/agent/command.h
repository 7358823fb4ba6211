// SPDX-License-Identifier: MIT
// One command of the host: a name, then key=value words. A key has the name of the option in vm/agent/agent_types.ts,
// with the words apart.
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

// Every command there is: `event` is carried out by command_event().
#define FOR_EACH_COMMAND(DO) \
	/* Programs: the target and others. */ \
	DO(spawn) DO(exec) DO(event) DO(quiesce) DO(stop) DO(zombie) DO(clean) \
	/* What can be seen of a process. */ \
	DO(observe) DO(pagehash) DO(regs) DO(attach) DO(detach) \
	/* The call under test: `checkpoint` has a child make it, `resume` goes on where that paused. */ \
	DO(checkpoint) DO(resume) \
	/* Everything else that a guest can do. */ \
	DO(syscall) DO(readfile) DO(writefile) DO(time)

#define DECLARE_COMMAND(name) void command_##name(const struct command *command);
FOR_EACH_COMMAND(DECLARE_COMMAND)

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

// Numbers of a struct, each under the name of its field.
struct option {
	const char *key;
	size_t offset;
};

#define OPTION(type, field) { #field, offsetof(type, field) }

// Reads those that are given into `settings`. False after it has answered `err`.
bool command_options(const struct command *command, const struct option *options, size_t count, void *settings);

// pid=P as a path's part: a positive decimal number. False after it has answered `err`.
bool command_pid(const struct command *command, int *pid);

#endif
