// SPDX-License-Identifier: MIT
#include "tracer.h"

#include <asm/ptrace-abi.h>
#include <asm/signal.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/ptrace.h>
#include <linux/wait.h>

#include "channel.h"
#include "process.h"
#include "procfs.h"
#include "../common/syscall.h"

#ifdef __x86_64__
#define DEBUG_REGISTERS_OFFSET 848 // offsetof(struct user, u_debugreg)
#else
#define DEBUG_REGISTERS_OFFSET 252
#endif

#define MAX_POKE_BYTES 64

// The process that `attach` has left attached (0: none), and whether it was stopped before.
static int attached_pid;
static bool attached_was_stopped;

unsigned long debug_register_offset(unsigned long number)
{
	return DEBUG_REGISTERS_OFFSET + number * sizeof(long);
}

// Waits until a tracee has stopped: in a trap of its own (`event`), or by the SIGSTOP of PTRACE_ATTACH. Zero,
// or -ESRCH when it ended instead.
static long wait_for_trap(int pid, bool event)
{
	int status = 0;

	for (;;) {
		long waited = SYS(wait4, pid, &status, __WALL, 0);

		if (waited == -EINTR)
			continue;
		if (waited < 0)
			return waited;
		if ((status & 0xff) != 0x7f)
			return -ESRCH;
		if (event ? status >> 16 == PTRACE_EVENT_STOP : (status >> 8 & 0xff) == SIGSTOP)
			return 0;
		// A signal on its way: hand it on, the stop comes after it.
		SYS(ptrace, PTRACE_CONT, pid, 0, status >> 8 & 0xff);
	}
}

static long detach(int pid, bool was_stopped)
{
	long error = SYS(ptrace, PTRACE_DETACH, pid, 0, 0);

	// Without its tracer the process goes back to the stop that it was in.
	if (error >= 0 && was_stopped)
		error = process_wait_stopped(pid);
	return error;
}

static long seize(int pid)
{
	long error = SYS(ptrace, PTRACE_SEIZE, pid, 0, 0);

	if (error < 0)
		return error;
	error = SYS(ptrace, PTRACE_INTERRUPT, pid, 0, 0);
	if (error >= 0)
		error = wait_for_trap(pid, true);
	if (error < 0)
		SYS(ptrace, PTRACE_DETACH, pid, 0, 0);
	return error;
}

// Has a process that is seized carry out one instruction.
static long step(int pid)
{
	int status = 0;

	do {
		long error = SYS(ptrace, PTRACE_SINGLESTEP, pid, 0, 0);

		if (error < 0)
			return error;
		do {
			error = SYS(wait4, pid, &status, __WALL, 0);
		} while (error == -EINTR);
		if (error < 0)
			return error;
		// One that was stopped before traps once more for that, and has not moved then.
	} while ((status & 0xff) == 0x7f && status >> 16 == PTRACE_EVENT_STOP);
	return status == (SIGTRAP << 8 | 0x7f) ? 0 : -ESRCH;
}

long tracer_visit(struct visit *visit, int pid)
{
	visit->pid = pid;
	visit->was_attached = pid == attached_pid;
	visit->was_stopped = proc_is_stopped(pid);
	return visit->was_attached ? 0 : seize(pid);
}

long tracer_leave(const struct visit *visit)
{
	return visit->was_attached ? 0 : detach(visit->pid, visit->was_stopped);
}

static void answer(long error, const char *what)
{
	if (error < 0)
		reply_error(error, what);
	else
		reply_done();
}

