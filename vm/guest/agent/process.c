// SPDX-License-Identifier: MIT
#include "process.h"

#include <asm/signal.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <linux/wait.h>

#include "boot.h"
#include "channel.h"
#include "command.h"
#include "procfs.h"
#include "../common/syscall.h"

#define MAX_PROCESSES 64
#define EVENT_STOPPING 1
#define EVENT_BUSY 2
// Looks that cost no more than a turn of the scheduler, before a wait takes to sleeping.
#define EAGER_LOOKS 100
#define QUIET_MS 2

struct event {
	u32 kind;
	u32 label;
	u64 pid;
	u64 scratch;
	u64 resume_address;
};

static struct process processes[MAX_PROCESSES];
static int process_count;

int status_signal(int status)
{
	return status & 0x7f;
}

// Answers with code=C or signal=S.
static void reply_status(int status)
{
	if (status_signal(status) != 0)
		reply_number("signal", status_signal(status));
	else
		reply_number("code", status >> 8 & 0xff);
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
		if (processes[i].event_fd >= 0)
			SYS(close, processes[i].event_fd);
		if (processes[i].stdin_fd >= 0)
			SYS(close, processes[i].stdin_fd);
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

	while ((pid = SYS(wait4, -1, &status, WNOHANG | __WALL, 0)) > 0)
		note_end(pid, status);
}

int process_wait(int pid)
{
	struct process *process = find_process(pid);
	int status = 0;

	if (process != NULL && process->over)
		return process->status;
	while (SYS(wait4, pid, &status, __WALL, 0) == -EINTR)
		;
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

long process_wait_stopped(int pid)
{
	int looks = 0;

	while (!proc_is_stopped(pid)) {
		if (proc_is_over(pid))
			return -ESRCH;
		if (!wait_turn(&looks, 1))
			return -EINTR;
	}
	return 0;
}

static void answer_stop(const struct event *event)
{
	reply_start("ok");
	reply_text("event", "stop", 4);
	reply_number("label", event->label);
	reply_number("pid", (s64)event->pid);
	reply_hex("scratch", event->scratch, 0);
	reply_hex("resume_address", event->resume_address, 0);
	reply_send();
}

static void answer_end(const struct process *process)
{
	bool signaled = status_signal(process->status) != 0;

	reply_start("ok");
	reply_text("event", signaled ? "signal" : "exit", signaled ? 6 : 4);
	reply_number("pid", process->pid);
	reply_status(process->status);
	reply_send();
}

// Waits for the next event of the target that was spawned last: it stops, or it ends.
void command_event(const struct command *command)
{
	struct process *target = last_target();
	struct event event;

	(void)command;
	if (target == NULL) {
		reply_error(ESRCH, "no target was spawned");
		return;
	}
	for (;;) {
		// In this order: a target that has ended has written all its events.
		process_reap();
		bool over = target->over;
		long count = SYS(read, target->event_fd, &event, sizeof(event));

		if (count == sizeof(event) && event.kind == EVENT_BUSY) {
			answer_stop(&event);
			return;
		}
		if (count == sizeof(event) && event.kind == EVENT_STOPPING) {
			long error = process_wait_stopped((int)event.pid);

			if (error == 0) {
				answer_stop(&event);
				return;
			}
			if (error == -EINTR)
				break;
			continue;
		}
		if (over) {
			answer_end(target);
			return;
		}
		// At its end of file the pipe is always readable, and only time brings the exit.
		if (!channel_pause(count == 0 ? -1 : target->event_fd, count == 0 ? 1 : 20))
			break;
	}
	reply_error(EINTR, "another command came while waiting for an event");
}

static bool is_over(int pid)
{
	const struct process *process = find_process(pid);

	process_reap();
	return process != NULL ? process->over : proc_is_over(pid);
}

static void answer_exited(int pid)
{
	const struct process *process = find_process(pid);

	reply_start("ok");
	reply_text("state", "exited", 6);
	if (process != NULL)
		reply_status(process->status);
	reply_send();
}

// Waits until a process sleeps in a system call: two looks in a row show the same call.
void command_quiesce(const struct command *command)
{
	char calls[2][256] = { "", "" };
	int pid;

	if (!command_pid(command, &pid))
		return;
	for (int look = 0;; look ^= 1) {
		if (is_over(pid)) {
			answer_exited(pid);
			return;
		}
		long length = proc_read(pid, "syscall", calls[look], sizeof(calls[look]));

		if (length == -ENOENT && proc_state(pid) != '\0') {
			reply_error(length, "syscall in /proc/PID (Linux 2.6.27, CONFIG_HAVE_ARCH_TRACEHOOK)");
			return;
		}
		if (length < 0 || proc_state(pid) != 'S')
			calls[look][0] = '\0';
		if (calls[look][0] != '\0' && text_equal(calls[0], calls[1])) {
			reply_start("ok");
			reply_text("state", "S", 1);
			reply_send();
			return;
		}
		if (!channel_pause(-1, QUIET_MS))
			break;
	}
	reply_error(EINTR, "another command came while waiting for a quiet process");
}

void command_stop(const struct command *command)
{
	int pid;

	if (!command_pid(command, &pid))
		return;
	long error = SYS(kill, pid, SIGSTOP);

	if (error == 0)
		error = process_wait_stopped(pid);
	reply_result(error, "stop");
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
void command_zombie(const struct command *command)
{
	long zombie = -EIO;
	int ends[2];
	long error = sys_pipe(ends, O_CLOEXEC);

	(void)command;
	if (error >= 0) {
		error = SYS(fork);
		if (error == 0)
			keep_zombie(ends[1]);
		SYS(close, ends[1]);
		if (error > 0)
			SYS(read, ends[0], &zombie, sizeof(zombie));
		SYS(close, ends[0]);
	}
	if (error < 0 || zombie < 0) {
		reply_error(error < 0 ? error : zombie, "zombie");
		return;
	}
	reply_start("ok");
	reply_number("pid", zombie);
	reply_send();
}

void command_clean(const struct command *command)
{
	int status;
	long pid;

	(void)command;
	SYS(kill, -1, SIGKILL);
	while ((pid = SYS(wait4, -1, &status, __WALL, 0)) > 0)
		note_end(pid, status);
	process_forget_dead();
	checkpoint_forget_all();
	boot_empty_work();
	boot_empty_run();
	reply_result(0, "");
}
