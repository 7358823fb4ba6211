// SPDX-License-Identifier: GPL-2.0
/*
 *  Checkpoint memory contents
 *
 *  Copyright (C) 2008 Oren Laadan
 */

#define pr_fmt(fmt) "c/r: " fmt

#include <linux/bvec.h>
#include <linux/checkpoint.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/huge_mm.h>
#include <linux/jhash.h>
#include <linux/mm.h>
#include <linux/pagewalk.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/uio.h>

#include "checkpoint_compat.h"
#include "checkpoint_mem.h"

/*
 * utilities to alloc, free, and handle 'struct cr_pgarr' (page-arrays)
 *
 * The chain ctx->pgarr_list tracks the pages to be dumped, ctx->nr_pages of
 * them. It has room for one chunk and is allocated at the beginning: pages are
 * collected where nothing can be allocated. Before the next chunk all are reset.
 */

/* free a single page-array object */
static void cr_pgarr_free_one(struct cr_pgarr *pgarr)
{
	free_page((unsigned long)pgarr->pages);
	free_page((unsigned long)pgarr->vaddrs);
	kfree(pgarr);
}

/* allocate a single page-array object */
static struct cr_pgarr *cr_pgarr_alloc_one(void)
{
	struct cr_pgarr *pgarr;

	BUILD_BUG_ON(CR_PGARR_TOTAL * sizeof(*pgarr->vaddrs) != PAGE_SIZE);
	BUILD_BUG_ON(CR_PGARR_TOTAL * sizeof(*pgarr->pages) != PAGE_SIZE);

	pgarr = kzalloc(sizeof(*pgarr), GFP_KERNEL);
	if (!pgarr)
		return NULL;

	pgarr->vaddrs = (unsigned long *)__get_free_page(GFP_KERNEL);
	pgarr->pages = (struct page **)__get_free_page(GFP_KERNEL);
	if (!pgarr->vaddrs || !pgarr->pages) {
		cr_pgarr_free_one(pgarr);
		return NULL;
	}

	return pgarr;
}

/* reset the page-array chain, dropping the references to its pages */
static void cr_pgarr_reset_all(struct cr_ctx *ctx)
{
	struct cr_pgarr *pgarr;
	unsigned int i;

	list_for_each_entry(pgarr, &ctx->pgarr_list, list) {
		for (i = 0; i < pgarr->nr_used; i++)
			put_page(pgarr->pages[i]);
		pgarr->nr_used = 0;
	}
	ctx->nr_pages = 0;
}

/**
 * cr_pgarr_free - free the page-array chain
 * @ctx: checkpoint context
 */
void cr_pgarr_free(struct cr_ctx *ctx)
{
	struct cr_pgarr *pgarr, *tmp;

	list_for_each_entry_safe(pgarr, tmp, &ctx->pgarr_list, list) {
		list_del(&pgarr->list);
		cr_pgarr_free_one(pgarr);
	}
	free_page((unsigned long)ctx->bvec);
}

/**
 * cr_pgarr_alloc - allocate the page-array chain
 * @ctx: checkpoint context
 *
 * Return: 0, or -ENOMEM: cr_pgarr_free() takes care of what was allocated.
 */
int cr_pgarr_alloc(struct cr_ctx *ctx)
{
	unsigned int n;

	INIT_LIST_HEAD(&ctx->pgarr_list);

	for (n = 0; n < CR_PGARR_CHUNK; n += CR_PGARR_TOTAL) {
		struct cr_pgarr *pgarr = cr_pgarr_alloc_one();

		if (!pgarr)
			return -ENOMEM;
		list_add_tail(&pgarr->list, &ctx->pgarr_list);
	}

	ctx->bvec = (struct bio_vec *)__get_free_page(GFP_KERNEL);
	return ctx->bvec ? 0 : -ENOMEM;
}

/*
 * Take a page (and a reference to it) into the chain. There must be room.
 * Returns true if there is none any more.
 */
static bool cr_ctx_append_page(struct cr_ctx *ctx, unsigned long addr,
			       struct page *page)
{
	struct cr_pgarr *pgarr;

	list_for_each_entry(pgarr, &ctx->pgarr_list, list)
		if (pgarr->nr_used < CR_PGARR_TOTAL)
			break;

	get_page(page);
	pgarr->vaddrs[pgarr->nr_used] = addr;
	pgarr->pages[pgarr->nr_used] = page;
	pgarr->nr_used++;

	return ++ctx->nr_pages == CR_PGARR_CHUNK;
}

