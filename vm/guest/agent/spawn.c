// SPDX-License-Identifier: MIT
// Starting the target and other programs.
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/personality.h>
#include <linux/stat.h>

#include "boot.h"
#include "channel.h"
#include "command.h"
#include "process.h"
#include "../common/syscall.h"

#define ADDRESS_NO_RANDOMIZE 0x0040000
#define MAX_FDS 7
// Above every descriptor that a child is to have.
#define FIRST_HIGH_FD 64

// What a child becomes. Descriptor i of the child is fds[i] of the agent.
struct launch {
	const char *path;
	char **arguments;
	char **environment;
	u64 uid;
	u64 gid;
	int fds[MAX_FDS];
	int fd_count;
	bool output_files;
};

static long open_new(const char *path, int flags)
{
	SYS(unlink, path);
	return SYS(open, path, flags | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
}

static void output_path(struct text *path, int pid, const char *suffix)
{
	path->length = 0;
	text_put(path, RUN_DIRECTORY "/");
	text_decimal(path, (u64)pid);
	text_put(path, suffix);
	text_end(path);
}

static long open_output(int pid, const char *suffix)
{
	char bytes[64];
	struct text path = TEXT_IN(bytes);

	output_path(&path, pid, suffix);
	return open_new(bytes, O_WRONLY | O_APPEND);
}

static long place_fds(struct launch *launch)
{
	if (launch->output_files) {
		int pid = (int)SYS(getpid);

		launch->fds[1] = (int)open_output(pid, ".stdout");
		launch->fds[2] = (int)open_output(pid, ".stderr");
	}
	// First all out of the way, then each to its place.
	for (int i = 0; i < launch->fd_count; i++) {
		long high = SYS(fcntl, launch->fds[i], F_DUPFD_CLOEXEC, FIRST_HIGH_FD);

		if (high < 0)
			return high;
		launch->fds[i] = (int)high;
	}
	for (int i = 0; i < launch->fd_count; i++) {
		long error = SYS(dup2, launch->fds[i], i);

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
	error = SYS(chdir, WORK_DIRECTORY);
	if (error < 0)
		return (struct launch_error){ error, "chdir" };
	error = SYS(personality, ADDRESS_NO_RANDOMIZE);
	if (error < 0)
		return (struct launch_error){ error, "personality" };
	error = sys_set_ids((u32)launch->uid, (u32)launch->gid);
	if (error < 0)
		return (struct launch_error){ error, "setresuid" };
	error = SYS(execve, launch->path, launch->arguments, launch->environment);
	return (struct launch_error){ error, "execve" };
}

// Forks and runs the program. The pid, or -1 after it has answered `err`.
static int run(struct launch *launch)
{
	struct launch_error failure = { 0, NULL };
	int pipe[2];
	long error = sys_pipe(pipe, O_CLOEXEC);

	if (error < 0) {
		reply_error(error, "pipe2");
		return -1;
	}
	long pid = SYS(fork);

	if (pid == 0) {
		failure = become(launch);
		SYS(write, pipe[1], &failure, sizeof(failure));
		SYS(exit_group, 127);
	}
	SYS(close, pipe[1]);
	if (pid < 0) {
		failure = (struct launch_error){ pid, "fork" };
	} else if (SYS(read, pipe[0], &failure, sizeof(failure)) > 0) {
		// The pipe closes with the program's start; words in it are of a child that failed.
		process_wait((int)pid);
		pid = -1;
	}
	SYS(close, pipe[0]);
	if (pid < 0)
		reply_error(failure.error, failure.what);
	return (int)pid;
}

static void close_all(const int *fds, int count)
{
	for (int i = 0; i < count; i++)
		if (fds[i] >= 0)
			SYS(close, fds[i]);
}

void command_spawn(const struct command *command)
{
	char *path = command_need_text(command, "path");
	char *arguments[] = { path, NULL };
	char *environment[] = { NULL };
	struct launch launch = { .path = path, .arguments = arguments, .environment = environment };
	int event_pipe[2] = { -1, -1 };

	if (path == NULL || !command_number(command, "uid", &launch.uid) ||
	    !command_number(command, "gid", &launch.gid))
		return;
	process_forget_dead();
	boot_empty_work();
	sys_pipe(event_pipe, O_CLOEXEC);
	SYS(fcntl, event_pipe[0], F_SETFL, O_NONBLOCK);
	int null = (int)SYS(open, "/dev/null", O_RDWR | O_CLOEXEC);
	int fds[MAX_FDS] = {
		null,
		null,
		null,
		(int)SYS(open, PROGRAM_PATH, O_RDONLY | O_CLOEXEC),
		(int)open_new(RESULTS_PATH, O_RDWR | O_APPEND),
		event_pipe[1],
		(int)open_new(IMAGE_PATH, O_RDWR),
	};
	int pid = -1;

	memcpy(launch.fds, fds, sizeof(fds));
	launch.fd_count = MAX_FDS;
	if (fds[3] < 0)
		reply_error(fds[3], "no program was sent");
	else
		pid = run(&launch);
	close_all(fds + 2, MAX_FDS - 2);
	if (pid < 0) {
		SYS(close, event_pipe[0]);
		return;
	}
	process_add(pid, event_pipe[0], -1);
	reply_start("ok");
	reply_number("pid", pid);
	reply_send();
}

static int collect(const struct command *command, const char *key, char **list)
{
	int count = 0;

	for (int i = 0; i < command->count; i++)
		if (text_equal(command->words[i].key, key))
			list[count++] = command->words[i].value;
	list[count] = NULL;
	return count;
}

static void answer_exec(int pid)
{
	char bytes[64];
	struct text path = TEXT_IN(bytes);

	reply_start("ok");
	reply_number("pid", pid);
	output_path(&path, pid, ".stdout");
	reply_text("stdout", path.bytes, path.length);
	output_path(&path, pid, ".stderr");
	reply_text("stderr", path.bytes, path.length);
	reply_send();
}

void command_exec(const struct command *command)
{
	static char *arguments[MAX_WORDS + 1];
	static char *environment[MAX_WORDS + 1];
	static char *plain_environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", NULL };
	struct launch launch = { .arguments = arguments, .output_files = true, .fd_count = 3 };
	int input[2] = { -1, -1 };

	if (collect(command, "arg", arguments) == 0) {
		reply_error(EINVAL, "missing: arg");
		return;
	}
	process_forget_dead();
	launch.path = arguments[0];
	launch.environment = collect(command, "env", environment) > 0 ? environment : plain_environment;
	sys_pipe(input, O_CLOEXEC);
	launch.fds[0] = input[0];
	int pid = run(&launch);

	SYS(close, input[0]);
	if (pid < 0) {
		SYS(close, input[1]);
		return;
	}
	process_add(pid, -1, input[1]);
	answer_exec(pid);
}
