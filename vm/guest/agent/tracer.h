// SPDX-License-Identifier: MIT
// The agent as a tracer: what a debugger does to a process.
#ifndef CKPTEST_TRACER_H
#define CKPTEST_TRACER_H

#include "command.h"

// A stay with a process that is a tracee until tracer_leave(). One that was attached to before stays so.
struct visit {
	int pid;
	bool was_attached;
	bool was_stopped;
};

// Seizes a process and stops it in the tracer's way. 0, or a negative errno: nothing is to be left then.
long tracer_visit(struct visit *visit, int pid);

// Lets go of the process, which goes back to the stop that it was in. 0, or a negative errno.
long tracer_leave(const struct visit *visit);

// `attach` and `detach`: become its tracer, and no longer. `debugreg`: sets a debug register. `poke`: writes
// to its memory as a debugger does, past the protection, and tells what was there.
void command_attach(const struct command *command);
void command_detach(const struct command *command);
void command_debugreg(const struct command *command);
void command_poke(const struct command *command);

// Where the debug registers are for PTRACE_PEEKUSR and PTRACE_POKEUSR.
unsigned long debug_register_offset(unsigned long number);

#endif
