// SPDX-License-Identifier: MIT
#include "agent.h"

#define MAX_PID 0x3fffff
#define MAX_NEEDED 3

static const struct {
	const char *name;
	long (*run)(const struct command *command);
	const char *needed[MAX_NEEDED];
} COMMANDS[] = {
#define COMMAND_ENTRY(name, ...) { #name, command_##name, { __VA_ARGS__ } },
	FOR_EACH_COMMAND(COMMAND_ENTRY)
};

static const struct {
	const char *key;
	size_t offset;
	u64 absent;
} NUMBERS[] = {
#define NUMBER_ENTRY(key, absent) { #key, offsetof(struct command, key), absent },
	FOR_EACH_NUMBER(NUMBER_ENTRY)
};

static const struct {
	const char *key;
	size_t offset;
} TEXTS[] = {
#define TEXT_ENTRY(key) { #key, offsetof(struct command, key) },
	FOR_EACH_TEXT(TEXT_ENTRY)
};

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

static void *field(struct command *command, size_t offset)
{
	return (u8 *)command + offset;
}

static long take_words(struct command *command, char *rest)
{
	while (rest != NULL) {
		char *word = rest;

		rest = split(word, ' ');
		if (command->word_count == MAX_WORDS)
			return failed(-E2BIG, "too many words in a command");
		char *value = split(word, '=');

		if (value == NULL || *word == '\0' || !text_unescape(value))
			return failed(-EINVAL, "not a key=value word: %s", word);
		command->words[command->word_count].key = word;
		command->words[command->word_count++].value = value;
		for (size_t i = 0; i < ARRAY_SIZE(NUMBERS); i++)
			if (text_equal(NUMBERS[i].key, word) && !text_number(value, field(command, NUMBERS[i].offset)))
				return failed(-EINVAL, "not a number: %s", word);
		for (size_t i = 0; i < ARRAY_SIZE(TEXTS); i++)
			if (text_equal(TEXTS[i].key, word))
				*(char **)field(command, TEXTS[i].offset) = value;
	}
	return 0;
}

static bool has_key(const struct command *command, const char *key)
{
	for (int i = 0; i < command->word_count; i++)
		if (text_equal(command->words[i].key, key))
			return true;
	return false;
}

long command_run(char *line)
{
	static struct command command;
	char *rest = split(line, ' ');

	command = (struct command){ .name = line };
	for (size_t i = 0; i < ARRAY_SIZE(NUMBERS); i++)
		*(u64 *)field(&command, NUMBERS[i].offset) = NUMBERS[i].absent;
	long error = take_words(&command, rest);

	if (error < 0)
		return error;
	for (size_t i = 0; i < ARRAY_SIZE(COMMANDS); i++) {
		if (!text_equal(COMMANDS[i].name, line))
			continue;
		for (int k = 0; k < MAX_NEEDED && COMMANDS[i].needed[k] != NULL; k++)
			if (!has_key(&command, COMMANDS[i].needed[k]))
				return failed(-EINVAL, "missing: %s", COMMANDS[i].needed[k]);
		// To the call under test any number may be given.
		if (has_key(&command, "pid") && !has_key(&command, "nr") && command.pid - 1 >= MAX_PID)
			return failed(-EINVAL, "not a process id: pid");
		// What failed, unless it is said in more detail.
		(void)failed(0, "%s", COMMANDS[i].name);
		return COMMANDS[i].run(&command);
	}
	return failed(-ENOSYS, "no such command");
}
