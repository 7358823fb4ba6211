// SPDX-License-Identifier: MIT
// The agent: process 1 of the guest, and the host's hand in it.
#ifndef CKPTEST_AGENT_H
#define CKPTEST_AGENT_H

#include "../common/common.h"

// command.c. One command of the host: a name, then key=value words. A key has the name of the option in
// vm/agent/agent_types.ts, with the words apart. A command adds what it has to say to the answer and gives 0, or an
// error.
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
	DO(race, "nr", "pid", "how") \
	/* The other call under test: a new process becomes the one of an image. */ \
	DO(restart, "nr", "path", "image") DO(restarts, "image", "count", "hash") \
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
	/* That signal comes as soon as so many bytes have been read; 0: with the first write. */ \
	DO(signal_at, NEVER) \
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
	/* Whether the registers of the FPU are asked for, and the process itself; of which signals, one bit each. */ \
	DO(fpu, 1) DO(calls, 0) DO(signals, NEVER) \
	/* Whether a target is left as it is where nobody can be restarted from its image. */ \
	DO(keep, 0) \
	/* Whether a restarted process stays with its tracer, at the end of the call. */ \
	DO(traced, 0) \
	/* Whether it is left alone from the start: nobody traces or stops it. */ \
	DO(runs, 0) \
	/* Whether a race is one of tasks of one processor. */ \
	DO(shares_processor, 0)

#define FOR_EACH_TEXT(DO) DO(path) DO(what) DO(how) DO(hash) DO(directory) DO(input) DO(image)

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

// channel.c: lines on the control port, plain bytes on the data port.
#define CHANNEL_CONTROL 0
#define CHANNEL_DATA 1
#define MAX_LINE 4096
#define BUFFER_BYTES (1UL << 20)

// The one large buffer of the agent; whoever uses it does so between two calls.
extern u8 channel_buffer[BUFFER_BYTES];

// Takes over two open descriptors; waits until the host has connected both. One for both is a serial line.
void channel_start(int control, int data);

// The next line of the host without its LF. A line that is too long gives NULL. Does not return at end of
// file.
char *channel_read_line(void);

// Passes the time in a loop that waits for something in the guest, at most until `fd` (-1: none) can be
// read. Ends the guest when the host is gone; false when the host has sent another command, which ends the
// wait.
bool channel_pause(int fd, int ms);

// Exactly `length` bytes from the host's side of the data port.
void data_read(void *bytes, size_t length);

// Writes to a port, or to the serial line. One that fails is fatal.
void port_write(int fd, const void *bytes, size_t length);

// A blob's bytes, after hash_start(); its announcement, with length and digest, follows them. All goes out with the
// answer, if not before.
void blob_write(struct hash *blob, const void *bytes, size_t length);
void blob_end(const char *name, struct hash *blob);
void blob_of(const char *name, const void *bytes, size_t length);
// Sends at most `length` bytes of what is left of an open file. 0, or the error that ended it early; the blob is
// announced in any case.
long blob_of_file(const char *name, int fd, u64 length);

// The answer: reply_start("ok"), any number of " key=value", reply_end(). Values of %s are escaped.
extern struct text reply_text;
#define reply(...) text_format(&reply_text, __VA_ARGS__)
void reply_start(const char *first_word);
// Where `error` is negative, all that goes out is `err` with what failed.
void reply_end(long error);
// Says what failed. Gives the error, which is negative, or 0 where something may fail yet.
extern char failed_text[1000];
#define failed(error, ...) (text_print(failed_text, sizeof(failed_text), __VA_ARGS__), (long)(error))

// A line on the console, and the end of the guest.
__attribute__((noreturn)) void fatal(const char *what, long error);
__attribute__((noreturn)) void power_off(void);
void console_line(const char *what, long error);

// serial.c: both channels over one serial line, for kernels that have no virtio ports: frames with digests,
// acknowledged and sent again, so that a line that loses or spoils bytes loses none of ours. The host's end of it is
// vm/agent/serial_line.ts, which describes the frames.

// Takes over an open descriptor: a terminal, or in tests a socket.
void serial_start(int fd);
// True when the line is in use.
bool serial_is_on(void);
// Some bytes of a channel; 0 when none came within `ms`.
size_t serial_read(int channel, void *bytes, size_t length, int ms);
// Returns when all bytes are on the line; all but the last few are acknowledged then.
void serial_write(int channel, const void *bytes, size_t length);
// Waits at most `ms` for input on the line or on `fd` (-1: none). True when the channel has input.
bool serial_wait(int channel, int fd, int ms);
// Waits until the host has everything, or does not listen any more.
void serial_drain(void);

// lockstep.c: the two channels of a guest that stands still wherever it needs the host.
void lockstep_start(void);
bool lockstep_is_on(void);
size_t lockstep_read(int channel, void *bytes, size_t length);
// How much of what is to be written may go out at once, and what is done when it has.
size_t lockstep_part(size_t length);
void lockstep_wrote(int channel, size_t length);

// boot.c: from the kernel's first jump to a guest that answers.
#define WORK_DIRECTORY "/work"
#define RUN_DIRECTORY "/run/ckptest"
#define PROGRAM_PATH RUN_DIRECTORY "/program"
#define RESULTS_PATH RUN_DIRECTORY "/results"
#define IMAGE_PATH RUN_DIRECTORY "/image"

