// SPDX-License-Identifier: GPL-2.0
/*
 *  Restart: areas of an address space that nobody runs in
 *
 *  mmap(2) works on the caller's address space alone. Here are the checks that
 *  it makes, for one that is another.
 */

#define pr_fmt(fmt) "c/r: " fmt

#include <linux/checkpoint.h>
#include <linux/ksm.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/security.h>
#include <linux/uprobes.h>

#include "checkpoint_compat.h"
#include "restart.h"
#include "restart_compat.h"

#define CR_VM_PROT	(VM_READ | VM_WRITE | VM_EXEC)
#define CR_VM_MAYPROT	(VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC)
#define CR_VM_DEVICE	(VM_IO | VM_PFNMAP)

/* flags that any mapping may have; what is not here cannot be restored */
#define CR_VM_COMMON	(CR_VM_PROT | CR_VM_MAYPROT | VM_SEQ_READ |	\
			 VM_RAND_READ | VM_DONTCOPY | VM_DONTDUMP |	\
			 VM_ACCOUNT | VM_NORESERVE | VM_NOHUGEPAGE |	\
			 VM_SOFTDIRTY)
/* and those of one kind */
#define CR_VM_PRIVATE	(VM_LOCKED | VM_LOCKONFAULT | VM_HUGEPAGE |	\
			 VM_MERGEABLE | CR_VM_SEALED)
#define CR_VM_ANON_ONLY	(VM_GROWSDOWN | VM_WIPEONFORK | CR_VM_DROPPABLE)
#define CR_VM_SPECIAL	(CR_VM_DEVICE | VM_DONTEXPAND)

static bool cr_has_all(u64 flags, u64 all)
{
	return (flags & all) == all;
}

/* do the flags contradict each other, or the type? */
static bool cr_vma_flags_valid(const struct cr_hdr_vma *hh)
{
	const u64 flags = hh->vm_flags;

	BUILD_BUG_ON((VM_READ << 4) != VM_MAYREAD);

	if (flags & CR_VM_PROT & ~(flags >> 4))
		return false;
	/* with VM_GROWSDOWN this would be the stack of an execve(2) */
	if (cr_has_all(flags, VM_SEQ_READ | VM_RAND_READ) ||
	    cr_has_all(flags, VM_HUGEPAGE | VM_NOHUGEPAGE) ||
	    cr_has_all(flags, VM_ACCOUNT | VM_NORESERVE))
		return false;
	if (flags & VM_LOCKONFAULT && !(flags & VM_LOCKED))
		return false;
	if (flags & CR_VM_DROPPABLE &&
	    !cr_has_all(flags, VM_NORESERVE | VM_WIPEONFORK | VM_DONTDUMP))
		return false;
	if (hh->vma_type == CR_VMA_SPECIAL)
		return flags & VM_DONTEXPAND;
	if (hh->vma_type == CR_VMA_FILE && flags & CR_VM_ANON_ONLY)
		return false;
	/* private mappings can be read and written by a debugger */
	return cr_has_all(flags, VM_MAYREAD | VM_MAYWRITE);
}

/* is this a VMA, and one behind the last? */
static int cr_vma_check(const struct cr_restart *r, const struct cr_hdr_vma *hh)
{
	/* memory that grew after it was moved ends beyond user space */
	const u64 max = (u64)1 << (BITS_PER_LONG == 64 ? 64 - PAGE_SHIFT : 32);
	u64 pages;

	if (hh->_padding)
		return -EINVAL;
	if (hh->vma_type != CR_VMA_ANON && hh->vma_type != CR_VMA_FILE &&
	    hh->vma_type != CR_VMA_SPECIAL)
		return -EINVAL;
	if ((hh->vm_start | hh->vm_end) & ~PAGE_MASK ||
	    hh->vm_start >= hh->vm_end || hh->vm_end > TASK_SIZE ||
	    hh->vm_start < r->end)
		return -EINVAL;

	pages = (hh->vm_end - hh->vm_start) >> PAGE_SHIFT;
	if (hh->vma_type == CR_VMA_SPECIAL ? hh->vm_pgoff :
	    hh->vm_pgoff > max || pages > max - hh->vm_pgoff)
		return -EINVAL;
	return cr_vma_flags_valid(hh) ? 0 : -EINVAL;
}

