// SPDX-License-Identifier: MIT
// `checkpoint`: a child calls the system call under test, and its image goes to the host as it comes. With `pause_at`
// the agent answers once that much of the image has been read: `paused` is the handle for `resume`, `caller` the
// child's pid, which then sleeps in the call. Other commands work meanwhile.
#include <linux/errno.h>
#include <linux/fcntl.h>

#include "caller.h"
#include "channel.h"
#include "command.h"
#include "process.h"
#include "procfs.h"
#include "../common/syscall.h"

#define MAX_CALLS 8
#define PIPE_BYTES (1UL << 20)

// A call under way, from the command that made it to the one that tells its end.
struct open_call {
	u64 pause_at;
	struct call_outcome *outcome;
	int caller; // 0: none
	int reader; // -1: nothing to read
	u64 carried;
	bool paused;
	// Did not end in time while nobody read.
	bool late;
};

static struct open_call open_calls[MAX_CALLS];

// Waits until the caller sleeps, which it can in a write that nobody reads, or is over.
static void wait_asleep(int caller)
{
	for (char state = 'R'; state != '\0' && state != 'S' && state != 'Z'; state = proc_state(caller))
		SYS(sched_yield);
}

static void close_reader(struct open_call *call)
{
	if (call->reader >= 0)
		SYS(close, call->reader);
	call->reader = -1;
}

// Carries the image from the pipe to the host until the caller has closed its end. True when it paused.
static bool carry(struct open_call *call, struct hash *hash)
{
	while (call->reader >= 0) {
		u64 left = call->pause_at - call->carried;

		if (call->carried >= call->pause_at) {
			wait_asleep(call->caller);
			return true;
		}
		long count = SYS(read, call->reader, channel_buffer, left < BUFFER_BYTES ? (size_t)left : BUFFER_BYTES);

		if (count == -EINTR)
			continue;
		if (count <= 0) {
			close_reader(call);
			break;
		}
		call->carried += (u64)count;
		hash_update(hash, channel_buffer, (size_t)count);
		data_write(channel_buffer, (size_t)count);
	}
	return false;
}

static void answer(const struct open_call *call, int status)
{
	const struct call_outcome *outcome = call->outcome;
	bool returned = outcome->returned;
	s64 seconds = outcome->after.seconds - outcome->before.seconds;
	s64 nanoseconds = outcome->after.nanoseconds - outcome->before.nanoseconds;

	reply(" result=%ld seconds_before=%lld seconds_after=%lld nanoseconds=%lld", returned ? outcome->result : -1,
	      outcome->real_before.seconds, returned ? outcome->real_after.seconds : outcome->real_before.seconds,
	      returned ? seconds * 1000000000 + nanoseconds : 0);
	if (status_signal(status) != 0)
		reply(" signal=%d", status_signal(status));
	if (outcome->fault_came)
		reply(" fault_came=1");
	if (outcome->other_result != 0)
		reply(" other_result=%ld", outcome->other_result);
	if (call->late)
		reply(" is_late=1");
	if (returned)
		reply(" probe=%ld", outcome->probe);
}

// Brings home what there is of the image, and tells how the call ended if it did.
static long go_on(struct open_call *call)
{
	struct hash hash;
	int caller = call->caller;

	hash_start(&hash);
	if (carry(call, &hash)) {
		// Others may wait for any child from now on: its end must be kept.
		if (!call->paused)
			process_add(caller, -1, -1);
		call->paused = true;
		reply(" paused=%d", (int)(call - open_calls));
	} else {
		int status = process_wait(caller);

		call->caller = 0;
		if (!call->outcome->returned && status_signal(status) == 0)
			return failed(call->outcome->result, "setresuid or fail-nth");
		answer(call, status);
	}
	reply(" caller=%d length=%llu hash=%016llx", caller, hash.length, hash_finish(&hash));
	return 0;
}

static bool ends_within(int pid, s64 ms)
{
	s64 start = sys_milliseconds();

	while (!proc_is_over(pid)) {
		if (sys_milliseconds() - start >= ms)
			return false;
		sys_sleep_ms(1);
	}
	return true;
}

// With `close_reader` nobody reads any more. With `wait_ms` it reads on when the caller has ended, or after so many
// milliseconds, and then says that it was late.
long command_resume(const struct command *command)
{
	struct open_call *call = &open_calls[command->handle % MAX_CALLS];

	if (command->handle >= MAX_CALLS || call->caller == 0)
		return failed(-EINVAL, "no call with this handle is under way");
	call->pause_at = command->pause_at;
	if (command->close_reader != 0)
		close_reader(call);
	// What is in the pipe stays there until the caller is over, without anybody having read on.
	call->late = command->wait_ms != 0 && !ends_within(call->caller, (s64)command->wait_ms);
	return go_on(call);
}

void checkpoint_forget_all(void)
{
	for (int i = 0; i < MAX_CALLS; i++) {
		if (open_calls[i].caller != 0)
			close_reader(&open_calls[i]);
		open_calls[i].caller = 0;
	}
}

// fds[0] is what the agent reads (-1: nothing), fds[1] what the caller writes to.
static long open_ends(const struct command *command, int fds[2])
{
	fds[0] = command->reader == NEVER ? -1 : (int)command->reader;
	fds[1] = command->fd == NEVER ? -1 : (int)command->fd;
	if (command->fd != PIPE_TO_HOST)
		return 0;
	long error = sys_pipe(fds, O_CLOEXEC);

	// Where the size is refused the default one serves as well, only slower.
	if (error >= 0)
		SYS(fcntl, fds[1], F_SETPIPE_SZ, PIPE_BYTES);
	return error;
}

static struct open_call *free_call(void)
{
	static struct call_outcome *outcomes;

	if (outcomes == NULL)
		outcomes = sys_map_anonymous(PAGE_BYTES, true);
	if ((unsigned long)outcomes >= -PAGE_BYTES)
		fatal("no memory", -ENOMEM);
	_Static_assert(MAX_CALLS * sizeof(*outcomes) <= PAGE_BYTES, "one page for all outcomes");
	for (int i = 0; i < MAX_CALLS; i++) {
		if (open_calls[i].caller != 0)
			continue;
		memset(&outcomes[i], 0, sizeof(outcomes[i]));
		open_calls[i] = (struct open_call){ .outcome = &outcomes[i], .reader = -1 };
		return &open_calls[i];
	}
	return NULL;
}

long command_checkpoint(const struct command *command)
{
	struct open_call *call = free_call();
	int fds[2];
	long error = call == NULL ? -EMFILE : open_ends(command, fds);

	if (error < 0)
		return error;
	long caller = SYS(fork);

	if (caller == 0)
		caller_run(command, fds[1], call->outcome);
	// A descriptor without a reader remains the host's.
	if (fds[1] >= 0 && (command->fd == PIPE_TO_HOST || fds[0] >= 0))
		SYS(close, fds[1]);
	call->pause_at = command->pause_at;
	call->reader = fds[0];
	if (caller < 0) {
		close_reader(call);
		return failed(caller, "fork");
	}
	call->caller = (int)caller;
	return go_on(call);
}
