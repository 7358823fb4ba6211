// SPDX-License-Identifier: MIT
// The processes that the agent started, and commands about processes.
#ifndef CKPTEST_PROCESS_H
#define CKPTEST_PROCESS_H

#include "command.h"

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

// Waits until a process is stopped: 0, -ESRCH when it is over instead, -EINTR when the host ended the wait.
long process_wait_stopped(int pid);

// Waits for a child of the agent's own, unless its end is known already, and gives its wait status.
int process_wait(int pid);

// Whether a wait status says that a signal ended the process, and which.
int status_signal(int status);
int status_code(int status);

// Answers with code=C or sig=S.
void reply_status(int status);

void command_event(const struct command *command);
void command_quiesce(const struct command *command);
void command_stop(const struct command *command);
void command_continue(const struct command *command);
void command_signal(const struct command *command);
void command_kill(const struct command *command);
void command_clean(const struct command *command);

#endif
