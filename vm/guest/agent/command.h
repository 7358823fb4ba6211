// SPDX-License-Identifier: MIT
// One command of the host: a name, then key=value words. A key has the name of the option in vm/agent/agent_types.ts,
// with the words apart. A command adds what it has to say to the answer (channel.h) and gives 0, or an error.
#ifndef CKPTEST_COMMAND_H
#define CKPTEST_COMMAND_H

#include "../common/types.h"

#define MAX_WORDS 512
#define NEVER (~0ULL)
#define PIPE_TO_HOST (~1ULL)

// Every command there is, and the keys that it must have. `event` is carried out by command_event().
#define FOR_EACH_COMMAND(DO) \
	/* Programs: the target and others. */ \
	DO(spawn, "path") DO(exec, "arg") DO(event) DO(quiesce, "pid") DO(stop, "pid") DO(zombie) DO(clean) \
	/* What can be seen of a process. */ \
	DO(observe, "pid", "what") DO(pagehash, "pid", "count", "hash") DO(regs, "pid") DO(attach, "pid", "how") \
	DO(detach, "pid") \
	/* The call under test: `checkpoint` has a child make it, `resume` goes on where that paused. */ \
	DO(checkpoint, "nr", "pid") DO(resume, "handle") \
	/* Everything else that a guest can do. */ \
	DO(syscall, "nr") DO(readfile, "path") DO(writefile, "path", "length", "hash") DO(time)

// The options with a number, and what they are where they are not given.
#define FOR_EACH_NUMBER(DO) \
	/* The process that it is about, and who acts. */ \
	DO(pid, 0) DO(uid, 0) DO(euid, NEVER) DO(gid, 0) \
	/* The call under test, or any other. */ \
	DO(nr, 0) DO(flags, 0) \
	/* How often it is made; all calls must return the same. */ \
	DO(times, 1) \
	/* After this many microseconds, and again and again, SIGALRM comes, which has a handler. */ \
	DO(alarm, 0) \
	DO(rlimit_fsize, NEVER) \
	/* This allocation of the caller, counted from the call on, fails; 0: none does. */ \
	DO(fail_nth, 0) \
	/* The caller has a handler for this signal; 0: for none. */ \
	DO(handled_signal, 0) \
	/* Its io_uring polls this descriptor, and leaves work for it when there is something to read. */ \
	DO(work_fd, NEVER) \
	/* Whether SIGPIPE and SIGXFSZ are ignored. */ \
	DO(ignores_signals, 0) \
	/* Descriptors of the agent in place of a pipe: what the caller gets (NEVER: one that is not open), and where \
	   its image can be read (NEVER: nowhere). */ \
	DO(fd, PIPE_TO_HOST) DO(reader, NEVER) \
	/* The agent stops reading after this many bytes, and the host goes on with other commands. */ \
	DO(pause_at, NEVER) \
	/* How such a call goes on: nobody reads any more, or not before the caller has ended or time is over. */ \
	DO(handle, NEVER) DO(close_reader, 0) DO(wait_ms, 0) \
	/* A process that does not rest after that is called running; one that does not stop is EBUSY. */ \
	DO(limit_ms, NEVER) \
	/* Parts of files, and numbers of pages. */ \
	DO(offset, 0) DO(length, NEVER) DO(count, 0) \
	/* Whether the registers of the FPU are asked for, and the process itself. */ \
	DO(fpu, 1) DO(calls, 0)

#define FOR_EACH_TEXT(DO) DO(path) DO(what) DO(how) DO(hash) DO(directory) DO(input)

struct command {
	const char *name;
	int word_count;
	struct {
		const char *key;
		char *value;
	} words[MAX_WORDS];
#define DECLARE_NUMBER(key, absent) u64 key;
	FOR_EACH_NUMBER(DECLARE_NUMBER)
#define DECLARE_TEXT(key) char *key;
	FOR_EACH_TEXT(DECLARE_TEXT)
};

#define DECLARE_COMMAND(name, ...) long command_##name(const struct command *command);
FOR_EACH_COMMAND(DECLARE_COMMAND)

// Splits a line in place and carries it out. 0, or an error: see failed().
long command_run(char *line);

#endif
