// SPDX-License-Identifier: MIT
// The agent as a tracer: it stops a process in the tracer's way, and sees its registers.
#include "agent.h"

#include <asm/ldt.h>
#include <asm/ptrace-abi.h>
#include <asm/signal.h>
#include <linux/elf.h>
#include <linux/ptrace.h>
#include <linux/uio.h>
#include <linux/wait.h>

#ifdef __x86_64__
#define GENERAL_REGISTERS 27
enum { REGISTER_AX = 10, REGISTER_ORIG_AX = 15, REGISTER_IP = 16, REGISTER_SP = 19 };
#define FPREGS_BYTES 512
#define FIRST_TLS_ENTRY 12
#else
#define GENERAL_REGISTERS 17
enum { REGISTER_AX = 6, REGISTER_ORIG_AX = 11, REGISTER_IP = 12, REGISTER_SP = 15 };
#define FPREGS_BYTES 108
#define FIRST_TLS_ENTRY 6
#endif

#define FXSAVE_BYTES 512
#define DEBUG_REGISTERS 8
#define TLS_ENTRIES 3

// The process that `attach` has left attached (0: none), and whether it was stopped before.
static int attached_pid;
static bool attached_was_stopped;

bool tracer_leaves_unread;

// Waits until a tracee has stopped: in a trap of its own (`event`), or by the SIGSTOP of PTRACE_ATTACH. Zero,
// or -ESRCH when it ended instead.
static long wait_for_trap(int pid, bool event)
{
	int status = 0;

	for (;;) {
		long waited = sys_wait(pid, &status, 0);

		if (waited < 0)
			return waited;
		if ((status & 0xff) != 0x7f)
			return -ESRCH;
		if (event ? status >> 16 == PTRACE_EVENT_STOP : (status >> 8 & 0xff) == SIGSTOP)
			return 0;
		// A signal on its way: hand it on, the stop comes after it.
		SYS(ptrace, PTRACE_CONT, pid, 0, status >> 8 & 0xff);
	}
}

static long detach(int pid, bool was_stopped, int signal)
{
	long error = SYS(ptrace, PTRACE_DETACH, pid, 0, signal);

	// Without its tracer the process goes back to the stop that it was in.
	if (error >= 0 && was_stopped)
		error = process_wait_stopped(pid, NEVER);
	return error;
}

static long seize(int pid, bool waits)
{
	long error = SYS(ptrace, PTRACE_SEIZE, pid, 0, 0);

	if (error < 0)
		return error;
	error = SYS(ptrace, PTRACE_INTERRUPT, pid, 0, 0);
	if (error >= 0 && waits)
		error = wait_for_trap(pid, true);
	if (error < 0)
		SYS(ptrace, PTRACE_DETACH, pid, 0, 0);
	return error;
}

static long attach(int pid)
{
	long error = SYS(ptrace, PTRACE_ATTACH, pid, 0, 0);

	return error < 0 ? error : wait_for_trap(pid, false);
}

long tracer_visit(struct visit *visit, int pid)
{
	visit->pid = pid;
	visit->was_attached = pid == attached_pid;
	visit->was_stopped = proc_is_stopped(pid);
	if (visit->was_attached)
		return 0;
	long error = seize(pid, true);

	// Linux 3.4 brought PTRACE_SEIZE.
	return error == -EIO ? attach(pid) : error;
}

long tracer_leave(const struct visit *visit, int signal)
{
	return visit->was_attached ? 0 : detach(visit->pid, visit->was_stopped, signal);
}

// Has a process that is seized carry out one instruction.
static long step(int pid)
{
	int status = 0;

	do {
		long error = SYS(ptrace, PTRACE_SINGLESTEP, pid, 0, 0);

		if (error < 0)
			return error;
		error = sys_wait(pid, &status, 0);
		if (error < 0)
			return error;
		// One that was stopped before traps once more for that, and has not moved then.
	} while ((status & 0xff) == 0x7f && status >> 16 == PTRACE_EVENT_STOP);
	return status == (SIGTRAP << 8 | 0x7f) ? 0 : -ESRCH;
}