// how=seize stops the process by PTRACE_INTERRUPT, how=attach by the SIGSTOP of PTRACE_ATTACH; how=step seizes it and
// goes one instruction further.
void command_attach(const struct command *command)
{
	int pid;

	if (!command_pid(command, &pid))
		return;
	const char *how = command_need_text(command, "how");

	if (how == NULL)
		return;
	if (attached_pid != 0 && !proc_is_over(attached_pid)) {
		reply_error(EBUSY, "attached to a process already");
		return;
	}
	attached_pid = 0;
	attached_was_stopped = proc_is_stopped(pid);
	long error = -EINVAL;

	if (text_equal(how, "seize") || text_equal(how, "step")) {
		error = seize(pid);
		if (error >= 0 && text_equal(how, "step"))
			error = step(pid);
	} else if (text_equal(how, "attach")) {
		error = SYS(ptrace, PTRACE_ATTACH, pid, 0, 0);
		if (error >= 0)
			error = wait_for_trap(pid, false);
	}
	if (error >= 0)
		attached_pid = pid;
	answer(error, how);
}

// The process is in a job control stop afterwards if it was in one before it was attached to.
void command_detach(const struct command *command)
{
	int pid;

	if (!command_pid(command, &pid))
		return;
	long error = detach(pid, pid == attached_pid && attached_was_stopped);

	if (pid == attached_pid)
		attached_pid = 0;
	answer(error, "detach");
}

// Answers errno=E: what PTRACE_POKEUSER said, 0 for success. A register that it refuses is an outcome, no error.
void command_debugreg(const struct command *command)
{
	struct visit visit;
	u64 number;
	u64 value;
	int pid;

	if (!command_pid(command, &pid) || !command_need_number(command, "n", &number) ||
	    !command_need_number(command, "value", &value))
		return;
	if (number > 7 || value != (unsigned long)value) {
		reply_error(EINVAL, "n= from 0 to 7, value= of the agent's word size");
		return;
	}
	long error = tracer_visit(&visit, pid);

	if (error < 0) {
		reply_error(error, "PTRACE_SEIZE");
		return;
	}
	long result = SYS(ptrace, PTRACE_POKEUSR, pid, debug_register_offset((unsigned long)number), value);

	error = tracer_leave(&visit);
	if (error < 0) {
		reply_error(error, "debugreg");
		return;
	}
	reply_start("ok");
	reply_number("errno", result < 0 ? -result : 0);
	reply_send();
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Two digits a byte. The number of bytes, or -EINVAL.
static long decode_hex(const char *text, u8 *bytes, size_t size)
{
	size_t length = 0;

	for (; text[0] != '\0'; text += 2) {
		int high = hex_digit(text[0]);
		int low = high < 0 ? -1 : hex_digit(text[1]);

		if (low < 0 || length == size)
			return -EINVAL;
		bytes[length++] = (u8)(high << 4 | low);
	}
	return length > 0 ? (long)length : -EINVAL;
}

static void reply_bytes(const char *key, const u8 *bytes, size_t length)
{
	char digits[2 * MAX_POKE_BYTES + 1];
	struct text text = TEXT_IN(digits);

	for (size_t i = 0; i < length; i++)
		text_hex(&text, bytes[i], 2);
	reply_text(key, digits, text.length);
}

static long read_and_write(int pid, u64 address, u8 *old, const u8 *new, size_t length)
{
	long memory = proc_open(pid, "mem", O_RDWR);

	if (memory < 0)
		return memory;
	long count = sys_pread((int)memory, old, length, address);

	if (count == (long)length)
		count = sys_pwrite((int)memory, new, length, address);
	SYS(close, memory);
	return count < 0 ? count : count == (long)length ? 0 : -EIO;
}

void command_poke(const struct command *command)
{
	u8 new[MAX_POKE_BYTES];
	u8 old[MAX_POKE_BYTES];
	u64 address;
	int pid;

	if (!command_pid(command, &pid) || !command_need_number(command, "addr", &address))
		return;
	const char *digits = command_need_text(command, "bytes");

	if (digits == NULL)
		return;
	long length = decode_hex(digits, new, sizeof(new));

	if (length < 0) {
		reply_error(length, "bytes= is not 1 to 64 bytes in hexadecimal");
		return;
	}
	long error = read_and_write(pid, address, old, new, (size_t)length);

	if (error < 0) {
		reply_error(error, "mem");
		return;
	}
	reply_start("ok");
	reply_bytes("old", old, (size_t)length);
	reply_send();
}
