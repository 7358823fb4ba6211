// SPDX-License-Identifier: GPL-2.0
/*
 *  Generic container checkpoint-restart: the system call
 *
 *  Copyright (C) 2008 Oren Laadan
 */

#define pr_fmt(fmt) "c/r: " fmt

#include <linux/atomic.h>
#include <linux/cgroup.h>
#include <linux/checkpoint.h>
#include <linux/errno.h>
#include <linux/fs_struct.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/path.h>
#include <linux/pid.h>
#include <linux/ptrace.h>
#include <linux/rcupdate.h>
#include <linux/rwsem.h>
#include <linux/sched/jobctl.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <linux/syscalls.h>
#include <linux/uio.h>

#include "checkpoint_compat.h"
#include "checkpoint_mem.h"

/* the last checkpoint that succeeded */
static atomic_t cr_ctx_count = ATOMIC_INIT(0);

/**
 * cr_signal_check - is a signal waiting for the caller?
 *
 * Return: 0, or -EINTR.
 */
int cr_signal_check(void)
{
	if (!signal_pending(current))
		return 0;
	if (task_sigpending(current))
		return -EINTR;

	/*
	 * Nobody sent a signal: others (io_uring, livepatch) left work for the
	 * caller to do, and end its waiting so that it is done.
	 */
	cr_notify_signal();
	return 0;
}

/**
 * cr_is_interrupt - did a wait end early?
 * @ret: what the wait returned
 *
 * Return: true if it did.
 */
bool cr_is_interrupt(long ret)
{
	return ret == -EINTR || ret == -ERESTARTSYS ||
	       ret == -ERESTARTNOINTR || ret == -ERESTARTNOHAND ||
	       ret == -ERESTART_RESTARTBLOCK;
}

/**
 * cr_write_iter - write data from kernel space to the image
 * @ctx: checkpoint context
 * @data: what to write; left as it is
 *
 * All of it is written, or an error is returned. A signal that waits for the
 * caller is such an error: images are long, and what was written so far is
 * good for nothing without the rest.
 *
 * Return: 0, or an error.
 */
int cr_write_iter(struct cr_ctx *ctx, const struct iov_iter *data)
{
	size_t count = iov_iter_count(data);
	size_t done = 0;

	while (done < count) {
		struct iov_iter iter = *data;
		loff_t pos = ctx->pos;
		ssize_t n;
		int ret;

		ret = cr_signal_check();
		if (ret)
			return ret;

		/* how far a short write moves its iterator is not defined */
		iov_iter_advance(&iter, done);

		cr_file_start_write(ctx->file);
		n = vfs_iter_write(ctx->file, &iter, ctx->ppos, 0);
		cr_file_end_write(ctx->file);

		if (n < 0) {
			/* not moved, though O_APPEND went to the end of the file */
			ctx->pos = pos;
			if (cr_is_interrupt(n) && !task_sigpending(current))
				continue;
			return n;
		}
		if (n == 0)
			return -EIO;	/* do not spin */
		done += n;
	}

	return 0;
}

/**
 * cr_kwrite - write a buffer in kernel space to the image
 * @ctx: checkpoint context
 * @buf: buffer
 * @count: its length
 *
 * Return: 0, or an error.
 */
int cr_kwrite(struct cr_ctx *ctx, const void *buf, size_t count)
{
	struct kvec kvec = { .iov_base = (void *)buf, .iov_len = count };
	struct iov_iter iter;

	iov_iter_kvec(&iter, WRITE, &kvec, 1, count);
	return cr_write_iter(ctx, &iter);
}

/*
 * Can the kernel write to this file? Asked beforehand, so that the answer is
 * an error of its own, and not an image without contents and a warning.
 */
static int cr_file_check(struct file *file)
{
	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	/* that there is also ->write, as /dev/null has, does not matter here */
	if (!file->f_op->write_iter)
		return -EINVAL;
	return 0;
}

/*
 * The task that is the process @pid in the caller's pid namespace. 0 is the
 * caller; the id of a thread that does not lead its process names no process.
 */
static struct task_struct *cr_get_task(pid_t pid)
{
	struct task_struct *t;

	rcu_read_lock();
	t = current->group_leader;
	if (pid)
		t = pid_task(find_vpid(pid), PIDTYPE_TGID);
	if (t)
		get_task_struct(t);
	rcu_read_unlock();

	return t;
}

/**
 * cr_task_stopped - is a task stopped or frozen?
 * @t: task
 *
 * It may still be on its way off the CPU.
 *
 * Return: true if it is.
 */
