// SPDX-License-Identifier: GPL-2.0
/*
 *  Restart: what the process does about signals
 */

#define pr_fmt(fmt) "c/r: " fmt

#include <linux/checkpoint_restart.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/signal.h>
#include <linux/string.h>

#include "checkpoint_compat.h"
#include "restart.h"
#include "restart_compat.h"

/* no program can block them, or say what they do */
#define CR_UNBLOCKABLE	(sigmask(SIGKILL) | sigmask(SIGSTOP))
/* as sigaltstack(2) takes and tells them */
#define CR_SS_FLAGS	(SS_DISABLE | SS_AUTODISARM)

/* would sigaltstack(2) set such a stack? */
static bool cr_altstack_okay(const struct cr_hdr_signals *hh)
{
	if (hh->sas_ss_flags & ~CR_SS_FLAGS)
		return false;
	if (hh->sas_ss_flags & SS_DISABLE)
		return !hh->sas_ss_sp && !hh->sas_ss_size;
	return hh->sas_ss_size >= MINSIGSTKSZ &&
	       hh->sas_ss_size == (size_t)hh->sas_ss_size &&
	       hh->sas_ss_sp == (unsigned long)hh->sas_ss_sp;
}

/* would sigaction(2) set such an action, and is it another than the default? */
static bool cr_sigaction_okay(const struct cr_hdr_sigaction *hh)
{
	if (hh->signr > _NSIG || sig_kernel_only(hh->signr) || hh->_padding)
		return false;
	if (hh->sa_flags & ~(u64)CR_SA_FLAGS || hh->sa_mask & CR_UNBLOCKABLE)
		return false;
	if (hh->sa_handler != (unsigned long)hh->sa_handler ||
	    hh->sa_restorer != (unsigned long)hh->sa_restorer)
		return false;
	return hh->sa_handler || hh->sa_flags & ~(u64)CR_SA_ABI ||
	       hh->sa_restorer || hh->sa_mask;
}

static int cr_read_sigaction(struct cr_restart *r, u32 *last)
{
	struct cr_hdr_sigaction hh;
	struct sigaction *sa;
	int ret;

	ret = cr_read_obj(r, CR_HDR_SIGACTION, r->pid, &hh, sizeof(hh));
	if (ret)
		return ret;
	if (hh.signr <= *last || !cr_sigaction_okay(&hh))
		return -EINVAL;
	*last = hh.signr;

	sa = &r->actions[hh.signr - 1];
	sa->sa_handler = (__sighandler_t)(unsigned long)hh.sa_handler;
	sa->sa_flags = hh.sa_flags;
	sa->sa_restorer = (__sigrestore_t)(unsigned long)hh.sa_restorer;
	memcpy(&sa->sa_mask, &hh.sa_mask, sizeof(sa->sa_mask));
	return 0;
}

/**
 * cr_read_signals - read the mask, the stack and the actions of signals
 * @r: restart context
 *
 * Return: 0, or an error.
 */
int cr_read_signals(struct cr_restart *r)
{
	struct cr_hdr_signals *hh = &r->signals;
	u32 i, last = 0;
	int ret;

	ret = cr_read_obj(r, CR_HDR_SIGNALS, r->pid, hh, sizeof(*hh));
	if (ret)
		return ret;
	if (hh->blocked & CR_UNBLOCKABLE || !cr_altstack_okay(hh))
		return -EINVAL;

	/* they ascend, so there are not more of them than signals */
	for (i = 0; !ret && i < hh->nactions; i++)
		ret = cr_read_sigaction(r, &last);
	return ret;
}

/**
 * cr_commit_signals - what the caller does about signals is what the image says
 * @r: restart context
 *
 * Nobody shares the handlers. Signals that wait for the caller go on to do so;
 * those that are no longer blocked arrive when it returns to user space.
 */
void cr_commit_signals(struct cr_restart *r)
{
	struct sighand_struct *sighand =
		rcu_dereference_protected(current->sighand, true);
	const struct cr_hdr_signals *hh = &r->signals;
	sigset_t blocked;
	int i;

	spin_lock_irq(&sighand->siglock);
	for (i = 0; i < _NSIG; i++)
		sighand->action[i].sa = r->actions[i];
	spin_unlock_irq(&sighand->siglock);

	current->sas_ss_sp = hh->sas_ss_sp;
	current->sas_ss_size = hh->sas_ss_size;
	current->sas_ss_flags = hh->sas_ss_flags;

	memcpy(&blocked, &hh->blocked, sizeof(blocked));
	set_current_blocked(&blocked);
}
