// SPDX-License-Identifier: MIT
#ifndef CKPTEST_OBSERVE_H
#define CKPTEST_OBSERVE_H

#include "command.h"

// `observe`: files of /proc/PID, and the page list.
void command_observe(const struct command *command);

// `pagehash`: digests of single pages of a process.
void command_pagehash(const struct command *command);

// `peek`: memory of a process.
void command_peek(const struct command *command);

#endif
