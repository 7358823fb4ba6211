// SPDX-License-Identifier: MIT
// The stop: known values in the registers, then SIGSTOP to itself.
#include "target.h"

#include <asm/signal.h>

// What the registers are to hold. The offsets are those that the code below uses.
struct register_block {
	u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, sp; // 0 to 120
	u64 flags; // 128
	u64 xstate_offset; // 136; from the block's start, 0: none
	u64 xstate_mode; // 144; 0: fxrstor, 1: xrstor of everything
	u64 fs, gs, ds, es; // 152 to 176; selector | 1 << 16, 0: leave it
	u64 cs; // the same: of a flat segment of 32 bits, in which the call is made
};

_Static_assert(offsetof(struct register_block, flags) == 128, "as the code below has it");
_Static_assert(offsetof(struct register_block, fs) == 152, "as the code below has it");

// Far pointers, the selector in the upper half: to the code that makes the call, and to the rest. On x86-64 `far` 0 is
// for this code itself: other segments are of 32 bits, and call as such code does. Jumps, since the far return of QEMU
// reads the stack as the kernel does, which SMAP forbids.
void stop_with(const struct register_block *block, unsigned long pid, unsigned long kill_nr, u64 far, u64 home);
extern char stop_resume[], stop_far[], stop_resume_far[];
#ifndef __x86_64__
extern char stop_home[];
#endif

// The call takes its number and its two arguments from the stack, so that all other registers are the
// block's. On x86-64 the syscall instruction itself sets cx (to the next instruction) and r11 (to the
// flags).
#ifdef __x86_64__
#define LOAD_SEGMENT(offset, segment) \
	"	mov " #offset "(%rdi), %rax\n" \
	"	bt $16, %rax\n" \
	"	jnc 1f\n" \
	"	mov %eax, %" #segment "\n" \
	"1:\n"

asm(".pushsection .text\n"
    ".globl stop_with\n"
    "stop_with:\n"
    "	push %rbx\n"
    "	push %rbp\n"
    "	push %r12\n"
    "	push %r13\n"
    "	push %r14\n"
    "	push %r15\n"
    "	pushfq\n"
    "	mov %ds, %eax\n"
    "	push %rax\n"
    "	mov %es, %eax\n"
    "	push %rax\n"
    "	push %rcx\n"
    "	push %rsi\n"
    "	push %rdx\n"
    "	test %rdi, %rdi\n"
    "	jz 4f\n"
    LOAD_SEGMENT(152, fs)
    LOAD_SEGMENT(160, gs)
    LOAD_SEGMENT(168, ds)
    LOAD_SEGMENT(176, es)
    "	mov 136(%rdi), %rcx\n"
    "	test %rcx, %rcx\n"
    "	jz 3f\n"
    "	add %rdi, %rcx\n"
    "	cmpq $1, 144(%rdi)\n"
    "	je 2f\n"
    "	fxrstor64 (%rcx)\n"
    "	jmp 3f\n"
    "2:	mov $-1, %eax\n"
    "	mov $-1, %edx\n"
    "	xrstor64 (%rcx)\n"
    "3:	cmpq $0, 16(%rsp)\n"
    "	jne 5f\n"
    "	pushq 128(%rdi)\n"
    "	popfq\n"
    "	mov 0(%rdi), %r15\n"
    "	mov 8(%rdi), %r14\n"
    "	mov 16(%rdi), %r13\n"
    "	mov 24(%rdi), %r12\n"
    "	mov 32(%rdi), %rbp\n"
    "	mov 40(%rdi), %rbx\n"
    "	mov 48(%rdi), %r11\n"
    "	mov 56(%rdi), %r10\n"
    "	mov 64(%rdi), %r9\n"
    "	mov 72(%rdi), %r8\n"
    "	mov 88(%rdi), %rcx\n"
    "	mov 96(%rdi), %rdx\n"
    "4:	mov (%rsp), %rax\n"
    "	mov 8(%rsp), %rdi\n"
    "	mov $19, %esi\n" // SIGSTOP
    "	syscall\n"
    ".globl stop_resume\n"
    "stop_resume:\n"
    "	add $24, %rsp\n"
    "	pop %rax\n"
    "	mov %eax, %es\n"
    "	pop %rax\n"
    "	mov %eax, %ds\n"
    "	popfq\n"
    "	pop %r15\n"
    "	pop %r14\n"
    "	pop %r13\n"
    "	pop %r12\n"
    "	pop %rbp\n"
    "	pop %rbx\n"
    "	ret\n"
    // The processor keeps 32 bits of the stack pointer there.
    "5:	mov %rsp, stop_stack(%rip)\n"
    "	mov (%rsp), %rax\n"
    "	mov 8(%rsp), %rbx\n"
    "	mov $19, %ecx\n" // SIGSTOP
    "	pushq 128(%rdi)\n"
    "	popfq\n"
    "	ljmp *16(%rsp)\n"
    ".code32\n"
    ".globl stop_far, stop_resume_far\n"
    "stop_far:\n"
    "	int $0x80\n"
    "stop_resume_far:\n"
    "	ljmp $0x33, $6f\n" // __USER_CS
    ".code64\n"
    "6:	mov stop_stack(%rip), %rsp\n"
    "	jmp stop_resume\n"
    ".lcomm stop_stack, 8\n"
    ".popsection\n");
