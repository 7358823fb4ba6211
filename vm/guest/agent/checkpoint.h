// SPDX-License-Identifier: MIT
#ifndef CKPTEST_CHECKPOINT_H
#define CKPTEST_CHECKPOINT_H

#include "command.h"

// `checkpoint`: a child calls the system call, and its image goes to the host as it comes.
// With `pauseat` it answers once that much of the image has been read: `paused` is the handle for `resume`,
// `caller` the child's pid, which then sleeps in the call. Other commands work meanwhile.
void command_checkpoint(const struct command *command);

// `resume`: reads on, to the next `pauseat` or to the end. With `wait` it does so when the caller
// has ended, or after so many milliseconds, and then says that it was `late`.
void command_resume(const struct command *command);

// Gives up all calls under way, whose callers are dead.
void checkpoint_forget_all(void);

#endif
