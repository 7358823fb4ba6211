// SPDX-License-Identifier: GPL-2.0
/*
 *  Restart - architecture specific support for x86: registers
 */

#define pr_fmt(fmt) "c/r: " fmt

#include <linux/checkpoint.h>
#include <linux/checkpoint_restart.h>
#include <linux/cpufeature.h>
#include <linux/mm_types.h>
#include <linux/mmu_context.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>

#include <asm/desc.h>
#include <asm/fpu/restart.h>
#include <asm/fsgsbase.h>
#include <asm/processor-flags.h>
#include <asm/ptrace.h>
#include <asm/segment.h>
#include <asm/syscall.h>

#include "restart.h"

/* flags that a program can set, and those that it has at all times */
#define CR_FLAGS_FREE	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF |	\
			 X86_EFLAGS_ZF | X86_EFLAGS_SF | X86_EFLAGS_TF |	\
			 X86_EFLAGS_DF | X86_EFLAGS_OF | X86_EFLAGS_NT |	\
			 X86_EFLAGS_RF | X86_EFLAGS_AC | X86_EFLAGS_ID)
#define CR_FLAGS_SET	(X86_EFLAGS_FIXED | X86_EFLAGS_IF)

#define CR_DESC_CODE	8	/* of desc_struct.type */
#define CR_DESC_RW	2	/* data can be written, code can be read */

static unsigned int cr_x86_index(u64 selector)
{
	return selector >> 3;
}

/* the descriptor of a selector that is not the kernel's, or NULL */
static const struct desc_struct *cr_x86_desc(const struct cr_restart *r, u64 sel)
{
	const struct desc_struct *desc = NULL;
	unsigned int idx = cr_x86_index(sel);

	if (sel & SEGMENT_TI_MASK) {
#ifdef CONFIG_MODIFY_LDT_SYSCALL
		const struct ldt_struct *ldt = r->mm->context.ldt;

		if (ldt && idx < ldt->nr_entries)
			desc = &ldt->entries[idx];
#endif
	} else if (idx >= GDT_ENTRY_TLS_MIN && idx <= GDT_ENTRY_TLS_MAX) {
		desc = &r->arch->tls[idx - GDT_ENTRY_TLS_MIN];
	}

	return desc && desc->p ? desc : NULL;
}

/* a selector of the GDT that any program may load into ds, es, fs and gs */
static bool cr_x86_is_user_entry(unsigned int idx)
{
	switch (idx) {
#ifdef CONFIG_X86_64
	case GDT_ENTRY_DEFAULT_USER32_CS:
#endif
#ifdef GDT_ENTRY_CPUNODE
	case GDT_ENTRY_CPUNODE:
#endif
	case GDT_ENTRY_DEFAULT_USER_CS:
	case GDT_ENTRY_DEFAULT_USER_DS:
		return true;
	default:
		return false;
	}
}

/*
 * The kernel loads these, at a privilege level that may load anything: what
 * the descriptor says must be enough for a program. Its RPL does not matter.
 */
static bool cr_x86_data_ok(const struct cr_restart *r, u64 sel)
{
	const struct desc_struct *desc;

	if (sel >> 16)
		return false;
	if (!(sel & ~(u64)SEGMENT_RPL_MASK))
		return true;
	if (!(sel & SEGMENT_TI_MASK) && cr_x86_is_user_entry(cr_x86_index(sel)))
		return true;
	desc = cr_x86_desc(r, sel);
	return desc && (!(desc->type & CR_DESC_CODE) || desc->type & CR_DESC_RW);
}

static bool cr_x86_code_ok(const struct cr_restart *r, u64 sel)
{
	const struct desc_struct *desc;

	if (sel == __USER_CS)
		return true;
#ifdef CONFIG_X86_64
	if (sel == __USER32_CS)
		return true;
#endif
	if (sel >> 16 || (sel & SEGMENT_RPL_MASK) != USER_RPL)
		return false;
	desc = cr_x86_desc(r, sel);
	return desc && desc->type & CR_DESC_CODE;
}

