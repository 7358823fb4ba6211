// SPDX-License-Identifier: GPL-2.0
/*
 *  Restart: the system call
 */

#define pr_fmt(fmt) "c/r: " fmt

#include <linux/bvec.h>
#include <linux/capability.h>
#include <linux/checkpoint.h>
#include <linux/errno.h>
#include <linux/file.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/ptrace.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/syscalls.h>
#include <linux/user_namespace.h>

#include <asm/syscall.h>

#include "checkpoint_compat.h"
#include "restart.h"

/* for tests: nothing here relies on who the caller is */
static bool cr_unprivileged;
core_param(restart_unprivileged, cr_unprivileged, bool, 0644);

/* can the kernel read from this file? asked as kernel_read() does */
static int cr_image_check(struct file *file)
{
	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	if (!file->f_op->read_iter || file->f_op->read)
		return -EINVAL;
	return 0;
}

/*
 * Can the caller become another process? A user namespace gives rights to
 * anybody: those of the first one count.
 */
static int cr_caller_check(pid_t pid)
{
	const struct sighand_struct *sighand;

	if (!READ_ONCE(cr_unprivileged) &&
	    !checkpoint_restore_ns_capable(&init_user_ns))
		return -EPERM;
	if (pid && pid != task_tgid_vnr(current))
		return -ESRCH;
	/* nobody but the caller could exchange its signal handlers for others */
	sighand = rcu_access_pointer(current->sighand);
	if (get_nr_threads(current) != 1 || refcount_read(&sighand->count) != 1)
		return -EOPNOTSUPP;
	return cr_caller_check_arch();
}

static void cr_restart_free(struct cr_restart *r)
{
	if (r->mm) {
		cr_uncount_pages(r);
		mmput(r->mm);
	}
	if (r->exe)
		fput(r->exe);
	cr_arch_free(r);
	free_page((unsigned long)r->bvec);
	kfree(r->pages);
	kvfree(r->vaddrs);
	if (r->fname)
		__putname(r->fname);
	kfree(r);
}

/* all that is held at a time, whatever the size of the image */
static struct cr_restart *cr_restart_alloc(struct file *file)
{
	struct cr_restart *r;

	r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);
	if (!r)
		return NULL;

	r->file = file;
	if (!(file->f_mode & FMODE_STREAM)) {
		r->pos = file->f_pos;
		r->ppos = &r->pos;
	}

	r->fname = __getname();
	r->vaddrs = kvmalloc_array(CR_CHUNK_PAGES, sizeof(*r->vaddrs),
				   GFP_KERNEL_ACCOUNT);
	r->pages = kmalloc_array(CR_READ_PAGES, sizeof(*r->pages),
				 GFP_KERNEL_ACCOUNT);
	r->bvec = (struct bio_vec *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!r->fname || !r->vaddrs || !r->pages || !r->bvec ||
	    cr_arch_alloc(r)) {
		cr_restart_free(r);
		return NULL;
	}

	return r;
}

/*
 * Restart the caller from a file whose position is ours, or refuse to. The
 * order of the refusals is part of the interface:
 *
 *   EINVAL	an unknown flag
 *   EBADF	fd is not open for reading
 *   EINVAL	fd is a file that the kernel cannot read
 *   EPERM	the caller has no right to
 *   ESRCH	pid is neither 0 nor the caller's
 *   EOPNOTSUPP	the caller has other threads, or shares its signal handlers, or
 *		calls in the way of another kind of program than it is
 *
 * and while the image is read, from its beginning to its end:
 *
 *   EPIPE	it ends too early
 *   EINVAL	it is no image, or breaks a rule of the format
 *   ENOEXEC	another kernel wrote it, or this one on another CPU; or it is of
 *		another kind of program than the caller
 *   EOPNOTSUPP	it has a mapping that cannot be restored
 *   ENOENT, EACCES, ENOTDIR, ELOOP ...  a mapped file cannot be opened
 *   EPERM, EAGAIN, ENODEV, EOVERFLOW, ETXTBSY, EACCES  or not mapped so
 *   EFAULT	there is no page where the image has one
 *   EINTR	a signal for the caller
 *   EAGAIN, EIO ...  what reading fd said
 *
 * and ENOMEM anywhere, also for what the caller's limits do not allow.
 */
static int cr_restart_from(struct file *file, bool stopped)
{
	struct cr_restart *r;
	int ret;

	r = cr_restart_alloc(file);
	if (!r)
		return -ENOMEM;

	ret = do_restart(r);
	if (!ret)
		ret = cr_commit(r, stopped);
	if (!ret && r->ppos)
		file->f_pos = r->pos;
	cr_restart_free(r);
	return ret;
}

/**
 * sys_restart - become the process of an image
 * @pid: the caller: 0, or its own pid
 * @fd: file from which the image is read, from its current position on
 * @flags: RESTART_STOPPED, or 0
 *
 * Return: does not return to the caller's program if all is well; or an error,
 * and the caller is as it was.
 */
SYSCALL_DEFINE3(restart, pid_t, pid, int, fd, unsigned long, flags)
{
	struct file *file;
	struct fd f;
	int ret;

	if (flags & ~RESTART_STOPPED)
		return -EINVAL;

	/* as in read(2): two that share a file position take turns */
	f = fdget_pos(fd);
	if (!cr_fd_file(f))
		return -EBADF;
	/* it may be among the files that are closed on exec */
	file = get_file(cr_fd_file(f));

	ret = cr_image_check(file);
	if (!ret)
		ret = cr_caller_check(pid);
	if (!ret)
		ret = cr_restart_from(file, flags & RESTART_STOPPED);
	fdput_pos(f);
	fput(file);

	if (!ret)
		return syscall_get_return_value(current, current_pt_regs());
	/* a call that is restarted would not find what was read from a pipe */
	return cr_is_interrupt(ret) ? -EINTR : ret;
}
