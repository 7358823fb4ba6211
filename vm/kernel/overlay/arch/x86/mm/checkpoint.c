// SPDX-License-Identifier: GPL-2.0
/*
 *  Checkpoint/restart - architecture specific support for x86
 *
 *  Copyright (C) 2008 Oren Laadan
 */

#define pr_fmt(fmt) "c/r: " fmt

#include <linux/build_bug.h>
#include <linux/checkpoint.h>
#include <linux/cpufeature.h>
#include <linux/elf.h>
#include <linux/hw_breakpoint.h>
#include <linux/mm.h>
#include <linux/mmu_context.h>
#include <linux/perf_event.h>
#include <linux/processor.h>
#include <linux/regset.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include <uapi/asm/checkpoint_hdr.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/ldt.h>
#include <asm/ptrace.h>
#include <asm/segment.h>

#include "restart.h"

/* the format is cast in stone: see also checkpoint/checkpoint.c */
static_assert(sizeof(struct cr_hdr_head_arch) == 8);
static_assert(offsetof(struct cr_hdr_head_arch, has_xsave) == 2);
static_assert(offsetof(struct cr_hdr_head_arch, xstate_size) == 4);
static_assert(sizeof(struct cr_hdr_thread) == 8);
static_assert(offsetof(struct cr_hdr_thread, sizeof_tls_array) == 2);
static_assert(offsetof(struct cr_hdr_thread, ntls) == 4);
static_assert(sizeof(struct cr_hdr_cpu) == 272);
static_assert(offsetof(struct cr_hdr_cpu, ax) == 80);
static_assert(offsetof(struct cr_hdr_cpu, orig_ax) == 120);
static_assert(offsetof(struct cr_hdr_cpu, ip) == 128);
static_assert(offsetof(struct cr_hdr_cpu, ss) == 160);
static_assert(offsetof(struct cr_hdr_cpu, gs) == 192);
static_assert(offsetof(struct cr_hdr_cpu, debugreg0) == 200);
static_assert(offsetof(struct cr_hdr_cpu, debugreg7) == 256);
static_assert(offsetof(struct cr_hdr_cpu, uses_debug) == 264);
static_assert(offsetof(struct cr_hdr_cpu, used_math) == 268);
static_assert(sizeof(struct cr_hdr_mm_context) == 8);
static_assert(offsetof(struct cr_hdr_mm_context, nldt) == 2);
static_assert(sizeof(struct cr_hdr_x86_fsgsbase) == 16);
static_assert(offsetof(struct cr_hdr_x86_fsgsbase, gsbase) == 8);

/*
 * The register set that has all of the user's FPU state. How the kernel keeps
 * that state is its own business (compacted, with supervisor components, with
 * leftovers in unused ones): the register set is what debuggers get.
 */
static const struct user_regset *cr_fpu_regset(struct task_struct *t)
{
	static const unsigned int types[] = {
		NT_X86_XSTATE,		/* XSAVE */
		NT_PRXFPREG,		/* FXSAVE, on 32 bit */
		NT_PRFPREG,		/* FXSAVE, or FSAVE on 32 bit */
	};
	const struct user_regset_view *view = task_user_regset_view(t);
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		for (j = 0; j < view->n; j++) {
			const struct user_regset *regset = &view->regsets[j];

			if (regset->core_note_type == types[i] &&
			    regset->active(t, regset) > 0)
				return regset;
		}
	}

	return NULL;
}

/**
 * cr_x86_xstate_size - bytes of FPU state in an image
 * @t: task
 *
 * Return: the size of the register set that has all of it.
 */
unsigned int cr_x86_xstate_size(struct task_struct *t)
{
	const struct user_regset *regset = cr_fpu_regset(t);

	return regset->n * regset->size;
}

/**
 * cr_write_head_arch - write what an image depends on in the CPU
 * @ctx: checkpoint context
 * @t: task
 *
 * Return: 0, or an error.
 */
