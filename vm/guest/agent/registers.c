// SPDX-License-Identifier: MIT
#include "registers.h"

#include <asm/ldt.h>
#include <asm/ptrace-abi.h>
#include <linux/elf.h>
#include <linux/errno.h>
#include <linux/ptrace.h>

#include "channel.h"
#include "../common/syscall.h"
#include "tracer.h"

#ifdef __x86_64__
#define GENERAL_REGISTERS 27
#define FIRST_TLS_ENTRY 12
#else
#define GENERAL_REGISTERS 17
#define FIRST_TLS_ENTRY 6
#endif

#define TLS_ENTRIES 3

struct io_vector {
	void *bytes;
	size_t length;
};

static long send_general(int pid)
{
	unsigned long registers[GENERAL_REGISTERS];
	long error = SYS(ptrace, PTRACE_GETREGS, pid, 0, registers);

	if (error >= 0)
		blob_of("gpr", registers, sizeof(registers));
	return error;
}

static long send_set(int pid, const char *name, long set)
{
	struct io_vector vector = { channel_buffer, BUFFER_BYTES };
	long error = SYS(ptrace, PTRACE_GETREGSET, pid, set, &vector);

	if (error >= 0)
		blob_of(name, channel_buffer, vector.length);
	return error;
}

static long send_debug(int pid)
{
	unsigned long registers[8];

	for (unsigned long i = 0; i < ARRAY_SIZE(registers); i++) {
		long error = SYS(ptrace, PTRACE_PEEKUSR, pid, debug_register_offset(i), &registers[i]);

		if (error < 0)
			return error;
	}
	blob_of("debugreg", registers, sizeof(registers));
	return 0;
}

// Slots that the kernel does not show (it may lack CONFIG_IA32_EMULATION) are sent as zeros.
static void send_tls(int pid)
{
	struct user_desc slots[TLS_ENTRIES];

	memset(slots, 0, sizeof(slots));
	for (long i = 0; i < TLS_ENTRIES; i++) {
		struct user_desc slot;

		memset(&slot, 0, sizeof(slot));
		if (SYS(ptrace, PTRACE_GET_THREAD_AREA, pid, FIRST_TLS_ENTRY + i, &slot) >= 0)
			slots[i] = slot;
	}
	blob_of("tls", slots, sizeof(slots));
}

static long send_all(int pid)
{
	long error = send_general(pid);

	if (error >= 0)
		error = send_set(pid, "xstate", NT_X86_XSTATE);
	// A CPU without XSAVE has no such set; its FXSAVE or FSAVE image is another.
	if (error == -ENODEV || error == -EINVAL)
		error = send_set(pid, "fpregs", NT_PRFPREG);
	if (error >= 0)
		error = send_debug(pid);
	if (error >= 0)
		send_tls(pid);
	return error;
}

void command_regs(const struct command *command)
{
	struct visit visit;
	int pid;

	if (!command_pid(command, &pid))
		return;
	long error = tracer_visit(&visit, pid);

	if (error < 0) {
		reply_error(error, "PTRACE_SEIZE");
		return;
	}
	error = send_all(pid);
	long left = tracer_leave(&visit);

	if (error >= 0)
		error = left;
	if (error < 0)
		reply_error(error, "regs");
	else
		reply_done();
}
