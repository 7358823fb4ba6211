// SPDX-License-Identifier: GPL-2.0
/*
 *  Restart: FPU state
 */

#include <linux/cpufeature.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/version.h>

#include <asm/fpu/restart.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xstate.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 16, 0)
#include <asm/pkru.h>

#include "internal.h"
#include "legacy.h"
#include "xstate.h"

#define fpu_user_features()	(fpu_user_cfg.default_features)
#define fpu_regs(fpu)		(&(fpu)->fpstate->regs)
#else
#include <asm/fpu/internal.h>

#define fpu_user_features()	xfeatures_mask_user()
#define fpu_regs(fpu)		(&(fpu)->state)
#endif

/* reserved bits of MXCSR fault when they are loaded, be it by the kernel */
static bool fpu_mxcsr_valid(const struct fxregs_state *fx)
{
	return !(fx->mxcsr & ~mxcsr_feature_mask) &&
	       (fx->mxcsr_mask == mxcsr_feature_mask || !fx->mxcsr_mask);
}

/* only what programs have by default, none that has to be asked for */
static bool fpu_xstate_valid(const struct xregs_state *xsave)
{
	const struct xstate_header *header = &xsave->header;
	const struct fxregs_state *fx = &xsave->i387;

	return !(header->xfeatures & ~fpu_user_features()) &&
	       !header->xcomp_bv &&
	       !memchr_inv(header->reserved, 0, sizeof(header->reserved)) &&
	       !memchr_inv(fx->padding, 0, sizeof(fx->padding)) &&
	       !memcmp(fx->sw_reserved, xstate_fx_sw_bytes,
		       sizeof(fx->sw_reserved));
}

/**
 * fpu_restart_valid - could a debugger set this FPU state?
 * @buf: it, as the register set has it that shows all of the FPU state
 *
 * Return: true if it could.
 */
bool fpu_restart_valid(const void *buf)
{
	if (!boot_cpu_has(X86_FEATURE_FXSR))
		return true;
	if (!fpu_mxcsr_valid(buf))
		return false;
	return !boot_cpu_has(X86_FEATURE_XSAVE) || fpu_xstate_valid(buf);
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 16, 0)
/* flush_thread() has made the state in memory the one that counts */
static void fpu_own_memory(struct fpu *fpu) { }

static void fpu_set_xstate(struct fpu *fpu, const void *buf, unsigned int size)
{
	copy_uabi_from_kernel_to_xstate(fpu->fpstate, buf,
					&current->thread.pkru);
	/* the one register that is not loaded from there */
	preempt_disable();
	write_pkru(current->thread.pkru);
	preempt_enable();
}
#else
/* flush_thread() has loaded the registers */
static void fpu_own_memory(struct fpu *fpu)
{
	fpregs_lock();
	set_thread_flag(TIF_NEED_FPU_LOAD);
	__fpu_invalidate_fpregs_state(fpu);
	fpregs_unlock();
}

static void fpu_set_xstate(struct fpu *fpu, const void *buf, unsigned int size)
{
	if (boot_cpu_has(X86_FEATURE_XSAVES))
		copy_kernel_to_xstate(&fpu->state.xsave, buf);
	else
		memcpy(&fpu->state.xsave, buf, size);
}
#endif

/**
 * fpu_restart - give the caller an FPU state
 * @buf: it; it is valid
 * @size: its size, which is that of the register set
 *
 * It goes to memory, and is loaded on the way to user space.
 */
void fpu_restart(const void *buf, unsigned int size)
{
	struct fpu *fpu = &current->thread.fpu;

	fpu_own_memory(fpu);
	if (boot_cpu_has(X86_FEATURE_XSAVE))
		fpu_set_xstate(fpu, buf, size);
	else
		memcpy(fpu_regs(fpu), buf, size);
}