static bool cr_x86_stack_ok(const struct cr_restart *r, u64 sel)
{
	const struct desc_struct *desc;

	if (sel == __USER_DS)
		return true;
	if (sel >> 16 || (sel & SEGMENT_RPL_MASK) != USER_RPL)
		return false;
	desc = cr_x86_desc(r, sel);
	return desc && !(desc->type & CR_DESC_CODE) && desc->type & CR_DESC_RW;
}

#ifdef CONFIG_X86_64
/* has the program as many bits as the caller? a segment of its own says nothing */
static bool cr_x86_bits_ok(const struct cr_hdr_cpu *hh)
{
	if (test_thread_flag(TIF_ADDR32))
		return hh->cs != __USER_CS;
	return hh->cs != __USER32_CS;
}

/* where code and stack are is the program's affair: a wild jump is its end */
static bool cr_x86_widths_ok(const struct cr_hdr_cpu *hh)
{
	return !(test_thread_flag(TIF_ADDR32) && (hh->ip >> 32 || hh->sp >> 32));
}
#else
static bool cr_x86_bits_ok(const struct cr_hdr_cpu *hh)
{
	return true;
}

static bool cr_x86_widths_ok(const struct cr_hdr_cpu *hh)
{
	const u64 none = hh->r15 | hh->r14 | hh->r13 | hh->r12 | hh->r11 |
			 hh->r10 | hh->r9 | hh->r8;
	const u64 wide = hh->bp | hh->bx | hh->ax | hh->cx | hh->dx | hh->si |
			 hh->di | hh->orig_ax | hh->ip | hh->sp;
	const u64 debug = hh->debugreg0 | hh->debugreg1 | hh->debugreg2 |
			  hh->debugreg3;

	return !none && !((wide | debug) >> 32);
}
#endif

/**
 * cr_x86_check_regs - can a program have these registers?
 * @r: restart context; debug registers in it are of no interest
 *
 * Return: 0, -EINVAL, or -ENOEXEC for a program that is not like the caller.
 */
int cr_x86_check_regs(const struct cr_restart *r)
{
	const struct cr_hdr_cpu *hh = &r->arch->cpu;

	if ((hh->flags & ~(u64)CR_FLAGS_FREE) != CR_FLAGS_SET ||
	    hh->used_math != 1)
		return -EINVAL;
	if (!cr_x86_code_ok(r, hh->cs) || !cr_x86_stack_ok(r, hh->ss) ||
	    !cr_x86_data_ok(r, hh->ds) || !cr_x86_data_ok(r, hh->es) ||
	    !cr_x86_data_ok(r, hh->fs) || !cr_x86_data_ok(r, hh->gs))
		return -EINVAL;
	/* debuggers cannot set what is not there */
	if (hh->debugreg6 >> 32 || hh->debugreg7 >> 32)
		return -EINVAL;
	if (!cr_x86_bits_ok(hh))
		return -ENOEXEC;
	return cr_x86_widths_ok(hh) ? 0 : -EINVAL;
}

#ifdef CONFIG_X86_64
static bool cr_x86_is_canonical(u64 addr)
{
	/* not x86_virt_bits: the CPU may have more than the kernel uses */
	unsigned int shift = 64 - (__VIRTUAL_MASK_SHIFT + 1);

	return (u64)((s64)(addr << shift) >> shift) == addr;
}

/* can fs or gs have this base? */
static bool cr_x86_base_ok(const struct cr_restart *r, u64 sel, u64 base)
{
	const struct desc_struct *desc;

	/* a program can set any that the CPU takes */
	if (boot_cpu_has(X86_FEATURE_FSGSBASE))
		return cr_x86_is_canonical(base);
	/* or ask for it; with a segment, base and selector go together */
	if (!sel)
		return base < TASK_SIZE_MAX;
	desc = cr_x86_desc(r, sel);
	return base == (desc ? get_desc_base(desc) : 0);
}

/**
 * cr_x86_check_bases - can a program have these bases of fs and gs?
 * @r: restart context
 *
 * Return: 0, or -EINVAL.
 */
