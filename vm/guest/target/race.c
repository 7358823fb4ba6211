// SPDX-License-Identifier: MIT
// The target of a race. Each round it stamps all that an image has of it (memory, registers, the FPU) with one number,
// its time, and stops itself. Stopped again and again, or a new program for each round.
#include "target.h"

u64 race_stamp;

// `executes`: behind each stop execve(path, arguments, environment). The stamp is in bx, and where it stands in memory
// in bp; on i386, where the calls need these, its lower half is in si, and the address in di.
__attribute__((noreturn)) void race_rounds(bool executes, const char *path, char *const *arguments,
					   char *const *environment);

#ifdef __x86_64__
asm(".pushsection .text\n"
    ".globl race_rounds\n"
    "race_rounds:\n"
    "	mov %rdi, %r12\n"
    "	mov %rsi, %r13\n"
    "	mov %rdx, %r14\n"
    "	mov %rcx, %r15\n"
    "1:	mov $39, %eax\n" // getpid
    "	syscall\n"
    "	mov %rax, %rdi\n"
    "	rdtsc\n"
    "	shl $32, %rdx\n"
    "	or %rdx, %rax\n"
    "	mov %rax, %rbx\n"
    "	mov $race_stamp, %ebp\n"
    "	mov %rbx, (%rbp)\n"
    "	fninit\n"
    "	fildll (%rbp)\n"
    "	xor %edx, %edx\n"
    "	mov $19, %esi\n" // SIGSTOP
    "	mov $62, %eax\n" // kill
    "	syscall\n"
    "	test %r12b, %r12b\n"
    "	jz 1b\n"
    "	mov %r13, %rdi\n"
    "	mov %r14, %rsi\n"
    "	mov %r15, %rdx\n"
    "	mov $59, %eax\n" // execve
    "	syscall\n"
    "	hlt\n"
    ".popsection\n");
#else
asm(".pushsection .text\n"
    ".globl race_rounds\n"
    "race_rounds:\n"
    "1:	mov $20, %eax\n" // getpid
    "	int $0x80\n"
    "	mov %eax, %ebx\n"
    "	rdtsc\n"
    "	mov $race_stamp, %edi\n"
    "	mov %eax, %esi\n"
    "	mov %eax, (%edi)\n"
    "	mov %edx, 4(%edi)\n"
    "	fninit\n"
    "	fildll (%edi)\n"
    "	xor %edx, %edx\n"
    "	mov $19, %ecx\n" // SIGSTOP
    "	mov $37, %eax\n" // kill
    "	int $0x80\n"
    "	cmpb $0, 4(%esp)\n"
    "	je 1b\n"
    "	mov 8(%esp), %ebx\n"
    "	mov 12(%esp), %ecx\n"
    "	mov 16(%esp), %edx\n"
    "	mov $11, %eax\n" // execve
    "	int $0x80\n"
    "	hlt\n"
    ".popsection\n");
#endif

// Room for a huge page, wherever it begins.
#define LARGE_BYTES (4UL << 20)

void race_run(char *const *arguments, char *const *environment)
{
	bool executes = text_equal(arguments[1], "executes");
	bool is_large = text_equal(arguments[1], "large");

	if (is_large)
		memset(sys_map_anonymous(LARGE_BYTES, false), 7, LARGE_BYTES);
	if (executes || is_large || text_equal(arguments[1], "stops"))
		race_rounds(executes, arguments[0], arguments, environment);
}
