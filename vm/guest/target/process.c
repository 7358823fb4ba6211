// SPDX-License-Identifier: MIT
// The target's relatives: bystanders that only exist, and the wait for a child.
#include "target.h"

#include <asm/signal.h>
#include <linux/auxvec.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/wait.h>

// Touches no memory: it asks to die with its parent, then sleeps for ever.
void sleeper(void);

#ifdef __x86_64__
#define CALL(nr, a, b) "	mov $" #a ", %edi\n	mov $" #b ", %esi\n	mov $" #nr ", %eax\n	syscall\n"
#define PRCTL 157
#define PAUSE 34
#define SAVED_WORDS 0
#else
#define CALL(nr, a, b) "	mov $" #a ", %ebx\n	mov $" #b ", %ecx\n	mov $" #nr ", %eax\n	int $0x80\n"
#define PRCTL 172
#define PAUSE 29
// What sys_call() takes off the stack before it returns.
#define SAVED_WORDS 4
#endif
#define CALL_BY(nr, a, b) CALL(nr, a, b)

asm(".pushsection .text\n"
    "sleeper:\n"
    CALL_BY(PRCTL, 1, 9) // PR_SET_PDEATHSIG, SIGKILL
    "1:\n"
    CALL_BY(PAUSE, 0, 0)
    "	jmp 1b\n"
    ".popsection\n");

// The child returns from the call to what lies on its stack, which then is as behind a call, for the compiler's idea of
// its alignment.
long process_clone(unsigned long flags, void *stack, void (*function)(void))
{
	void (**top)(void) = (void (**)(void))stack - 2;

	*top = function;
	return SYS(clone, flags, top - SAVED_WORDS);
}

// The words that the kernel left on the stack.
static char *const *arguments;
static char *const *environment;
static const unsigned long *auxiliary_vector;

void process_start(const unsigned long *stack)
{
	arguments = (char *const *)(stack + 1);
	environment = arguments + stack[0] + 1;
	char *const *after = environment;

	while (*after != NULL)
		after++;
	auxiliary_vector = (const unsigned long *)(after + 1);
	if (stack[0] > 2)
		restart_run(arguments);
	if (stack[0] > 1)
		race_run(arguments, environment);
}

s64 process_auxiliary(u64 type)
{
	for (const unsigned long *entry = auxiliary_vector; entry[0] != AT_NULL; entry += 2)
		if (entry[0] == type)
			return (s64)entry[1];
	return -ENOENT;
}

#define ELF_MAGIC 0x464c457fu

s64 process_use_vdso(void)
{
	s64 start = process_auxiliary(AT_SYSINFO_EHDR);

	if (start < 0 || *(const volatile u32 *)(unsigned long)start != ELF_MAGIC)
		return 0;
#ifndef __x86_64__
	// As the C library calls: the kernel returns to a place in the vdso.
	s64 entry = process_auxiliary(AT_SYSINFO);
	long pid = __NR_getpid;

	if (entry < 0)
		return 0;
	asm volatile("call *%1" : "+a"(pid) : "r"((unsigned long)entry) : "memory", "cc");
	return pid == SYS(getpid);
#else
	return 1;
#endif
}

s64 process_exec(void)
{
	return SYS(execve, arguments[0], arguments, environment);
}

// The system call entry of 32-bit code, which 64-bit code can use as well. A kernel without it gives a
// fault.
#ifdef __x86_64__
long call_int80(const long numbers[7]);

asm(".pushsection .text\n"
    "call_int80:\n"
    "	push %rbx\n"
    "	push %rbp\n"
    "	lea 1f(%rip), %rax\n"
    "	mov %rax, segment_recovery(%rip)\n"
    "	mov (%rdi), %rax\n"
    "	mov 8(%rdi), %rbx\n"
    "	mov 16(%rdi), %rcx\n"
    "	mov 24(%rdi), %rdx\n"
    "	mov 32(%rdi), %rsi\n"
    "	mov 48(%rdi), %rbp\n"
    "	mov 40(%rdi), %rdi\n"
    "	int $0x80\n"
    "1:	movq $0, segment_recovery(%rip)\n"
    "	pop %rbp\n"
    "	pop %rbx\n"
    "	ret\n"
    ".popsection\n");

s64 process_syscall32(const long numbers[7])
{
	segment_catch_faults();
	// The result is one of 32 bits, whatever the upper half of the register holds.
	s32 result = (s32)call_int80(numbers);

	segment_release_faults();
	return result < 0 && result >= -4095 ? result : (s64)(u32)result;
}
#else
s64 process_syscall32(const long numbers[7])
{
	return target_result(sys_call(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5],
				      numbers[6]));
}
#endif

