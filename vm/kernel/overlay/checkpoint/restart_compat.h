/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between 5.10, 6.1 and 6.12 for restart alone: see also
 * checkpoint_compat.h. A condition names the release that brought the change.
 */
#ifndef _CHECKPOINT_RESTART_COMPAT_H
#define _CHECKPOINT_RESTART_COMPAT_H

#include <linux/fs.h>
#include <linux/ksm.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/namei.h>
#include <linux/path.h>
#include <linux/sched.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 11, 0)
#include <linux/syscall_user_dispatch.h>
#else
#define clear_syscall_work_syscall_user_dispatch(t)	do { } while (0)
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
#include <linux/rseq.h>
#endif

/* flags of an action that the kernel does not know are not kept */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 11, 0)
#define CR_SA_FLAGS		(UAPI_SA_FLAGS | CR_SA_ABI)
#else
#define CR_SA_FLAGS		~0UL
#endif

/* areas of programs kept others from writing to the file */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 15, 0)
#define CR_VM_DENYWRITE		VM_DENYWRITE
static inline int cr_set_mm_exe_file(struct mm_struct *mm, struct file *file)
{
	set_mm_exe_file(mm, file);
	return 0;
}
#else
#define CR_VM_DENYWRITE		VM_NONE
#define cr_set_mm_exe_file(mm, file)	set_mm_exe_file(mm, file)
#endif

/* memory that may be dropped, and areas that change no more: 64-bit kernels only */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0) && defined(CONFIG_64BIT)
#define CR_VM_DROPPABLE		VM_DROPPABLE
#else
#define CR_VM_DROPPABLE		VM_NONE
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0) && defined(CONFIG_64BIT)
#define CR_VM_SEALED		VM_SEALED
#else
#define CR_VM_SEALED		VM_NONE
#endif

/* memory that may become huge pages by and by */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 19, 0)
#define khugepaged_enter_vma(vma, flags)	khugepaged_enter_vma_merge(vma, flags)
#endif

/* rights to a file are asked for with the mount that it was opened by */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 12, 0)
#define cr_open_path(path, flags)	file_open_root(path, "", flags, 0)
#define cr_file_permission(file, mask)	file_permission(file, mask)
#else
static inline struct file *cr_open_path(const struct path *path, int flags)
{
	return file_open_root(path->dentry, path->mnt, "", flags, 0);
}

#define cr_file_permission(file, mask)	inode_permission(file_inode(file), mask)
#endif

/* flags of an area are constant but for these functions */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define cr_vm_flags_init(vma, flags)	vm_flags_init(vma, flags)
#define cr_vm_flags_set(vma, flags)	vm_flags_set(vma, flags)
#else
#define cr_vm_flags_init(vma, flags)	((vma)->vm_flags = (flags))
#define cr_vm_flags_set(vma, flags)	((vma)->vm_flags |= (flags))
#endif

/* a task can ask that none of its memory may be written and executed */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define cr_denies_write_exec()	map_deny_write_exec(VM_EXEC, VM_EXEC | VM_WRITE)
#else
#define cr_denies_write_exec()	false
#endif

/* all memory of a process can be asked to be merged */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
#define cr_ksm_execve(mm)	ksm_execve(mm)
#else
#define cr_ksm_execve(mm)	0
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#define cr_get_user_pages(mm, start, nr, flags, pages)	\
	get_user_pages_remote(mm, start, nr, flags, pages, NULL)
#else
#define cr_get_user_pages(mm, start, nr, flags, pages)	\
	get_user_pages_remote(mm, start, nr, flags, pages, NULL, NULL)
#endif

/* an address space numbers the CPUs that its threads run on */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define sched_mm_cid_before_execve(t)	do { } while (0)
#define sched_mm_cid_after_execve(t)	do { } while (0)
#endif

/* programs tell the kernel of places where they can be traced */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#include <linux/user_events.h>
#else
#define user_events_execve(t)	do { } while (0)
#endif

#endif /* _CHECKPOINT_RESTART_COMPAT_H */
