// SPDX-License-Identifier: MIT
#ifndef CKPTEST_INJECT_H
#define CKPTEST_INJECT_H

#ifdef __x86_64__
#define DEBUG_REGISTERS_OFFSET 848 // offsetof(struct user, u_debugreg)
#else
#define DEBUG_REGISTERS_OFFSET 252
#endif

// Has a process that is stopped in a system call, and in the stop of a tracer's, tell its break and its LDT: blobs
// `brk`, a number, and `ldt`, the entries that modify_ldt(2) reads. A blob is missing where the process cannot be
// asked, or does not know. `signal` is one for it to get when it goes on; 0: none. An error means that it is not as it
// was.
long inject_calls(int pid, int *signal);

#endif