int cr_write_head_arch(struct cr_ctx *ctx, struct task_struct *t)
{
	struct cr_hdr h = {
		.type = CR_HDR_HEAD_ARCH,
		.len = sizeof(struct cr_hdr_head_arch),
	};
	struct cr_hdr_head_arch hh = {
		.has_fxsr = boot_cpu_has(X86_FEATURE_FXSR),
		.has_xsave = boot_cpu_has(X86_FEATURE_XSAVE),
		.xstate_size = cr_x86_xstate_size(t),
	};

	return cr_write_obj(ctx, &h, &hh);
}

/**
 * cr_write_thread - dump the thread_struct of a task: its TLS array
 * @ctx: checkpoint context
 * @t: task
 *
 * Return: 0, or an error.
 */
int cr_write_thread(struct cr_ctx *ctx, struct task_struct *t)
{
	struct desc_struct tls[GDT_ENTRY_TLS_ENTRIES];
	struct cr_hdr h = {
		.type = CR_HDR_THREAD,
		.len = sizeof(struct cr_hdr_thread),
		.parent = task_pid_vnr(t),
	};
	struct cr_hdr_thread hh = {
		.gdt_entry_tls_entries = GDT_ENTRY_TLS_ENTRIES,
		.sizeof_tls_array = sizeof(tls),
	};
	int i, ret;

	/* a tracer may set entries between the writes: one look for both */
	memcpy(tls, t->thread.tls_array, sizeof(tls));
	for (i = 0; i < GDT_ENTRY_TLS_ENTRIES; i++)
		hh.ntls += !desc_empty(&tls[i]);

	cr_debug("ntls %d\n", hh.ntls);

	ret = cr_write_obj(ctx, &h, &hh);
	if (ret || !hh.ntls)
		return ret;
	return cr_kwrite(ctx, tls, sizeof(tls));
}

#ifdef CONFIG_X86_64
static void cr_save_arch_regs(struct cr_hdr_cpu *hh, struct task_struct *t,
			      const struct pt_regs *regs)
{
	const struct thread_struct *thread = &t->thread;

	hh->r15 = regs->r15;
	hh->r14 = regs->r14;
	hh->r13 = regs->r13;
	hh->r12 = regs->r12;
	hh->r11 = regs->r11;
	hh->r10 = regs->r10;
	hh->r9 = regs->r9;
	hh->r8 = regs->r8;

	if (t == current) {
		savesegment(ds, hh->ds);
		savesegment(es, hh->es);
		savesegment(fs, hh->fs);
		savesegment(gs, hh->gs);
	} else {
		hh->ds = thread->ds;
		hh->es = thread->es;
		hh->fs = thread->fsindex;
		hh->gs = thread->gsindex;
	}
}

/*
 * The base of a segment, where the CPU took it from a descriptor. Like
 * x86_fsgsbase_read_task(), but for a task that may be dying: t->mm is not
 * safe to use, the address space that we hold a reference to is.
 */
static unsigned long cr_desc_base(struct task_struct *t, struct mm_struct *mm,
				  unsigned int selector)
{
	unsigned int idx = selector >> 3;
	unsigned long base = 0;

	if (!(selector & SEGMENT_TI_MASK)) {
		if (idx >= GDT_ENTRY_TLS_MIN && idx <= GDT_ENTRY_TLS_MAX)
			base = get_desc_base(&t->thread.tls_array[idx -
							GDT_ENTRY_TLS_MIN]);
		return base;
	}

#ifdef CONFIG_MODIFY_LDT_SYSCALL
	mutex_lock(&mm->context.lock);
	if (mm->context.ldt && idx < mm->context.ldt->nr_entries)
		base = get_desc_base(mm->context.ldt->entries + idx);
	mutex_unlock(&mm->context.lock);
#endif
	return base;
}