int cr_x86_check_bases(const struct cr_restart *r)
{
	const struct cr_arch_restart *arch = r->arch;

	if (!cr_x86_base_ok(r, arch->cpu.fs, arch->bases.fsbase) ||
	    !cr_x86_base_ok(r, arch->cpu.gs, arch->bases.gsbase))
		return -EINVAL;
	return 0;
}

/* segments before bases: to load one changes the other */
static void cr_x86_load_segments(const struct cr_arch_restart *arch)
{
	const struct cr_hdr_cpu *hh = &arch->cpu;
	bool bases = boot_cpu_has(X86_FEATURE_FSGSBASE);

	cr_x86_reset_features();
	preempt_disable();
	loadsegment(ds, hh->ds);
	loadsegment(es, hh->es);
	loadsegment(fs, hh->fs);
	load_gs_index(hh->gs);
	if (bases || !hh->fs) {
		x86_fsbase_write_cpu(arch->bases.fsbase);
		current->thread.fsbase = arch->bases.fsbase;
	}
	if (bases || !hh->gs) {
		x86_gsbase_write_cpu_inactive(arch->bases.gsbase);
		current->thread.gsbase = arch->bases.gsbase;
	}
	preempt_enable();
}

static void cr_x86_set_arch_regs(struct pt_regs *regs,
				 const struct cr_arch_restart *arch)
{
	const struct cr_hdr_cpu *hh = &arch->cpu;

	regs->r15 = hh->r15;
	regs->r14 = hh->r14;
	regs->r13 = hh->r13;
	regs->r12 = hh->r12;
	regs->r11 = hh->r11;
	regs->r10 = hh->r10;
	regs->r9 = hh->r9;
	regs->r8 = hh->r8;
	cr_x86_load_segments(arch);
}
#else
int cr_x86_check_bases(const struct cr_restart *r)
{
	return 0;
}

static void cr_x86_set_arch_regs(struct pt_regs *regs,
				 const struct cr_arch_restart *arch)
{
	regs->ds = arch->cpu.ds;
	regs->es = arch->cpu.es;
	regs->fs = arch->cpu.fs;
	preempt_disable();
	loadsegment(gs, arch->cpu.gs);
	current->thread.gs = arch->cpu.gs;
	preempt_enable();
}
#endif

static void cr_x86_load_tls(const struct cr_arch_restart *arch)
{
	int cpu = get_cpu();

	memcpy(current->thread.tls_array, arch->tls, sizeof(arch->tls));
	load_TLS(&current->thread, cpu);
	put_cpu();
}

/**
 * cr_commit_arch - give the caller its new registers
 * @r: restart context, whose address space is the caller's now
 *
 * Nothing here can fail: all was looked at before.
 */
void cr_commit_arch(struct cr_restart *r)
{
	const struct cr_arch_restart *arch = r->arch;
	const struct cr_hdr_cpu *hh = &arch->cpu;
	struct pt_regs *regs = current_pt_regs();

	cr_x86_load_tls(arch);
	cr_x86_set_arch_regs(regs, arch);

	regs->bp = hh->bp;
	regs->bx = hh->bx;
	regs->ax = hh->ax;
	regs->cx = hh->cx;
	regs->dx = hh->dx;
	regs->si = hh->si;
	regs->di = hh->di;
	regs->orig_ax = hh->orig_ax;
	regs->ip = hh->ip;
	regs->cs = hh->cs;
	regs->flags = hh->flags;
	regs->sp = hh->sp;
	regs->ss = hh->ss;
	/* a tracer that steps takes the trap flag away, unless it is the program's */
	update_thread_flag(TIF_FORCED_TF,
			   test_thread_flag(TIF_SINGLESTEP) &&
			   !(hh->flags & X86_EFLAGS_TF));

	fpu_restart(arch->xstate, arch->xstate_size);

	/*
	 * A system call that was interrupted starts again, or ends, on the way
	 * to user space, as it would have where it was saved. Nobody sent a
	 * signal: the flag is enough, and goes away by itself.
	 */
	if (syscall_get_nr(current, regs) != -1)
		set_thread_flag(TIF_SIGPENDING);
}
