// SPDX-License-Identifier: GPL-2.0
/*
 *  Checkpoint logic and helpers
 *
 *  Copyright (C) 2008 Oren Laadan
 */

#define pr_fmt(fmt) "c/r: " fmt

#include <linux/auxvec.h>
#include <linux/build_bug.h>
#include <linux/checkpoint.h>
#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/mm_types.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/path.h>
#include <linux/rwsem.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/uio.h>
#include <linux/utsname.h>

#include "checkpoint_compat.h"

/* the format is cast in stone: see also arch/x86/mm/checkpoint.c */
static_assert(sizeof(struct cr_hdr) == 8);
static_assert(offsetof(struct cr_hdr, len) == 2);
static_assert(offsetof(struct cr_hdr, parent) == 4);
static_assert(sizeof(struct cr_hdr_head) == 224);
static_assert(offsetof(struct cr_hdr_head, rev) == 14);
static_assert(offsetof(struct cr_hdr_head, time) == 16);
static_assert(offsetof(struct cr_hdr_head, flags) == 24);
static_assert(offsetof(struct cr_hdr_head, release) == 32);
static_assert(offsetof(struct cr_hdr_head, version) == 96);
static_assert(offsetof(struct cr_hdr_head, machine) == 160);
static_assert(sizeof(struct cr_hdr_task) == 24);
static_assert(offsetof(struct cr_hdr_task, exit_state) == 4);
static_assert(offsetof(struct cr_hdr_task, exit_code) == 8);
static_assert(offsetof(struct cr_hdr_task, exit_signal) == 12);
static_assert(offsetof(struct cr_hdr_task, task_comm_len) == 16);
static_assert(sizeof(struct cr_hdr_mm) == 96);
static_assert(offsetof(struct cr_hdr_mm, start_code) == 8);
static_assert(offsetof(struct cr_hdr_mm, start_brk) == 40);
static_assert(offsetof(struct cr_hdr_mm, start_stack) == 56);
static_assert(offsetof(struct cr_hdr_mm, env_end) == 88);
static_assert(sizeof(struct cr_hdr_vma) == 48);
static_assert(offsetof(struct cr_hdr_vma, vm_start) == 8);
static_assert(offsetof(struct cr_hdr_vma, vm_page_prot) == 24);
static_assert(offsetof(struct cr_hdr_vma, vm_flags) == 32);
static_assert(offsetof(struct cr_hdr_vma, vm_pgoff) == 40);
static_assert(sizeof(struct cr_hdr_pgarr) == 8);
static_assert(sizeof(struct cr_hdr_tail) == 8);

/**
 * cr_write_obj - write a record
 * @ctx: checkpoint context
 * @h: record header; tells the length of @buf
 * @buf: the record itself
 *
 * Return: 0, or an error.
 */
int cr_write_obj(struct cr_ctx *ctx, const struct cr_hdr *h, const void *buf)
{
	struct kvec kvec[] = {
		{ .iov_base = (void *)h, .iov_len = sizeof(*h) },
		{ .iov_base = (void *)buf, .iov_len = h->len },
	};
	struct iov_iter iter;

	iov_iter_kvec(&iter, WRITE, kvec, ARRAY_SIZE(kvec),
		      sizeof(*h) + h->len);
	return cr_write_iter(ctx, &iter);
}

/* write a string, with all @len bytes that belong to the record */
static int cr_write_string(struct cr_ctx *ctx, const char *str, int len)
{
	struct cr_hdr h = {
		.type = CR_HDR_STRING,
		.len = len,
	};

	return cr_write_obj(ctx, &h, str);
}

/* is the file, or a directory on the way to it, hidden by another mount? */
static bool cr_is_hidden(const struct path *file, const struct path *root)
{
	struct path path = *file;
	struct dentry *parent;
	bool hidden = false;

	path_get(&path);
	while (!path_equal(&path, root)) {
		hidden = path_is_mountpoint(&path);
		if (hidden)
			break;

		/* its own mount hides nothing: go on above the mount point */
		while (path.dentry == path.mnt->mnt_root) {
			/* moved since __d_path() saw it */
			hidden = !follow_up(&path);
			if (hidden || path_equal(&path, root))
				goto out;
		}
		parent = dget_parent(path.dentry);
		dput(path.dentry);
		path.dentry = parent;
	}
out:
	path_put(&path);
	return hidden;
}

/**
 * cr_fill_fname - return pathname of a given file
 * @path: path name
 * @root: relative root
 * @buf: buffer for pathname
 * @n: buffer length (in) and pathname length, with its NUL (out)
 *
 * Return: the name, somewhere in @buf, or an error pointer.
 */
char *cr_fill_fname(const struct path *path, const struct path *root,
		    char *buf, int *n)
{
	char *fname;

	fname = __d_path(path, root, buf, *n);
	if (IS_ERR(fname))
		return fname;
	/*
	 * The path leads out of the root directory, of the mount namespace,
	 * or was never in one (memfd): there is no name for it.
	 */
	if (!fname)
		return ERR_PTR(-EBADF);
	/*
	 * The name leads to nowhere, or to another file. 2.6.28 said so by
	 * the suffix " (deleted)", which a file may well have as its name.
	 */
	if (d_unlinked(path->dentry))
		return ERR_PTR(-ENOENT);
	/* the name leads to what was mounted over the file */
	if (cr_is_hidden(path, root))
		return ERR_PTR(-EBADF);

	*n = buf + *n - fname;
	return fname;
}