#else
// ebp addresses through the stack segment, so the block stays in reach whatever ds is.
#define LOAD_SEGMENT(offset, segment) \
	"	mov " #offset "(%ebp), %eax\n" \
	"	bt $16, %eax\n" \
	"	jnc 1f\n" \
	"	mov %eax, %" #segment "\n" \
	"1:\n"

asm(".pushsection .text\n"
    ".globl stop_with\n"
    "stop_with:\n"
    "	push %ebp\n"
    "	push %ebx\n"
    "	push %esi\n"
    "	push %edi\n"
    "	pushfl\n"
    "	mov 24(%esp), %ebp\n"
    "	test %ebp, %ebp\n"
    "	jz 4f\n"
    LOAD_SEGMENT(152, fs)
    LOAD_SEGMENT(160, gs)
    LOAD_SEGMENT(176, es)
    "	mov 136(%ebp), %ecx\n"
    "	test %ecx, %ecx\n"
    "	jz 3f\n"
    "	add %ebp, %ecx\n"
    "	cmpl $1, 144(%ebp)\n"
    "	je 2f\n"
    "	fxrstor (%ecx)\n"
    "	jmp 3f\n"
    "2:	mov $-1, %eax\n"
    "	mov $-1, %edx\n"
    "	xrstor (%ecx)\n"
    "3:\n"
    LOAD_SEGMENT(168, ds)
    "	pushl 128(%ebp)\n"
    "	popfl\n"
    "	mov 96(%ebp), %edx\n"
    "	mov 104(%ebp), %esi\n"
    "	mov 112(%ebp), %edi\n"
    "	mov 32(%ebp), %ebp\n"
    "4:	mov 32(%esp), %eax\n"
    "	mov 28(%esp), %ebx\n"
    "	mov $19, %ecx\n" // SIGSTOP
    "	ljmp *36(%esp)\n"
    ".globl stop_far, stop_resume, stop_resume_far, stop_home\n"
    "stop_far:\n"
    "	int $0x80\n"
    "stop_resume:\n"
    "stop_resume_far:\n"
    "	ljmp *44(%esp)\n"
    "stop_home:\n"
    "	push %ss\n"
    "	pop %ds\n"
    "	push %ss\n"
    "	pop %es\n"
    "	popfl\n"
    "	pop %edi\n"
    "	pop %esi\n"
    "	pop %ebx\n"
    "	pop %ebp\n"
    "	ret\n"
    ".popsection\n");
#endif

// The pid by which the agent knows this process: /proc is that of the agent's pid namespace. Without /proc, after
// chroot(2), it is the own one.
static u64 outer_pid(u64 own)
{
	char link[24] = "";
	const char *at = link;
	u64 pid;

	SYS(readlink, "/proc/self", link, sizeof(link) - 1);
	return text_digits(&at, 10, &pid) ? pid : own;
}

void target_stop(u32 label, u64 kill_nr, const void *block, u64 busy)
{
	const struct register_block *registers = block;
	u64 self = (u64)SYS(getpid);
	u64 far = registers != NULL ? (u64)(u16)registers->cs << 32 : 0;
	u64 home = 0;
#ifndef __x86_64__
	u32 code;

	asm("mov %%cs, %0" : "=r"(code));
	home = (u64)code << 32 | (u32)stop_home;
	if (far == 0)
		far = (u64)code << 32;
#endif
	if (far != 0)
		far |= (unsigned long)stop_far;
	struct event event = {
		.is_busy = busy != BUSY_NOT,
		.label = label,
		.pid = outer_pid(self),
		.scratch = (unsigned long)target_scratch,
		.resume_address = (unsigned long)(far != 0 ? stop_resume_far : stop_resume),
	};

	if (busy != BUSY_NOT)
		busy_prepare();
	if (SYS(write, EVENT_FD, &event, sizeof(event)) != sizeof(event))
		target_die(DIED_OF_EVENT);
	if (busy != BUSY_NOT)
		busy_wait(busy);
	else
		stop_with(registers, (unsigned long)self, kill_nr != 0 ? (unsigned long)kill_nr : __NR_kill, far,
			  home);
}
