// SPDX-License-Identifier: MIT
// The process that makes the call under test.
#ifndef CKPTEST_CALLER_H
#define CKPTEST_CALLER_H

#include "../common/syscall.h"

#define NEVER (~0ULL)

// How the call is made; the same names as in vm/agent/agent_types.ts.
struct call_settings {
	u64 nr;
	u64 pid;
	u64 flags;
	u64 uid;
	u64 gid;
	// How often the call is made; all must return the same.
	u64 times;
	// After this many microseconds, and again and again, SIGALRM comes, which has a handler.
	u64 alarm;
	u64 rlimit_fsize;
	// This allocation of the caller, counted from the call on, fails; 0: none does.
	u64 fail_nth;
	// The caller has a handler for this signal; 0: for none.
	u64 handled_signal;
	// The agent stops reading after this many bytes, and the host goes on with other commands.
	u64 pause_at;
	// Descriptors of the agent in place of a pipe: what the caller gets, and where its image can be read
	// (absent: nowhere).
	u64 fd;
	u64 reader;
	bool no_descriptor;
	// Whether SIGPIPE and SIGXFSZ are ignored.
	bool ignores_signals;
};

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

// Makes the call to a descriptor (-1: none), tells what came of it, and ends.
__attribute__((noreturn)) void caller_run(const struct call_settings *settings, int fd, struct call_outcome *outcome);

#endif