// Standard descriptors, and the file systems that everything else needs.
void boot_mount_all(void);
// Those of them that commands write to.
void boot_mount_writable(void);
// Finds the two ports by name and opens them.
void boot_open_ports(int *control, int *data);
// Opens the serial line that stands for both ports where the kernel has no virtio.
int boot_open_serial(void);
// A fresh, empty tmpfs in place of the directory's old one. True when somebody still held a file of that.
bool boot_empty_work(void);
bool boot_empty_run(void);
void boot_say_hello(void);
// In tests, in place of a boot: own namespaces with `root` as the root directory, and unix sockets as the ports
// (testing/host_boot.c).
void boot_on_host(const unsigned long *stack, int *control, int *data);
// Kernels hand parameters that they do not know to the first process, as its environment.
bool boot_is_told(const unsigned long *stack, const char *word);

// procfs.c: what /proc says of processes.

// Opens /proc/PID/NAME for reading.
long proc_open(int pid, const char *name);
// Reads a small file whole and ends it with a NUL; the length, or a negative errno.
long proc_read(int pid, const char *name, char *bytes, size_t size);
// A number of /proc/PID/status, hexadecimal or a decimal digit, behind "\nNAME:\t"; 0 where it is not told.
u64 proc_status_number(const char *status, const char *name);
// The state in stat, such as 'S'; NUL when there is no such process.
char proc_state(int pid);
// The session in stat; 0 when there is no such process.
int proc_session(int pid);
// True once the process is stopped, by job control or a tracer, and off the CPU.
bool proc_is_stopped(int pid);
// True when the process is gone, or a zombie.
bool proc_is_over(int pid);

struct mapping {
	u64 start;
	u64 end;
	bool is_executable;
};

// Reads maps, until the next call: what maps_next() takes a line of. A length, or an error.
long proc_maps(int pid, const char **maps);
// 1, 0 at the end, or an error.
long maps_next(const char **maps, struct mapping *mapping);

// process.c: the processes that the agent started.

// Remembers a new process. `event_fd` and `stdin_fd` are -1 where it has none.
void process_add(int pid, int event_fd, int stdin_fd);
// What came from one process comes from another now.
void process_replace(int old, int pid);
// Takes the status of every child that ended.
void process_reap(void);
// Forgets all processes that are over, and closes what was kept for them.
void process_forget_dead(void);
// Waits until a process is stopped: 0, -ESRCH when it is over instead, -EINTR when the host ended the wait,
// -EBUSY after the limit: a process that sleeps where no signal reaches it.
long process_wait_stopped(int pid, u64 limit_ms);
// Waits for a child of the agent's own, unless its end is known already, and gives its wait status.
int process_wait(int pid);
// The signal that ended the process, by its wait status; 0: none.
int status_signal(int status);

// spawn.c: writes at most `length` bytes of a file into a pipe, in a process of its own, since the reader may never
// take all of it. The pid of that, or an error.
long feed_pipe(const char *path, const int *pipe, u64 length);

// checkpoint.c: gives up all calls under way, whose callers are dead.
void checkpoint_forget_all(void);
// Arms the kernel's fault injection for this task: a descriptor by which it is disarmed, or a negative errno.
long arm_fault(u64 nth);

// tracer.c: a stay with a process as its tracer. One that was attached to before stays so.
struct visit {
	int pid;
	bool was_attached;
	bool was_stopped;
};

// Set while a stop of a tracee is to be left unread.
extern bool tracer_leaves_unread;

// Stops a process in the tracer's way. 0, or a negative errno: nothing is to be left then.
long tracer_visit(struct visit *visit, int pid);
// Lets go of the process, which is then as it was: stopped or not. `signal` is for it; 0: none. 0, or an error.
long tracer_leave(const struct visit *visit, int signal);

// How a call of restart(2) has ended.
struct restarted {
	int pid; // of the caller: a child of the process that was asked, if that has one by vfork(2)
	long result; // 0 where it is another process now, a negative errno, or the signal that ended it and DIED
	bool is_changed; // though it was refused
	bool has_breakpoint; // of its tracer's, who is this agent
	bool is_stepped; // who goes over the call by a single step
	// Where it is another process now it is stopped by its tracer, by the call itself, or else by a signal.
	enum { STOPPED_BY_SIGNAL, STOPPED_BY_CALL, STOPPED_BY_TRACER } stop;
};

#define RESTART_DIED 1000

// Goes with a tracee to the end of a call of restart(2).
long tracer_restart(struct restarted *restarted, long nr);

// race.c: process_madvise(2).
void race_page_out(int pid, u64 start, u64 length);

// starve.c: races in which the caller is killed while it waits.
bool race_is_starved(const char *how);
long race_starved(const struct command *command);

// ckpt.c: `ckpt PID FILE`, in a shell of the guest.
bool ckpt_is_meant(const unsigned long *stack);
__attribute__((noreturn)) void ckpt_run(const unsigned long *stack);

// inject.c. Has a process that is in the stop of a tracer's, and was stopped before, tell its break and its LDT: blobs
// `brk`, a number, and `ldt`, the entries that modify_ldt(2) reads. Unless `signals` is NEVER, also `sigaltstack`, its
// stack_t, and `sigactions` of the signals in that mask: each its number, 4 bytes, and its struct sigaction. A blob is
// missing where the process cannot be asked, or does not know. `signal` is one for it to get when it goes on; 0: none.
// An error means that it is not as it was.
long inject_calls(int pid, u64 signals, int *signal);

#ifdef __x86_64__
#define DEBUG_REGISTERS_OFFSET 848 // offsetof(struct user, u_debugreg)
#else
#define DEBUG_REGISTERS_OFFSET 252
#endif

#endif
