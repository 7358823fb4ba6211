// SPDX-License-Identifier: GPL-2.0
/*
 *  Checkpoint: what a task does about signals
 */

#define pr_fmt(fmt) "c/r: " fmt

#include <linux/build_bug.h>
#include <linux/checkpoint.h>
#include <linux/sched/signal.h>
#include <linux/signal.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "checkpoint_compat.h"

static_assert(sizeof(sigset_t) == sizeof(__u64));
static_assert(sizeof(struct cr_hdr_signals) == 32);
static_assert(offsetof(struct cr_hdr_signals, sas_ss_flags) == 24);
static_assert(sizeof(struct cr_hdr_sigaction) == 40);
static_assert(offsetof(struct cr_hdr_sigaction, signr) == 32);

static u64 cr_sigset(const sigset_t *set)
{
	u64 bits;

	memcpy(&bits, set, sizeof(bits));
	return bits;
}

/* is it another action than the default? */
static bool cr_is_set(const struct sigaction *sa)
{
	return sa->sa_handler != SIG_DFL || sa->sa_flags & ~CR_SA_ABI ||
	       sa->sa_restorer || cr_sigset(&sa->sa_mask);
}

/* others may share the handlers, and set them: take them all at one time */
static int cr_copy_signals(struct task_struct *t, struct cr_hdr_signals *hh,
			   struct sigaction *actions)
{
	struct sighand_struct *sighand;
	unsigned long flags;
	int i;

	sighand = lock_task_sighand(t, &flags);
	if (!sighand)
		return -EBUSY;

	/* a call that waits with another mask begins anew, and sets it again */
	hh->blocked = cr_sigset(test_tsk_restore_sigmask(t) ?
				&t->saved_sigmask : &t->blocked);
	hh->sas_ss_sp = t->sas_ss_sp;
	hh->sas_ss_size = t->sas_ss_size;
	hh->sas_ss_flags = (t->sas_ss_flags & SS_AUTODISARM) |
			   (t->sas_ss_size ? 0 : SS_DISABLE);
	for (i = 0; i < _NSIG; i++) {
		actions[i] = sighand->action[i].sa;
		if (cr_is_set(&actions[i]))
			hh->nactions++;
	}

	unlock_task_sighand(t, &flags);
	return 0;
}

static int cr_write_sigaction(struct cr_ctx *ctx, const struct sigaction *sa,
			      int signr)
{
	struct cr_hdr h = {
		.type = CR_HDR_SIGACTION,
		.len = sizeof(struct cr_hdr_sigaction),
		.parent = task_pid_vnr(ctx->task),
	};
	struct cr_hdr_sigaction hh = {
		.sa_handler = (unsigned long)sa->sa_handler,
		.sa_flags = sa->sa_flags,
		.sa_restorer = (unsigned long)sa->sa_restorer,
		.sa_mask = cr_sigset(&sa->sa_mask),
		.signr = signr,
	};

	return cr_write_obj(ctx, &h, &hh);
}

/**
 * cr_write_signals - write the mask, the stack and the actions of signals
 * @ctx: checkpoint context
 * @t: whose they are
 *
 * Return: 0, or an error.
 */
int cr_write_signals(struct cr_ctx *ctx, struct task_struct *t)
{
	struct cr_hdr h = {
		.type = CR_HDR_SIGNALS,
		.len = sizeof(struct cr_hdr_signals),
		.parent = task_pid_vnr(t),
	};
	struct cr_hdr_signals hh = {};
	struct sigaction *actions;
	int i, ret;

	actions = kmalloc_array(_NSIG, sizeof(*actions), GFP_KERNEL_ACCOUNT);
	if (!actions)
		return -ENOMEM;

	ret = cr_copy_signals(t, &hh, actions);
	if (!ret)
		ret = cr_write_obj(ctx, &h, &hh);
	for (i = 0; !ret && i < _NSIG; i++)
		if (cr_is_set(&actions[i]))
			ret = cr_write_sigaction(ctx, &actions[i], i + 1);

	kfree(actions);
	return ret;
}