/*
 * Checkpoint is outside the context of the checkpointee, so one cannot
 * simply read pages from user-space. Instead, we scan the page tables of the
 * target to cherry-pick pages of interest: those that only this task, or its
 * relatives by fork(), can give back. That is what the kernel calls anonymous
 * pages, whatever kind of private mapping they are in:
 *
 *  - in anonymous memory, all that were ever written to. Where a page was
 *    only read, or nothing was done, a restart gives the same;
 *
 *  - in a private file mapping, the copies made when the task first wrote to
 *    a page. A page of the file itself need not be saved: the file has it.
 *
 * Nothing else tells them apart. That a page belongs to a file must not be
 * asked from page_mapping(): that is the swap cache for an anonymous page
 * which is on its way out or back in.
 *
 * A page that is swapped out is anonymous, and has to be brought in. No other
 * page is made present.
 */

/* results of the page table walk, besides errors; 0: the end was reached */
enum {
	CR_WALK_FULL = 1,	/* no room for more pages */
	CR_WALK_FAULT,		/* a page must be brought in */
};

struct cr_walk {
	struct cr_ctx *ctx;
	unsigned long next;	/* where to go on after CR_WALK_... */
};

/* take one page into the chain, if it is of interest */
static int cr_walk_page(struct cr_walk *w, unsigned long addr,
			struct page *page)
{
	if (!page || !PageAnon(page))
		return 0;

	if (!cr_ctx_append_page(w->ctx, addr, page))
		return 0;
	w->next = addr + PAGE_SIZE;
	return CR_WALK_FULL;
}

/* look at one page table entry */
static int cr_walk_pte(struct cr_walk *w, struct vm_area_struct *vma,
		       unsigned long addr, pte_t pte)
{
	if (pte_none(pte))
		return 0;

	/* PROT_NONE is present; zero page and device memory have no page */
	if (pte_present(pte))
		return cr_walk_page(w, addr, vm_normal_page(vma, addr, pte));

	/* marks of userfaultfd in a hole are not pages */
	if (cr_is_hole_entry(pte_to_swp_entry(pte)))
		return 0;

	/* swapped out, or on its way to another place in memory */
	w->next = addr;
	return CR_WALK_FAULT;
}

/* look at an entry that maps a huge page: all parts of it, one by one */
static int cr_walk_huge(struct cr_walk *w, unsigned long addr,
			unsigned long end, pmd_t pmd)
{
	struct page *page;
	int ret;

	if (!pmd_present(pmd)) {
		w->next = addr;
		return CR_WALK_FAULT;
	}

	/* the huge zero page is not anonymous */
	page = pmd_page(pmd) + ((addr & ~PMD_MASK) >> PAGE_SHIFT);
	for (; addr < end; addr += PAGE_SIZE, page++) {
		ret = cr_walk_page(w, addr, page);
		if (ret)
			return ret;
	}

	return 0;
}

static int cr_walk_pmd(pmd_t *pmd, unsigned long addr, unsigned long end,
		       struct mm_walk *walk)
{
	struct cr_walk *w = walk->private;
	spinlock_t *ptl;	/* of the page table */
	pte_t *pte, *first;
	int ret = 0;

	cond_resched();
	if (task_sigpending(current))
		return -EINTR;

	ptl = pmd_trans_huge_lock(pmd, walk->vma);
	if (ptl) {
		__acquire(ptl);		/* sparse does not see that it is taken */
		ret = cr_walk_huge(w, addr, end, *pmd);
		spin_unlock(ptl);
		return ret;
	}

	if (cr_pmd_unstable(pmd))
		goto again;
	first = pte_offset_map_lock(walk->mm, pmd, addr, &ptl);
	if (cr_pte_map_failed(first))
		goto again;

	for (pte = first; addr < end && !ret; addr += PAGE_SIZE, pte++)
		ret = cr_walk_pte(w, walk->vma, addr, ptep_get(pte));
	pte_unmap_unlock(first, ptl);

	return ret;

again:
	walk->action = ACTION_AGAIN;
	return 0;
}

static const struct mm_walk_ops cr_walk_ops = {
	.pmd_entry = cr_walk_pmd,
};

/*
 * Bring in the page at @addr, as it is: nothing is written to it. Drops the
 * mmap lock, so that nobody waits for it until all of a chunk was read.
 */
