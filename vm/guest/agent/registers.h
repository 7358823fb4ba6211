// SPDX-License-Identifier: MIT
#ifndef CKPTEST_REGISTERS_H
#define CKPTEST_REGISTERS_H

#include "command.h"

// `regs`: the registers of a process, as a tracer sees them.
void command_regs(const struct command *command);

#endif
