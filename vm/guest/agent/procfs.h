// SPDX-License-Identifier: MIT
// What /proc says of processes.
#ifndef CKPTEST_PROCFS_H
#define CKPTEST_PROCFS_H

#include "../common/types.h"

// Opens /proc/PID/NAME for reading.
long proc_open(int pid, const char *name);

// Reads a small file whole and ends it with a NUL; the length, or a negative errno.
long proc_read(int pid, const char *name, char *bytes, size_t size);

// The state in stat, such as 'S'; NUL when there is no such process.
char proc_state(int pid);

// The session in stat; 0 when there is no such process.
int proc_session(int pid);

// True once the process is stopped, by job control or a tracer, and off the CPU.
bool proc_is_stopped(int pid);

// True when the process is gone, or a zombie.
bool proc_is_over(int pid);

#endif