static int cr_fault_page(struct vm_area_struct *vma, unsigned long addr)
{
	struct mm_struct *mm = vma->vm_mm;
	/* REMOTE: protection keys of the caller have no say here */
	vm_fault_t fault = handle_mm_fault(vma, addr, FAULT_FLAG_REMOTE |
					   FAULT_FLAG_ALLOW_RETRY |
					   FAULT_FLAG_KILLABLE |
					   FAULT_FLAG_INTERRUPTIBLE, NULL);

	if (fault & (VM_FAULT_RETRY | CR_FAULT_COMPLETED))
		return 0;	/* the lock was dropped; look again */
	mmap_read_unlock(mm);
	if (!(fault & VM_FAULT_ERROR))
		return 0;
	return vm_fault_to_errno(fault, FOLL_HWPOISON) ?: -EFAULT;
}

/*
 * A VMA by what it is, not by where it is kept: that is the only way to meet
 * it again after the mmap lock was dropped.
 */
struct cr_vma {
	struct cr_hdr_vma hh;
	struct file *file;	/* with a reference */
};

/* what kind of VMA is it, for us? none: it cannot be saved */
static int cr_vma_type(struct vm_area_struct *vma)
{
	/*
	 * Contents of shared mappings are not of this task alone. This is
	 * also where anonymous shared memory belongs: behind it is a file.
	 */
	if (vma->vm_flags & (VM_SHARED | VM_MAYSHARE | VM_HUGETLB))
		return -ENOSYS;

	/* any special mapping is one with its own private data */
	if (vma_is_special_mapping(vma, vma->vm_private_data))
		return CR_VMA_SPECIAL;

	if (vma->vm_flags & (VM_IO | VM_PFNMAP | VM_MIXEDMAP |
			     CR_VM_SHADOW_STACK))
		return -ENOSYS;

	return vma->vm_file ? CR_VMA_FILE : CR_VMA_ANON;
}

/* what the image tells about a VMA */
static int cr_vma_fill(struct vm_area_struct *vma, struct cr_hdr_vma *hh)
{
	int type = cr_vma_type(vma);

	if (type < 0) {
		cr_debug("unsupported VMA %#lx\n", vma->vm_flags);
		return type;
	}

	*hh = (struct cr_hdr_vma) {
		.vma_type = type,
		.vm_start = vma->vm_start,
		.vm_end = vma->vm_end,
		.vm_page_prot = pgprot_val(vma->vm_page_prot),
		.vm_flags = vma->vm_flags,
		.vm_pgoff = vma->vm_pgoff,
	};
	return 0;
}

/* find the VMA again; NULL if it is not the same any more */
static struct vm_area_struct *cr_vma_find(struct mm_struct *mm,
					  const struct cr_vma *cv)
{
	struct vm_area_struct *vma = find_vma(mm, cv->hh.vm_start);
	struct cr_hdr_vma hh;

	if (!vma || vma->vm_file != cv->file || cr_vma_fill(vma, &hh) ||
	    memcmp(&hh, &cv->hh, sizeof(hh)))
		return NULL;
	return vma;
}

/*
 * Collect pages of a VMA for the next chunk, from @start (updated) on, until
 * there is no room for more or the end of the VMA is reached.
 */
static int cr_private_vma_fill_pgarr(struct cr_ctx *ctx,
				     const struct cr_vma *cv,
				     unsigned long *start)
{
	struct cr_walk w = { .ctx = ctx };
	struct vm_area_struct *vma;
	int ret;

	do {
		ret = cr_signal_check();
		if (!ret)
			ret = mmap_read_lock_killable(ctx->mm);
		if (ret)
			return ret;

		vma = cr_vma_find(ctx->mm, cv);
		ret = vma ? walk_page_range(ctx->mm, *start, cv->hh.vm_end,
					    &cr_walk_ops, &w) : -EBUSY;
		if (ret != CR_WALK_FAULT) {
			mmap_read_unlock(ctx->mm);
			if (ret >= 0)
				*start = ret ? w.next : cv->hh.vm_end;
			return min(ret, 0);
		}

		*start = w.next;
		ret = cr_fault_page(vma, *start);
	} while (!ret);

	return ret;
}

/* write the header of a chunk */
static int cr_write_pgarr(struct cr_ctx *ctx, unsigned int nr_pages)
{
	struct cr_hdr h = {
		.type = CR_HDR_PGARR,
		.len = sizeof(struct cr_hdr_pgarr),
	};
	struct cr_hdr_pgarr hh = { .nr_pages = nr_pages };

	return cr_write_obj(ctx, &h, &hh);
}

