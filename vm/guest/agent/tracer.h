// SPDX-License-Identifier: MIT
#ifndef CKPTEST_TRACER_H
#define CKPTEST_TRACER_H

#include "../common/types.h"

// A stay with a process as its tracer. One that was attached to before stays so.
struct visit {
	int pid;
	bool was_attached;
	bool was_stopped;
};

// Stops a process in the tracer's way. 0, or a negative errno: nothing is to be left then.
long tracer_visit(struct visit *visit, int pid);

// Lets go of the process, which is then as it was: stopped or not. `signal` is for it; 0: none. 0, or an error.
long tracer_leave(const struct visit *visit, int signal);

#endif
