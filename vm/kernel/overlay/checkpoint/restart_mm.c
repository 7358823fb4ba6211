// SPDX-License-Identifier: GPL-2.0
/*
 *  Restart: the address space
 */

#define pr_fmt(fmt) "c/r: " fmt

#include <linux/auxvec.h>
#include <linux/binfmts.h>
#include <linux/bvec.h>
#include <linux/checkpoint.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/resource.h>
#include <linux/sched/coredump.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/uio.h>

#include "checkpoint_compat.h"
#include "checkpoint_mem.h"
#include "restart.h"
#include "restart_compat.h"

/* may the process say so of its address space, as prctl(PR_SET_MM) asks? */
static int cr_mm_check_ranges(const struct cr_hdr_mm *hh)
{
	const u64 addrs[] = {
		hh->start_code, hh->end_code, hh->start_data, hh->end_data,
		hh->start_brk, hh->brk, hh->arg_start, hh->arg_end,
		hh->env_start, hh->env_end, hh->start_stack, TASK_SIZE,
	};
	unsigned int i;

	if (hh->objref)
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(addrs); i++)
		if (addrs[i] > TASK_SIZE)
			return -EINVAL;
	/* each of the first five ends where it begins, or above; a stack grows */
	for (i = 0; i < ARRAY_SIZE(addrs); i += 2)
		if (addrs[i] > addrs[i + 1])
			return -EINVAL;

	/* one more than this is what mmap(2) leaves at most */
	if (hh->map_count > (unsigned int)sysctl_max_map_count + 1)
		return -ENOMEM;
	if (check_data_rlimit(rlimit(RLIMIT_DATA), hh->brk, hh->start_brk,
			      hh->end_data, hh->start_data))
		return -ENOMEM;
	return 0;
}

/*
 * An address space as execve(2) makes it: with nothing in it, and nothing of
 * the caller's but what every program inherits.
 */
static int cr_mm_create(struct cr_restart *r, const struct cr_hdr_mm *hh)
{
	struct rlimit stack;
	struct mm_struct *mm;
	int ret;

	mm = mm_alloc();
	if (!mm)
		return -ENOMEM;
	r->mm = mm;

	task_lock(current->group_leader);
	stack = current->signal->rlim[RLIMIT_STACK];
	task_unlock(current->group_leader);
	arch_pick_mmap_layout(mm, &stack);
	mm->task_size = TASK_SIZE;
	cr_init_mm_arch(mm);

	/* who writes its core, should it come to that */
	mm->binfmt = current->mm->binfmt;
	if (mm->binfmt)
		__module_get(mm->binfmt->module);

	mm->start_code = hh->start_code;
	mm->end_code = hh->end_code;
	mm->start_data = hh->start_data;
	mm->end_data = hh->end_data;
	mm->start_brk = hh->start_brk;
	mm->brk = hh->brk;
	mm->start_stack = hh->start_stack;
	mm->arg_start = hh->arg_start;
	mm->arg_end = hh->arg_end;
	mm->env_start = hh->env_start;
	mm->env_end = hh->env_end;

	ret = cr_ksm_execve(mm);
	if (ret)
		return ret;

	/* pages are to be as the image has them: small, and no more than it has */
	r->thp_disabled = test_and_set_bit(MMF_DISABLE_THP, &mm->flags);
	return 0;
}

/**
 * cr_mm_finish - all contents are there
 * @r: restart context
 */
void cr_mm_finish(struct cr_restart *r)
{
	if (!r->thp_disabled)
		clear_bit(MMF_DISABLE_THP, &r->mm->flags);
	cr_uncount_pages(r);
}

/**
 * cr_restore_mm - make the address space of the image
 * @r: restart context; @r->mm becomes that address space
 *
 * Return: 0, or an error.
 */
int cr_restore_mm(struct cr_restart *r)
{
	struct cr_hdr_mm hh;
	unsigned int i;
	int ret;

	ret = cr_read_pid_obj(r, CR_HDR_MM, &hh, sizeof(hh));
	if (!ret)
		ret = cr_mm_check_ranges(&hh);
	if (!ret)
		ret = cr_mm_create(r, &hh);
	for (i = 0; !ret && i < hh.map_count; i++)
		ret = cr_restore_vma(r);
	if (!ret)
		ret = cr_read_mm_context(r);
	return ret;
}

/**
 * cr_read_auxv - read the auxiliary vector
 * @r: restart context
 *
 * What it says is for user space alone. But those who show it look for its
 * AT_NULL, and for no other end.
 *
 * Return: 0, or an error.
 */
