// SPDX-License-Identifier: MIT
// `checkpoint`: a child calls the system call under test, and its image goes to the host as it comes. With `pause_at`
// the agent answers once that much of the image has been read: `paused` is the handle for `resume`, `caller` the
// child's pid, which then sleeps in the call. Other commands work meanwhile.
#include <asm/signal.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/time.h>

#include "channel.h"
#include "command.h"
#include "process.h"
#include "procfs.h"
#include "../common/syscall.h"

#define IMAGE_FD 3
#define MAX_CALLS 8
#define RLIMIT_FSIZE 1
#define SIG_IGNORE ((void *)1)
#define PIPE_BYTES (1UL << 20)
#define NEVER (~0ULL)

struct settings {
	u64 nr;
	u64 pid;
	u64 flags;
	u64 uid;
	u64 gid;
	// How often the call is made; all must return the same.
	u64 times;
	// After this many microseconds, and again and again, SIGALRM comes, which has a handler.
	u64 alarm;
	u64 rlimit_fsize;
	// This allocation of the caller, counted from the call on, fails; 0: none does.
	u64 fail_nth;
	// The caller has a handler for this signal; 0: for none.
	u64 handled_signal;
	// The agent stops reading after this many bytes, and the host goes on with other commands.
	u64 pause_at;
	// Descriptors of the agent in place of a pipe: what the caller gets, and where its image can be read
	// (absent: nowhere).
	u64 fd;
	u64 reader;
	bool no_descriptor;
	// Whether SIGPIPE and SIGXFSZ are ignored.
	bool ignores_signals;
};

static const struct option OPTIONS[] = {
	OPTION(struct settings, nr),
	OPTION(struct settings, pid),
	OPTION(struct settings, flags),
	OPTION(struct settings, uid),
	OPTION(struct settings, gid),
	OPTION(struct settings, times),
	OPTION(struct settings, alarm),
	OPTION(struct settings, rlimit_fsize),
	OPTION(struct settings, fail_nth),
	OPTION(struct settings, handled_signal),
	OPTION(struct settings, pause_at),
	OPTION(struct settings, reader),
};

// What the caller tells, in memory that it shares with the agent.
struct outcome {
	struct time real_before;
	struct time real_after;
	struct time before;
	struct time after;
	long result;
	// A result of one of several calls that was another than the last one's; 0: none was.
	long other_result;
	// What write(2) said to a byte at an address of the kernel, after the call.
	long probe;
	bool returned;
	bool fault_came;
};

// A call under way, from the command that made it to the one that tells its end.
struct open_call {
	struct settings settings;
	struct outcome *outcome;
	int caller; // 0: none
	int reader; // -1: nothing to read
	u64 carried;
	bool paused;
	// Did not end in time while nobody read.
	bool late;
};

static struct open_call open_calls[MAX_CALLS];

static void ignore_signal(int signal)
{
	(void)signal;
}

#ifdef CKPTEST_HOST_TEST

#define STAND_IN_NR 1000000

// In place of the system call under test, on a machine that does not have it: writes so many bytes, byte i
// being i modulo 251, in portions as a checkpoint might.
static long stand_in(int fd, u64 length)
{
	static u8 portion[4096 + 44];
	u64 done = 0;

	for (u64 i = 0; done < length; i++) {
		u64 left = length - done;
		u64 wanted = i % 2 == 0 ? 44 : sizeof(portion);
		size_t size = (size_t)(left < wanted ? left : wanted);

		for (size_t k = 0; k < size; k++)
			portion[k] = (u8)((u32)(done + k) % 251);
		for (size_t at = 0; at < size;) {
			long written = SYS(write, fd, portion + at, size - at);

			if (written <= 0)
				return written;
			at += (size_t)written;
		}
		done += size;
	}
	return 1;
}

#endif

// Arms the kernel's fault injection for this task: a descriptor for disarm_fault(), or a negative errno.
static long arm_fault(u64 nth)
{
	char digits_bytes[24];
	struct text digits = TEXT_IN(digits_bytes);
	long fd = SYS(open, "/proc/thread-self/fail-nth", O_RDWR);

	if (fd < 0)
		return fd;
	text_decimal(&digits, nth);
	long error = SYS(write, fd, digits_bytes, digits.length);

	return error < 0 ? error : fd;
}

