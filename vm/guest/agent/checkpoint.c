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

static const struct option OPTIONS[] = {
	OPTION(struct call_settings, nr),
	OPTION(struct call_settings, pid),
	OPTION(struct call_settings, flags),
	OPTION(struct call_settings, uid),
	OPTION(struct call_settings, gid),
	OPTION(struct call_settings, times),
	OPTION(struct call_settings, alarm),
	OPTION(struct call_settings, rlimit_fsize),
	OPTION(struct call_settings, fail_nth),
	OPTION(struct call_settings, handled_signal),
	OPTION(struct call_settings, pause_at),
	OPTION(struct call_settings, reader),
};

// A call under way, from the command that made it to the one that tells its end.
struct open_call {
	struct call_settings settings;
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
		u64 left = call->settings.pause_at - call->carried;

		if (call->carried >= call->settings.pause_at) {
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

static void answer_bytes(struct hash *hash)
{
	reply_number("length", (s64)hash->length);
	reply_hex("hash", hash_finish(hash), 16);
}

static void answer(const struct open_call *call, int caller, int status, struct hash *hash)
{
	const struct call_outcome *outcome = call->outcome;
	s64 seconds = outcome->after.seconds - outcome->before.seconds;
	s64 nanoseconds = outcome->after.nanoseconds - outcome->before.nanoseconds;

	reply_start("ok");
	reply_number("caller", caller);
	reply_number("result", outcome->returned ? outcome->result : -1);
	if (status_signal(status) != 0)
		reply_number("signal", status_signal(status));
	answer_bytes(hash);
	reply_number("seconds_before", outcome->real_before.seconds);
	reply_number("seconds_after", outcome->returned ? outcome->real_after.seconds : outcome->real_before.seconds);
	reply_number("nanoseconds", outcome->returned ? seconds * 1000000000 + nanoseconds : 0);
	if (outcome->fault_came)
		reply_number("fault_came", 1);
	if (outcome->other_result != 0)
		reply_number("other_result", outcome->other_result);
	if (call->late)
		reply_number("is_late", 1);
	if (outcome->returned)
		reply_number("probe", outcome->probe);
	reply_send();
}

static void answer_paused(struct open_call *call, struct hash *hash)
{
	// Others may wait for any child from now on: its end must be kept.
	if (!call->paused)
		process_add(call->caller, -1, -1);
	call->paused = true;
	reply_start("ok");
	reply_number("paused", call - open_calls);
	reply_number("caller", call->caller);
	answer_bytes(hash);
	reply_send();
}

// Brings home what there is of the image, and tells how the call ended if it did.
static void go_on(struct open_call *call)
{
	struct hash hash;

	hash_start(&hash);
	if (carry(call, &hash)) {
		answer_paused(call, &hash);
		return;
	}
	int caller = call->caller;
	int status = process_wait(caller);

	call->caller = 0;
	if (!call->outcome->returned && status_signal(status) == 0)
		reply_error(call->outcome->result, "setresuid or fail-nth");
	else
		answer(call, caller, status, &hash);
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
void command_resume(const struct command *command)
{
	u64 handle = MAX_CALLS;
	u64 wait = 0;
	u64 closes = 0;

	if (!command_need_number(command, "handle", &handle) || !command_number(command, "wait_ms", &wait) ||
	    !command_number(command, "close_reader", &closes))
		return;
	if (handle >= MAX_CALLS || open_calls[handle].caller == 0) {
		reply_error(EINVAL, "no call with this handle is under way");
		return;
	}
	struct open_call *call = &open_calls[handle];

	call->settings.pause_at = NEVER;
	if (!command_number(command, "pause_at", &call->settings.pause_at))
		return;
	if (closes != 0)
		close_reader(call);
	// What is in the pipe stays there until the caller is over, without anybody having read on.
	call->late = wait != 0 && !ends_within(call->caller, (s64)wait);
	go_on(call);
}

void checkpoint_forget_all(void)
{
	for (int i = 0; i < MAX_CALLS; i++) {
		if (open_calls[i].caller != 0)
			close_reader(&open_calls[i]);
		open_calls[i].caller = 0;
	}
}

static bool read_settings(const struct command *command, struct call_settings *settings)
{
	const char *fd = command_text(command, "fd");
	const char *signals = command_text(command, "signals");

	settings->no_descriptor = fd != NULL && text_equal(fd, "none");
	settings->ignores_signals = signals != NULL && text_equal(signals, "ignored");
	return command_need_text(command, "nr") != NULL && command_need_text(command, "pid") != NULL &&
		command_options(command, OPTIONS, ARRAY_SIZE(OPTIONS), settings) &&
		(settings->no_descriptor || command_number(command, "fd", &settings->fd));
}

// fds[0] is what the agent reads (-1: nothing), fds[1] what the caller writes to.
static long open_ends(const struct call_settings *settings, int fds[2])
{
	fds[0] = fds[1] = -1;
	if (settings->no_descriptor)
		return 0;
	if (settings->fd != NEVER) {
		fds[0] = settings->reader == NEVER ? -1 : (int)settings->reader;
		fds[1] = (int)settings->fd;
		return 0;
	}
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

void command_checkpoint(const struct command *command)
{
	struct call_settings settings = {
		.times = 1,
		.rlimit_fsize = NEVER,
		.pause_at = NEVER,
		.fd = NEVER,
		.reader = NEVER,
	};
	struct open_call *call = free_call();
	int fds[2];

	if (!read_settings(command, &settings))
		return;
	long error = call == NULL ? -EMFILE : open_ends(&settings, fds);

	if (error < 0) {
		reply_error(error, "pipe2");
		return;
	}
	long caller = SYS(fork);

	if (caller == 0)
		caller_run(&settings, fds[1], call->outcome);
	// A descriptor without a reader remains the host's.
	if (fds[1] >= 0 && (settings.fd == NEVER || fds[0] >= 0))
		SYS(close, fds[1]);
	call->settings = settings;
	call->reader = fds[0];
	if (caller < 0) {
		close_reader(call);
		reply_error(caller, "fork");
		return;
	}
	call->caller = (int)caller;
	go_on(call);
}
