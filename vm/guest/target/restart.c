// SPDX-License-Identifier: MIT
// A caller of restart(2): started as `target restart NUMBER WORDS`, it becomes what the words say, then makes the call.
// Where that succeeds, nothing of this program is left but what it leaves open to the process of the image.
#include "target.h"

#include <asm/ldt.h>
#include <asm/signal.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/wait.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif
#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON 1
#endif
#define CAPABILITY_WORDS 2
#define STACK_WORDS 512
#define MAX_RELATIVES 8
#define FIRST_LDT_SELECTOR 7

// What the words may say, each with a number behind a colon where it has one.
#define FOR_EACH_WORD(DO) \
	DO(flags) DO(pid) DO(uid) DO(gid) DO(caps) DO(userns) \
	DO(closed) DO(directory) DO(epoll) DO(zero) DO(pipe) DO(nonblock) DO(reopen) DO(seek) \
	DO(as) DO(data) DO(memlock) DO(mdwe) DO(seccomp) DO(alarm) DO(kill) DO(times) \
	DO(maps) DO(lowest) DO(writes) DO(unexecutable) \
	DO(thread) DO(handlers) DO(memory) DO(files) DO(child) DO(mapper) DO(vfork) DO(int80) DO(ldt) DO(handler) \
	DO(timer) DO(stack) DO(ignored) DO(small) DO(own) DO(pidns) DO(breakpoint) \
	DO(legacy) DO(call) DO(locks) DO(pending) DO(dispatch) DO(rseq) DO(signaller) DO(stepped) DO(work) DO(reader)

struct word {
	bool is_said;
	u64 number;
};

static struct {
#define WORD_FIELD(name) struct word name;
	FOR_EACH_WORD(WORD_FIELD)
} words;

static long restart_nr;
static int handed_over[2];
// A page in the middle, which the process of the image has, too, and does not use.
static u8 read_later[3 * PAGE_BYTES];
static u64 stacks[MAX_RELATIVES][STACK_WORDS] __attribute__((aligned(64)));

