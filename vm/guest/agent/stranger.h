// SPDX-License-Identifier: MIT
#ifndef CKPTEST_STRANGER_H
#define CKPTEST_STRANGER_H

#include "command.h"

// `stranger`: a process id that names no process fit for a checkpoint. what=zombie, what=dead (one that was
// waited for), or what=thread with pid=P: a thread of P that does not lead it.
void command_stranger(const struct command *command);

#endif