// Waits for the child that has become the subject, then ends as it ended.
void process_end_like(long child)
{
	int status = 0;

	sys_wait(child, &status, 0);
	int signal = status & 0x7f;

	if (signal != 0) {
		long self = SYS(getpid);

		// What ended the child ends this process too, unless it is blocked or caught here.
		SYS(kill, self, signal);
		SYS(kill, self, SIGKILL);
	}
	target_die(status >> 8 & 0xff);
}

// A child that shares pages with this process and does nothing. It has gone to sleep when the pid is
// returned.
s64 process_fork_bystander(void)
{
	int ready[2];
	char byte = 0;
	long error = sys_pipe(ready, O_CLOEXEC);

	if (error < 0)
		return error;
	long child = SYS(fork);

	if (child == 0) {
		SYS(prctl, PR_SET_PDEATHSIG, SIGKILL);
		SYS(write, ready[1], &byte, 1);
		SYS(close, ready[0]);
		SYS(close, ready[1]);
		for (;;)
			SYS(pause);
	}
	if (child > 0)
		SYS(read, ready[0], &byte, 1);
	SYS(close, ready[0]);
	SYS(close, ready[1]);
	return child;
}

#define STACK_WORDS 256

static u64 stacks[2][STACK_WORDS] __attribute__((aligned(64)));

static void leave_thread_behind(void)
{
	process_clone(THREAD_FLAGS, stacks[1] + STACK_WORDS, sleeper);
	SYS(exit, 0);
}

// Starts a thread that ends by itself.
static long start_thread(void (*function)(void))
{
	return process_clone(THREAD_FLAGS, stacks[0] + STACK_WORDS, function);
}

static void await_end(long thread)
{
	long self = SYS(getpid);

	while (thread > 0 && SYS(tgkill, self, thread, 0) == 0)
		SYS(sched_yield);
}

static u64 thread_call;
static s64 thread_result;

static void call_for_itself(void)
{
	thread_result = SYS_PADDED((long)thread_call, 0, IMAGE_FD, 0, 0, 0, 0);
	SYS(exit, 0);
}

// A thread that makes the call with pid 0, and has ended when its result is returned.
static s64 call_from_thread(u64 nr)
{
	thread_call = nr;
	long thread = start_thread(call_for_itself);

	await_end(thread);
	return thread < 0 ? thread : thread_result;
}

s64 process_dump_core(void)
{
	int status = -1;
	long child = SYS(fork);

	if (child == 0) {
		long self = SYS(getpid);

		sys_set_limit(RLIMIT_CORE, RLIM64_INFINITY);
		SYS(kill, self, SIGABRT);
		SYS(exit_group, 0);
	}
	if (child < 0)
		return child;
	sys_wait(child, &status, 0);
	SYS(unlink, "core");
	return status;
}

static int there[2];
static int back[2];

static void echo(void)
{
	char byte;

	while (SYS(read, there[0], &byte, 1) == 1)
		SYS(write, back[1], &byte, 1);
	SYS(exit, 0);
}

void process_switch(u64 times)
{
	char byte = 0;

	if (sys_pipe(there, 0) < 0 || sys_pipe(back, 0) < 0)
		target_die(DIED_OF_OP);
	long thread = start_thread(echo);

	for (; thread > 0 && times > 0; times--) {
		SYS(write, there[1], &byte, 1);
		SYS(read, back[0], &byte, 1);
	}
	SYS(close, there[1]);
	await_end(thread);
	SYS(close, there[0]);
	SYS(close, back[0]);
	SYS(close, back[1]);
}

// A thread, or a process of its own, in this address space.
s64 process_start_sleeper(u64 kind, u64 nr)
{
	switch (kind) {
	case THREAD_PLAIN:
		return process_clone(THREAD_FLAGS, stacks[0] + STACK_WORDS, sleeper);
	case THREAD_PROCESS:
		return process_clone(CLONE_VM | SIGCHLD, stacks[0] + STACK_WORDS, sleeper);
	case THREAD_LEADERLESS:
		// Comes back when the first thread has left the address space.
		return process_clone(CLONE_VM | CLONE_VFORK | SIGCHLD, stacks[0] + STACK_WORDS, leave_thread_behind);
	case THREAD_CALLS:
		return call_from_thread(nr);
	default:
		target_die(DIED_OF_OP);
	}
}
