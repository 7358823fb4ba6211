// SPDX-License-Identifier: MIT
// The process that makes the call under test.
#ifndef CKPTEST_CALLER_H
#define CKPTEST_CALLER_H

#include "command.h"
#include "../common/syscall.h"

// What the caller tells, in memory that it shares with the agent.
struct call_outcome {
	struct time real_before;
	struct time real_after;
	struct time before;
	struct time after;
	long result;
	// A result of one of several calls that was another than the last one's; 0: none was.
	long other_result;
	// What write(2) said to a byte at an address of the kernel, after the call.
	long probe;
	bool returned;
	bool fault_came;
};

// Makes the call that a command describes, to a descriptor (-1: none), tells what came of it, and ends.
__attribute__((noreturn)) void caller_run(const struct command *call, int fd, struct call_outcome *outcome);

#endif
