// SPDX-License-Identifier: MIT
#ifndef CKPTEST_SYSCALL_COMMAND_H
#define CKPTEST_SYSCALL_COMMAND_H

#include "command.h"

// `syscall nr=N ...`: the agent makes a system call. Its arguments are the words `n` (a number), `s` (a string)
// and `b` (bytes in hexadecimal, which the kernel may write to), in their order. Answers `ret`, and the
// bytes after the call. Small things that need no command of their own: opening, sealing, renaming.
void command_syscall(const struct command *command);

#endif
