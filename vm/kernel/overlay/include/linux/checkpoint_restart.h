/* SPDX-License-Identifier: GPL-2.0 */
/*
 *  Generic container checkpoint-restart: a task from an image
 */
#ifndef _LINUX_CHECKPOINT_RESTART_H
#define _LINUX_CHECKPOINT_RESTART_H

#include <linux/fs.h>
#include <linux/sched.h>
#include <linux/signal_types.h>
#include <linux/types.h>
#include <uapi/linux/checkpoint_hdr.h>

struct bio_vec;
struct cr_arch_restart;
struct mm_struct;

/**
 * struct cr_restart - one restart in progress
 * @file:	the image
 * @pos:	where in @file the next byte comes from
 * @ppos:	&@pos, or NULL where positions mean nothing (pipe, socket)
 * @pid:	what the process was called when it was saved
 * @comm:	its name
 * @signals:	its mask and stack of signals
 * @actions:	what it does about them
 * @mm:		the new address space; nobody runs in it
 * @thp_disabled: whether @mm shall be without huge pages
 * @map_count:	number of VMAs that the image announces
 * @end:	where the last VMA ended
 * @exe:	file that holds the code of the program, if it is known
 * @nr_pages:	pages of @mm that are counted as the caller's
 * @fname:	scratch: the name of a file, or bytes to be skipped
 * @vaddrs:	scratch: addresses of the pages of a chunk
 * @pages:	scratch: pages to be read by one call
 * @bvec:	scratch: the same, as a vector
 * @arch:	what belongs to the architecture
 *
 * All that comes from the image is kept here until the image has been read to
 * its end. The caller is not touched before.
 */
struct cr_restart {
	struct file *file;
	loff_t pos;
	loff_t *ppos;

	pid_t pid;
	char comm[TASK_COMM_LEN];
	struct cr_hdr_signals signals;
	struct sigaction actions[_NSIG];

	struct mm_struct *mm;
	bool thp_disabled;
	unsigned int map_count;
	unsigned long end;
	struct file *exe;
	unsigned long nr_pages;

	char *fname;
	unsigned long *vaddrs;
	struct page **pages;
	struct bio_vec *bvec;

	struct cr_arch_restart *arch;
};

int cr_kread(struct cr_restart *r, void *buf, size_t count);
int cr_read_obj(struct cr_restart *r, int type, u32 parent, void *buf, int len);

/* provided by each architecture */
int cr_arch_alloc(struct cr_restart *r);
void cr_arch_free(struct cr_restart *r);
int cr_caller_check_arch(void);
int cr_read_head_arch(struct cr_restart *r);
void cr_init_mm_arch(struct mm_struct *mm);
int cr_map_special(struct cr_restart *r, const struct cr_hdr_vma *hh);
int cr_read_mm_context(struct cr_restart *r);
int cr_read_thread(struct cr_restart *r);
int cr_read_cpu(struct cr_restart *r);
void cr_commit_arch(struct cr_restart *r);

#endif /* _LINUX_CHECKPOINT_RESTART_H */
