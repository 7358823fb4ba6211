// SPDX-License-Identifier: MIT
#ifndef CKPTEST_SPAWN_H
#define CKPTEST_SPAWN_H

#include "command.h"

// `spawn`: runs the target program with the descriptors that it expects.
void command_spawn(const struct command *command);

// `exec`: runs any program.
void command_exec(const struct command *command);

#endif
