// SPDX-License-Identifier: GPL-2.0
/*
 *  Restart - architecture specific support for x86: records
 */

#define pr_fmt(fmt) "c/r: " fmt

#include <linux/checkpoint.h>
#include <linux/checkpoint_restart.h>
#include <linux/cpufeature.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/mm_types.h>
#include <linux/mmu_context.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include <asm/desc.h>
#include <asm/fpu/restart.h>
#include <asm/ldt.h>
#include <asm/syscall.h>
#include <asm/vdso.h>

#include "restart.h"

/**
 * cr_arch_alloc - allocate what belongs to the architecture
 * @r: restart context
 *
 * Return: 0, or -ENOMEM: cr_arch_free() takes care of what was allocated.
 */
int cr_arch_alloc(struct cr_restart *r)
{
	r->arch = kzalloc(sizeof(*r->arch), GFP_KERNEL_ACCOUNT);
	if (!r->arch)
		return -ENOMEM;
	r->arch->xstate_size = cr_x86_xstate_size(current);
	r->arch->xstate = kvmalloc(r->arch->xstate_size, GFP_KERNEL_ACCOUNT);
	return r->arch->xstate ? 0 : -ENOMEM;
}

/**
 * cr_arch_free - free what belongs to the architecture
 * @r: restart context
 */
void cr_arch_free(struct cr_restart *r)
{
	if (r->arch)
		kvfree(r->arch->xstate);
	kfree(r->arch);
}

/* is the caller a program of 32 bits? then so is the one in the image */
static bool cr_x86_is_32bit(void)
{
	return IS_ENABLED(CONFIG_X86_32) || test_thread_flag(TIF_ADDR32);
}

/**
 * cr_caller_check_arch - does the caller call as its own kind of program does?
 *
 * Return: 0, or -EOPNOTSUPP.
 */
int cr_caller_check_arch(void)
{
	/*
	 * A 64 bit program can call in the way of those of 32 bits. What the
	 * call returns would be taken for theirs.
	 */
	return in_ia32_syscall() == cr_x86_is_32bit() ? 0 : -EOPNOTSUPP;
}

/**
 * cr_read_head_arch - is the CPU the one of the image?
 * @r: restart context
 *
 * Return: 0, -ENOEXEC if it is another, or another error.
 */
int cr_read_head_arch(struct cr_restart *r)
{
	struct cr_hdr_head_arch hh;
	int ret;

	ret = cr_read_obj(r, CR_HDR_HEAD_ARCH, 0, &hh, sizeof(hh));
	if (ret)
		return ret;
	if (hh._padding)
		return -EINVAL;
	if (hh.has_fxsr != boot_cpu_has(X86_FEATURE_FXSR) ||
	    hh.has_xsave != boot_cpu_has(X86_FEATURE_XSAVE) ||
	    hh.xstate_size != r->arch->xstate_size)
		return -ENOEXEC;
	return 0;
}

/**
 * cr_init_mm_arch - set up a new address space for programs like the caller
 * @mm: address space
 */
void cr_init_mm_arch(struct mm_struct *mm)
{
	cr_x86_copy_context(mm, current->mm);
}

static const struct vdso_image *cr_x86_vdso_image(void)
{
#ifdef CONFIG_X86_64
	if (!cr_x86_is_32bit())
		return &vdso_image_64;
#endif
#if defined(CONFIG_X86_32) || defined(CONFIG_COMPAT)
	return &vdso_image_32;
#else
	return NULL;
#endif
}

/* flags of the vdso that a program can change; the rest is the kernel's */
#define CR_VDSO_ADVICE	(VM_DONTCOPY | VM_DONTDUMP | VM_SEQ_READ |	\
			 VM_RAND_READ | VM_NOHUGEPAGE | VM_SOFTDIRTY)

/**
 * cr_map_special - map one of the two parts of the vdso
 * @r: restart context
 * @hh: where it was, and with which flags
 *
 * Return: 0, -ENOEXEC if it is not that of the running kernel, or another error.
 */
int cr_map_special(struct cr_restart *r, const struct cr_hdr_vma *hh)
{
	const struct vdso_image *image = cr_x86_vdso_image();
	unsigned long size = hh->vm_end - hh->vm_start;
	bool vvar = hh->vm_flags & VM_PFNMAP;
	struct mm_struct *mm = r->mm;
	struct vm_area_struct *vma;
	int ret;

	if (size != (vvar ? -image->sym_vvar_start : image->size) ||
	    (!vvar && mm->context.vdso))
		return -ENOEXEC;

	ret = mmap_write_lock_killable(mm);
	if (ret)
		return ret;
	if (vvar)
		vma = vdso_map_vvar(mm, image, hh->vm_start);
	else
		vma = vdso_map_text(mm, image, hh->vm_start);
	if (IS_ERR(vma))
		ret = PTR_ERR(vma);
	else if ((vma->vm_flags ^ hh->vm_flags) & ~CR_VDSO_ADVICE)
		ret = -ENOEXEC;
	else
		cr_x86_set_flags(vma, hh->vm_flags | VM_SOFTDIRTY);
	if (!ret && !vvar)
		mm->context.vdso = (void __user *)(unsigned long)hh->vm_start;
	mm->context.vdso_image = image;
	mmap_write_unlock(mm);

	return ret;
}