// how=seize stops the process by PTRACE_INTERRUPT, how=attach by the SIGSTOP of PTRACE_ATTACH; "unread event" and
// "unread" leave unread that it has stopped so; how=singlestep seizes it and goes one instruction further.
long command_attach(const struct command *command)
{
	bool steps = text_equal(command->how, "singlestep");
	bool is_event = text_equal(command->how, "unread event");
	bool seizes = steps || is_event || text_equal(command->how, "seize");
	int pid = (int)command->pid;
	bool is_unread = is_event || text_equal(command->how, "unread");

	if (!seizes && !is_unread && !text_equal(command->how, "attach"))
		return failed(-EINVAL, "how: %s", command->how);
	if (attached_pid != 0 && !proc_is_over(attached_pid))
		return failed(-EBUSY, "attached to a process already");
	attached_was_stopped = proc_is_stopped(pid);
	long error = seizes    ? seize(pid, !is_unread) :
		     is_unread ? SYS(ptrace, PTRACE_ATTACH, pid, 0, 0) :
				 attach(pid);

	if (error >= 0 && steps)
		error = step(pid);
	// A request waits until the process has left its CPU, and what /proc counts of it stands still.
	long word;
	if (error >= 0 && !is_unread)
		error = SYS(ptrace, PTRACE_PEEKUSR, pid, 0, &word);
	attached_pid = error >= 0 ? pid : 0;
	tracer_leaves_unread = error >= 0 && is_unread;
	return error;
}

// The process is in a job control stop afterwards if it was in one before it was attached to.
long command_detach(const struct command *command)
{
	int pid = (int)command->pid;
	long error = detach(pid, pid == attached_pid && attached_was_stopped, 0);

	if (pid == attached_pid)
		attached_pid = 0;
	tracer_leaves_unread = false;
	return error;
}

// A signal that a timer of the caller sends again and again.
#define TIMER_SIGNAL 40

// Takes the lines of a text that begin with one of these words, or all others.
static void hash_lines(struct hash *hash, const char *text, bool others, const char *const *words, size_t count)
{
	for (const char *end = text; *text != '\0'; text = end) {
		bool begins = false;

		while (*end != '\0' && *end++ != '\n')
			;
		for (size_t i = 0; i < count; i++)
			begins = begins || text_starts(text, words[i]);
		if (begins != others)
			hash_update(hash, text, (size_t)(end - text));
	}
}

// What of a process a call that fails must leave alone: registers but the one for the result, the FPU, and what /proc
// says but for what changes by itself.
static u64 state_of(int pid)
{
	// The counters of pages among them are late: a task adds its own up when it has had some faults.
	static const char *const volatile_lines[] = {
		"SigQ", "SigPnd", "ShdPnd", "voluntary", "nonvoluntary", "VmHWM", "VmRSS", "Rss",
	};
	static const char *const counted_lines[] = { "Rss", "Anonymous", "Swap", "Locked" };
	struct iovec vector = { channel_buffer, BUFFER_BYTES };
	long registers[GENERAL_REGISTERS] = { 0 };
	const char *maps;
	struct hash hash;

	hash_start(&hash);
	SYS(ptrace, PTRACE_GETREGS, pid, 0, registers);
	registers[REGISTER_AX] = 0;
	hash_update(&hash, registers, sizeof(registers));
	for (size_t i = 0; i < DEBUG_REGISTERS; i++) {
		unsigned long value = 0;

		SYS(ptrace, PTRACE_PEEKUSR, pid, DEBUG_REGISTERS_OFFSET + i * sizeof(long), &value);
		hash_update(&hash, &value, sizeof(value));
	}
	if (SYS(ptrace, PTRACE_GETREGSET, pid, NT_X86_XSTATE, &vector) >= 0)
		hash_update(&hash, channel_buffer, vector.iov_len);
	long length = proc_maps(pid, &maps);

	hash_update(&hash, maps, length > 0 ? (size_t)length : 0);
	length = proc_read(pid, "status", (char *)channel_buffer, BUFFER_BYTES);
	u64 is_pending = proc_status_number((char *)channel_buffer, "\nShdPnd:\t") >> (TIMER_SIGNAL - 1) & 1;

	hash_update(&hash, &is_pending, sizeof(is_pending));
	if (length > 0)
		hash_lines(&hash, (char *)channel_buffer, true, volatile_lines, ARRAY_SIZE(volatile_lines));
	if (proc_read(pid, "smaps_rollup", (char *)channel_buffer, BUFFER_BYTES) > 0)
		hash_lines(&hash, (char *)channel_buffer, false, counted_lines, ARRAY_SIZE(counted_lines));
	return hash_finish(&hash);
}