/* v11 has no room for the bases of fs and gs */
static int cr_write_fsgsbase(struct cr_ctx *ctx, struct task_struct *t)
{
	const struct thread_struct *thread = &t->thread;
	struct cr_hdr h = {
		.type = CR_HDR_X86_FSGSBASE,
		.len = sizeof(struct cr_hdr_x86_fsgsbase),
		.parent = task_pid_vnr(t),
	};
	struct cr_hdr_x86_fsgsbase hh;

	if (t == current) {
		hh.fsbase = x86_fsbase_read_cpu();
		hh.gsbase = x86_gsbase_read_cpu_inactive();
	} else {
		bool bases = boot_cpu_has(X86_FEATURE_FSGSBASE);

		hh.fsbase = bases || !thread->fsindex ? thread->fsbase :
			    cr_desc_base(t, ctx->mm, thread->fsindex);
		hh.gsbase = bases || !thread->gsindex ? thread->gsbase :
			    cr_desc_base(t, ctx->mm, thread->gsindex);
	}

	return cr_write_obj(ctx, &h, &hh);
}
#else /* CONFIG_X86_32 */
static void cr_save_arch_regs(struct cr_hdr_cpu *hh, struct task_struct *t,
			      const struct pt_regs *regs)
{
	/* the upper halves of the slots on the stack are undefined */
	hh->ds = (u16)regs->ds;
	hh->es = (u16)regs->es;
	hh->fs = (u16)regs->fs;

	/* the kernel has no use for gs: it is only saved when tasks switch */
	if (t == current) {
		u16 gs;

		savesegment(gs, gs);
		hh->gs = gs;
	} else {
		hh->gs = (u16)t->thread.gs;
	}
}

static int cr_write_fsgsbase(struct cr_ctx *ctx, struct task_struct *t)
{
	return 0;
}
#endif

static void cr_save_cpu_regs(struct cr_hdr_cpu *hh, struct task_struct *t)
{
	const struct pt_regs *regs = task_pt_regs(t);

	cr_save_arch_regs(hh, t, regs);

	hh->bp = regs->bp;
	hh->bx = regs->bx;
	hh->ax = regs->ax;
	hh->cx = regs->cx;
	hh->dx = regs->dx;
	hh->si = regs->si;
	hh->di = regs->di;
	hh->orig_ax = regs->orig_ax;
	hh->ip = regs->ip;
	hh->cs = (u16)regs->cs;
	hh->flags = regs->flags;
	hh->sp = regs->sp;
	hh->ss = (u16)regs->ss;

	/* a trap flag that a debugger has set is not the task's own */
	if (test_tsk_thread_flag(t, TIF_FORCED_TF))
		hh->flags &= ~X86_EFLAGS_TF;

	/* what the call returns in a task that is restarted from its image */
	if (t == current)
		hh->ax = 0;
}

static unsigned long cr_bp_address(struct perf_event *bp)
{
	return bp ? counter_arch_bp(bp)->address : 0;
}

/*
 * Debug registers belong to the debugger of the task, who sets them while it
 * is stopped. They go away when the task dies or executes another program:
 * not as long as it is stopped, and not as long as siglock is held.
 */
static int cr_save_cpu_debug(struct cr_hdr_cpu *hh, struct task_struct *t)
{
	struct thread_struct *thread = &t->thread;
	unsigned long flags;
	int ret = -EBUSY;

	if (!lock_task_sighand(t, &flags))
		return ret;

	if (t == current || cr_task_stopped(t)) {
		hh->debugreg0 = cr_bp_address(thread->ptrace_bps[0]);
		hh->debugreg1 = cr_bp_address(thread->ptrace_bps[1]);
		hh->debugreg2 = cr_bp_address(thread->ptrace_bps[2]);
		hh->debugreg3 = cr_bp_address(thread->ptrace_bps[3]);
		/* kept with the polarity of the CPU's reset state flipped */
		hh->debugreg6 = thread->virtual_dr6 ^ DR6_RESERVED;
		hh->debugreg7 = thread->ptrace_dr7;
		hh->uses_debug = !!hh->debugreg7;
		ret = 0;
	}

	unlock_task_sighand(t, &flags);
	return ret;
}