/**
 * cr_x86_desc_ok - could a program make this descriptor?
 * @desc: descriptor, not empty
 *
 * It is taken as it is: bits that a struct user_desc has no place for are kept.
 * The accessed bit is always set, since the table may be mapped read-only.
 *
 * Return: true if it could.
 */
bool cr_x86_desc_ok(const struct desc_struct *desc)
{
	return desc->s && desc->dpl == 3 && !desc->l && desc->type & 1;
}

#ifdef CONFIG_MODIFY_LDT_SYSCALL
/* what modify_ldt(2) takes */
static bool cr_x86_ldt_entry_ok(const struct desc_struct *desc)
{
	if (desc_empty(desc))
		return true;
	if (!cr_x86_desc_ok(desc))
		return false;
	/* conforming code */
	if ((desc->type & 0xc) == 0xc && desc->p)
		return false;
	return desc->d || allow_16bit_segments();
}

static int cr_x86_set_ldt(struct mm_struct *mm, const struct desc_struct *entries,
			  unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (!cr_x86_ldt_entry_ok(&entries[i]))
			return -EINVAL;
		cond_resched();
	}
	return ldt_set_context(mm, entries, nr);
}
#else
static int cr_x86_set_ldt(struct mm_struct *mm, const struct desc_struct *entries,
			  unsigned int nr)
{
	return -EINVAL;
}
#endif

/**
 * cr_read_mm_context - restore the LDT
 * @r: restart context
 *
 * Return: 0, or an error.
 */
int cr_read_mm_context(struct cr_restart *r)
{
	struct cr_hdr_mm_context hh;
	struct desc_struct *entries;
	int ret;

	ret = cr_read_obj(r, CR_HDR_MM_CONTEXT, 0, &hh, sizeof(hh));
	if (ret)
		return ret;
	if (hh.ldt_entry_size != LDT_ENTRY_SIZE || hh._padding ||
	    hh.nldt < 0 || hh.nldt > LDT_ENTRIES)
		return -EINVAL;
	if (!hh.nldt)
		return 0;

	entries = kvmalloc_array(hh.nldt, LDT_ENTRY_SIZE, GFP_KERNEL_ACCOUNT);
	if (!entries)
		return -ENOMEM;
	ret = cr_kread(r, entries, hh.nldt * LDT_ENTRY_SIZE);
	if (!ret)
		ret = cr_x86_set_ldt(r->mm, entries, hh.nldt);
	kvfree(entries);
	return ret;
}

/* what set_thread_area(2) takes: data of 32 bits */
static bool cr_x86_tls_entry_ok(const struct desc_struct *desc)
{
	return desc_empty(desc) || (cr_x86_desc_ok(desc) && desc->p && desc->d &&
				    !(desc->type & 8));
}

/**
 * cr_read_thread - read the TLS array
 * @r: restart context
 *
 * Return: 0, or an error.
 */
int cr_read_thread(struct cr_restart *r)
{
	struct desc_struct *tls = r->arch->tls;
	struct cr_hdr_thread hh;
	int i, ret, ntls = 0;

	ret = cr_read_obj(r, CR_HDR_THREAD, r->pid, &hh, sizeof(hh));
	if (ret)
		return ret;
	if (hh.gdt_entry_tls_entries != GDT_ENTRY_TLS_ENTRIES ||
	    hh.sizeof_tls_array != sizeof(r->arch->tls) || hh._padding)
		return -EINVAL;
	if (!hh.ntls)
		return 0;

	ret = cr_kread(r, tls, sizeof(r->arch->tls));
	if (ret)
		return ret;
	for (i = 0; i < GDT_ENTRY_TLS_ENTRIES; i++) {
		if (!cr_x86_tls_entry_ok(&tls[i]))
			return -EINVAL;
		ntls += !desc_empty(&tls[i]);
	}
	return ntls == hh.ntls ? 0 : -EINVAL;
}

/**
 * cr_read_cpu - read the registers
 * @r: restart context
 *
 * Return: 0, or an error.
 */
int cr_read_cpu(struct cr_restart *r)
{
	struct cr_arch_restart *arch = r->arch;
	int ret;

	ret = cr_read_obj(r, CR_HDR_CPU, r->pid, &arch->cpu, sizeof(arch->cpu));
	if (!ret)
		ret = cr_x86_check_regs(r);
	if (ret)
		return ret;

	ret = cr_kread(r, arch->xstate, arch->xstate_size);
	if (ret)
		return ret;
	if (!fpu_restart_valid(arch->xstate))
		return -EINVAL;

	if (IS_ENABLED(CONFIG_X86_32))
		return 0;
	ret = cr_read_obj(r, CR_HDR_X86_FSGSBASE, r->pid, &arch->bases,
			  sizeof(arch->bases));
	return ret ?: cr_x86_check_bases(r);
}