/* can this kernel restore such a VMA? */
static int cr_vma_supported(const struct cr_hdr_vma *hh)
{
	u64 flags = CR_VM_COMMON;

	if (hh->vma_type == CR_VMA_SPECIAL)
		flags |= CR_VM_SPECIAL;
	else
		flags |= CR_VM_PRIVATE;
	if (hh->vma_type == CR_VMA_ANON)
		flags |= CR_VM_ANON_ONLY;
	if (hh->vma_type == CR_VMA_FILE)
		flags |= CR_VM_DENYWRITE;

	if (hh->vm_flags & ~flags)
		return -EOPNOTSUPP;
	if (hh->vm_page_prot != pgprot_val(vm_get_page_prot(hh->vm_flags)))
		return -ENOEXEC;
	return 0;
}

/**
 * cr_check_own_code - may the process execute code that it wrote itself?
 *
 * Return: 0, or an error.
 */
int cr_check_own_code(void)
{
	/*
	 * Contents of an image are written, whatever the protection of their
	 * area is: those who forbid such code want to know.
	 */
	if (cr_denies_write_exec())
		return -EACCES;
	return security_mmap_file(NULL, PROT_READ | PROT_WRITE | PROT_EXEC,
				  MAP_PRIVATE | MAP_ANONYMOUS);
}

/* what the new mapping may not exceed, and rights that it needs */
static int cr_vma_limits(const struct cr_restart *r, const struct cr_hdr_vma *hh)
{
	unsigned long pages = (hh->vm_end - hh->vm_start) >> PAGE_SHIFT;
	struct mm_struct *mm = r->mm;
	int ret;

	ret = security_mmap_addr(hh->vm_start);
	if (ret)
		return ret;
	if (mm->map_count > sysctl_max_map_count)
		return -ENOMEM;
	if (!may_expand_vm(mm, hh->vm_flags, pages))
		return -ENOMEM;

	if (hh->vm_flags & VM_LOCKED) {
		if (!can_do_mlock())
			return -EPERM;
		if (mm->locked_vm + pages > rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT &&
		    !capable(CAP_IPC_LOCK))
			return -EAGAIN;
	}

	return (hh->vm_flags & (VM_WRITE | VM_EXEC)) == (VM_WRITE | VM_EXEC) ?
	       cr_check_own_code() : 0;
}

/*
 * insert_vm_struct() gives areas without operations an offset that goes with
 * their address. The image has another one where memory was moved.
 */
static const struct vm_operations_struct cr_no_vm_ops;

/* let the file set up an area as mmap(2) does: it must want nothing special */
static int cr_vma_set_file(struct vm_area_struct *vma, struct file *file)
{
	unsigned long flags = vma->vm_flags;
	int ret;

	vma->vm_file = get_file(file);
	ret = call_mmap(file, vma);
	if (!ret && vma->vm_flags != flags) {
		if (vma->vm_ops && vma->vm_ops->close)
			vma->vm_ops->close(vma);
		ret = -EOPNOTSUPP;
	}
	if (ret)
		fput(vma->vm_file);
	return ret;
}

static int cr_vma_insert(struct vm_area_struct *vma)
{
	/* vm_area_alloc() gives any area operations; /dev/zero takes them away */
	bool anon = !vma->vm_file || vma_is_anonymous(vma);
	int ret;

	if (anon)
		vma->vm_ops = &cr_no_vm_ops;
	ret = insert_vm_struct(vma->vm_mm, vma);
	if (anon)
		vma_set_anonymous(vma);

	if (ret && vma->vm_file) {
		if (vma->vm_ops && vma->vm_ops->close)
			vma->vm_ops->close(vma);
		fput(vma->vm_file);
	}
	return ret;
}

/* let the same pages of several programs be merged again */
static int cr_vma_set_mergeable(struct vm_area_struct *vma)
{
	unsigned long flags = vma->vm_flags;
	int ret;

	ret = ksm_madvise(vma, vma->vm_start, vma->vm_end, MADV_MERGEABLE,
			  &flags);
	if (ret)
		return ret;
	if (flags != (vma->vm_flags | VM_MERGEABLE))
		return -EOPNOTSUPP;
	cr_vm_flags_set(vma, VM_MERGEABLE);
	return 0;
}

