// SPDX-License-Identifier: MIT
#ifndef CKPTEST_CHECKPOINT_H
#define CKPTEST_CHECKPOINT_H

#include "command.h"

// `checkpoint`: a child calls the system call, and its image goes to the host as it comes.
void command_checkpoint(const struct command *command);

#endif
