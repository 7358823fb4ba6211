// SPDX-License-Identifier: MIT
// The target's relatives: bystanders that only exist, and the wait for a child.
#include <asm/signal.h>
#include <linux/auxvec.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include "../common/syscall.h"
#include "target.h"

// Touches no memory: it asks to die with its parent, then sleeps for ever.
void sleeper(void);

// The child continues at `function` on a stack of its own, which ends below `stack`, and never comes back.
#ifdef __x86_64__
asm(".pushsection .text\n"
    ".globl process_clone\n"
    "process_clone:\n"
    "	mov %rdx, %r9\n"
    "	xor %edx, %edx\n"
    "	xor %r10d, %r10d\n"
    "	xor %r8d, %r8d\n"
    "	mov $56, %eax\n" // clone
    "	syscall\n"
    "	test %rax, %rax\n"
    "	jz 1f\n"
    "	ret\n"
    "1:	jmp *%r9\n"
    "sleeper:\n"
    "	mov $1, %edi\n" // PR_SET_PDEATHSIG
    "	mov $9, %esi\n" // SIGKILL
    "	mov $157, %eax\n" // prctl
    "	syscall\n"
    "1:	mov $34, %eax\n" // pause
    "	syscall\n"
    "	jmp 1b\n"
    ".popsection\n");
#else
asm(".pushsection .text\n"
    ".globl process_clone\n"
    "process_clone:\n"
    "	push %ebp\n"
    "	push %edi\n"
    "	push %esi\n"
    "	push %ebx\n"
    "	mov 20(%esp), %ebx\n"
    "	mov 24(%esp), %ecx\n"
    "	mov 28(%esp), %ebp\n"
    "	xor %edx, %edx\n"
    "	xor %esi, %esi\n"
    "	xor %edi, %edi\n"
    "	mov $120, %eax\n" // clone
    "	int $0x80\n"
    "	test %eax, %eax\n"
    "	jz 1f\n"
    "	pop %ebx\n"
    "	pop %esi\n"
    "	pop %edi\n"
    "	pop %ebp\n"
    "	ret\n"
    "1:	jmp *%ebp\n"
    "sleeper:\n"
    "	mov $1, %ebx\n" // PR_SET_PDEATHSIG
    "	mov $9, %ecx\n" // SIGKILL
    "	mov $172, %eax\n" // prctl
    "	int $0x80\n"
    "1:	mov $29, %eax\n" // pause
    "	int $0x80\n"
    "	jmp 1b\n"
    ".popsection\n");
#endif

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
}

s64 process_auxiliary(u64 type)
{
	for (const unsigned long *entry = auxiliary_vector; entry[0] != AT_NULL; entry += 2)
		if (entry[0] == type)
			return (s64)entry[1];
	return -ENOENT;
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

	return result < 0 && result >= -4095 ? result : (s64)(u32)result;
}
#else
s64 process_syscall32(const long numbers[7])
{
	return target_result(sys_call(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5],
				      numbers[6]));
}
#endif

void process_wait_for(long child)
{
	int status;

	sys_wait(child, &status, 0);
}

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

// A thread, or a process of its own, in this address space.
s64 process_start_sleeper(bool own_process)
{
	static u64 stack[8] __attribute__((aligned(64)));

	return process_clone(own_process ? CLONE_VM | SIGCHLD :
					   CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
						   CLONE_SYSVSEM,
			     &stack[8], sleeper);
}
