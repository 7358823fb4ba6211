/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 *  Checkpoint/restart - architecture specific records of an image
 *
 *  Copyright (C) 2008 Oren Laadan
 */
#ifndef _UAPI_ASM_X86_CHECKPOINT_HDR_H
#define _UAPI_ASM_X86_CHECKPOINT_HDR_H

#include <linux/types.h>

/* see <linux/checkpoint_hdr.h> for what holds for all records */

struct cr_hdr_head_arch {
	__u16 has_fxsr;
	__u16 has_xsave;
	__u16 xstate_size;	/* bytes of FPU state behind cr_hdr_cpu */
	__u16 _padding;
} __attribute__((aligned(8)));

struct cr_hdr_thread {
	/* the TLS array follows, if any of its entries is in use */
	__s16 gdt_entry_tls_entries;
	__s16 sizeof_tls_array;
	__s16 ntls;		/* number of entries in use */
	__u16 _padding;
} __attribute__((aligned(8)));

/*
 * Registers, as a debugger of the task would see them. What 32 bit does not
 * have (r8 to r15) is zero there, what is shorter than 64 bits is extended
 * with zeros. Segment registers hold selectors: see cr_hdr_x86_fsgsbase.
 */
struct cr_hdr_cpu {
	__u64 r15;
	__u64 r14;
	__u64 r13;
	__u64 r12;
	__u64 bp;
	__u64 bx;
	__u64 r11;
	__u64 r10;
	__u64 r9;
	__u64 r8;
	__u64 ax;
	__u64 cx;
	__u64 dx;
	__u64 si;
	__u64 di;
	__u64 orig_ax;
	__u64 ip;
	__u64 cs;
	__u64 flags;
	__u64 sp;
	__u64 ss;

	__u64 ds;
	__u64 es;
	__u64 fs;
	__u64 gs;

	__u64 debugreg0;
	__u64 debugreg1;
	__u64 debugreg2;
	__u64 debugreg3;
	__u64 debugreg4;	/* there is no such register: 0 */
	__u64 debugreg5;	/* likewise */
	__u64 debugreg6;
	__u64 debugreg7;

	__u32 uses_debug;	/* is any breakpoint enabled in debugreg7? */
	__u32 used_math;	/* does FPU state follow? always 1 */
} __attribute__((aligned(8)));

struct cr_hdr_mm_context {
	__s16 ldt_entry_size;
	__s16 nldt;		/* number of LDT entries that follow */
	__u32 _padding;
} __attribute__((aligned(8)));

/* bases of fs and gs, written by 64 bit kernels */
struct cr_hdr_x86_fsgsbase {
	__u64 fsbase;
	__u64 gsbase;
} __attribute__((aligned(8)));

#endif /* _UAPI_ASM_X86_CHECKPOINT_HDR_H */