// Goes on with the child that a tracee has by vfork(2), if it has one; the parent is no tracee any more.
static long follow_child(int *pid, int status)
{
	unsigned long child = 0;

	if (status >> 16 != PTRACE_EVENT_VFORK)
		return failed(-ESRCH, "wait status 0x%x in place of a system call", status);
	long error = SYS(ptrace, PTRACE_GETEVENTMSG, *pid, 0, &child);

	if (error >= 0)
		error = SYS(ptrace, PTRACE_DETACH, *pid, 0, 0);
	if (error < 0)
		return error;
	*pid = (int)child;
	// It begins with a stop of its own.
	return sys_wait(*pid, &status, __WALL);
}

// To the end of the call, through all others before it. 1: the process has died on the way.
static long go_through_call(struct restarted *restarted, long nr, long *registers)
{
	long before[GENERAL_REGISTERS] = { [REGISTER_ORIG_AX] = -1 };
	u64 state = 0;
	int status = 0;

	for (bool is_last = false;; is_last = before[REGISTER_ORIG_AX] == nr) {
		bool steps = is_last && restarted->is_stepped;

		if (is_last)
			state = state_of(restarted->pid);
		long error = SYS(ptrace, steps ? PTRACE_SINGLESTEP : PTRACE_SYSCALL, restarted->pid, 0, 0);

		if (error >= 0)
			error = sys_wait(restarted->pid, &status, __WALL);
		if (error < 0)
			return error;
		if ((status & 0xff) != 0x7f) {
			restarted->result = RESTART_DIED + status_signal(status);
			return status_signal(status) != 0 ? 1 : failed(-ESRCH, "the caller's end, status 0x%x", status);
		}
		if (status != ((steps ? SIGTRAP : SIGTRAP | 0x80) << 8 | 0x7f))
			error = follow_child(&restarted->pid, status);
		else
			error = SYS(ptrace, PTRACE_GETREGS, restarted->pid, 0, is_last ? registers : before);
		if (error < 0)
			return error;
		if (is_last)
			break;
	}
	bool is_same = before[REGISTER_IP] == registers[REGISTER_IP] && before[REGISTER_SP] == registers[REGISTER_SP];

	restarted->result = is_same ? registers[REGISTER_AX] : 0;
	restarted->is_changed = is_same && state_of(restarted->pid) != state;
	return 0;
}

// A second step, in which a signal comes before any instruction: it finds the trap flag of the program, or none.
static long step_to_signal(int pid)
{
	int status = 0;
	long error = SYS(kill, pid, SIGSTOP);

	if (error >= 0)
		error = SYS(ptrace, PTRACE_SINGLESTEP, pid, 0, 0);
	if (error >= 0)
		error = sys_wait(pid, &status, __WALL);
	if (error >= 0 && status != (SIGSTOP << 8 | 0x7f))
		return failed(-ESRCH, "wait status 0x%x in place of a SIGSTOP", status);
	return error < 0 ? error : 0;
}

// Where nothing is executed.
static long set_breakpoint(int pid)
{
	const unsigned long values[DEBUG_REGISTERS] = { [0] = PAGE_BYTES, [7] = 1 };
	long error = 0;

	for (size_t i = 0; i < ARRAY_SIZE(values) && error >= 0; i++)
		if (values[i] != 0)
			error = SYS(ptrace, PTRACE_POKEUSR, pid, DEBUG_REGISTERS_OFFSET + i * sizeof(long), values[i]);
	return error;
}

// Lets a program that traces itself make a call of which it comes back as another, and stops it there.
long tracer_restart(struct restarted *restarted, long nr)
{
	long registers[GENERAL_REGISTERS];
	int status = 0;
	long error = sys_wait(restarted->pid, &status, 0);

	if (error >= 0)
		error = SYS(ptrace, PTRACE_SETOPTIONS, restarted->pid, 0,
			    PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEVFORK);
	if (error >= 0 && restarted->has_breakpoint)
		error = set_breakpoint(restarted->pid);
	if (error >= 0)
		error = go_through_call(restarted, nr, registers);
	if (error == 0 && restarted->is_stepped && restarted->result == 0)
		error = step_to_signal(restarted->pid);
	if (error != 0)
		return error > 0 ? 0 : error;
	// One that was refused looks at itself, and ends.
	int signal = restarted->result == 0 && restarted->stop == STOPPED_BY_SIGNAL ? SIGSTOP : 0;

	if (restarted->result == 0 && restarted->stop == STOPPED_BY_TRACER) {
		attached_pid = restarted->pid;
		attached_was_stopped = false;
		return 0;
	}
	return SYS(ptrace, PTRACE_DETACH, restarted->pid, 0, signal);
}

