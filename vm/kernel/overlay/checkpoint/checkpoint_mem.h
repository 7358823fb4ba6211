/* SPDX-License-Identifier: GPL-2.0 */
/*
 *  Generic container checkpoint-restart
 *
 *  Copyright (C) 2008 Oren Laadan
 */
#ifndef _CHECKPOINT_CKPT_MEM_H
#define _CHECKPOINT_CKPT_MEM_H

#include <linux/list.h>
#include <linux/mm_types.h>

struct cr_ctx;

/*
 * page-array chains: each cr_pgarr describes a set of <struct page *,vaddr>
 * tuples (where vaddr is the virtual address of a page in a particular mm).
 * Specifically, we use separate arrays so that all vaddrs can be written
 * at once. Each of the two arrays is one page.
 */
struct cr_pgarr {
	unsigned long *vaddrs;
	struct page **pages;
	unsigned int nr_used;
	struct list_head list;
};

#define CR_PGARR_TOTAL	(PAGE_SIZE / sizeof(void *))
#define CR_PGARR_CHUNK	(4 * CR_PGARR_TOTAL)

int cr_pgarr_alloc(struct cr_ctx *ctx);
void cr_pgarr_free(struct cr_ctx *ctx);

#endif /* _CHECKPOINT_CKPT_MEM_H */
