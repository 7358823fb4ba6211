// SPDX-License-Identifier: MIT
#include "command.h"

#include <linux/errno.h>

#include "channel.h"

static void complain(const char *what, const char *about)
{
	char bytes[512];
	struct text text = TEXT_IN(bytes);

	text_put(&text, what);
	text_put(&text, about);
	reply_error(EINVAL, text_end(&text));
}

static char *split(char *text, char at)
{
	for (; *text != '\0'; text++) {
		if (*text != at)
			continue;
		*text = '\0';
		return text + 1;
	}
	return NULL;
}

bool command_parse(struct command *command, char *line)
{
	char *rest = split(line, ' ');

	command->name = line;
	command->count = 0;
	while (rest != NULL) {
		char *word = rest;

		rest = split(word, ' ');
		if (command->count == MAX_WORDS) {
			reply_error(E2BIG, "too many words in a command");
			return false;
		}
		char *value = split(word, '=');

		if (value == NULL || *word == '\0' || !text_unescape(value)) {
			complain("not a key=value word: ", word);
			return false;
		}
		command->words[command->count].key = word;
		command->words[command->count++].value = value;
	}
	return true;
}

char *command_text(const struct command *command, const char *key)
{
	for (int i = 0; i < command->count; i++)
		if (text_equal(command->words[i].key, key))
			return command->words[i].value;
	return NULL;
}

char *command_need_text(const struct command *command, const char *key)
{
	char *value = command_text(command, key);

	if (value == NULL)
		complain("missing: ", key);
	return value;
}

bool command_number(const struct command *command, const char *key, u64 *value)
{
	const char *text = command_text(command, key);

	if (text == NULL || text_number(text, value))
		return true;
	complain("not a number: ", key);
	return false;
}

bool command_need_number(const struct command *command, const char *key, u64 *value)
{
	return command_need_text(command, key) != NULL && command_number(command, key, value);
}

bool command_options(const struct command *command, const struct option *options, size_t count, void *settings)
{
	for (size_t i = 0; i < count; i++)
		if (!command_number(command, options[i].key, (u64 *)(void *)((u8 *)settings + options[i].offset)))
			return false;
	return true;
}

bool command_pid(const struct command *command, int *pid)
{
	u64 value = 0;

	if (!command_need_number(command, "pid", &value))
		return false;
	if (value == 0 || value > 0x3fffff) {
		complain("not a process id: ", "pid");
		return false;
	}
	*pid = (int)value;
	return true;
}