static long send_requested(int pid, const char *name, long request, size_t length)
{
	long error = SYS(ptrace, request, pid, 0, channel_buffer);

	if (error >= 0)
		blob_of(name, channel_buffer, length);
	return error;
}

static long send_set(int pid, const char *name, long set)
{
	struct iovec vector = { channel_buffer, BUFFER_BYTES };
	long error = SYS(ptrace, PTRACE_GETREGSET, pid, set, &vector);

	if (error >= 0)
		blob_of(name, channel_buffer, vector.iov_len);
	return error;
}

static long send_debug(int pid)
{
	unsigned long registers[DEBUG_REGISTERS];

	for (unsigned long i = 0; i < ARRAY_SIZE(registers); i++) {
		long error = SYS(ptrace, PTRACE_PEEKUSR, pid, DEBUG_REGISTERS_OFFSET + i * sizeof(long), &registers[i]);

		if (error < 0)
			return error;
	}
	blob_of("debugreg", registers, sizeof(registers));
	return 0;
}

// Slots that the kernel does not show (it may lack CONFIG_IA32_EMULATION) are sent as zeros.
static void send_tls(int pid)
{
	struct user_desc slots[TLS_ENTRIES];

	memset(slots, 0, sizeof(slots));
	for (long i = 0; i < TLS_ENTRIES; i++)
		SYS(ptrace, PTRACE_GET_THREAD_AREA, pid, FIRST_TLS_ENTRY + i, &slots[i]);
	blob_of("tls", slots, sizeof(slots));
}

// The signals that are blocked: those that will be once a call that waits with others has ended.
static void send_mask(int pid)
{
	u64 mask;

	if (SYS(ptrace, PTRACE_GETSIGMASK, pid, sizeof(mask), &mask) >= 0)
		blob_of("sigmask", &mask, sizeof(mask));
}

static long send_fpu(int pid)
{
	long error = send_set(pid, "xstate", NT_X86_XSTATE);

	// A CPU without XSAVE has no such set. Its FXSAVE image is one of its own for a 32-bit process; where that is
	// missing too, this one has all that there is.
	if (error == -ENODEV || error == -EINVAL)
		error = send_set(pid, "fpregs", NT_PRXFPREG);
	if (error == -ENODEV || error == -EINVAL)
		return send_set(pid, "fpregs", NT_PRFPREG);
	if (error != -EIO)
		return error;
	// Linux 2.6.34 brought PTRACE_GETREGSET. Not every CPU has FXSAVE, and not every kernel tells of it by this.
	error = send_requested(pid, "fpxregs", PTRACE_GETFPXREGS, FXSAVE_BYTES);
	return error < 0 ? send_requested(pid, "fpregs", PTRACE_GETFPREGS, FPREGS_BYTES) : error;
}

static long send_all(int pid, bool with_fpu)
{
	long error = send_requested(pid, "gpr", PTRACE_GETREGS, GENERAL_REGISTERS * sizeof(long));

	if (error >= 0 && with_fpu)
		error = send_fpu(pid);
	if (error >= 0)
		error = send_debug(pid);
	if (error >= 0) {
		send_tls(pid);
		send_mask(pid);
	}
	return error;
}

// The registers of a process, which is left as it was: attached to, stopped, or neither. fpu=0: but for those of the
// FPU, since a kernel of 2008 counts a task as one that uses it as soon as somebody asks. calls=1: and what it tells of
// itself by system calls, if it is stopped and nobody traces it; signals=MASK: of those, too.
long command_regs(const struct command *command)
{
	struct visit visit;
	int signal = 0;
	long error = tracer_visit(&visit, (int)command->pid);

	if (error < 0)
		return failed(error, "PTRACE_SEIZE");
	error = send_all(visit.pid, command->fpu != 0);
	if (error >= 0 && command->calls != 0 && visit.was_stopped && !visit.was_attached)
		error = inject_calls(visit.pid, command->signals, &signal);
	long left = tracer_leave(&visit, signal);

	return error >= 0 ? left : error;
}
