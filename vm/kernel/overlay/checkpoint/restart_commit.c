// SPDX-License-Identifier: GPL-2.0
/*
 *  Restart: the caller becomes the process of the image
 */

#define pr_fmt(fmt) "c/r: " fmt

#include <linux/binfmts.h>
#include <linux/checkpoint.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/io_uring.h>
#include <linux/khugepaged.h>
#include <linux/mm.h>
#include <linux/perf_event.h>
#include <linux/posix-timers.h>
#include <linux/rwsem.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/thread_info.h>

#include "checkpoint_compat.h"
#include "restart.h"
#include "restart_compat.h"

/*
 * The file that the process executes: to choose it is a right, else it remains
 * the caller's.
 */
static int cr_set_exe(struct cr_restart *r)
{
	struct file *exe;
	int ret;

	if (r->exe && checkpoint_restore_ns_capable(&init_user_ns))
		exe = get_file(r->exe);
	else
		exe = get_mm_exe_file(current->mm);
	if (!exe)
		return 0;

	ret = cr_set_mm_exe_file(r->mm, exe);
	fput(exe);
	return ret;
}

/* the old program's timers would expire in the new one */
static void cr_drop_timers(void)
{
#ifdef CONFIG_POSIX_TIMERS
	unsigned long flags;

	if (lock_task_sighand(current, &flags)) {
		posix_cpu_timers_exit(current);
		unlock_task_sighand(current, &flags);
	}
	exit_itimers(current);
	flush_itimer_signals();
#endif
}

/* addresses in the old program that the kernel keeps */
static void cr_drop_addresses(void)
{
	rseq_execve(current);
	user_events_execve(current);
	clear_syscall_work_syscall_user_dispatch(current);
	/* in the way that the running system call would be restarted */
	set_restart_fn(&current->restart_block, do_no_restart_syscall);
}

/* what needs the address space to be the caller's; none of it is vital */
static void cr_mm_settle(struct mm_struct *mm)
{
	unsigned long start, end = 0, flags;
	struct vm_area_struct *vma;

	for (;;) {
		mmap_write_lock(mm);
		vma = find_vma(mm, end);
		if (!vma)
			break;
		start = vma->vm_start;
		end = vma->vm_end;
		flags = vma->vm_flags;
		perf_event_mmap(vma);
		khugepaged_enter_vma(vma, flags);
		mmap_write_unlock(mm);

		if ((flags & (VM_LOCKED | VM_LOCKONFAULT)) == VM_LOCKED)
			mm_populate(start, end - start);
	}
	mmap_write_unlock(mm);
}

/**
 * cr_commit - become the process of the image
 * @r: restart context, with all of the image
 * @stopped: whether to stop at the first instruction
 *
 * What can fail comes first, and leaves no trace. Then the address spaces are
 * exchanged, as execve(2) does; all else is only assigned.
 *
 * Return: 0, or an error.
 */
int cr_commit(struct cr_restart *r, bool stopped)
{
	struct mm_struct *mm = r->mm;
	int ret;

	if (fatal_signal_pending(current))
		return -EINTR;
	ret = cr_set_exe(r);
	if (!ret)
		ret = unshare_files();
	if (ret)
		return ret;

	cr_mm_finish(r);
	io_uring_task_cancel();
	sched_mm_cid_before_execve(current);
	ret = exec_mmap(mm);
	sched_mm_cid_after_execve(current);
	if (ret)
		return ret;	/* the caller is about to die */
	r->mm = NULL;

	cr_drop_timers();
	current->flags &= ~PF_FORKNOEXEC;
	/* children of the old program tell of their end by SIGCHLD */
	WRITE_ONCE(current->self_exec_id, current->self_exec_id + 1);
	flush_thread();
	arch_setup_new_exec();
	cr_drop_addresses();
	cr_commit_signals(r);
	cr_commit_arch(r);
	__set_task_comm(current, r->comm, false);
	/* from here on the process can be looked at */
	up_write(&current->signal->exec_update_lock);

	do_close_on_exec(current->files);
	cr_mm_settle(mm);
	if (stopped)
		send_sig(SIGSTOP, current, 0);
	return 0;
}
