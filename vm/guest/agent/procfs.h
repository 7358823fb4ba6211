// SPDX-License-Identifier: MIT
// What /proc says of processes.
#ifndef CKPTEST_PROCFS_H
#define CKPTEST_PROCFS_H

#include "../common/types.h"

struct process_stat {
	char state;
	int parent;
	int session;
};

// Opens /proc/PID/NAME.
long proc_open(int pid, const char *name, int flags);

// Reads a small file whole and ends it with a NUL; the length, or a negative errno.
long proc_read(int pid, const char *name, char *bytes, size_t size);

// False when there is no such process.
bool proc_stat(int pid, struct process_stat *stat);

// True once the process is stopped, by job control or a tracer, and off the CPU.
bool proc_is_stopped(int pid);

// True when the process is gone, or a zombie.
bool proc_is_over(int pid);

// Kills and reaps every process of a session, and every descendant of a process.
void proc_kill_all(int session, int root);

#endif