int cr_read_auxv(struct cr_restart *r)
{
	unsigned long *auxv = r->mm->saved_auxv;
	unsigned int len, n = 0;
	struct cr_hdr h;
	int ret;

	ret = cr_kread(r, &h, sizeof(h));
	if (ret)
		return ret;
	if (h.type != CR_HDR_AUXV || h.parent != r->pid || h.len <= 0 ||
	    h.len > sizeof(r->mm->saved_auxv) || h.len % (2 * sizeof(*auxv)))
		return -EINVAL;

	ret = cr_kread(r, auxv, h.len);
	if (ret)
		return ret;
	len = h.len / sizeof(*auxv);
	while (n < len && auxv[n] != AT_NULL)
		n += 2;
	return n + 2 == len ? 0 : -EINVAL;
}

/*
 * As long as nobody runs in the new address space its pages are nobody's for
 * those who look for a task to kill when memory is out. They are the caller's.
 */
static void cr_count_pages(struct cr_restart *r, unsigned int nr)
{
	add_mm_counter(current->mm, MM_ANONPAGES, nr);
	r->nr_pages += nr;
}

/**
 * cr_uncount_pages - pages are no longer counted as the caller's
 * @r: restart context
 */
void cr_uncount_pages(struct cr_restart *r)
{
	add_mm_counter(current->mm, MM_ANONPAGES, -(long)r->nr_pages);
	r->nr_pages = 0;
}

/*
 * Make pages present, from @addrs[0] on: as many as follow each other in
 * memory, @max at most. To write with force makes a copy where the area is
 * read-only, and leaves it read-only.
 */
static long cr_get_pages(struct cr_restart *r, const unsigned long *addrs,
			 unsigned int max)
{
	unsigned int nr = 1;
	long ret;

	while (nr < max && addrs[nr] == addrs[0] + nr * PAGE_SIZE)
		nr++;

	ret = mmap_read_lock_killable(r->mm);
	if (ret)
		return ret;
	ret = cr_get_user_pages(r->mm, addrs[0], nr, FOLL_WRITE | FOLL_FORCE,
				r->pages);
	mmap_read_unlock(r->mm);

	return ret ?: -EFAULT;
}

/* read the contents of pages, right into them */
static int cr_read_pages(struct cr_restart *r, unsigned int nr)
{
	struct iov_iter iter;
	unsigned int i;
	int ret;

	for (i = 0; i < nr; i++) {
		r->bvec[i].bv_page = r->pages[i];
		r->bvec[i].bv_len = PAGE_SIZE;
		r->bvec[i].bv_offset = 0;
	}
	iov_iter_bvec(&iter, READ, r->bvec, nr, nr * PAGE_SIZE);
	ret = cr_read_iter(r, &iter);

	for (i = 0; i < nr; i++) {
		set_page_dirty_lock(r->pages[i]);
		put_page(r->pages[i]);
	}
	return ret;
}

static int cr_read_chunk(struct cr_restart *r, unsigned int nr)
{
	const unsigned int max = CR_READ_PAGES;
	unsigned int done = 0;
	long n;
	int ret;

	while (done < nr) {
		n = cr_get_pages(r, r->vaddrs + done, min(nr - done, max));
		if (n < 0)
			return n;
		cr_count_pages(r, n);
		ret = cr_read_pages(r, n);
		if (ret)
			return ret;
		done += n;
	}
	return 0;
}

/**
 * cr_restore_pages - restore the contents of a VMA
 * @r: restart context
 * @hh: the VMA, which is in place
 *
 * Addresses must ascend and lie inside the VMA. That bounds the work, too.
 *
 * Return: 0, or an error.
 */
int cr_restore_pages(struct cr_restart *r, const struct cr_hdr_vma *hh)
{
	unsigned long next = hh->vm_start;
	struct cr_hdr_pgarr pgarr;
	unsigned int i;
	int ret;

	BUILD_BUG_ON(CR_CHUNK_PAGES != CR_PGARR_CHUNK);

	for (;;) {
		ret = cr_read_obj(r, CR_HDR_PGARR, 0, &pgarr, sizeof(pgarr));
		if (ret || !pgarr.nr_pages)
			return ret;
		/* a page of a device is nobody's */
		if (pgarr.nr_pages > CR_CHUNK_PAGES ||
		    hh->vm_flags & (VM_IO | VM_PFNMAP))
			return -EINVAL;
		ret = hh->vm_flags & VM_EXEC ? cr_check_own_code() : 0;
		if (ret)
			return ret;

		ret = cr_kread(r, r->vaddrs,
			       pgarr.nr_pages * sizeof(*r->vaddrs));
		if (ret)
			return ret;
		for (i = 0; i < pgarr.nr_pages; i++) {
			if (!PAGE_ALIGNED(r->vaddrs[i]) ||
			    r->vaddrs[i] < next || r->vaddrs[i] >= hh->vm_end)
				return -EINVAL;
			next = r->vaddrs[i] + PAGE_SIZE;
		}

		ret = cr_read_chunk(r, pgarr.nr_pages);
		if (ret)
			return ret;
	}
}
