/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels that this code is kept for, in one place:
 * 5.10, 6.1 and 6.12. A condition names the release that brought the change.
 */
#ifndef _CHECKPOINT_COMPAT_H
#define _CHECKPOINT_COMPAT_H

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/task_work.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 18, 0)
#include <linux/tracehook.h>
#endif

/* the kernel's version, part by part */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 13, 0)
#define LINUX_VERSION_MAJOR		((LINUX_VERSION_CODE >> 16) & 0xff)
#define LINUX_VERSION_PATCHLEVEL	((LINUX_VERSION_CODE >> 8) & 0xff)
#define LINUX_VERSION_SUBLEVEL		(LINUX_VERSION_CODE & 0xff)
#endif

/* the file behind a struct fd */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#define cr_fd_file(f)		fd_file(f)
#else
#define cr_fd_file(f)		((f).file)
#endif

/* scheduler state of a task */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 14, 0)
#define cr_task_state(t)	READ_ONCE((t)->__state)
#define cr_wait_inactive(t, s)	wait_task_inactive(t, s)
#else
/* each request of a tracer takes TASK_WAKEKILL away for as long as it lasts */
static inline long cr_task_state(struct task_struct *t)
{
	long state = READ_ONCE(t->state);

	return state & __TASK_TRACED ? TASK_TRACED : state;
}

static inline unsigned long cr_wait_inactive(struct task_struct *t, long state)
{
	unsigned long ncsw;

	do {
		ncsw = wait_task_inactive(t, READ_ONCE(t->state));
	} while (!ncsw && state == TASK_TRACED && cr_task_state(t) == state &&
		 !signal_pending(current));
	return ncsw;
}
#endif

/* do the work that others left for the caller to do */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 18, 0)
static inline void cr_notify_signal(void)
{
	clear_notify_signal();
	task_work_run();
}
#else
#define cr_notify_signal()	tracehook_notify_signal()
#endif

/* path by which user space knows a mapped file */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
#define cr_file_path(file)	file_user_path(file)
#else
#define cr_file_path(file)	(&(file)->f_path)
#endif

/* vfs_iter_write() left protection against freezing to its caller */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
static inline void cr_file_start_write(struct file *file) { }
static inline void cr_file_end_write(struct file *file) { }
#else
#define cr_file_start_write(file)	file_start_write(file)
#define cr_file_end_write(file)		file_end_write(file)
#endif

/*
 * A page table may be gone, or have given way to a huge page, since its entry
 * was looked at. That was asked before it was mapped and locked; now to map
 * it fails.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#define cr_pmd_unstable(pmd)		false
#define cr_pte_map_failed(pte)		(!(pte))
#else
#define cr_pmd_unstable(pmd)		pmd_trans_unstable(pmd)
#define cr_pte_map_failed(pte)		false
#endif

/*
 * Is a page table entry that is not present no more than a mark in a hole, of
 * userfaultfd for instance? The mark of a page that was lost is not.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
static inline bool cr_is_hole_entry(swp_entry_t entry)
{
	return is_pte_marker_entry(entry) && !is_poisoned_swp_entry(entry);
}
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(5, 19, 0)
#define cr_is_hole_entry(entry)		is_pte_marker_entry(entry)
#else
static inline bool cr_is_hole_entry(swp_entry_t entry)
{
	return false;
}
#endif

/* what the kernel itself notes of an action: the kind of program that set it */
#ifdef CONFIG_64BIT
#define CR_SA_ABI		SA_IA32_ABI
#else
#define CR_SA_ABI		0
#endif

/* memory that goes with a register which an image has no place for */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
#define CR_VM_SHADOW_STACK	VM_SHADOW_STACK
#else
#define CR_VM_SHADOW_STACK	VM_NONE
#endif

/* a fault that has dropped the mmap lock though it was not to be tried again */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 0, 0)
#define CR_FAULT_COMPLETED	VM_FAULT_COMPLETED
#else
#define CR_FAULT_COMPLETED	0
#endif

#endif /* _CHECKPOINT_COMPAT_H */
