// SPDX-License-Identifier: MIT
// The agent: process 1 of the guest, and the host's hand in it.
//
// It carries out one command at a time. Commands are lines on the control port, and each gets one answer
// that starts with `ok` or `err`; bulk data has its own port. The agent decides nothing: no limits of time,
// no retries, no verdicts. System call numbers of the code under test come from the host.
#include "agent.h"

#include <linux/time.h>

long command_time(const struct command *command)
{
	struct time real;
	struct time monotonic;

	(void)command;
	sys_clock(CLOCK_REALTIME, &real);
	sys_clock(CLOCK_MONOTONIC, &monotonic);
	reply(" realtime=%lld monotonic_ns=%lld", real.seconds,
	      monotonic.seconds * 1000000000 + monotonic.nanoseconds);
	return 0;
}

bool boot_is_told(const unsigned long *stack, const char *word)
{
	for (const unsigned long *at = stack + 1 + stack[0] + 1; *at != 0; at++)
		if (text_equal((const char *)*at, word))
			return true;
	return false;
}

__attribute__((noreturn)) void start(const unsigned long *stack);

void start(const unsigned long *stack)
{
	int control;
	int data;

#ifdef CKPTEST_HOST_TEST
	boot_on_host(stack, &control, &data);
#else
	if (ckpt_is_meant(stack))
		ckpt_run(stack);
	if (SYS(getpid) != 1) {
		SYS(exit_group, 2);
		__builtin_unreachable();
	}
	boot_mount_all();
	if (boot_is_told(stack, "CKPTEST_CHANNEL=serial"))
		control = data = boot_open_serial();
	else
		boot_open_ports(&control, &data);
	if (boot_is_told(stack, "CKPTEST_CHANNEL=lockstep"))
		lockstep_start();
	console_line("ready", 0);
#endif
	channel_start(control, data);
	boot_say_hello();
	for (;;) {
		char *line = channel_read_line();

		process_reap();
		reply_start("ok");
		reply_end(line == NULL ? failed(-EMSGSIZE, "a command longer than 4095 bytes") : command_run(line));
	}
}