static void take_word(const char *text)
{
#define TAKE_WORD(name) \
	if (text_starts(text, #name) && (text[sizeof(#name) - 1] == ':' || text[sizeof(#name) - 1] == '\0')) { \
		words.name.is_said = true; \
		if (text[sizeof(#name) - 1] == ':' && !text_number(text + sizeof(#name), &words.name.number)) \
			target_die(DIED_OF_OP); \
		return; \
	}
	FOR_EACH_WORD(TAKE_WORD)
	target_die(DIED_OF_OP);
}

static void take_words(char *text)
{
	for (char *word = text; *text != '\0';) {
		if (*++text != ',' && *text != '\0')
			continue;
		if (*text == ',')
			*text++ = '\0';
		take_word(word);
		word = text;
	}
}

// What cannot be had ends the caller: its host hears of another end than it waits for.
static long need(long result)
{
	if (result < 0)
		target_die(DIED_OF_OP);
	return result;
}

static void put_fd(long fd)
{
	need(SYS(dup2, need(fd), RESTARTED_FD));
	SYS(close, fd);
}

// The descriptor of the image as the agent has opened it, or another in its place.
static void choose_fd(void)
{
	int ends[2];

	if (words.closed.is_said)
		SYS(close, RESTARTED_FD);
	if (words.directory.is_said)
		put_fd(SYS(open, "/", O_RDONLY));
	if (words.epoll.is_said)
		put_fd(SYS(epoll_create1, 0));
	if (words.zero.is_said)
		put_fd(SYS(open, "/dev/zero", O_RDONLY));
	if (words.reopen.is_said)
		put_fd(SYS(open, "/proc/self/fd/7", words.reopen.number));
	if (words.pipe.is_said) {
		// Its other end stays open: nothing comes, and no end of it either.
		need(sys_pipe(ends, O_CLOEXEC));
		put_fd(ends[0]);
	}
	if (words.nonblock.is_said)
		need(SYS(fcntl, RESTARTED_FD, F_SETFL, O_NONBLOCK));
	if (words.seek.is_said)
		need(sys_seek(RESTARTED_FD, words.seek.number, SEEK_SET));
	if (!words.closed.is_said)
		SYS(fcntl, RESTARTED_FD, F_SETFD, FD_CLOEXEC);
}

static void limit_resources(void)
{
	if (words.as.is_said)
		need(sys_set_limit(RLIMIT_AS, words.as.number));
	if (words.data.is_said)
		need(sys_set_limit(RLIMIT_DATA, words.data.number));
	if (words.memlock.is_said)
		need(sys_set_limit(RLIMIT_MEMLOCK, words.memlock.number));
	if (words.legacy.is_said)
		need(sys_set_limit(RLIMIT_STACK, RLIM64_INFINITY));
	if (words.mdwe.is_said)
		need(SYS(prctl, PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN));
}

static void set_parameter(const char *path, u64 value)
{
	char text[24];
	long fd = need(SYS(open, path, O_WRONLY | O_CLOEXEC));

	text_print(text, sizeof(text), "%llu", value);
	need(sys_write_all((int)fd, text, text_length(text)));
	SYS(close, fd);
}

static void change_system(void)
{
	if (words.maps.is_said)
		set_parameter("/proc/sys/vm/max_map_count", words.maps.number);
	if (words.lowest.is_said)
		set_parameter("/proc/sys/vm/mmap_min_addr", words.lowest.number);
	// Nobody executes the target's own program any more: this one is a copy.
	if (words.writes.is_said)
		need(SYS(open, "/target", O_WRONLY | O_CLOEXEC));
	if (words.unexecutable.is_said)
		need(SYS(chmod, "/target", 0644));
}

static void change_ids(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[CAPABILITY_WORDS] = { { 0 } };

	if (words.caps.is_said)
		need(SYS(prctl, PR_SET_KEEPCAPS, 1));
	if (words.gid.is_said)
		need(SYS(setresgid, words.gid.number, words.gid.number, words.gid.number));
	if (words.uid.is_said)
		need(SYS(setresuid, words.uid.number, words.uid.number, words.uid.number));
	if (words.userns.is_said)
		need(SYS(unshare, CLONE_NEWUSER));
	if (!words.caps.is_said)
		return;
	for (int i = 0; i < CAPABILITY_WORDS; i++)
		data[i].effective = data[i].permitted = (u32)(words.caps.number >> (32 * i));
	need(SYS(capset, &header, data));
}

#define NAP_MS 50
#define SHORT_NAP_MS 5

// They run side by side in one memory.
static void *next_stack(void)
{
	static int used;

	return stacks[used++] + STACK_WORDS;
}

static void sleep_forever(void)
{
	SYS(prctl, PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		SYS(pause);
}

// What the caller closes is its own: one that loses a descriptor by it has its parent die of that.
static void watch_descriptor(void)
{
	SYS(prctl, PR_SET_PDEATHSIG, SIGKILL);
	while (SYS(fcntl, RESTARTED_FD, F_GETFD) >= 0)
		sys_sleep_ms(SHORT_NAP_MS);
	long parent = SYS(getppid);

	SYS(kill, parent, SIGUSR1);
	sleep_forever();
}

// Its end is told by a signal of its own choice, once the caller has become what it restarts, or is no more. It runs
// first then: what it shares with the caller is not to change later.
static void end_later(void)
{
	int priority = 1;
	char byte;

	SYS(sched_setscheduler, 0, SCHED_FIFO, &priority);
	SYS(close, handed_over[1]);
	SYS(read, handed_over[0], &byte, 1);
	SYS(exit_group, 0);
}

// Until nobody reads: the caller has become another program.
static void write_again_and_again(void)
{
	SYS(prctl, PR_SET_PDEATHSIG, SIGKILL);
	SYS(close, handed_over[0]);
	while (SYS(write, handed_over[1], "", 1) == 1)
		sys_sleep_ms(1);
	SYS(exit_group, 0);
}

// Whoever looks for changes of the caller must see this one, which others make while it calls.
static void map_later(void)
{
	sys_sleep_ms(NAP_MS);
	sys_map_anonymous(PAGE_BYTES, false);
	sleep_forever();
}

static void get_relatives(void)
{
	const struct {
		bool is_said;
		unsigned long flags;
		void (*life)(void);
	} relatives[] = {
		{ words.thread.is_said, THREAD_FLAGS, sleep_forever },
		{ words.handlers.is_said, CLONE_VM | CLONE_SIGHAND | SIGCHLD, sleep_forever },
		{ words.memory.is_said, CLONE_VM | SIGCHLD, sleep_forever },
		{ words.files.is_said, CLONE_VM | CLONE_FILES | SIGCHLD, watch_descriptor },
		{ words.child.is_said, SIGCHLD, sleep_forever },
		{ words.mapper.is_said, CLONE_VM | SIGCHLD, map_later },
		{ words.signaller.is_said, SIGUSR1, end_later },
		{ words.work.is_said || words.reader.is_said, SIGCHLD, write_again_and_again },
	};

	if (words.signaller.is_said || words.work.is_said)
		need(sys_pipe(handed_over, O_CLOEXEC));
	// Of a pipe another thread would read, before Linux 6.4.
	if (words.reader.is_said)
		need(sys_socketpair(handed_over));
	if (words.work.is_said)
		need(sys_poll_for_work(handed_over[0]));
	if (words.reader.is_said)
		need(sys_read_by_ring(handed_over[0], &read_later[PAGE_BYTES]));

	for (size_t i = 0; i < ARRAY_SIZE(relatives); i++)
		if (relatives[i].is_said)
			need(process_clone(relatives[i].flags, next_stack(), relatives[i].life));
}

// Has a signal come, and again and again with a period.
static void start_timer(int signal, s64 first_ns, s64 period_ns)
{
	const s64 times[4] = { 0, period_ns, 0, first_ns }; // struct __kernel_itimerspec
	const struct {
		long value;
		int signo;
		int notify; // 0: by a signal
		u8 rest[64];
	} event = { .signo = signal };
	int timer = 0;

	need(SYS(timer_create, CLOCK_MONOTONIC, &event, &timer));
#ifdef __NR_timer_settime64
	need(SYS(timer_settime64, timer, 0, times, NULL));
#else
	need(SYS(timer_settime, timer, 0, times, NULL));
#endif
}

static void await_signals(void)
{
	struct itimerval interval = { .it_value = { .tv_usec = (long)words.alarm.number } };

	if (words.alarm.is_said) {
		need(sys_sigaction(SIGALRM, ignore_signal, 0));
		need(SYS(setitimer, ITIMER_REAL, &interval, NULL));
	}
	if (words.kill.is_said)
		start_timer(SIGKILL, (s64)words.kill.number * 1000, 0);
}

#define TIMER_SIGNAL 40
#define TIMER_NS 1000000
#define LDT_REGISTER(selector) asm volatile("mov %0, %%es" : : "r"((unsigned short)(selector)))

struct signal_stack {
	void *bytes;
	int flags;
	size_t size;
};

static struct signal_stack signal_stack = { stacks[0], 0, sizeof(stacks[0]) };

// The signal is pending for as long as the timer lives.
static void start_blocked_timer(void)
{
	static const u64 blocked = 1ULL << (TIMER_SIGNAL - 1);

	need(SYS(rt_sigprocmask, SIG_BLOCK, &blocked, NULL, sizeof(blocked)));
	start_timer(TIMER_SIGNAL, TIMER_NS, TIMER_NS);
	sys_sleep_ms(SHORT_NAP_MS);
}

#define CALL_MS 200

static void stop_parent(void)
{
	sys_sleep_ms(SHORT_NAP_MS);
	long parent = SYS(getppid);

	SYS(kill, parent, SIGSTOP);
	SYS(kill, parent, SIGCONT);
	SYS(exit_group, 0);
}

// Leaves the kernel with a call that it has started again, about memory that the process of the image has not. A
// handler would have it forget.
static void interrupt_call(void)
{
	need(process_clone(CLONE_VM, next_stack(), stop_parent));
	SYS(poll, sys_map_anonymous(PAGE_BYTES, false), 1, CALL_MS);
}

// Ignored, should it arrive.
#define PENDING_SIGNAL SIGURG
#define RSEQ_BYTES 32
#define RSEQ_SIGNATURE 0x53053053

// Where no process of an image has memory: what the kernel still did there would be its end.
static void *page_of_its_own(void)
{
	return sys_map_anonymous(PAGE_BYTES, false);
}

static void get_registrations(void)
{
	static const u64 blocked = 1ULL << (PENDING_SIGNAL - 1);
	long pid = SYS(getpid);

	if (words.locks.is_said)
		need(SYS(mlockall, MCL_FUTURE));
	if (words.pending.is_said) {
		need(SYS(rt_sigprocmask, SIG_BLOCK, &blocked, NULL, sizeof(blocked)));
		need(SYS(kill, pid, PENDING_SIGNAL));
	}
	// Linux 5.10 has none.
	if (words.dispatch.is_said)
		SYS(prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, page_of_its_own());
	if (words.rseq.is_said)
		need(SYS(rseq, page_of_its_own(), RSEQ_BYTES, 0, RSEQ_SIGNATURE));
}

// What a caller has that must be as it was where it is refused, and gone where it is not.
static void get_state(void)
{
	struct user_desc segment = { .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1, .useable = 1 };

	// Another name than the process of the image has.
	need(SYS(prctl, PR_SET_NAME, "who calls"));
	if (words.handler.is_said)
		need(sys_sigaction(SIGUSR1, ignore_signal, 0));
	if (words.ignored.is_said)
		need(sys_sigaction(SIGUSR2, SIG_IGN, 0));
	if (words.stack.is_said)
		need(SYS(sigaltstack, &signal_stack, NULL));
	if (words.small.is_said)
		need(SYS(prctl, PR_SET_THP_DISABLE, 1, 0, 0, 0));
	if (words.timer.is_said)
		start_blocked_timer();
	if (words.call.is_said)
		interrupt_call();
	get_registrations();
	if (!words.ldt.is_said)
		return;
	need(SYS(modify_ldt, 1, &segment, sizeof(segment)));
	LDT_REGISTER(FIRST_LDT_SELECTOR);
}

// Whether what nobody else can see of it is as it was.
static bool is_as_it_was(void)
{
	struct signal_stack now = { 0 };
	struct kernel_sigaction action = { 0 };

	SYS(sigaltstack, NULL, &now);
	SYS(rt_sigaction, SIGUSR1, NULL, &action, sizeof(action.mask));
	return (now.bytes == signal_stack.bytes) == words.stack.is_said &&
		(action.handler == (void *)ignore_signal) == words.handler.is_said;
}

static void filter_calls(void)
{
	struct sock_filter allow = { .code = BPF_RET | BPF_K, .k = SECCOMP_RET_ALLOW };
	struct sock_fprog program = { .len = 1, .filter = &allow };

	need(SYS(prctl, PR_SET_NO_NEW_PRIVS, 1));
	need(SYS(prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

static void call_once(void)
{
	long pid = words.own.is_said ? SYS(getpid) : (int)words.pid.number;
	long flags = (long)words.flags.number;
	long numbers[7] = { restart_nr, pid, RESTARTED_FD, flags };

	if (words.int80.is_said)
		process_syscall32(numbers);
	else
		// By the way that returns all registers, whatever kind of program this is.
		sys_call(restart_nr, pid, RESTARTED_FD, flags, 0, 0, 0);
}

// A child makes them that nobody traces: that takes no time. Nor does a signal tell of its end: a tracer would see it.
static void call_many_times(void)
{
	long child = words.times.number > 0 ? need(SYS(clone, 0)) : -1;
	int status;

	if (child == 0) {
		for (u64 made = 1; made < words.times.number; made++) {
			call_once();
			sys_seek(RESTARTED_FD, words.seek.number, SEEK_SET);
		}
		SYS(exit_group, 0);
	}
	if (child > 0)
		sys_wait(child, &status, __WALL);
}

static void call(void)
{
	call_once();
	target_die(is_as_it_was() ? DIED_OF_RESTART : DIED_OF_CHANGE);
}

void restart_run(char *const *arguments)
{
	u64 number = 0;

	text_number(arguments[2], &number);
	restart_nr = (long)number;
	take_words(arguments[3]);
	choose_fd();
	get_relatives();
	limit_resources();
	get_state();
	change_system();
	change_ids();
	if (words.seccomp.is_said)
		filter_calls();
	await_signals();
	call_many_times();
	if (words.pidns.is_said)
		need(SYS(unshare, CLONE_NEWPID));
	else if (!words.vfork.is_said)
		call();
	// The parent is let go by the call, and a tracer follows the child, whose parent is the agent, too.
	need(process_clone(CLONE_VM | CLONE_VFORK | CLONE_PARENT | SIGCHLD, next_stack(), call));
	target_die(0);
}
