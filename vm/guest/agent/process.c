// SPDX-License-Identifier: MIT
#include "agent.h"

#include <asm/signal.h>
#include <linux/prctl.h>
#include <linux/wait.h>

#define MAX_PROCESSES 64
// Looks that cost no more than a turn of the scheduler, before a wait takes to sleeping.
#define EAGER_LOOKS 100
#define QUIET_MS 2
// Looks in a row at a program of which nothing is known.
#define LONG_QUIET_LOOKS 10

// A process that the agent started. `event_fd` and `stdin_fd` are -1 where it has none.
struct process {
	int pid;
	int event_fd;
	int stdin_fd;
	bool over;
	int status;
};

static struct process processes[MAX_PROCESSES];
static int process_count;

int status_signal(int status)
{
	return status & 0x7f;
}

static void reply_status(int status)
{
	if (status_signal(status) != 0)
		reply(" signal=%d", status_signal(status));
	else
		reply(" code=%d", status >> 8 & 0xff);
}

static struct process *find_process(int pid)
{
	for (int i = process_count - 1; i >= 0; i--)
		if (processes[i].pid == pid)
			return &processes[i];
	return NULL;
}

static struct process *last_target(void)
{
	for (int i = process_count - 1; i >= 0; i--)
		if (processes[i].event_fd >= 0)
			return &processes[i];
	return NULL;
}

void process_forget_dead(void)
{
	int kept = 0;

	process_reap();
	for (int i = 0; i < process_count; i++) {
		if (!processes[i].over) {
			processes[kept++] = processes[i];
			continue;
		}
		sys_close(processes[i].event_fd);
		sys_close(processes[i].stdin_fd);
	}
	process_count = kept;
}

void process_add(int pid, int event_fd, int stdin_fd)
{
	if (process_count == MAX_PROCESSES)
		process_forget_dead();
	if (process_count == MAX_PROCESSES)
		fatal("too many processes", -EAGAIN);
	processes[process_count++] = (struct process){
		.pid = pid,
		.event_fd = event_fd,
		.stdin_fd = stdin_fd,
	};
}

void process_replace(int old, int pid)
{
	struct process *process = find_process(old);
	int event_fd = process != NULL ? process->event_fd : -1;

	if (process != NULL)
		process->event_fd = -1;
	process_add(pid, event_fd, -1);
}

static void note_end(long pid, int status)
{
	struct process *process = find_process((int)pid);

	// A tracee tells of its stops here, too.
	if (process == NULL || (status & 0xff) == 0x7f)
		return;
	process->over = true;
	process->status = status;
}

void process_reap(void)
{
	int status;
	long pid;

	// Looks for any child, which would read the stop of a tracee as well.
	while (!tracer_leaves_unread && (pid = sys_wait(-1, &status, WNOHANG)) > 0)
		note_end(pid, status);
}

int process_wait(int pid)
{
	struct process *process = find_process(pid);
	int status = 0;

	if (process != NULL && process->over)
		return process->status;
	sys_wait(pid, &status, 0);
	note_end(pid, status);
	return status;
}

// A turn for the others: the first looks only yield, later ones sleep. False when the host ended the wait.
static bool wait_turn(int *looks, int ms)
{
	if ((*looks)++ < EAGER_LOOKS) {
		SYS(sched_yield);
		return true;
	}
	return channel_pause(-1, ms);
}

long process_wait_stopped(int pid, u64 limit_ms)
{
	s64 start = sys_milliseconds();
	int looks = 0;

	while (!proc_is_stopped(pid)) {
		if (proc_is_over(pid))
			return -ESRCH;
		if ((u64)(sys_milliseconds() - start) >= limit_ms)
			return -EBUSY;
		if (!wait_turn(&looks, 1))
			return -EINTR;
	}
	return 0;
}

