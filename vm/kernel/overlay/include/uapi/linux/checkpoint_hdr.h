/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 *  Generic container checkpoint-restart: the image of a task
 *
 *  Copyright (C) 2008 Oren Laadan
 */
#ifndef _UAPI_LINUX_CHECKPOINT_HDR_H
#define _UAPI_LINUX_CHECKPOINT_HDR_H

#include <linux/types.h>

/*
 * An image is a stream of records. Each one is a struct cr_hdr and then @len
 * bytes of the struct that belongs to its type. Four records announce data
 * that follow without a header of their own:
 *
 *   CR_HDR_PGARR	nr_pages addresses (unsigned long of the kernel), then
 *			nr_pages pages, in the same order
 *   CR_HDR_MM_CONTEXT	nldt entries of the LDT
 *   CR_HDR_THREAD	the whole TLS array, unless ntls is 0
 *   CR_HDR_CPU		xstate_size bytes of FPU state (see cr_hdr_head_arch)
 *
 * Order of the records of one task:
 *
 *   HEAD HEAD_ARCH TASK STRING(comm) MM { VMA [FNAME] { PGARR }* PGARR(0) }*
 *   MM_CONTEXT THREAD CPU [X86_FSGSBASE] AUXV SIGNALS { SIGACTION }* TAIL
 *
 * An image without its TAIL is not an image: the call that wrote it failed.
 *
 * The structs have the same layout on 32 and on 64 bit: all members are
 * naturally aligned, and where that leaves a gap, or bytes at the end, there
 * is an explicit _padding, always zero. (Without it the compiler would pad in
 * silence, and what it pads with is whatever was in kernel memory.)
 */

#define CR_HDR_HEAD_MAGIC	0x00feed0cc0a2d200ULL
#define CR_HDR_TAIL_MAGIC	0x002d2a0cc0deef00ULL

/* revision of the format; 1 to 3 are those of the code posted in 2008 */
#define CR_VERSION		100

/* bits of cr_hdr_head.flags */
#define CR_CTX_CKPT		0x1

/* flags of restart(2) */
#define RESTART_STOPPED		0x1	/* stop before the first instruction */

enum cr_hdr_type {
	CR_HDR_HEAD = 1,
	CR_HDR_HEAD_ARCH,
	CR_HDR_BUFFER,
	CR_HDR_STRING,
	CR_HDR_FNAME,

	CR_HDR_TASK = 101,
	CR_HDR_THREAD,
	CR_HDR_CPU,

	CR_HDR_MM = 201,
	CR_HDR_VMA,
	CR_HDR_PGARR,
	CR_HDR_MM_CONTEXT,

	/* from here on: not known to readers of revisions 1 to 3 */
	CR_HDR_X86_FSGSBASE = 1001,
	CR_HDR_AUXV,		/* see below */
	CR_HDR_SIGNALS,
	CR_HDR_SIGACTION,

	CR_HDR_TAIL = 5001
};

/* record header */
struct cr_hdr {
	__s16 type;		/* enum cr_hdr_type */
	__s16 len;		/* bytes of the record that follows */
	__u32 parent;		/* pid of the task, or 0 */
} __attribute__((aligned(8)));

struct cr_hdr_head {
	__u64 magic;

	/* kernel that wrote the image */
	__u16 major;
	__u16 minor;
	__u16 patch;
	__u16 rev;		/* CR_VERSION */

	__u64 time;		/* seconds since the epoch */
	__u64 flags;		/* CR_CTX_... */

	/* from the UTS namespace of the caller; a full one has no NUL */
	char release[64];
	char version[64];
	char machine[64];
} __attribute__((aligned(8)));

struct cr_hdr_tail {
	__u64 magic;
} __attribute__((aligned(8)));

struct cr_hdr_task {
	__u32 state;		/* raw: its bits differ between kernels */
	__u32 exit_state;
	__u32 exit_code;
	__u32 exit_signal;

	__s32 task_comm_len;	/* len of the CR_HDR_STRING that follows */
	__u32 _padding;
} __attribute__((aligned(8)));

struct cr_hdr_mm {
	__u32 objref;		/* identifier for shared objects: 0 */
	__u32 map_count;	/* number of CR_HDR_VMA that follow */

	__u64 start_code, end_code, start_data, end_data;
	__u64 start_brk, brk, start_stack;
	__u64 arg_start, arg_end, env_start, env_end;
} __attribute__((aligned(8)));

/* vma subtypes */
enum cr_vma_type {
	CR_VMA_ANON = 1,	/* no file */
	CR_VMA_FILE,		/* private map of the file in CR_HDR_FNAME */
	CR_VMA_SPECIAL = 101	/* made by the kernel: vdso, vvar */
};

struct cr_hdr_vma {
	__u32 vma_type;		/* enum cr_vma_type */
	__u32 _padding;

	__u64 vm_start;
	__u64 vm_end;		/* the first byte behind */
	__u64 vm_page_prot;	/* raw, like vm_flags and vm_pgoff */
	__u64 vm_flags;
	__u64 vm_pgoff;
} __attribute__((aligned(8)));

struct cr_hdr_pgarr {
	__u64 nr_pages;		/* number of pages that follow; 0: no more */
} __attribute__((aligned(8)));

/*
 * CR_HDR_AUXV is the auxiliary vector as /proc/PID/auxv shows it: entries of
 * two words (unsigned long of the kernel), of which AT_NULL is the last one.
 */

struct cr_hdr_signals {
	__u64 blocked;		/* bit n - 1: signal n */

	__u64 sas_ss_sp;
	__u64 sas_ss_size;
	__u32 sas_ss_flags;	/* SS_DISABLE, SS_AUTODISARM */

	__u32 nactions;		/* number of CR_HDR_SIGACTION that follow */
} __attribute__((aligned(8)));

/* what a signal does, if that is not the default; ascending by signr */
struct cr_hdr_sigaction {
	__u64 sa_handler;	/* 0 SIG_DFL, 1 SIG_IGN, or an address */
	__u64 sa_flags;		/* raw */
	__u64 sa_restorer;
	__u64 sa_mask;

	__u32 signr;
	__u32 _padding;
} __attribute__((aligned(8)));

#endif /* _UAPI_LINUX_CHECKPOINT_HDR_H */
