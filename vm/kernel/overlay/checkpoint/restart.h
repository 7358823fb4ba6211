/* SPDX-License-Identifier: GPL-2.0 */
/*
 *  Restart: what its parts know of each other
 */
#ifndef _CHECKPOINT_RESTART_H
#define _CHECKPOINT_RESTART_H

#include <linux/checkpoint_restart.h>

struct file;
struct iov_iter;

/* pages read by one call */
#define CR_READ_PAGES	(PAGE_SIZE / sizeof(struct bio_vec))
/* pages of a chunk: see also checkpoint_mem.h */
#define CR_CHUNK_PAGES	(4 * PAGE_SIZE / sizeof(unsigned long))

int cr_read_iter(struct cr_restart *r, const struct iov_iter *data);
int cr_read_pid_obj(struct cr_restart *r, int type, void *buf, int len);
int do_restart(struct cr_restart *r);

int cr_restore_mm(struct cr_restart *r);
int cr_read_auxv(struct cr_restart *r);
int cr_read_signals(struct cr_restart *r);
void cr_commit_signals(struct cr_restart *r);
void cr_mm_finish(struct cr_restart *r);
int cr_restore_vma(struct cr_restart *r);
int cr_check_own_code(void);
struct file *cr_open_mapped(struct cr_restart *r);
int cr_file_mappable(struct file *file, const struct cr_hdr_vma *hh);
int cr_restore_pages(struct cr_restart *r, const struct cr_hdr_vma *hh);
void cr_uncount_pages(struct cr_restart *r);
int cr_commit(struct cr_restart *r, bool stopped);

#endif /* _CHECKPOINT_RESTART_H */