// What the target has written so far comes with its event.
static void send_results(void)
{
	int fd = (int)SYS(open, RESULTS_PATH, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		blob_of_file("results", fd, ~0ULL);
	sys_close(fd);
}

static long answer_stop(const struct event *event)
{
	send_results();
	reply(" event=stop label=%u pid=%llu scratch=0x%llx resume_address=0x%llx", event->label, event->pid,
	      event->scratch, event->resume_address);
	return 0;
}

static long answer_end(const struct process *process)
{
	send_results();
	reply(" event=%s pid=%d", status_signal(process->status) != 0 ? "signal" : "exit", process->pid);
	reply_status(process->status);
	return 0;
}

// Waits for the next event of the target that was spawned last: it stops, or it ends.
long command_event(const struct command *command)
{
	struct process *target = last_target();
	struct event event;

	(void)command;
	if (target == NULL)
		return failed(-ESRCH, "no target was spawned");
	for (;;) {
		// In this order: a target that has ended has written all its events.
		process_reap();
		bool over = target->over;
		long count = SYS(read, target->event_fd, &event, sizeof(event));

		if (count == sizeof(event)) {
			long error = event.is_busy ? 0 : process_wait_stopped((int)event.pid, NEVER);

			if (error == 0)
				return answer_stop(&event);
			if (error == -EINTR)
				break;
			continue;
		}
		if (over)
			return answer_end(target);
		// At its end of file the pipe is always readable, and only time brings the exit.
		if (!channel_pause(count == 0 ? -1 : target->event_fd, count == 0 ? 1 : 20))
			break;
	}
	return failed(-EINTR, "another command came while waiting for an event");
}

static bool is_over(int pid)
{
	const struct process *process = find_process(pid);

	process_reap();
	return process != NULL ? process->over : proc_is_over(pid);
}

static long answer_exited(int pid)
{
	const struct process *process = find_process(pid);

	reply(" state=exited");
	if (process != NULL)
		reply_status(process->status);
	return 0;
}

// Whether a process of the same session runs: a shell that waits for one does not rest. The session is that of the
// process the agent started, so its pid is the lowest.
static bool session_runs(int session)
{
	char bytes[256] = "";
	const char *word = bytes;
	u64 last = 0;

	// The last word of loadavg is the youngest pid.
	sys_read_file("/proc/loadavg", bytes, sizeof(bytes));
	for (const char *at = bytes; *at != '\0'; at++)
		word = *at == ' ' ? at + 1 : word;
	text_digits(&word, 10, &last);
	for (int pid = session + 1; pid <= (int)last; pid++) {
		char state = proc_session(pid) == session ? proc_state(pid) : '\0';

		if (state == 'R' || state == 'D')
			return true;
	}
	return false;
}

// Waits until a process sleeps in a system call: two looks in a row show the same call. With a limit it has to sleep
// for longer, with all its children, and what still runs after the limit is answered as running.
long command_quiesce(const struct command *command)
{
	char calls[2][256] = { "", "" };
	int pid = (int)command->pid;
	bool is_limited = command->limit_ms != NEVER;
	s64 start = sys_milliseconds();
	int quiet = 0;

	for (int look = 0;; look ^= 1) {
		if (is_over(pid))
			return answer_exited(pid);
		long length = proc_read(pid, "syscall", calls[look], sizeof(calls[look]));

		if (length == -ENOENT && proc_state(pid) != '\0')
			return failed(length, "syscall in /proc/PID (Linux 2.6.27, CONFIG_HAVE_ARCH_TRACEHOOK)");
		if (length < 0 || proc_state(pid) != 'S' || (is_limited && session_runs(pid)))
			calls[look][0] = '\0';
		quiet = calls[look][0] != '\0' && text_equal(calls[0], calls[1]) ? quiet + 1 : 0;
		bool is_quiet = quiet >= (is_limited ? LONG_QUIET_LOOKS : 1);

		if (is_quiet || (u64)(sys_milliseconds() - start) >= command->limit_ms) {
			reply(" state=%s", is_quiet ? "S" : "R");
			return 0;
		}
		if (!channel_pause(-1, QUIET_MS))
			return failed(-EINTR, "another command came while waiting for a quiet process");
	}
}

long command_stop(const struct command *command)
{
	long error = SYS(kill, (int)command->pid, SIGSTOP);

	return error < 0 ? error : process_wait_stopped((int)command->pid, command->limit_ms);
}

// Has a child that ends and is never waited for. Ends with the agent, or when everything is cleaned away.
__attribute__((noreturn)) static void keep_zombie(int out)
{
	SYS(prctl, PR_SET_PDEATHSIG, SIGKILL);
	long zombie = SYS(fork);

	if (zombie == 0)
		SYS(exit_group, 0);
	while (zombie > 0 && SYS(waitid, P_PID, zombie, NULL, WEXITED | WNOWAIT, NULL) == -EINTR)
		;
	SYS(write, out, &zombie, sizeof(zombie));
	for (;;)
		SYS(pause);
}

// Answers the pid of a process that is a zombie, and stays one.
long command_zombie(const struct command *command)
{
	long zombie = -EIO;
	int ends[2];
	long error = sys_pipe(ends, O_CLOEXEC);

	(void)command;
	if (error < 0)
		return error;
	error = SYS(fork);
	if (error == 0)
		keep_zombie(ends[1]);
	SYS(close, ends[1]);
	if (error > 0)
		SYS(read, ends[0], &zombie, sizeof(zombie));
	SYS(close, ends[0]);
	reply(" pid=%ld", zombie);
	return error < 0 ? error : zombie;
}

long command_clean(const struct command *command)
{
	int status;
	long pid;

	(void)command;
	SYS(kill, -1, SIGKILL);
	tracer_leaves_unread = false;
	while ((pid = sys_wait(-1, &status, 0)) > 0)
		note_end(pid, status);
	process_forget_dead();
	checkpoint_forget_all();

	bool work = boot_empty_work();
	bool run = boot_empty_run();

	if (work || run)
		reply(" held=%s", work ? WORK_DIRECTORY : RUN_DIRECTORY);
	return 0;
}
