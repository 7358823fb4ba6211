// SPDX-License-Identifier: MIT
// The processes that the agent started.
#ifndef CKPTEST_PROCESS_H
#define CKPTEST_PROCESS_H

#include "../common/types.h"

// A process that the agent started. `event_fd` and `stdin_fd` are -1 where it has none.
struct process {
	int pid;
	int event_fd;
	int stdin_fd;
	bool over;
	int status;
};

// Remembers a new process.
void process_add(int pid, int event_fd, int stdin_fd);

// Takes the status of every child that ended.
void process_reap(void);

// Forgets all processes that are over, and closes what was kept for them.
void process_forget_dead(void);

// Waits until a process is stopped: 0, -ESRCH when it is over instead, -EINTR when the host ended the wait,
// -EBUSY after the limit: a process that sleeps where no signal reaches it.
long process_wait_stopped(int pid, u64 limit_ms);

// Waits for a child of the agent's own, unless its end is known already, and gives its wait status.
int process_wait(int pid);

// The signal that ended the process, by its wait status; 0: none.
int status_signal(int status);

// Gives up all calls under way, whose callers are dead (checkpoint.c).
void checkpoint_forget_all(void);

#endif
