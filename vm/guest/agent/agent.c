// SPDX-License-Identifier: MIT
// The agent: process 1 of the guest, and the host's hand in it.
//
// It carries out one command at a time. Commands are lines on the control port, and each gets one answer
// that starts with `ok` or `err`; bulk data has its own port. The agent decides nothing: no limits of time,
// no retries, no verdicts. System call numbers of the code under test come from the host.
#include <linux/errno.h>
#include <linux/time.h>

#include "boot.h"
#include "channel.h"
#include "command.h"
#include "old_kernel.h"
#include "process.h"
#include "../common/syscall.h"

void command_time(const struct command *command)
{
	struct time real;
	struct time monotonic;

	(void)command;
	sys_clock(CLOCK_REALTIME, &real);
	sys_clock(CLOCK_MONOTONIC, &monotonic);
	reply_start("ok");
	reply_number("realtime", real.seconds);
	reply_number("monotonic_ns", monotonic.seconds * 1000000000 + monotonic.nanoseconds);
	reply_send();
}

static const struct {
	const char *name;
	void (*run)(const struct command *command);
} COMMANDS[] = {
#define COMMAND_ENTRY(name) { #name, command_##name },
	FOR_EACH_COMMAND(COMMAND_ENTRY)
};

static void run_command(const struct command *command)
{
	for (size_t i = 0; i < ARRAY_SIZE(COMMANDS); i++) {
		if (text_equal(COMMANDS[i].name, command->name)) {
			COMMANDS[i].run(command);
			return;
		}
	}
	reply_error(ENOSYS, "no such command");
}

// Kernels hand parameters that they do not know to the first process, as its environment.
static bool is_told(const unsigned long *stack, const char *word)
{
	for (const unsigned long *at = stack + 1 + stack[0] + 1; *at != 0; at++)
		if (text_equal((const char *)*at, word))
			return true;
	return false;
}

__attribute__((noreturn)) void start(const unsigned long *stack);

void start(const unsigned long *stack)
{
	static struct command command;
	int control;
	int data;

#ifdef CKPTEST_HOST_TEST
	if (stack[0] != 4)
		fatal("usage: agent CONTROL-SOCKET DATA-SOCKET ROOT", 0);
	boot_on_host((char **)(stack + 1), &control, &data);
	if (is_told(stack, "CKPTEST_KERNEL=2.6.28"))
		old_kernel_start();
#else
	if (SYS(getpid) != 1) {
		SYS(exit_group, 2);
		__builtin_unreachable();
	}
	boot_mount_all();
	if (is_told(stack, "CKPTEST_CHANNEL=serial"))
		control = data = boot_open_serial();
	else
		boot_open_ports(&control, &data);
	console_line("ready", 0);
#endif
	channel_start(control, data);
	boot_say_hello();
	for (;;) {
		char *line = channel_read_line();

		process_reap();
		if (line == NULL)
			reply_error(EMSGSIZE, "a command longer than 4095 bytes");
		else if (command_parse(&command, line))
			run_command(&command);
	}
}
