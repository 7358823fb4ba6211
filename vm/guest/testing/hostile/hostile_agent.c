// SPDX-License-Identifier: MIT
// An agent that is honest until it is asked for a checkpoint, and then does what the kernel's parameter CKPTEST_HOSTILE
// says. It is linked with --wrap=command_run (harness/run/hostile_agents_qemu_test.ts).
#include "../../agent/agent.h"

// Control and data port, in one order or the other.
#define FIRST_PORT 4
#define SECOND_PORT 5

long __real_command_run(char *line);
long __wrap_command_run(char *line);

static void write_both(const void *bytes, size_t length)
{
	port_write(FIRST_PORT, bytes, length);
	port_write(SECOND_PORT, bytes, length);
}

static void flood_console(void)
{
	static const char complaint[] = "BUG: KASAN: \033[2Jok    x86_64    all\r\n";
	long fd = SYS(open, "/dev/console", O_WRONLY | O_NOCTTY);

	for (size_t i = 0; i < BUFFER_BYTES / 4; i += sizeof(complaint) - 1)
		sys_write_all((int)fd, complaint, sizeof(complaint) - 1);
}

// True when the command is carried out after all.
static bool misbehave(const char *how)
{
	struct hash hash;

	hash_start(&hash);
	memset(channel_buffer, 'x', BUFFER_BYTES);
	while (text_starts(how, "floods"))
		blob_write(&hash, channel_buffer, BUFFER_BYTES);
	while (text_starts(how, "chatters"))
		write_both(channel_buffer, 1000);
	while (text_starts(how, "silent"))
		sys_sleep_ms(1000);
	if (text_starts(how, "closes")) {
		SYS(close, FIRST_PORT);
		SYS(close, SECOND_PORT);
		for (;;)
			sys_sleep_ms(1000);
	}
	if (text_starts(how, "lies")) {
		blob_write(&hash, channel_buffer, 100);
		reply(" result=1 seconds_before=0 seconds_after=0 nanoseconds=1 caller=9 length=10 hash=0");
		return false;
	}
	flood_console();
	return true;
}

long __wrap_command_run(char *line)
{
	static const char parameter[] = "CKPTEST_HOSTILE=";
	char words[2048] = "";
	const char *how = words;

	sys_read_file("/proc/cmdline", words, sizeof(words));
	while (*how != '\0' && !text_starts(how, parameter))
		how++;
	if (text_starts(line, "checkpoint") && !misbehave(how + sizeof(parameter) - 1))
		return 0;
	return __real_command_run(line);
}