/* dump contents of pages: many with one call, and without a copy of ours */
static int cr_write_pages(struct cr_ctx *ctx, struct page **pages,
			  unsigned int nr)
{
	const unsigned int max = PAGE_SIZE / sizeof(*ctx->bvec);
	struct iov_iter iter;
	unsigned int i, n;
	int ret;

	for (; nr; nr -= n, pages += n) {
		n = min(nr, max);
		for (i = 0; i < n; i++) {
			ctx->bvec[i].bv_page = pages[i];
			ctx->bvec[i].bv_len = PAGE_SIZE;
			ctx->bvec[i].bv_offset = 0;
		}
		iov_iter_bvec(&iter, WRITE, ctx->bvec, n, n * PAGE_SIZE);
		ret = cr_write_iter(ctx, &iter);
		if (ret)
			return ret;
	}

	return 0;
}

/* dump all virtual addresses, followed by the contents of all pages */
static int cr_vma_dump_pages(struct cr_ctx *ctx)
{
	struct cr_pgarr *pgarr;
	int ret;

	ret = cr_write_pgarr(ctx, ctx->nr_pages);
	if (ret)
		return ret;

	list_for_each_entry(pgarr, &ctx->pgarr_list, list) {
		ret = cr_kwrite(ctx, pgarr->vaddrs,
				pgarr->nr_used * sizeof(*pgarr->vaddrs));
		if (ret)
			return ret;
	}

	list_for_each_entry(pgarr, &ctx->pgarr_list, list) {
		ret = cr_write_pages(ctx, pgarr->pages, pgarr->nr_used);
		if (ret)
			return ret;
	}

	return 0;
}

/* digest of a sequence of VMAs */
static u32 cr_vma_hash(const struct cr_hdr_vma *hh, const struct file *file,
		       u32 hash)
{
	hash = jhash(hh, sizeof(*hh), hash);
	return jhash(&file, sizeof(file), hash);
}

/* dump contents of a VMA with private memory */
static int cr_write_private_vma_contents(struct cr_ctx *ctx,
					 const struct cr_vma *cv)
{
	unsigned long addr = cv->hh.vm_start;
	int ret = 0;

	/*
	 * In each round at most CR_PGARR_CHUNK pages are collected, with the
	 * mmap lock held, and then written: a header that says how many, all
	 * their addresses, all their contents. To write takes locks that come
	 * before the mmap lock, and as long as it pleases the reader of a pipe.
	 *
	 * A header that specifies 0 pages marks the end of the contents.
	 */
	while (addr < cv->hh.vm_end) {
		ret = cr_private_vma_fill_pgarr(ctx, cv, &addr);
		if (!ret && ctx->nr_pages)
			ret = cr_vma_dump_pages(ctx);
		cr_pgarr_reset_all(ctx);
		if (!ret)
			ret = cr_task_check(ctx);
		if (ret)
			return ret;
	}

	return cr_write_pgarr(ctx, 0);
}

/**
 * cr_mm_survey - can all of the address space be saved?
 * @ctx: checkpoint context
 *
 * Asked before anything is written: what comes before a mapping that is
 * refused may be gigabytes. All is asked again when its turn comes.
 *
 * Return: 0, or an error.
 */
int cr_mm_survey(struct cr_ctx *ctx)
{
	struct mm_struct *mm = ctx->mm;
	struct vm_area_struct *vma;
	struct cr_hdr_vma hh;
	char *buf, *fname;
	int ret, len;

	buf = __getname();
	if (!buf)
		return -ENOMEM;

	ret = mmap_read_lock_killable(mm);
	if (ret)
		goto out;
	for (vma = find_vma(mm, 0); vma && !ret;
	     vma = find_vma(mm, vma->vm_end)) {
		ret = cr_vma_fill(vma, &hh);
		if (ret || !vma->vm_file)
			continue;
		len = PATH_MAX;
		fname = cr_fill_fname(cr_file_path(vma->vm_file), &ctx->root,
				      buf, &len);
		ret = PTR_ERR_OR_ZERO(fname);
	}
	mmap_read_unlock(mm);
out:
	__putname(buf);
	return ret;
}

/* write the record of a VMA, and the name of the file in it */
static int cr_write_vma_hdr(struct cr_ctx *ctx, const struct cr_vma *cv)
{
	struct cr_hdr h = {
		.type = CR_HDR_VMA,
		.len = sizeof(cv->hh),
	};
	int ret, len = PATH_MAX;
	char *buf, *fname;

	if (!cv->file)
		return cr_write_obj(ctx, &h, &cv->hh);

	buf = __getname();
	if (!buf)
		return -ENOMEM;

	/* a VMA whose file has no name is refused as a whole: name first */
	fname = cr_fill_fname(cr_file_path(cv->file), &ctx->root, buf, &len);
	ret = PTR_ERR_OR_ZERO(fname);
	if (!ret)
		ret = cr_write_obj(ctx, &h, &cv->hh);
	if (!ret) {
		h.type = CR_HDR_FNAME;
		h.len = len;
		ret = cr_write_obj(ctx, &h, fname);
	}

	__putname(buf);
	return ret;
}

