// SPDX-License-Identifier: MIT
// Starting the target and other programs.
#include "agent.h"

#include <asm/signal.h>
#include <linux/fs.h>
#include <linux/personality.h>
#include <linux/ptrace.h>
#include <linux/stat.h>

#define ADDRESS_NO_RANDOMIZE 0x0040000
#define MAX_FDS 8
#define MAX_WORD_BYTES 256
// Descriptors of the target; the one behind them holds an image that is to be restarted.
#define TARGET_FDS 7
#define OUTPUT_PATH RUN_DIRECTORY "/%d.%s"
// Above every descriptor that a child is to have.
#define FIRST_HIGH_FD 64
// Exit status of a caller that was refused, and finds nothing changed (../target/target.h).
#define CALLER_IS_AS_IT_WAS 124

// What a child becomes. Descriptor i of the child is fds[i] of the agent.
struct launch {
	const char *path;
	char **arguments;
	char **environment;
	const char *directory;
	u64 uid;
	u64 gid;
	int fds[MAX_FDS];
	int fd_count;
	bool output_files;
	// A process whose descriptors it takes over, but for those of `fds` that are not -1; 0: none.
	int heir_of;
	bool is_traced;
};

static long open_new(const char *path, int flags)
{
	SYS(unlink, path);
	return SYS(open, path, flags | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
}

static long open_output(int pid, const char *name)
{
	char path[64];

	return open_new(text_print(path, sizeof(path), OUTPUT_PATH, pid, name), O_WRONLY | O_APPEND);
}

static long inherit_fds(struct launch *launch)
{
	long process = SYS(pidfd_open, launch->heir_of, 0);

	for (int i = 0; i < launch->fd_count && process >= 0; i++) {
		if (launch->fds[i] >= 0)
			continue;
		long fd = SYS(pidfd_getfd, process, i, 0);

		if (fd < 0)
			return fd;
		launch->fds[i] = (int)fd;
	}
	return process;
}

static long place_fds(struct launch *launch)
{
	if (launch->heir_of != 0) {
		long error = inherit_fds(launch);

		if (error < 0)
			return error;
	}
	if (launch->output_files) {
		int pid = (int)SYS(getpid);

		launch->fds[1] = (int)open_output(pid, "stdout");
		launch->fds[2] = (int)open_output(pid, "stderr");
	}
	// First all out of the way, then each to its place.
	for (int i = 0; i < launch->fd_count; i++) {
		if (launch->fds[i] < 0)
			continue;
		long high = SYS(fcntl, launch->fds[i], F_DUPFD_CLOEXEC, FIRST_HIGH_FD);

		if (high < 0)
			return high;
		launch->fds[i] = (int)high;
	}
	for (int i = 0; i < launch->fd_count; i++) {
		long error = launch->fds[i] < 0 ? 0 : SYS(dup2, launch->fds[i], i);

		if (error < 0)
			return error;
	}
	return 0;
}

struct launch_error {
	long error;
	const char *what;
};

static struct launch_error become(struct launch *launch)
{
	long error;

	SYS(setsid);
	error = place_fds(launch);
	if (error < 0)
		return (struct launch_error){ error, "descriptors" };
	error = SYS(chdir, launch->directory != NULL ? launch->directory : WORK_DIRECTORY);
	if (error < 0)
		return (struct launch_error){ error, "chdir" };
	error = SYS(personality, ADDRESS_NO_RANDOMIZE);
	if (error < 0)
		return (struct launch_error){ error, "personality" };
	error = sys_set_ids((u32)launch->uid, (u32)launch->uid, (u32)launch->gid);
	if (error < 0)
		return (struct launch_error){ error, "setresuid" };
	if (launch->is_traced)
		SYS(ptrace, PTRACE_TRACEME, 0, 0, 0);
	error = SYS(execve, launch->path, launch->arguments, launch->environment);
	return (struct launch_error){ error, "execve" };
}

// Forks and runs the program. The pid, or an error.
static long run(struct launch *launch)
{
	struct launch_error failure = { 0, NULL };
	int pipe[2];
	long error = sys_pipe(pipe, O_CLOEXEC);

	if (error < 0)
		return error;
	long pid = SYS(fork);

	if (pid == 0) {
		failure = become(launch);
		SYS(write, pipe[1], &failure, sizeof(failure));
		SYS(exit_group, 127);
	}
	SYS(close, pipe[1]);
	if (pid > 0 && SYS(read, pipe[0], &failure, sizeof(failure)) > 0) {
		// The pipe closes with the program's start; words in it are of a child that failed.
		process_wait((int)pid);
		pid = failed(failure.error, "%s", failure.what);
	}
	SYS(close, pipe[0]);
	return pid;
}

static void close_all(const int *fds, int count)
{
	for (int i = 0; i < count; i++)
		sys_close(fds[i]);
}

long command_spawn(const struct command *command)
{
	char *arguments[] = { command->path, NULL };
	char *environment[] = { NULL };
	struct launch launch = {
		.path = command->path,
		.arguments = arguments,
		.environment = environment,
		.uid = command->uid,
		.gid = command->gid,
		.fd_count = TARGET_FDS,
	};
	int event_pipe[2] = { -1, -1 };

	process_forget_dead();
	boot_empty_work();
	sys_pipe(event_pipe, O_CLOEXEC);
	SYS(fcntl, event_pipe[0], F_SETFL, O_NONBLOCK);
	int null = (int)SYS(open, "/dev/null", O_RDWR | O_CLOEXEC);
	int fds[TARGET_FDS] = {
		null,
		null,
		null,
		(int)SYS(open, PROGRAM_PATH, O_RDONLY | O_CLOEXEC),
		(int)open_new(RESULTS_PATH, O_RDWR | O_APPEND),
		event_pipe[1],
		(int)open_new(IMAGE_PATH, O_RDWR),
	};

	memcpy(launch.fds, fds, sizeof(fds));
	long pid = fds[3] < 0 ? failed(fds[3], "no program was sent") : run(&launch);

	close_all(fds + 2, TARGET_FDS - 2);
	if (pid < 0) {
		SYS(close, event_pipe[0]);
		return pid;
	}
	process_add((int)pid, event_pipe[0], -1);
	reply(" pid=%ld", pid);
	return 0;
}

static char **collect(const struct command *command, const char *key, char **list)
{
	int count = 0;

	for (int i = 0; i < command->word_count; i++)
		if (text_equal(command->words[i].key, key))
			list[count++] = command->words[i].value;
	list[count] = NULL;
	return list;
}

long feed_pipe(const char *path, const int *pipe, u64 length)
{
	long file = SYS(open, path, O_RDONLY | O_CLOEXEC);

	if (file < 0)
		return file;
	long count = SYS(fork);
	if (count != 0) {
		SYS(close, file);
		return count;
	}
	SYS(close, pipe[0]);
	while (length > 0) {
		count = SYS(read, file, channel_buffer, length < BUFFER_BYTES ? (size_t)length : BUFFER_BYTES);
		if (count <= 0 || sys_write_all(pipe[1], channel_buffer, (size_t)count) < 0)
			break;
		length -= (u64)count;
	}
	SYS(exit_group, 0);
	return 0;
}

// The image that a new process is to restart from: a file, or a pipe or socket that another process writes it to.
static long open_image(const struct command *command)
{
	int ends[2];

	if (command->how == NULL || text_equal(command->how, "file"))
		return SYS(open, command->image, O_RDONLY | O_CLOEXEC);
	bool is_socket = text_equal(command->how, "socket");
	long error = is_socket ? sys_socketpair(ends) : sys_pipe(ends, O_CLOEXEC);

	// As little as can be: the call is to wait for what it reads.
	if (error >= 0 && !is_socket)
		SYS(fcntl, ends[1], F_SETPIPE_SZ, PAGE_BYTES);
	if (error >= 0)
		error = feed_pipe(command->image, ends, NEVER);
	if (error < 0)
		return error;
	SYS(close, ends[1]);
	return ends[0];
}

// Ends a target whose place another process takes.
static void succeed_to(int old, int pid)
{
	SYS(kill, old, SIGKILL);
	process_wait(old);
	process_replace(old, pid);
	// Nor has it a tracer any more, who would have to see its stop.
	tracer_leaves_unread = false;
}

// A new process calls restart(2), and is stopped before the first instruction of what it became. With `pid` it takes
// the place of a target: it has the descriptors of that, which ends here; with keep=1 only where there is somebody to
// take its place. Else it has those of any program. how=file gives it the image as a file, how=pipe and how=socket as
// such. `what` are words of ../target/restart.c; with `flags` it stops by itself. With runs=1 nobody looks at it: what
// it does next tells how the call has ended.
long command_restart(const struct command *command)
{
	char number[24];
	char words[MAX_WORD_BYTES] = "";
	char *arguments[] = { command->path, "restart", number, words, NULL };
	char *environment[] = { NULL };
	int old = (int)command->pid;
	int input[2] = { -1, -1 };
	struct launch launch = {
		.path = command->path,
		.arguments = arguments,
		.environment = environment,
		.directory = command->directory,
		.uid = command->uid,
		.gid = command->gid,
		.fds = { -1, -1, -1, -1, -1, -1, -1 },
		.fd_count = MAX_FDS,
		.output_files = old == 0,
		.heir_of = old,
		.is_traced = command->runs == 0,
	};
	struct restarted restarted = {
		.stop = command->traced != 0 ? STOPPED_BY_TRACER :
			command->flags != 0  ? STOPPED_BY_CALL :
					       STOPPED_BY_SIGNAL,
	};
	long error = 0;

	text_print(number, sizeof(number), "%llu", command->nr);
	text_print(words, sizeof(words), "%s", command->what != NULL ? command->what : "");
	if (old == 0) {
		process_forget_dead();
		error = sys_pipe(input, O_CLOEXEC);
		if (error >= 0 && command->input != NULL)
			error = feed_pipe(command->input, input, NEVER);
		launch.fds[0] = input[0];
	}
	long image = error < 0 ? error : open_image(command);

	launch.fds[TARGET_FDS] = (int)image;
	long pid = image < 0 ? failed(image, "%s", command->image) : run(&launch);

	sys_close(input[0]);
	if (pid < 0) {
		close_all((const int[]){ input[1], (int)image }, 2);
		return pid;
	}
	restarted.pid = (int)pid;
	for (const char *word = words; *word != '\0'; word++) {
		restarted.has_breakpoint = restarted.has_breakpoint || text_starts(word, "breakpoint");
		restarted.is_stepped = restarted.is_stepped || text_starts(word, "stepped");
	}
	if (old == 0)
		process_add((int)pid, -1, input[1]);
	else if (command->keep == 0)
		succeed_to(old, (int)pid);
	error = command->runs != 0 ? 0 : tracer_restart(&restarted, (long)command->nr);
	s64 position = sys_seek((int)image, 0, SEEK_CUR);

	sys_close((int)image);
	if (error < 0)
		return error;
	if (command->runs == 0 && restarted.result == 0) {
		// Its parent is let go, and ends.
		if (restarted.pid != pid && process_wait((int)pid) != 0)
			return failed(-ECHILD, "the parent of a caller by vfork");
		if (old != 0 && command->keep != 0)
			succeed_to(old, restarted.pid);
		else if (restarted.pid != pid)
			process_replace((int)pid, restarted.pid);
		error = process_wait_stopped(restarted.pid, NEVER);
		if (error < 0)
			return error;
	} else if (command->keep != 0) {
		// It has the pages of the program with the target: it is not to end while that is looked at.
		int status = process_wait(restarted.pid);

		if (restarted.result < 0 && status != CALLER_IS_AS_IT_WAS << 8)
			restarted.is_changed = true;
		if (restarted.pid != pid)
			process_wait((int)pid);
	}
	reply(" pid=%d result=%ld changed=%d position=%lld", restarted.pid, restarted.result, restarted.is_changed,
	      position);
	reply(" stdout=" OUTPUT_PATH " stderr=" OUTPUT_PATH, (int)pid, "stdout", (int)pid, "stderr");
	return 0;
}

long command_exec(const struct command *command)
{
	static char *arguments[MAX_WORDS + 1];
	static char *environment[MAX_WORDS + 1];
	static char *plain_environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", NULL };
	struct launch launch = {
		.arguments = collect(command, "arg", arguments),
		.environment = collect(command, "env", environment),
		.output_files = true,
		.fd_count = 3,
	};
	int input[2] = { -1, -1 };

	launch.path = arguments[0];
	launch.directory = command->directory;
	process_forget_dead();
	if (environment[0] == NULL)
		launch.environment = plain_environment;
	sys_pipe(input, O_CLOEXEC);
	launch.fds[0] = input[0];
	long error = command->input != NULL ? feed_pipe(command->input, input, NEVER) : 0;
	long pid = error < 0 ? failed(error, "input") : run(&launch);

	SYS(close, input[0]);
	if (pid < 0) {
		SYS(close, input[1]);
		return pid;
	}
	process_add((int)pid, -1, input[1]);
	reply(" pid=%ld stdout=" OUTPUT_PATH " stderr=" OUTPUT_PATH, pid, (int)pid, "stdout", (int)pid, "stderr");
	return 0;
}