// Disarms it. True if the fault came: the count has come down to 0.
static bool disarm_fault(long fd)
{
	char digit = '?';
	bool came = SYS(pread64, fd, &digit, 1, 0, 0) == 1 && digit == '0';

	SYS(write, fd, "0", 1);
	return came;
}

static long call_once(const struct settings *settings, int fd)
{
#ifdef CKPTEST_HOST_TEST
	if (settings->nr == STAND_IN_NR)
		return stand_in(fd, settings->flags);
#endif
	return sys_call((long)settings->nr, (long)settings->pid, fd, (long)settings->flags, 0, 0, 0);
}

// Whoever may still use addresses of the kernel after the call can have it write its own memory to a file.
static long probe_kernel_address(void)
{
#ifdef __x86_64__
	const void *address = (const void *)0xffffffff81000000UL;
#else
	const void *address = (const void *)0xc1000000UL;
#endif
	int fds[2];
	long error = sys_pipe(fds, 0);

	return error < 0 ? error : SYS(write, fds[1], address, 1);
}

// The caller: nothing open but the image, no handlers but the one that was asked for.
__attribute__((noreturn)) static void call_and_exit(const struct settings *settings, int fd, struct outcome *outcome)
{
	if (fd >= 0 && fd != IMAGE_FD)
		SYS(dup2, fd, IMAGE_FD);
	sys_close_range(0, IMAGE_FD - 1);
	sys_close_range(fd >= 0 ? IMAGE_FD + 1 : IMAGE_FD, ~0U);
	if (settings->handled_signal != 0)
		sys_sigaction((int)settings->handled_signal, ignore_signal, SA_RESTART);
	if (settings->ignores_signals) {
		sys_sigaction(SIGPIPE, SIG_IGNORE, 0);
		sys_sigaction(SIGXFSZ, SIG_IGNORE, 0);
	}
	if (settings->rlimit_fsize != NEVER)
		sys_set_limit(RLIMIT_FSIZE, settings->rlimit_fsize);
	outcome->result = sys_set_ids((u32)settings->uid, (u32)settings->gid);
	if (outcome->result < 0)
		SYS(exit_group, 1);
	if (settings->alarm != 0) {
		long period[] = { 0, (long)settings->alarm, 0, (long)settings->alarm };

		sys_sigaction(SIGALRM, ignore_signal, SA_RESTART);
		SYS(setitimer, ITIMER_REAL, period, 0);
	}
	sys_clock(CLOCK_REALTIME, &outcome->real_before);
	sys_clock(CLOCK_MONOTONIC, &outcome->before);
	long fault = settings->fail_nth > 0 ? arm_fault(settings->fail_nth) : -1;

	if (settings->fail_nth > 0 && fault < 0) {
		outcome->result = fault;
		SYS(exit_group, 1);
	}
	outcome->result = call_once(settings, fd >= 0 ? IMAGE_FD : -1);
	// At once: whatever else the caller does allocates and copies, too.
	outcome->fault_came = fault >= 0 && disarm_fault(fault);
	for (u64 i = 1; i < settings->times; i++) {
		long result = call_once(settings, fd >= 0 ? IMAGE_FD : -1);

		if (result != outcome->result)
			outcome->other_result = outcome->result;
		outcome->result = result;
	}
	sys_clock(CLOCK_MONOTONIC, &outcome->after);
	sys_clock(CLOCK_REALTIME, &outcome->real_after);
	if (settings->alarm != 0)
		SYS(setitimer, ITIMER_REAL, (long[4]){ 0 }, 0);
	outcome->probe = probe_kernel_address();
	outcome->returned = true;
	SYS(exit_group, 0);
	__builtin_unreachable();
}

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
	const struct outcome *outcome = call->outcome;
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

static bool read_settings(const struct command *command, struct settings *settings)
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
static long open_ends(const struct settings *settings, int fds[2])
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
	static struct outcome *outcomes;

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
	struct settings settings = {
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
		call_and_exit(&settings, fds[1], call->outcome);
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