static int cr_write_vma(struct cr_ctx *ctx, const struct cr_vma *cv)
{
	int ret;

	ret = cr_write_vma_hdr(ctx, cv);
	if (ret)
		return ret;
	return cr_write_private_vma_contents(ctx, cv);
}

/* the first VMA that ends behind @addr; returns 0 if there is none, or 1 */
static int cr_next_vma(struct mm_struct *mm, unsigned long addr,
		       struct cr_vma *cv)
{
	struct vm_area_struct *vma;
	int ret;

	ret = mmap_read_lock_killable(mm);
	if (ret)
		return ret;

	vma = find_vma(mm, addr);
	if (vma) {
		ret = cr_vma_fill(vma, &cv->hh) ?: 1;
		cv->file = vma->vm_file;
		if (ret > 0 && cv->file)
			get_file(cv->file);
	}

	mmap_read_unlock(mm);
	return ret;
}

/* write all VMAs */
static int cr_write_vmas(struct cr_ctx *ctx)
{
	unsigned long addr = 0;
	struct cr_vma cv;
	int ret;

	for (;;) {
		ret = cr_next_vma(ctx->mm, addr, &cv);
		if (ret <= 0)
			return ret;

		ret = cr_write_vma(ctx, &cv);
		ctx->vmas_hash = cr_vma_hash(&cv.hh, cv.file, ctx->vmas_hash);
		ctx->nr_vmas++;
		addr = cv.hh.vm_end;
		if (cv.file)
			fput(cv.file);
		if (ret)
			return ret;
	}
}

/**
 * cr_mm_check - is the address space still the one that was written?
 * @ctx: checkpoint context
 *
 * Others than the task can change it (userfaultfd, for one).
 *
 * Return: 0, -EBUSY if it is not, or another error.
 */
int cr_mm_check(struct cr_ctx *ctx)
{
	struct mm_struct *mm = ctx->mm;
	struct vm_area_struct *vma;
	struct cr_hdr_vma hh;
	unsigned int nr = 0;
	u32 hash = 0;
	int ret;

	ret = mmap_read_lock_killable(mm);
	if (ret)
		return ret;
	for (vma = find_vma(mm, 0); vma; vma = find_vma(mm, vma->vm_end)) {
		if (cr_vma_fill(vma, &hh))
			break;
		hash = cr_vma_hash(&hh, vma->vm_file, hash);
		nr++;
	}
	mmap_read_unlock(mm);

	if (vma || nr != ctx->nr_vmas || nr != ctx->map_count ||
	    hash != ctx->vmas_hash)
		return -EBUSY;
	return 0;
}

/**
 * cr_write_mm - dump the address space of a task
 * @ctx: checkpoint context
 * @t: the task
 *
 * Return: 0, or an error.
 */
int cr_write_mm(struct cr_ctx *ctx, struct task_struct *t)
{
	struct mm_struct *mm = ctx->mm;
	struct cr_hdr h = {
		.type = CR_HDR_MM,
		.len = sizeof(struct cr_hdr_mm),
		.parent = task_pid_vnr(t),
	};
	/* objref will be meaningful with multiple processes */
	struct cr_hdr_mm hh = { .objref = 0 };
	int ret;

	ret = mmap_read_lock_killable(mm);
	if (ret)
		return ret;
	spin_lock(&mm->arg_lock);
	hh.start_code = mm->start_code;
	hh.end_code = mm->end_code;
	hh.start_data = mm->start_data;
	hh.end_data = mm->end_data;
	hh.start_brk = mm->start_brk;
	hh.brk = mm->brk;
	hh.start_stack = mm->start_stack;
	hh.arg_start = mm->arg_start;
	hh.arg_end = mm->arg_end;
	hh.env_start = mm->env_start;
	hh.env_end = mm->env_end;
	spin_unlock(&mm->arg_lock);
	hh.map_count = mm->map_count;
	mmap_read_unlock(mm);

	/* FIX: need also mm->flags */

	ctx->map_count = hh.map_count;
	ret = cr_write_obj(ctx, &h, &hh);
	if (!ret)
		ret = cr_write_vmas(ctx);
	if (!ret)
		ret = cr_write_mm_context(ctx, mm, hh.objref);
	return ret;
}