bool cr_task_stopped(struct task_struct *t)
{
	if (task_is_stopped_or_traced(t))
		return true;
	/*
	 * Not frozen(): suspend and the freezer of cgroup v1 stop tasks in the
	 * middle of system calls, whose registers are of no use.
	 *
	 * The mark of the cgroup freezer alone says little: a stopped task,
	 * and one that waits in vfork(), bear it without being frozen.
	 */
	return cgroup_task_frozen(t) &&
	       (READ_ONCE(t->jobctl) & JOBCTL_TRAP_FREEZE);
}

static unsigned long cr_task_switches(struct task_struct *t)
{
	return READ_ONCE(t->nvcsw) + READ_ONCE(t->nivcsw);
}

/*
 * A parent is told that its child has stopped before the child is off its
 * CPU: wait until it is, only then its registers are where we look for them.
 */
static int cr_task_wait(struct cr_ctx *ctx)
{
	struct task_struct *t = ctx->task;

	if (t == current)
		return 0;

	ctx->state = cr_task_state(t);
	if (ctx->state == TASK_RUNNING || !cr_task_stopped(t) ||
	    !cr_wait_inactive(t, ctx->state))
		return -EBUSY;
	ctx->switches = cr_task_switches(t);

	return cr_task_check(ctx);
}

/**
 * cr_task_check - has the task been stopped all the time?
 * @ctx: checkpoint context
 *
 * Nothing keeps a stopped task from being continued or killed. What was saved
 * before is then of no use. A task that ran and is stopped again has been on
 * a CPU and off it, which is counted; not before it is off it, though. A task
 * that has executed another program since the caller's rights were checked is
 * another one: its registers are not the caller's to see.
 *
 * Return: 0, or -EBUSY if it has not.
 */
int cr_task_check(struct cr_ctx *ctx)
{
	struct task_struct *t = ctx->task;

	if (t == current)
		return 0;
	if (!cr_task_stopped(t) || cr_task_state(t) != ctx->state ||
	    !cr_wait_inactive(t, ctx->state) ||
	    cr_task_switches(t) != ctx->switches ||
	    READ_ONCE(t->mm) != ctx->mm)
		return -EBUSY;
	return 0;
}

/* may the caller see all of the task? if so, take a reference to its mm */
static int cr_task_access(struct cr_ctx *ctx)
{
	struct task_struct *t = ctx->task;
	int ret;

	/* between two programs the rights to one must not give us the other */
	ret = down_read_killable(&t->signal->exec_update_lock);
	if (ret)
		return ret;

	if (!ptrace_may_access(t, PTRACE_MODE_ATTACH_REALCREDS)) {
		ret = -EPERM;
	} else if (t->flags & PF_KTHREAD) {
		ret = -EINVAL;
	} else {
		ctx->mm = get_task_mm(t);
		if (!ctx->mm)
			ret = -ESRCH;
	}

	up_read(&t->signal->exec_update_lock);
	return ret;
}

/* does another process (vfork, clone) live in the address space? */
static bool cr_mm_is_shared(struct cr_ctx *ctx)
{
	struct task_struct *p;
	bool shared = false;

	/* two users: the task and we */
	if (atomic_read(&ctx->mm->mm_users) <= 2)
		return false;

	/* others may be just looking (proc, another checkpoint): ask who */
	rcu_read_lock();
	for_each_process(p) {
		if (p->flags & PF_KTHREAD || same_thread_group(p, ctx->task))
			continue;
		shared = process_shares_mm(p, ctx->mm);
		if (shared)
			break;
	}
	rcu_read_unlock();

	return shared;
}

/* what else is needed of the task, in reach even if it dies meanwhile */
static int cr_task_pin(struct cr_ctx *ctx)
{
	struct task_struct *t = ctx->task;
	int ret = -ESRCH;

	task_lock(t);
	if (t->fs) {
		get_fs_root(t->fs, &ctx->root);
		ret = 0;
	}
	task_unlock(t);

	/* user registers are kept on the kernel stack */
	if (!ret && !try_get_task_stack(t))
		ret = -ESRCH;
	return ret;
}

static void cr_task_unpin(struct cr_ctx *ctx)
{
	put_task_stack(ctx->task);
}

