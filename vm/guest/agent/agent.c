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
#include "checkpoint.h"
#include "command.h"
#include "files.h"
#include "observe.h"
#include "process.h"
#include "registers.h"
#include "spawn.h"
#include "stranger.h"
#include "../common/syscall.h"
#include "syscall_command.h"
#include "tracer.h"

static const unsigned long *auxiliary_vector;

static void command_ping(const struct command *command)
{
	u64 n;

	if (!command_need_number(command, "n", &n))
		return;
	reply_start("ok");
	reply_number("n", (s64)n);
	reply_send();
}

static void command_hello(const struct command *command)
{
	(void)command;
	boot_say_hello("ok", auxiliary_vector);
}

// Ends a wait of the command before it; by itself nothing.
static void command_cancel(const struct command *command)
{
	(void)command;
	reply_done();
}

static void command_time(const struct command *command)
{
	struct time real;
	struct time monotonic;

	(void)command;
	sys_clock(CLOCK_REALTIME, &real);
	sys_clock(CLOCK_MONOTONIC, &monotonic);
	reply_start("ok");
	reply_number("realtime", real.seconds);
	reply_number("monotonic", monotonic.seconds * 1000000000 + monotonic.nanoseconds);
	reply_send();
}

static void command_poweroff(const struct command *command)
{
	(void)command;
	reply_done();
	power_off();
}

static const struct {
	const char *name;
	void (*run)(const struct command *command);
} COMMANDS[] = {
	{ "ping", command_ping },
	{ "hello", command_hello },
	{ "cancel", command_cancel },
	{ "time", command_time },
	{ "program", command_program },
	{ "spawn", command_spawn },
	{ "event", command_event },
	{ "exec", command_exec },
	{ "quiesce", command_quiesce },
	{ "stop", command_stop },
	{ "cont", command_continue },
	{ "signal", command_signal },
	{ "kill", command_kill },
	{ "observe", command_observe },
	{ "regs", command_regs },
	{ "attach", command_attach },
	{ "detach", command_detach },
	{ "debugreg", command_debugreg },
	{ "poke", command_poke },
	{ "stranger", command_stranger },
	{ "checkpoint", command_checkpoint },
	{ "resume", command_resume },
	{ "syscall", command_syscall },
	{ "pagehash", command_pagehash },
	{ "peek", command_peek },
	{ "results", command_results },
	{ "image6", command_image6 },
	{ "readfile", command_readfile },
	{ "writefile", command_writefile },
	{ "mkdir", command_mkdir },
	{ "mount", command_mount },
	{ "swapon", command_swapon },
	{ "swapoff", command_swapoff },
	{ "clean", command_clean },
	{ "poweroff", command_poweroff },
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

// Arguments, environment and auxiliary vector lie one after the other where the kernel put them.
static const unsigned long *find_auxiliary_vector(const unsigned long *stack)
{
	stack += 1 + stack[0] + 1;
	while (*stack != 0)
		stack++;
	return stack + 1;
}

#ifndef CKPTEST_HOST_TEST

// Kernels hand parameters that they do not know to the first process, as its environment.
static bool wants_serial(const unsigned long *stack)
{
	for (const unsigned long *at = stack + 1 + stack[0] + 1; *at != 0; at++)
		if (text_equal((const char *)*at, "CKPTEST_CHANNEL=serial"))
			return true;
	return false;
}

#endif

__attribute__((noreturn)) void start(const unsigned long *stack);

void start(const unsigned long *stack)
{
	static struct command command;
	int control;
	int data;

	auxiliary_vector = find_auxiliary_vector(stack);
#ifdef CKPTEST_HOST_TEST
	if (stack[0] != 4)
		fatal("usage: agent CONTROL-SOCKET DATA-SOCKET ROOT", 0);
	boot_on_host((char **)(stack + 1), &control, &data);
#else
	if (SYS(getpid) != 1) {
		SYS(exit_group, 2);
		__builtin_unreachable();
	}
	boot_mount_all();
	if (wants_serial(stack))
		control = data = boot_open_serial();
	else
		boot_open_ports(&control, &data);
	console_line("ready", 0);
#endif
	channel_start(control, data);
	boot_say_hello("hello", auxiliary_vector);
	for (;;) {
		char *line = channel_read_line();

		process_reap();
		if (line == NULL)
			reply_error(EMSGSIZE, "a command longer than 4095 bytes");
		else if (command_parse(&command, line))
			run_command(&command);
	}
}
