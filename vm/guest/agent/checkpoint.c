// SPDX-License-Identifier: MIT
// `checkpoint`: a child calls the system call under test, and its image goes to the host as it comes. With `pause_at`
// the agent answers once that much of the image has been read: `paused` is the handle for `resume`, `caller` the
// child's pid, which then sleeps in the call. Other commands work meanwhile.
#include "agent.h"

#include <asm/signal.h>
#include <linux/mman.h>
#include <linux/sched.h>
#include <linux/time.h>

#define MAX_CALLS 8
#define IMAGE_FD 3
#define RLIMIT_FSIZE 1
#define SIG_IGNORE ((void *)1)
#define PIPE_BYTES (1UL << 20)

// What the caller tells, in memory that it shares with the agent.
struct call_outcome {
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
	u64 pause_at;
	// Bytes after which the caller gets this signal, while it runs.
	u64 signal_at;
	int signal;
	struct call_outcome *outcome;
	int caller; // 0: none
	int reader; // -1: nothing to read
	u64 carried;
	bool paused;
	// Did not end in time while nobody read.
	bool late;
};

static struct open_call open_calls[MAX_CALLS];

long arm_fault(u64 nth)
{
	char digits[24];
	long fd = SYS(open, "/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return fd;
	text_print(digits, sizeof(digits), "%llu", nth);
	long error = SYS(write, fd, digits, text_length(digits));

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

static long call_once(const struct command *call, int fd)
{
	return SYS_PADDED(call->nr, call->pid, fd, call->flags, 0, 0, 0);
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

// Makes the call that a command describes, to a descriptor (-1: none), tells what came of it, and ends. Nothing is open
// but the image, and there are no handlers but the one that was asked for.
__attribute__((noreturn)) static void run_caller(const struct command *call, int fds[2], struct call_outcome *outcome)
{
	int reader = fds[0];
	int fd = fds[1];

	if (call->work_fd != NEVER)
		outcome->result = sys_poll_for_work((int)call->work_fd);
	if (call->signal_at == 0) {
		int self = (int)SYS(getpid);

		SYS(fcntl, reader, F_SETOWN, self);
		SYS(fcntl, reader, F_SETSIG, call->handled_signal);
		SYS(fcntl, reader, F_SETFL, FASYNC);
	}
	if (fd >= 0 && fd != IMAGE_FD)
		SYS(dup2, fd, IMAGE_FD);
	sys_close_range(0, IMAGE_FD - 1);
	sys_close_range(fd >= 0 ? IMAGE_FD + 1 : IMAGE_FD, ~0U);
	if (call->handled_signal != 0)
		sys_sigaction((int)call->handled_signal, ignore_signal, SA_RESTART);
	if (call->ignores_signals) {
		sys_sigaction(SIGPIPE, SIG_IGNORE, 0);
		sys_sigaction(SIGXFSZ, SIG_IGNORE, 0);
	}
	if (call->rlimit_fsize != NEVER)
		sys_set_limit(RLIMIT_FSIZE, call->rlimit_fsize);
	if (outcome->result >= 0)
		outcome->result = sys_set_ids((u32)call->uid,
					      call->euid == NEVER ? (u32)call->uid : (u32)call->euid,
					      (u32)call->gid);
	if (outcome->result < 0)
		SYS(exit_group, 1);
	if (call->alarm != 0) {
		long period[] = { 0, (long)call->alarm, 0, (long)call->alarm };

		sys_sigaction(SIGALRM, ignore_signal, SA_RESTART);
		SYS(setitimer, ITIMER_REAL, period, 0);
	}
	sys_clock(CLOCK_REALTIME, &outcome->real_before);
	sys_clock(CLOCK_MONOTONIC, &outcome->before);
	long fault = call->fail_nth > 0 ? arm_fault(call->fail_nth) : -1;

	if (call->fail_nth > 0 && fault < 0) {
		outcome->result = fault;
		SYS(exit_group, 1);
	}
	outcome->result = call_once(call, fd >= 0 ? IMAGE_FD : -1);
	// At once: whatever else the caller does allocates and copies, too.
	outcome->fault_came = fault >= 0 && disarm_fault(fault);
	for (u64 i = 1; i < call->times; i++) {
		long result = call_once(call, fd >= 0 ? IMAGE_FD : -1);

		if (result != outcome->result)
			outcome->other_result = outcome->result;
		outcome->result = result;
	}
	sys_clock(CLOCK_MONOTONIC, &outcome->after);
	sys_clock(CLOCK_REALTIME, &outcome->real_after);
	if (call->alarm != 0)
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

// Has this process run before all others of its processor, and those that it forks on the same one, or as usual again:
// as soon as there is something to read it reads, while the writer, in the midst of the call, does not run.
static void run_first(bool first)
{
	unsigned long processors = first ? 1 : ~0UL;
	int priority = first;

	SYS(sched_setaffinity, 0, sizeof(processors), &processors);
	SYS(sched_setscheduler, 0, first ? SCHED_FIFO | SCHED_RESET_ON_FORK : SCHED_NORMAL, &priority);
}

// Reads up to where the caller is to have its signal, and sends it. To tell the host of what was read takes time, in
// which the caller runs on: that comes later.
static long read_to_signal(struct open_call *call)
{
	size_t length = 0;
	long count = 1;

	while (count > 0 && length < call->signal_at && length < BUFFER_BYTES) {
		count = SYS(read, call->reader, channel_buffer + length, BUFFER_BYTES - length);
		if (count > 0)
			length += (size_t)count;
	}
	SYS(kill, call->caller, call->signal);
	call->signal_at = NEVER;
	run_first(false);
	return (long)length;
}

static void close_reader(struct open_call *call)
{
	sys_close(call->reader);
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
		long count;

		if (call->signal_at != NEVER)
			count = read_to_signal(call);
		else
			count = SYS(read, call->reader, channel_buffer,
				    left < BUFFER_BYTES ? (size_t)left : BUFFER_BYTES);

		if (count == -EINTR)
			continue;
		if (count <= 0) {
			close_reader(call);
			break;
		}
		call->carried += (u64)count;
		blob_write(hash, channel_buffer, (size_t)count);
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
		open_calls[i] = (struct open_call){ .signal_at = NEVER, .outcome = &outcomes[i], .reader = -1 };
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
	// With 0 the kernel sends it.
	if (command->signal_at != NEVER && command->signal_at != 0) {
		call->signal_at = command->signal_at;
		run_first(true);
	}
	long caller = SYS(fork);

	if (caller == 0)
		run_caller(command, fds, call->outcome);
	// A descriptor without a reader remains the host's.
	if (fds[1] >= 0 && (command->fd == PIPE_TO_HOST || fds[0] >= 0))
		SYS(close, fds[1]);
	call->pause_at = command->pause_at;
	call->signal = (int)command->handled_signal;
	call->reader = fds[0];
	if (caller < 0) {
		run_first(false);
		close_reader(call);
		return failed(caller, "fork");
	}
	call->caller = (int)caller;
	return go_on(call);
}