/* write the checkpoint header */
static int cr_write_head(struct cr_ctx *ctx)
{
	struct cr_hdr h = {
		.type = CR_HDR_HEAD,
		.len = sizeof(struct cr_hdr_head),
	};
	struct cr_hdr_head hh = {
		.magic = CR_HDR_HEAD_MAGIC,
		.major = LINUX_VERSION_MAJOR,
		.minor = LINUX_VERSION_PATCHLEVEL,
		.patch = LINUX_VERSION_SUBLEVEL,
		.rev = CR_VERSION,
		.time = ktime_get_real_seconds(),
		.flags = ctx->flags,
	};
	struct new_utsname *uts;

	down_read(&uts_sem);
	uts = utsname();
	memcpy(hh.release, uts->release, sizeof(hh.release));
	memcpy(hh.version, uts->version, sizeof(hh.version));
	memcpy(hh.machine, uts->machine, sizeof(hh.machine));
	up_read(&uts_sem);

	return cr_write_obj(ctx, &h, &hh);
}

/* write the checkpoint trailer */
static int cr_write_tail(struct cr_ctx *ctx)
{
	struct cr_hdr h = {
		.type = CR_HDR_TAIL,
		.len = sizeof(struct cr_hdr_tail),
	};
	struct cr_hdr_tail hh = { .magic = CR_HDR_TAIL_MAGIC };

	return cr_write_obj(ctx, &h, &hh);
}

/* dump the task_struct of a given task */
static int cr_write_task_struct(struct cr_ctx *ctx, struct task_struct *t)
{
	struct cr_hdr h = {
		.type = CR_HDR_TASK,
		.len = sizeof(struct cr_hdr_task),
	};
	struct cr_hdr_task hh = {
		.state = ctx->state,
		.exit_state = t->exit_state,
		.exit_code = t->exit_code,
		.exit_signal = t->exit_signal,
		.task_comm_len = TASK_COMM_LEN,
	};
	char comm[TASK_COMM_LEN];
	int ret;

	ret = cr_write_obj(ctx, &h, &hh);
	if (ret)
		return ret;

	get_task_comm(comm, t);		/* pads with zeros */
	return cr_write_string(ctx, comm, sizeof(comm));
}

/*
 * Write the auxiliary vector, as far as /proc shows it. Where the kernel's word
 * has 64 bits, a 32-bit program has two of its own in each.
 */
static int cr_write_auxv(struct cr_ctx *ctx, struct task_struct *t)
{
	unsigned long auxv[AT_VECTOR_SIZE];
	struct cr_hdr h = {
		.type = CR_HDR_AUXV,
		.parent = task_pid_vnr(t),
	};
	unsigned int n = 0;

	/* prctl(2) writes it without a lock: what is measured is what is sent */
	memcpy(auxv, ctx->mm->saved_auxv, sizeof(auxv));
	while (n < AT_VECTOR_SIZE - 2 && auxv[n] != AT_NULL)
		n += 2;
	h.len = (n + 2) * sizeof(*auxv);

	return cr_write_obj(ctx, &h, auxv);
}

/* dump the entire state of a given task */
static int cr_write_task(struct cr_ctx *ctx, struct task_struct *t)
{
	int ret;

	ret = cr_write_task_struct(ctx, t);
	cr_debug("task_struct: ret %d\n", ret);
	if (ret)
		return ret;
	ret = cr_write_mm(ctx, t);
	cr_debug("memory: ret %d\n", ret);
	if (ret)
		return ret;
	ret = cr_write_thread(ctx, t);
	cr_debug("thread: ret %d\n", ret);
	if (ret)
		return ret;
	ret = cr_write_cpu(ctx, t);
	cr_debug("cpu: ret %d\n", ret);
	if (ret)
		return ret;
	ret = cr_write_auxv(ctx, t);
	cr_debug("auxv: ret %d\n", ret);
	if (ret)
		return ret;
	ret = cr_write_signals(ctx, t);
	cr_debug("signals: ret %d\n", ret);

	return ret;
}

/**
 * do_checkpoint - write the image of a task
 * @ctx: checkpoint context, with all that was to be asked before
 *
 * Return: 0, or an error.
 */
int do_checkpoint(struct cr_ctx *ctx)
{
	int ret;

	ret = cr_write_head(ctx);
	if (ret)
		return ret;
	ret = cr_write_head_arch(ctx, ctx->task);
	if (ret)
		return ret;
	ret = cr_write_task(ctx, ctx->task);
	if (ret)
		return ret;

	/* was all that the state of one moment? */
	ret = cr_mm_check(ctx);
	if (ret)
		return ret;
	ret = cr_task_check(ctx);
	if (ret)
		return ret;

	return cr_write_tail(ctx);
}
