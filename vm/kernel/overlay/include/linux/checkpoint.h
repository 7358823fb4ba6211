/* SPDX-License-Identifier: GPL-2.0 */
/*
 *  Generic container checkpoint-restart
 *
 *  Copyright (C) 2008 Oren Laadan
 */
#ifndef _LINUX_CHECKPOINT_H
#define _LINUX_CHECKPOINT_H

#include <linux/fs.h>
#include <linux/list.h>
#include <linux/path.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/types.h>
#include <uapi/linux/checkpoint_hdr.h>

struct bio_vec;
struct iov_iter;
struct mm_struct;

/**
 * struct cr_ctx - one checkpoint in progress
 * @flags:	CR_CTX_..., as recorded in the image
 * @file:	the image
 * @pos:	where in @file the next byte goes
 * @ppos:	&@pos, or NULL where positions mean nothing (pipe, socket)
 * @task:	whose state is saved, with a reference to it and to its stack
 * @state:	state of @task while it is stopped; 0 if it is the caller
 * @switches:	context switches of @task when it was found stopped
 * @mm:		address space of @task, with a reference
 * @map_count:	number of VMAs that the image announces
 * @nr_vmas:	number of VMAs written so far
 * @vmas_hash:	digest of the VMAs written so far
 * @root:	root directory of @task, with a reference: file names start here
 * @pgarr_list:	page-array chain, room for one chunk of pages
 * @nr_pages:	number of pages in the chain
 * @bvec:	scratch: vector of pages to be written by one call
 */
struct cr_ctx {
	unsigned long flags;

	struct file *file;
	loff_t pos;
	loff_t *ppos;

	struct task_struct *task;
	unsigned int state;
	unsigned long switches;

	struct mm_struct *mm;
	unsigned int map_count;
	unsigned int nr_vmas;
	u32 vmas_hash;

	struct path root;

	struct list_head pgarr_list;
	unsigned int nr_pages;
	struct bio_vec *bvec;
};

int cr_signal_check(void);
bool cr_is_interrupt(long ret);
int cr_write_iter(struct cr_ctx *ctx, const struct iov_iter *data);
int cr_kwrite(struct cr_ctx *ctx, const void *buf, size_t count);

bool cr_task_stopped(struct task_struct *t);
int cr_task_check(struct cr_ctx *ctx);

int cr_write_obj(struct cr_ctx *ctx, const struct cr_hdr *h, const void *buf);
char *cr_fill_fname(const struct path *path, const struct path *root,
		    char *buf, int *n);
int do_checkpoint(struct cr_ctx *ctx);

int cr_write_signals(struct cr_ctx *ctx, struct task_struct *t);

int cr_write_mm(struct cr_ctx *ctx, struct task_struct *t);
int cr_mm_survey(struct cr_ctx *ctx);
int cr_mm_check(struct cr_ctx *ctx);

/* provided by each architecture */
int cr_write_head_arch(struct cr_ctx *ctx, struct task_struct *t);
int cr_write_thread(struct cr_ctx *ctx, struct task_struct *t);
int cr_write_cpu(struct cr_ctx *ctx, struct task_struct *t);
int cr_write_mm_context(struct cr_ctx *ctx, struct mm_struct *mm, int parent);

#define cr_debug(fmt, args...)  \
	pr_debug("[%d:c/r:%s] " fmt, task_pid_vnr(current), __func__, ## args)

#endif /* _LINUX_CHECKPOINT_H */
