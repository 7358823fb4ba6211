// SPDX-License-Identifier: MIT
#ifndef CKPTEST_FILES_H
#define CKPTEST_FILES_H

#include "command.h"

void command_program(const struct command *command);
void command_writefile(const struct command *command);
void command_readfile(const struct command *command);
void command_results(const struct command *command);
void command_image6(const struct command *command);
void command_mkdir(const struct command *command);
void command_mount(const struct command *command);
void command_swapon(const struct command *command);
void command_swapoff(const struct command *command);

#endif
