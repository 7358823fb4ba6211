// SPDX-License-Identifier: MIT
// What the CPU says of a selector, and loading it for real.
#include "target.h"

#include <asm/sigcontext.h>
#include <asm/siginfo.h>
#include <asm/signal.h>
#include <asm/ucontext.h>
#include <linux/auxvec.h>

unsigned long segment_recovery;

s64 segment_access_rights(u32 selector)
{
	u32 rights = 0;
	bool known;

	asm volatile("lar %2, %0" : "=r"(rights), "=@ccz"(known) : "r"(selector), "0"(rights));
	return known ? (s64)rights : -1;
}

s64 segment_limit(u32 selector)
{
	u32 limit = 0;
	bool known;

	asm volatile("lsl %2, %0" : "=r"(limit), "=@ccz"(known) : "r"(selector), "0"(limit));
	return known ? (s64)limit : -1;
}

// Loads a segment register and, if asked to, reads a byte through it. `restore` brings the old selector back, from the
// register that `save` has put it in. Between the two no other memory is touched.
#ifdef __x86_64__
#define IN_REGISTERS
#define SELECTOR "%edi"
#define OFFSET "%rsi"
#define ACCESS "%rdx"
#define SAVED "%ecx"
#define ENTER "	movq $1f, segment_recovery\n"
#define LEAVE "	movq $0, segment_recovery\n"
#else
#define IN_REGISTERS __attribute__((regparm(3)))
#define SELECTOR "%eax"
#define OFFSET "%edx"
#define ACCESS "%ecx"
#define SAVED "%ebx"
#define ENTER "	push %ebx\n	movl $1f, segment_recovery\n"
#define LEAVE "	movl $0, segment_recovery\n	pop %ebx\n"
#endif
#define LOADER(segment, save, restore) \
	".globl segment_load_" #segment "\n" \
	"segment_load_" #segment ":\n" \
	ENTER save \
	"	mov " SELECTOR ", %" #segment "\n" \
	"	mov $0, %eax\n" \
	"	test " ACCESS ", " ACCESS "\n" \
	"	jz 1f\n" \
	"	movzbl %" #segment ":(" OFFSET "), %eax\n" \
	"1:\n" restore LEAVE \
	"	ret\n"
#define SAVE(segment) "	mov %" #segment ", " SAVED "\n"
#define RESTORE(segment) "	mov " SAVED ", %" #segment "\n"

typedef long IN_REGISTERS loader(u32 selector, unsigned long offset, long access);

loader segment_load_es, segment_load_ss, segment_load_ds, segment_load_fs, segment_load_gs;

#ifdef __x86_64__
#define DATA_LOADER(segment) LOADER(segment, "", "")
#else
#define DATA_LOADER(segment) LOADER(segment, SAVE(segment), RESTORE(segment))
#endif

// FS and GS stay loaded, the target does not use them itself; nor does 64-bit code use DS and ES.
asm(".pushsection .text\n"
    DATA_LOADER(es)
    LOADER(ss, SAVE(ss), RESTORE(ss))
    DATA_LOADER(ds)
    LOADER(fs, "", "")
    LOADER(gs, "", "")
    ".popsection\n");

static void on_fault(int signal, siginfo_t *info, struct ucontext *context)
{
	struct sigcontext *registers = &context->uc_mcontext;
	u32 flat;

	(void)info;
	if (segment_recovery == 0) {
		// A fault of the program's own: it happens again, and then it ends the process.
		sys_sigaction(signal, (void *)0 /* SIG_DFL */, 0);
		return;
	}
	asm("mov %%ss, %0" : "=r"(flat));
#ifdef __x86_64__
	registers->rip = segment_recovery;
	registers->rax = (u64)-signal;
	registers->ss = (u16)flat;
#else
	registers->eip = segment_recovery;
	registers->eax = (u32)-signal;
	registers->ss = registers->ds = registers->es = (u16)flat;
#endif
}

// What a step has said of these signals, and of their stack, while faults are caught.
static const int FAULTS[] = { SIGSEGV, SIGBUS };
static struct kernel_sigaction actions[ARRAY_SIZE(FAULTS)];
static stack_t stack_before;

void segment_catch_faults(void)
{
	static u8 signal_stack[32768] __attribute__((aligned(64)));
	stack_t stack = { .ss_sp = signal_stack, .ss_size = sizeof(signal_stack) };

	SYS(sigaltstack, &stack, &stack_before);
	for (size_t i = 0; i < ARRAY_SIZE(FAULTS); i++) {
		SYS(rt_sigaction, FAULTS[i], NULL, &actions[i], sizeof(actions[i].mask));
		sys_sigaction(FAULTS[i], on_fault, SA_ONSTACK);
	}
}

void segment_release_faults(void)
{
	SYS(sigaltstack, &stack_before, 0);
	for (size_t i = 0; i < ARRAY_SIZE(FAULTS); i++)
		SYS(rt_sigaction, FAULTS[i], &actions[i], NULL, sizeof(actions[i].mask));
}

#ifdef __x86_64__
#define HWCAP2_FSGSBASE 2

s64 segment_load_base(u64 which, u64 base)
{
	if ((process_auxiliary(AT_HWCAP2) & HWCAP2_FSGSBASE) == 0)
		return -ENOSYS;
	if (which == 0)
		asm volatile("wrfsbase %0" : : "r"(base));
	else
		asm volatile("wrgsbase %0" : : "r"(base));
	return 0;
}
#else
s64 segment_load_base(u64 which, u64 base)
{
	(void)which;
	(void)base;
	return -ENOSYS;
}
#endif

s64 segment_load(u32 selector, u64 which, u64 offset, bool access)
{
	static loader *const LOADERS[] = {
		segment_load_es, segment_load_ss, segment_load_ds, segment_load_fs, segment_load_gs,
	};

	if (which >= ARRAY_SIZE(LOADERS))
		target_die(DIED_OF_OP);
	segment_catch_faults();
	s64 result = LOADERS[which](selector, (unsigned long)offset, access);

	segment_release_faults();
	return result;
}