/* dump the user's FPU state */
static int cr_write_cpu_fpu(struct cr_ctx *ctx, struct task_struct *t)
{
	const struct user_regset *regset = cr_fpu_regset(t);
	unsigned int size = regset->n * regset->size;
	void *buf;
	int ret;

	ret = regset_get_alloc(t, regset, size, &buf);
	if (ret < 0)
		return ret;

	ret = ret == size ? cr_kwrite(ctx, buf, size) : -EIO;
	kvfree(buf);
	return ret;
}

/**
 * cr_write_cpu - dump the registers of a task
 * @ctx: checkpoint context
 * @t: task
 *
 * Return: 0, or an error.
 */
int cr_write_cpu(struct cr_ctx *ctx, struct task_struct *t)
{
	struct cr_hdr h = {
		.type = CR_HDR_CPU,
		.len = sizeof(struct cr_hdr_cpu),
		.parent = task_pid_vnr(t),
	};
	struct cr_hdr_cpu hh = { .used_math = 1 };
	int ret;

	cr_save_cpu_regs(&hh, t);
	ret = cr_save_cpu_debug(&hh, t);
	if (ret)
		return ret;

	cr_debug("math %d debug %d\n", hh.used_math, hh.uses_debug);

	ret = cr_write_obj(ctx, &h, &hh);
	if (ret)
		return ret;
	ret = cr_write_cpu_fpu(ctx, t);
	if (ret)
		return ret;
	return cr_write_fsgsbase(ctx, t);
}

#ifdef CONFIG_MODIFY_LDT_SYSCALL
/*
 * Copy the LDT, so that nothing is written while its lock is held. Returns
 * the number of entries; @entries is to be freed by kvfree().
 */
static int cr_copy_ldt(struct mm_struct *mm, struct desc_struct **entries)
{
	const struct ldt_struct *ldt;
	int nr = 0;

	*entries = NULL;

	mutex_lock(&mm->context.lock);
	ldt = mm->context.ldt;
	if (ldt) {
		nr = ldt->nr_entries;
		*entries = kvmalloc_array(nr, LDT_ENTRY_SIZE, GFP_KERNEL);
		if (*entries)
			memcpy(*entries, ldt->entries, nr * LDT_ENTRY_SIZE);
		else
			nr = -ENOMEM;
	}
	mutex_unlock(&mm->context.lock);

	return nr;
}
#else
static int cr_copy_ldt(struct mm_struct *mm, struct desc_struct **entries)
{
	*entries = NULL;
	return 0;
}
#endif

/**
 * cr_write_mm_context - dump the mm->context state: the LDT
 * @ctx: checkpoint context
 * @mm: address space
 * @parent: objref of the address space
 *
 * Return: 0, or an error.
 */
int cr_write_mm_context(struct cr_ctx *ctx, struct mm_struct *mm, int parent)
{
	struct cr_hdr h = {
		.type = CR_HDR_MM_CONTEXT,
		.len = sizeof(struct cr_hdr_mm_context),
		.parent = parent,
	};
	struct cr_hdr_mm_context hh = { .ldt_entry_size = LDT_ENTRY_SIZE };
	struct desc_struct *entries;
	int nr, ret;

	nr = cr_copy_ldt(mm, &entries);
	if (nr < 0)
		return nr;

	hh.nldt = nr;
	cr_debug("nldt %d\n", nr);

	ret = cr_write_obj(ctx, &h, &hh);
	if (!ret)
		ret = cr_kwrite(ctx, entries, nr * LDT_ENTRY_SIZE);

	kvfree(entries);
	return ret;
}
