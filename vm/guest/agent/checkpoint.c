// SPDX-License-Identifier: MIT
#include "checkpoint.h"

#include <asm/signal.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/time.h>

#include "channel.h"
#include "process.h"
#include "procfs.h"
#include "../common/syscall.h"

#define IMAGE_FD 3
#define MAX_CALLS 8
#define RLIMIT_FSIZE 1
#define SIG_IGNORE ((void *)1)
#define DEFAULT_PIPE_BYTES (1UL << 20)
#define NEVER (~0ULL)

struct settings {
	u64 nr;
	u64 pid;
	u64 flags;
	u64 uid;
	u64 gid;
	u64 pipe_bytes;
	// After this many bytes the reader goes away, or sends a signal to the caller.
	u64 cut_after;
	u64 signal_after;
	u64 signal;
	u64 handled;
	// This allocation of the caller, counted from the call on, fails; 0: none does.
	u64 fail_nth;
	// The reader stops reading after this many bytes, and the host goes on with other commands.
	u64 pause_at;
	// How often the call is made; all must return the same.
	u64 times;
	// RLIMIT_FSIZE of the caller.
	u64 file_size;
	// Whether SIGPIPE and SIGXFSZ are ignored.
	u64 ignored;
	// After this many microseconds, and again and again, SIGALRM comes, which has a handler.
	u64 alarm;
	// An open descriptor instead of a pipe; -1 also stands for a descriptor that is not open.
	const char *path;
	u64 open_flags;
	bool is_pipe;
	bool no_descriptor;
	// Descriptors of the agent: what the caller gets, and where its image can be read (absent: nowhere).
	u64 fd;
	u64 reader;
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
	bool signaled;
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
	if (settings->handled)
		sys_sigaction((int)settings->signal, ignore_signal, SA_RESTART);
	if (settings->ignored || settings->cut_after != NEVER) {
		sys_sigaction(SIGPIPE, SIG_IGNORE, 0);
		sys_sigaction(SIGXFSZ, SIG_IGNORE, 0);
	}
	if (settings->file_size != NEVER)
		sys_set_limit(RLIMIT_FSIZE, settings->file_size);
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

static u64 smaller(u64 a, u64 b)
{
	return a < b ? a : b;
}

// Waits until the caller sleeps, which it can in a write that nobody reads, or is over.
static void wait_asleep(int caller)
{
	struct process_stat stat;

	while (proc_stat(caller, &stat) && stat.state != 'S' && stat.state != 'Z')
		SYS(sched_yield);
}

// Carries the image from the pipe to the host until the caller has closed its end. True when it paused.
static bool carry(struct open_call *call, struct hash *hash)
{
	const struct settings *settings = &call->settings;

	if (call->reader < 0)
		return false;
	for (;;) {
		if (call->carried >= settings->signal_after && !call->signaled) {
			SYS(kill, call->caller, settings->signal);
			call->signaled = true;
		}
		if (call->carried >= settings->cut_after)
			break;
		if (call->carried >= settings->pause_at) {
			wait_asleep(call->caller);
			return true;
		}
		u64 left = smaller(settings->cut_after, settings->pause_at) - call->carried;
		long count = SYS(read, call->reader, channel_buffer, (size_t)smaller(left, BUFFER_BYTES));

		if (count == -EINTR)
			continue;
		if (count <= 0)
			break;
		call->carried += (u64)count;
		hash_update(hash, channel_buffer, (size_t)count);
		data_write(channel_buffer, (size_t)count);
	}
	SYS(close, call->reader);
	call->reader = -1;
	return false;
}

static void answer_bytes(struct hash *hash)
{
	reply_number("length", (s64)hash->length);
	reply_hex("hash", hash_finish(hash), 16);
}

static void answer(const struct open_call *call, int status, struct hash *hash)
{
	const struct outcome *outcome = call->outcome;
	s64 seconds = outcome->after.seconds - outcome->before.seconds;
	s64 nanoseconds = outcome->after.nanoseconds - outcome->before.nanoseconds;

	reply_start("ok");
	reply_number("ret", outcome->returned ? outcome->result : -1);
	reply_number("errno", outcome->returned && outcome->result < 0 ? -outcome->result : 0);
	if (status_signal(status) != 0)
		reply_number("signal", status_signal(status));
	answer_bytes(hash);
	if (outcome->fault_came)
		reply_number("fault", 1);
	reply_number("t0", outcome->real_before.seconds);
	reply_number("t1", outcome->returned ? outcome->real_after.seconds : outcome->real_before.seconds);
	reply_number("ns", outcome->returned ? seconds * 1000000000 + nanoseconds : 0);
	reply_number("other", outcome->other_result);
	reply_number("late", call->late);
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
	int status = process_wait(call->caller);

	call->caller = 0;
	if (!call->outcome->returned && status_signal(status) == 0)
		reply_error(call->outcome->result, "setresuid or fail-nth");
	else
		answer(call, status, &hash);
}

static s64 milliseconds(void)
{
	struct time now;

	sys_clock(CLOCK_MONOTONIC, &now);
	return now.seconds * 1000 + (s32)now.nanoseconds / 1000000;
}

static bool ends_within(int pid, s64 ms)
{
	s64 start = milliseconds();

	while (!proc_is_over(pid)) {
		if (milliseconds() - start >= ms)
			return false;
		sys_sleep_ms(1);
	}
	return true;
}

void command_resume(const struct command *command)
{
	u64 handle = MAX_CALLS;
	u64 wait = 0;

	if (!command_need_number(command, "handle", &handle) || !command_number(command, "wait", &wait))
		return;
	if (handle >= MAX_CALLS || open_calls[handle].caller == 0) {
		reply_error(EINVAL, "no call with this handle is under way");
		return;
	}
	struct open_call *call = &open_calls[handle];

	call->settings.pause_at = NEVER;
	if (!command_number(command, "pauseat", &call->settings.pause_at) ||
	    !command_number(command, "cutafter", &call->settings.cut_after))
		return;
	// What is in the pipe stays there until the caller is over, without anybody having read on.
	call->late = wait != 0 && !ends_within(call->caller, (s64)wait);
	go_on(call);
}

void checkpoint_forget_all(void)
{
	for (int i = 0; i < MAX_CALLS; i++) {
		if (open_calls[i].caller != 0 && open_calls[i].reader >= 0)
			SYS(close, open_calls[i].reader);
		open_calls[i].caller = 0;
	}
}

static bool read_settings(const struct command *command, struct settings *settings)
{
	const char *to = command_text(command, "to");

	settings->path = command_text(command, "path");
	settings->no_descriptor = to != NULL && text_equal(to, "none");
	settings->is_pipe = to == NULL || text_equal(to, "pipe");
	bool is_fd = to != NULL && text_equal(to, "fd") && command_text(command, "fd") != NULL;

	if (!settings->is_pipe && !settings->no_descriptor && !is_fd &&
	    (!text_equal(to, "file") || settings->path == NULL)) {
		reply_error(EINVAL, "to= is neither pipe, nor file with path=, nor fd with fd=, nor none");
		return false;
	}
	return command_need_number(command, "nr", &settings->nr) &&
		command_need_number(command, "pid", &settings->pid) &&
		command_number(command, "flags", &settings->flags) &&
		command_number(command, "uid", &settings->uid) &&
		command_number(command, "gid", &settings->gid) &&
		command_number(command, "pipesize", &settings->pipe_bytes) &&
		command_number(command, "cutafter", &settings->cut_after) &&
		command_number(command, "sigafter", &settings->signal_after) &&
		command_number(command, "sig", &settings->signal) &&
		command_number(command, "handled", &settings->handled) &&
		command_number(command, "failnth", &settings->fail_nth) &&
		command_number(command, "pauseat", &settings->pause_at) &&
		command_number(command, "times", &settings->times) &&
		command_number(command, "fsize", &settings->file_size) &&
		command_number(command, "ignore", &settings->ignored) &&
		command_number(command, "alarm", &settings->alarm) &&
		command_number(command, "fd", &settings->fd) &&
		command_number(command, "reader", &settings->reader) &&
		command_number(command, "oflags", &settings->open_flags);
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
	if (!settings->is_pipe) {
		fds[1] = (int)SYS(open, settings->path, settings->open_flags | O_CLOEXEC, 0666);
		return fds[1];
	}
	long error = sys_pipe(fds, O_CLOEXEC);

	// Where the size is refused the default one serves as well, only slower.
	if (error >= 0)
		SYS(fcntl, fds[1], F_SETPIPE_SZ, settings->pipe_bytes);
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
		.pipe_bytes = DEFAULT_PIPE_BYTES,
		.cut_after = NEVER,
		.signal_after = NEVER,
		.pause_at = NEVER,
		.times = 1,
		.file_size = NEVER,
		.fd = NEVER,
		.reader = NEVER,
		.signal = SIGKILL,
		.open_flags = O_WRONLY | O_CREAT | O_TRUNC,
	};
	struct open_call *call = free_call();
	int fds[2];

	if (!read_settings(command, &settings))
		return;
	long error = call == NULL ? -EMFILE : open_ends(&settings, fds);

	if (error < 0) {
		reply_error(error, settings.path != NULL ? settings.path : "pipe2");
		return;
	}
	long caller = SYS(fork);

	if (caller == 0)
		call_and_exit(&settings, fds[1], call->outcome);
	// A descriptor without a reader remains the host's.
	if (fds[1] >= 0 && (settings.fd == NEVER || fds[0] >= 0))
		SYS(close, fds[1]);
	if (caller < 0) {
		if (fds[0] >= 0)
			SYS(close, fds[0]);
		reply_error(caller, "fork");
		return;
	}
	call->settings = settings;
	call->caller = (int)caller;
	call->reader = fds[0];
	go_on(call);
}
