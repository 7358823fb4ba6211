// SPDX-License-Identifier: MIT
import type { Verdict } from "./finding.ts";

/** What is known of one rule. */
export interface RuleInfo {
  /** The verdict of its findings. */
  readonly verdict: Verdict;
  /** What breaks it, in words. */
  readonly doc: string;
}

/**
 * All ids of findings about the format. `E_` ids with verdict `malformed` stop the decoder; some of them
 * are also given as `invalid` where decoding could go on.
 */
export const RULES = {
  E_TRUNCATED: { verdict: "malformed", doc: "the file ends before the image does" },
  E_MAGIC_HEAD: { verdict: "malformed", doc: "the image does not start with HEAD's magic number" },
  E_MACHINE: { verdict: "malformed", doc: "utsname.machine is not that of an x86" },
  E_TYPE: { verdict: "malformed", doc: "unknown record type" },
  E_LEN_NEGATIVE: { verdict: "malformed", doc: "negative record length" },
  E_LEN: { verdict: "malformed", doc: "the length of a record is not that of its type" },
  E_CHUNK_COUNT: { verdict: "malformed", doc: "a chunk announces more pages than its VMA has left" },
  E_VERSION: {
    verdict: "invalid",
    doc: "unknown revision of the format, or unknown or contradicting kernel version",
  },
  E_ORDER: { verdict: "invalid", doc: "a record stands in the wrong place or is missing" },
  E_PARENT: { verdict: "invalid", doc: "the parent of a record is not what its type asks for" },
  E_PADDING: {
    verdict: "invalid",
    doc: "unused bytes are not zero (v11: not the stale bytes of the code as posted)",
  },
  E_HEAD_FLAGS: { verdict: "invalid", doc: "head.flags is not 1" },
  E_HEAD_TEXT: { verdict: "invalid", doc: "a string of HEAD is not printable, or not zero after its NUL" },
  E_ARCH_FLAGS: { verdict: "invalid", doc: "has_fxsr and has_xsave are not possible on this machine" },
  E_TASK_STATE: { verdict: "invalid", doc: "a state in which no task can be checkpointed" },
  E_TASK_EXIT: { verdict: "invalid", doc: "impossible exit state, exit code or exit signal" },
  E_COMM: { verdict: "invalid", doc: "comm is not 16 bytes with a NUL and zeros after it" },
  E_MM_OBJREF: { verdict: "invalid", doc: "mm.objref or files.objref is not 0" },
  E_MM_RANGE: { verdict: "invalid", doc: "an area of MM ends before it starts, or lies outside user space" },
  E_MAP_COUNT: { verdict: "invalid", doc: "mm.map_count is not the number of VMA records" },
  E_VMA_TYPE: { verdict: "invalid", doc: "vma_type is none of the dialect's" },
  E_VMA_ALIGN: { verdict: "invalid", doc: "a VMA does not start or end on a page boundary" },
  E_VMA_RANGE: { verdict: "invalid", doc: "a VMA is empty or backwards, or lies outside user space" },
  E_VMA_ORDER: { verdict: "invalid", doc: "a VMA overlaps the one before or lies below it" },
  E_VM_FLAGS: { verdict: "invalid", doc: "unknown, contradicting or refused bits in vm_flags" },
  E_PAGE_PROT: { verdict: "invalid", doc: "vm_page_prot is not what the kernel makes of vm_flags" },
  E_PGOFF: { verdict: "invalid", doc: "vm_pgoff is impossible" },
  E_FNAME_MISSING: { verdict: "invalid", doc: "a file mapping or open file without FNAME" },
  E_FNAME_UNEXPECTED: { verdict: "invalid", doc: "FNAME after a VMA that maps no file" },
  E_FNAME: { verdict: "invalid", doc: "FNAME is not an absolute path with one NUL at its end" },
  E_PGARR_END: { verdict: "invalid", doc: "the contents of a VMA do not end with a PGARR of 0 pages" },
  E_CHUNK_SIZE: {
    verdict: "invalid",
    doc: "a chunk is larger than allowed, or smaller though not the last one",
  },
  E_PAGE_ALIGN: { verdict: "invalid", doc: "a page address is not a multiple of 4096" },
  E_PAGE_RANGE: { verdict: "invalid", doc: "a page address lies outside its VMA" },
  E_PAGE_ORDER: { verdict: "invalid", doc: "page addresses of a VMA are not ascending, or one comes twice" },
  E_PAGE_SPECIAL: {
    verdict: "invalid",
    doc: "pages of a mapping of device memory, which has none of its own",
  },
  E_LDT_SIZE: { verdict: "invalid", doc: "ldt_entry_size is not 8" },
  E_LDT_COUNT: { verdict: "invalid", doc: "nldt is impossible: 0 to 8192, v11 a multiple of 512" },
  E_LDT_ENTRY: { verdict: "invalid", doc: "an LDT entry that modify_ldt cannot have made" },
  E_TLS_ENTRIES: { verdict: "invalid", doc: "gdt_entry_tls_entries is not 3" },
  E_TLS_SIZE: { verdict: "invalid", doc: "sizeof_tls_array is not 24" },
  E_TLS_COUNT: { verdict: "invalid", doc: "ntls is not the number of TLS entries that are not empty" },
  E_TLS_DESC: { verdict: "invalid", doc: "a TLS entry that set_thread_area cannot have made" },
  E_CPU_WIDTH: { verdict: "invalid", doc: "a register holds more bits than it has" },
  E_CPU_SELECTOR: { verdict: "invalid", doc: "a selector with which no program can run" },
  E_CPU_FLAGS: {
    verdict: "invalid",
    doc: "reserved bits of the flags register, or ones that no program can change",
  },
  E_CPU_DEBUG: { verdict: "invalid", doc: "impossible debug registers, or uses_debug contradicts debugreg7" },
  E_USED_MATH: { verdict: "invalid", doc: "used_math is impossible: 0 or 1, in the port always 1" },
  E_XSTATE_SIZE: { verdict: "invalid", doc: "xstate_size does not fit has_fxsr and has_xsave" },
  E_XSTATE_MXCSR: { verdict: "invalid", doc: "reserved bits of MXCSR are set" },
  E_XSTATE_COMPACTED: { verdict: "invalid", doc: "the FPU state is compacted (xcomp_bv)" },
  E_XSTATE_FEATURES: { verdict: "invalid", doc: "FPU state of components that the machine has not enabled" },
  E_XSTATE_RESERVED: { verdict: "invalid", doc: "reserved bytes of the FPU state are not zero" },
  E_XSTATE_INIT: { verdict: "invalid", doc: "a component in its initial state that does not hold it" },
  E_FSGSBASE: { verdict: "invalid", doc: "fsbase or gsbase is not a canonical address" },
  E_MAGIC_TAIL: { verdict: "invalid", doc: "TAIL has the wrong magic number" },
  E_TRAILING: { verdict: "invalid", doc: "bytes after TAIL" },
  E_TREE_COUNT: { verdict: "invalid", doc: "tree.tasks_nr is not the number of TASK records" },
  E_TREE_PIDS: {
    verdict: "invalid",
    doc: "the table of tasks contradicts the records, or holds impossible ids",
  },
  E_FD_COUNT: { verdict: "invalid", doc: "files.nfds is not the number of FD_ENT records" },
  E_FD_ENTRY: {
    verdict: "invalid",
    doc: "impossible descriptor: not ascending, or bad close_on_exec or objref",
  },
  E_FD_TYPE: { verdict: "invalid", doc: "fd_type is neither 1 (file) nor 2 (directory)" },
  N_NR_PAGES_CUMULATIVE: {
    verdict: "note",
    doc: "v11: nr_pages is cumulative from chunk 2 on: as posted (cnt is never reset)",
  },
  N_EMPTY_CHUNK: {
    verdict: "note",
    doc: "v11: a PGARR above 0 without pages, before a clean end: as posted",
  },
  N_STALE_PADDING: { verdict: "note", doc: "v11: unused bytes hold what the buffer held before: as posted" },
  N_VDSO_AS_ANON: { verdict: "note", doc: "v11: the vdso is saved as anonymous memory: as posted" },
  N_DELETED_NAME: {
    verdict: "note",
    doc: "v11: FNAME ends in ' (deleted)': an unlinked file, or one of that name",
  },
  N_FS_NOT_SAVED: { verdict: "note", doc: "v11: fs is not the task's: as posted" },
  N_SELECTOR_HIGH: { verdict: "note", doc: "v11: the high bits of fs and gs are leftovers: as posted" },
  N_USES_DEBUG: { verdict: "note", doc: "v11: uses_debug tells nothing of breakpoints: as posted" },
  N_LDT_ALLOCATED: { verdict: "note", doc: "v11: nldt is the allocated size, a multiple of 512: as posted" },
  N_COMM_TAIL: { verdict: "note", doc: "v11: bytes of an older comm after the NUL: as posted" },
  N_HEAD_NO_NUL: { verdict: "note", doc: "a string of HEAD fills its 64 bytes and has no NUL" },
  N_TRAILING: {
    verdict: "note",
    doc: "v11: bytes after TAIL, such as what ckpt prints on the same descriptor",
  },
  N_UNKNOWN_RECORD: { verdict: "note", doc: "a record type from 1001 up that this version does not know" },
} as const satisfies Readonly<Record<string, RuleInfo>>;

/** Id of a rule. */
export type RuleId = keyof typeof RULES;