/*
 * Checkpoint ctx->task, or refuse to. The order of the refusals is part of
 * the interface; none of them leaves a byte in the file:
 *
 *   EINVAL	flags are not 0
 *   EBADF	fd is not open for writing
 *   EINVAL	fd is a file that the kernel cannot write to
 *   ESRCH	no process with this pid in the caller's pid namespace
 *   EPERM	the caller may not ptrace-attach to it
 *   EINVAL	it is a kernel thread
 *   ESRCH	it is a zombie, or has no address space for other reasons
 *   EBUSY	it is neither stopped nor frozen
 *   EOPNOTSUPP	it has several threads, or shares its address space with
 *		another process: an image has room for one task
 *
 * and for the first VMA that cannot be saved:
 *
 *   ENOSYS	it is shared memory, huge pages, device memory
 *   EBADF	its file cannot be reached from the task's root directory, or
 *		something is mounted over it
 *   ENOENT	its file was unlinked
 *   ENAMETOOLONG  its file's path does not fit into PATH_MAX bytes
 *
 * Later errors leave an image without its tail: the same, where it became so
 * during the call, and
 *
 *   EBUSY	the task did not remain stopped, or its address space changed
 *   EFAULT, EHWPOISON  a page of the task could not be read
 *   EINTR	a signal for the caller
 *   EIO, ENOSPC, EPIPE, EAGAIN, EFBIG ...  what writing to fd said
 *
 * and ENOMEM anywhere.
 */
static int cr_checkpoint_task(struct cr_ctx *ctx)
{
	int ret;

	ret = cr_task_access(ctx);
	if (!ret)
		ret = cr_task_wait(ctx);
	if (!ret && (get_nr_threads(ctx->task) != 1 || cr_mm_is_shared(ctx)))
		ret = -EOPNOTSUPP;
	if (!ret)
		ret = cr_task_pin(ctx);
	if (!ret) {
		ret = cr_mm_survey(ctx);
		if (!ret)
			ret = do_checkpoint(ctx);
		cr_task_unpin(ctx);
	}

	return ret;
}

static void cr_ctx_free(struct cr_ctx *ctx)
{
	cr_pgarr_free(ctx);
	path_put(&ctx->root);		/* safe with NULL pointers */
	if (ctx->mm)
		mmput(ctx->mm);
	kfree(ctx);
}

static struct cr_ctx *cr_ctx_alloc(struct file *file, struct task_struct *t)
{
	struct cr_ctx *ctx;

	ctx = kzalloc(sizeof(*ctx), GFP_KERNEL);
	if (!ctx)
		return NULL;

	ctx->flags = CR_CTX_CKPT;
	ctx->file = file;
	if (!(file->f_mode & FMODE_STREAM)) {
		ctx->pos = file->f_pos;
		ctx->ppos = &ctx->pos;
	}
	ctx->task = t;

	if (cr_pgarr_alloc(ctx)) {
		cr_ctx_free(ctx);
		return NULL;
	}

	return ctx;
}

/* checkpoint the process @pid to a file whose position is ours */
static long cr_checkpoint_pid(pid_t pid, struct file *file)
{
	struct task_struct *t;
	struct cr_ctx *ctx;
	long ret;

	t = cr_get_task(pid);
	if (!t)
		return -ESRCH;

	ret = -ENOMEM;
	ctx = cr_ctx_alloc(file, t);
	if (ctx) {
		ret = cr_checkpoint_task(ctx);
		if (ctx->ppos)
			file->f_pos = ctx->pos;
		cr_ctx_free(ctx);
	}
	put_task_struct(t);

	return ret;
}

/**
 * sys_checkpoint - write the state of a process to a file
 * @pid: the process: the caller itself (0, or its own pid), or one that is
 *	 stopped or frozen
 * @fd: file to which the image is written, from its current position on
 * @flags: none defined: 0
 *
 * Return: the number of this checkpoint, from 1 on, or an error.
 */
SYSCALL_DEFINE3(checkpoint, pid_t, pid, int, fd, unsigned long, flags)
{
	struct fd f;
	long ret;

	if (flags)
		return -EINVAL;

	/* as in write(2): two that share a file position take turns */
	f = fdget_pos(fd);
	if (!cr_fd_file(f))
		return -EBADF;

	ret = cr_file_check(cr_fd_file(f));
	if (!ret)
		ret = cr_checkpoint_pid(pid, cr_fd_file(f));
	fdput_pos(f);

	if (!ret)
		return atomic_inc_return(&cr_ctx_count);
	/* a restarted call would write a second image behind this one */
	return cr_is_interrupt(ret) ? -EINTR : ret;
}
