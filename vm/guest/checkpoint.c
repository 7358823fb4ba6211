// SPDX-License-Identifier: MIT
#include "checkpoint.h"

#include <asm/signal.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/time.h>

#include "channel.h"
#include "process.h"
#include "syscall.h"

#define IMAGE_FD 3
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
	// An open descriptor instead of a pipe; -1 also stands for a descriptor that is not open.
	const char *path;
	u64 open_flags;
	bool is_pipe;
	bool no_descriptor;
};

// What the caller tells, in memory that it shares with the agent.
struct outcome {
	struct time real_before;
	struct time real_after;
	struct time before;
	struct time after;
	long result;
	bool returned;
	bool fault_came;
};

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

// The caller: nothing open but the image, no handlers but the one that was asked for.
__attribute__((noreturn)) static void call(const struct settings *settings, int fd, struct outcome *outcome)
{
	if (fd >= 0 && fd != IMAGE_FD)
		SYS(dup2, fd, IMAGE_FD);
	SYS(close_range, 0, IMAGE_FD - 1, 0);
	SYS(close_range, fd >= 0 ? IMAGE_FD + 1 : IMAGE_FD, ~0U, 0);
	if (settings->handled)
		sys_sigaction((int)settings->signal, ignore_signal, SA_RESTART);
	if (settings->cut_after != NEVER)
		sys_sigaction(SIGPIPE, (void *)1 /* SIG_IGN */, 0);
	outcome->result = sys_set_ids((u32)settings->uid, (u32)settings->gid);
	if (outcome->result < 0)
		SYS(exit_group, 1);
	sys_clock(CLOCK_REALTIME, &outcome->real_before);
	sys_clock(CLOCK_MONOTONIC, &outcome->before);
	long fault = settings->fail_nth > 0 ? arm_fault(settings->fail_nth) : -1;

	if (settings->fail_nth > 0 && fault < 0) {
		outcome->result = fault;
		SYS(exit_group, 1);
	}
#ifdef CKPTEST_HOST_TEST
	if (settings->nr == STAND_IN_NR)
		outcome->result = stand_in(fd >= 0 ? IMAGE_FD : -1, settings->flags);
	else
#endif
		outcome->result = sys_call((long)settings->nr, (long)settings->pid, fd >= 0 ? IMAGE_FD : -1,
					   (long)settings->flags, 0, 0, 0);
	// At once: whatever else the caller does allocates and copies, too.
	outcome->fault_came = fault >= 0 && disarm_fault(fault);
	sys_clock(CLOCK_MONOTONIC, &outcome->after);
	sys_clock(CLOCK_REALTIME, &outcome->real_after);
	outcome->returned = true;
	SYS(exit_group, 0);
	__builtin_unreachable();
}

// Carries the image from the pipe to the host until the caller has closed its end.
static void carry(const struct settings *settings, int fd, int caller, struct hash *hash)
{
	bool signaled = false;

	for (;;) {
		if (hash->length >= settings->signal_after && !signaled) {
			SYS(kill, caller, settings->signal);
			signaled = true;
		}
		if (hash->length >= settings->cut_after)
			break;
		u64 left = settings->cut_after - hash->length;
		long count = SYS(read, fd, channel_buffer, left < BUFFER_BYTES ? (size_t)left : BUFFER_BYTES);

		if (count == -EINTR)
			continue;
		if (count <= 0)
			break;
		hash_update(hash, channel_buffer, (size_t)count);
		data_write(channel_buffer, (size_t)count);
	}
	SYS(close, fd);
}

static void answer(const struct outcome *outcome, int status, struct hash *hash)
{
	s64 seconds = outcome->after.seconds - outcome->before.seconds;
	s64 nanoseconds = outcome->after.nanoseconds - outcome->before.nanoseconds;

	reply_start("ok");
	reply_number("ret", outcome->returned ? outcome->result : -1);
	reply_number("errno", outcome->returned && outcome->result < 0 ? -outcome->result : 0);
	if (status_signal(status) != 0)
		reply_number("signal", status_signal(status));
	reply_number("length", (s64)hash->length);
	reply_hex("hash", hash_finish(hash), 16);
	if (outcome->fault_came)
		reply_number("fault", 1);
	reply_number("t0", outcome->real_before.seconds);
	reply_number("t1", outcome->returned ? outcome->real_after.seconds : outcome->real_before.seconds);
	reply_number("ns", outcome->returned ? seconds * 1000000000 + nanoseconds : 0);
	reply_send();
}

static bool read_settings(const struct command *command, struct settings *settings)
{
	const char *to = command_text(command, "to");

	settings->path = command_text(command, "path");
	settings->no_descriptor = to != NULL && text_equal(to, "none");
	settings->is_pipe = to == NULL || text_equal(to, "pipe");
	if (!settings->is_pipe && !settings->no_descriptor &&
	    (!text_equal(to, "file") || settings->path == NULL)) {
		reply_error(EINVAL, "to= is neither pipe, nor file with path=, nor none");
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
		command_number(command, "oflags", &settings->open_flags);
}

// fds[0] is what the agent reads (-1: nothing), fds[1] what the caller writes to.
static long open_ends(const struct settings *settings, int fds[2])
{
	fds[0] = fds[1] = -1;
	if (settings->no_descriptor)
		return 0;
	if (!settings->is_pipe) {
		fds[1] = (int)SYS(open, settings->path, settings->open_flags | O_CLOEXEC, 0666);
		return fds[1];
	}
	long error = SYS(pipe2, fds, O_CLOEXEC);

	// Where the size is refused the default one serves as well, only slower.
	if (error >= 0)
		SYS(fcntl, fds[1], F_SETPIPE_SZ, settings->pipe_bytes);
	return error;
}

void command_checkpoint(const struct command *command)
{
	static struct outcome *outcome;
	struct settings settings = {
		.pipe_bytes = DEFAULT_PIPE_BYTES,
		.cut_after = NEVER,
		.signal_after = NEVER,
		.signal = SIGKILL,
		.open_flags = O_WRONLY | O_CREAT | O_TRUNC,
	};
	struct hash hash;
	int fds[2];

	if (!read_settings(command, &settings))
		return;
	if (outcome == NULL)
		outcome = sys_map_anonymous(PAGE_BYTES, true);
	if ((unsigned long)outcome >= -PAGE_BYTES)
		fatal("no memory", -ENOMEM);
	long error = open_ends(&settings, fds);

	if (error < 0) {
		reply_error(error, settings.path != NULL ? settings.path : "pipe2");
		return;
	}
	memset(outcome, 0, sizeof(*outcome));
	hash_start(&hash);
	long caller = SYS(fork);

	if (caller == 0)
		call(&settings, fds[1], outcome);
	if (fds[1] >= 0)
		SYS(close, fds[1]);
	if (caller < 0) {
		if (fds[0] >= 0)
			SYS(close, fds[0]);
		reply_error(caller, "fork");
		return;
	}
	if (fds[0] >= 0)
		carry(&settings, fds[0], (int)caller, &hash);
	int status = process_wait((int)caller);

	if (!outcome->returned && status_signal(status) == 0)
		reply_error(outcome->result, "setresuid or fail-nth");
	else
		answer(outcome, status, &hash);
}
