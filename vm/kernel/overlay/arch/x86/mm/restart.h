/* SPDX-License-Identifier: GPL-2.0 */
/*
 *  Restart: what its parts for x86 know of each other
 */
#ifndef _X86_MM_RESTART_H
#define _X86_MM_RESTART_H

#include <linux/mm.h>
#include <linux/mm_types.h>
#include <linux/types.h>
#include <linux/version.h>
#include <uapi/asm/checkpoint_hdr.h>
#include <asm/desc_defs.h>
#include <asm/segment.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
#include <asm/shstk.h>
#endif

struct cr_restart;
struct task_struct;

/* state of a thread that is to be, valid but not in use */
struct cr_arch_restart {
	struct desc_struct tls[GDT_ENTRY_TLS_ENTRIES];
	struct cr_hdr_cpu cpu;
	struct cr_hdr_x86_fsgsbase bases;
	unsigned int xstate_size;
	void *xstate;
};

bool cr_x86_desc_ok(const struct desc_struct *desc);
int cr_x86_check_regs(const struct cr_restart *r);
int cr_x86_check_bases(const struct cr_restart *r);
unsigned int cr_x86_xstate_size(struct task_struct *t);

/* what the kernel remembers of the kind of program that an address space is for */
static inline void cr_x86_copy_context(struct mm_struct *to,
				       const struct mm_struct *from)
{
#ifdef CONFIG_X86_64
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	/* tagged addresses are of the old program */
	to->context.flags = from->context.flags &
		(BIT(MM_CONTEXT_UPROBE_IA32) | BIT(MM_CONTEXT_HAS_VSYSCALL));
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(5, 11, 0)
	to->context.flags = from->context.flags;
#else
	to->context.ia32_compat = from->context.ia32_compat;
#endif
#endif
}

/* shadow stacks are of the old program */
static inline void cr_x86_reset_features(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	reset_thread_features();
#endif
}

static inline void cr_x86_set_flags(struct vm_area_struct *vma,
				    unsigned long flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_reset(vma, flags);
#else
	vma->vm_flags = flags;
#endif
}

#endif /* _X86_MM_RESTART_H */