/* put an area into the new address space, which is locked */
static int cr_vma_link(struct mm_struct *mm, const struct cr_hdr_vma *hh,
		       struct file *file)
{
	unsigned long pages = (hh->vm_end - hh->vm_start) >> PAGE_SHIFT;
	unsigned long flags = (hh->vm_flags & ~VM_MERGEABLE) | VM_SOFTDIRTY;
	struct vm_area_struct *vma;
	int ret;

	/* where nothing may be promised that is not there, mmap(2) counts all */
	if (sysctl_overcommit_memory == OVERCOMMIT_NEVER &&
	    !(flags & CR_VM_DROPPABLE)) {
		flags &= ~VM_NORESERVE;
		if (flags & VM_WRITE)
			flags |= VM_ACCOUNT;
	}

	vma = vm_area_alloc(mm);
	if (!vma)
		return -ENOMEM;
	vma->vm_start = hh->vm_start;
	vma->vm_end = hh->vm_end;
	cr_vm_flags_init(vma, flags);
	vma->vm_page_prot = vm_get_page_prot(flags);
	vma->vm_pgoff = hh->vm_pgoff;

	ret = file ? cr_vma_set_file(vma, file) : 0;
	if (!ret)
		ret = cr_vma_insert(vma);
	if (ret) {
		vm_area_free(vma);
		return ret;
	}

	vm_stat_account(mm, flags, pages);
	if (flags & VM_LOCKED)
		mm->locked_vm += pages;
	if (file)
		uprobe_mmap(vma);
	return hh->vm_flags & VM_MERGEABLE ? cr_vma_set_mergeable(vma) : 0;
}

static int cr_vma_map(struct cr_restart *r, const struct cr_hdr_vma *hh,
		      struct file *file)
{
	bool deny = file && hh->vm_flags & CR_VM_DENYWRITE;
	int ret;

	/* an area that denies writing takes away one right to write */
	if (deny) {
		ret = deny_write_access(file);
		if (ret)
			return ret;
	}
	ret = mmap_write_lock_killable(r->mm);
	if (!ret) {
		ret = cr_vma_link(r->mm, hh, file);
		mmap_write_unlock(r->mm);
	}
	if (deny)
		allow_write_access(file);
	return ret;
}

/* the file that holds the program's code is the one that the process executes */
static void cr_note_exe(struct cr_restart *r, const struct cr_hdr_vma *hh,
			struct file *file)
{
	unsigned long start_code = r->mm->start_code;

	if (r->exe || !(hh->vm_flags & VM_EXEC) || start_code < hh->vm_start ||
	    start_code >= hh->vm_end)
		return;
	if (S_ISREG(file_inode(file)->i_mode) && !path_noexec(&file->f_path) &&
	    !cr_file_permission(file, MAY_EXEC))
		r->exe = get_file(file);
}

static int cr_restore_file_vma(struct cr_restart *r, const struct cr_hdr_vma *hh)
{
	struct file *file;
	int ret;

	file = cr_open_mapped(r);
	if (IS_ERR(file))
		return PTR_ERR(file);

	ret = cr_file_mappable(file, hh);
	if (!ret)
		ret = cr_vma_limits(r, hh);
	if (!ret)
		ret = cr_vma_map(r, hh, file);
	if (!ret)
		cr_note_exe(r, hh, file);
	fput(file);
	return ret;
}

/**
 * cr_restore_vma - restore the next VMA and its contents
 * @r: restart context
 *
 * Return: 0, or an error.
 */
int cr_restore_vma(struct cr_restart *r)
{
	struct cr_hdr_vma hh;
	int ret;

	ret = cr_read_obj(r, CR_HDR_VMA, 0, &hh, sizeof(hh));
	if (ret)
		return ret;
	ret = cr_vma_check(r, &hh);
	if (ret)
		return ret;
	ret = cr_vma_supported(&hh);
	if (ret)
		return ret;

	if (hh.vma_type == CR_VMA_FILE) {
		ret = cr_restore_file_vma(r, &hh);
	} else {
		ret = cr_vma_limits(r, &hh);
		if (!ret)
			ret = hh.vma_type == CR_VMA_SPECIAL ?
			      cr_map_special(r, &hh) : cr_vma_map(r, &hh, NULL);
	}
	if (ret)
		return ret;

	r->end = hh.vm_end;
	return cr_restore_pages(r, &hh);
}
