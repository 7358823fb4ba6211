// SPDX-License-Identifier: MIT
import type { Dialect } from "../abi/dialect.ts";
import type { Verdict } from "./finding.ts";

/** What is known of one rule. */
export interface RuleInfo {
  /** The verdict of its findings. */
  readonly verdict: Verdict;
  /** What breaks it, in words. */
  readonly doc: string;
  /** What makes it so: a function or file of the checkpoint code or of Linux; or the format. */
  readonly source: string;
  /** The dialect in which alone it holds. */
  readonly only?: Dialect;
}

const FORMAT = "the format";
const POSTED = "the code as posted";

/**
 * All rules about the format, by the ids of their findings. Those with verdict `malformed` stop the decoder; some of
 * the others do where decoding cannot go on.
 */
export const RULES = {
  E_TRUNCATED: { verdict: "malformed", doc: "the file ends before the image does", source: FORMAT },
  E_MAGIC_HEAD: {
    verdict: "malformed",
    doc: "the image does not start with HEAD's magic number",
    source: "cr_write_head()",
  },
  E_MACHINE: {
    verdict: "malformed",
    doc: "utsname.machine is not that of an x86",
    source: "cr_write_head()",
  },
  E_TYPE: { verdict: "malformed", doc: "unknown record type", source: FORMAT },
  E_LEN_NEGATIVE: { verdict: "malformed", doc: "negative record length", source: FORMAT },
  E_LEN: { verdict: "malformed", doc: "the length of a record is not that of its type", source: FORMAT },
  E_CHUNK_COUNT: {
    verdict: "malformed",
    doc: "a chunk has more or fewer pages than nr_pages, or its VMA no room for them",
    source: FORMAT,
  },
  E_VERSION: {
    verdict: "invalid",
    doc: "unknown revision of the format, or unknown or contradicting kernel version",
    source: "cr_write_head()",
  },
  E_ORDER: {
    verdict: "invalid",
    doc: "a record stands in the wrong place or is missing",
    source: "do_checkpoint()",
  },
  E_UNKNOWN_RECORD: {
    verdict: "invalid",
    doc: "an extension record (type 1001 and up) that this version does not know",
    source: FORMAT,
    only: "port",
  },
  E_PARENT: {
    verdict: "invalid",
    doc: "the parent of a record is not what its type asks for",
    source: FORMAT,
  },
  E_PADDING: {
    verdict: "invalid",
    doc: "unused bytes are not zero (v11: not the stale bytes of the code as posted)",
    source: "cr_write_obj()",
  },
  E_HEAD_FLAGS: { verdict: "invalid", doc: "head.flags is not 1", source: "cr_write_head()" },
  E_HEAD_TEXT: {
    verdict: "invalid",
    doc: "a string of HEAD is not printable, or not zero after its NUL",
    source: "init/version.c",
  },
  E_ARCH_FLAGS: {
    verdict: "invalid",
    doc: "has_fxsr and has_xsave are not possible on this machine",
    source: "cr_write_head_arch()",
  },
  E_TASK_STATE: {
    verdict: "invalid",
    doc: "a state in which no task can be checkpointed",
    source: "cr_task_wait()",
  },
  E_TASK_EXIT: {
    verdict: "invalid",
    doc: "impossible exit state, exit code or exit signal",
    source: "kernel/fork.c, kernel/exit.c",
  },
  E_COMM: {
    verdict: "invalid",
    doc: "comm is not 16 bytes with a NUL and zeros after it",
    source: "get_task_comm()",
  },
  E_MM_OBJREF: { verdict: "invalid", doc: "mm.objref or files.objref is not 0", source: "cr_write_mm()" },
  E_MM_RANGE: {
    verdict: "invalid",
    doc: "an area of MM ends before it starts, or lies outside user space",
    source: "kernel/sys.c, prctl_set_mm()",
  },
  E_MAP_COUNT: {
    verdict: "invalid",
    doc: "mm.map_count is not the number of VMA records",
    source: "cr_write_mm()",
  },
  E_VMA_TYPE: { verdict: "invalid", doc: "vma_type is none of the dialect's", source: "cr_vma_type()" },
  E_VMA_ALIGN: {
    verdict: "invalid",
    doc: "a VMA does not start or end on a page boundary",
    source: "mm/mmap.c",
  },
  E_VMA_RANGE: {
    verdict: "invalid",
    doc: "a VMA is empty or backwards, or lies outside user space",
    source: "mm/mmap.c",
  },
  E_VMA_ORDER: {
    verdict: "invalid",
    doc: "a VMA overlaps the one before or lies below it",
    source: "mm/mmap.c",
  },
  E_VM_FLAGS: {
    verdict: "invalid",
    doc: "unknown, contradicting or refused bits in vm_flags",
    source: "include/linux/mm.h, mm/mmap.c",
  },
  E_PAGE_PROT: {
    verdict: "invalid",
    doc: "vm_page_prot is not what the kernel makes of vm_flags",
    source: "vm_get_page_prot()",
  },
  E_PGOFF: { verdict: "invalid", doc: "vm_pgoff is impossible", source: "mm/mmap.c" },
  E_FNAME_MISSING: {
    verdict: "invalid",
    doc: "a file mapping or open file without FNAME",
    source: "cr_write_fname()",
  },
  E_FNAME_UNEXPECTED: {
    verdict: "invalid",
    doc: "FNAME after a VMA that maps no file",
    source: "cr_write_vma()",
  },
  E_FNAME: {
    verdict: "invalid",
    doc: "FNAME is not an absolute path as d_path() makes it, with one NUL at its end",
    source: "__d_path()",
  },
  E_PGARR_END: {
    verdict: "invalid",
    doc: "the contents of a VMA do not end with a PGARR of 0 pages",
    source: "cr_write_private_vma_contents()",
  },
  E_CHUNK_SIZE: {
    verdict: "invalid",
    doc: "a chunk is larger than allowed, or smaller though not the last one",
    source: "cr_write_private_vma_contents()",
  },
  E_PAGE_ALIGN: { verdict: "invalid", doc: "a page address is not a multiple of 4096", source: FORMAT },
  E_PAGE_RANGE: { verdict: "invalid", doc: "a page address lies outside its VMA", source: FORMAT },
  E_PAGE_ORDER: {
    verdict: "invalid",
    doc: "page addresses of a VMA are not ascending, or one comes twice",
    source: FORMAT,
  },
  E_PAGE_SPECIAL: {
    verdict: "invalid",
    doc: "pages of a mapping of device memory, which has none of its own",
    source: "vm_normal_page()",
  },
  E_LDT_SIZE: { verdict: "invalid", doc: "ldt_entry_size is not 8", source: "cr_write_mm_context()" },
  E_LDT_COUNT: {
    verdict: "invalid",
    doc: "nldt is impossible: 0 to 8192, v11 a multiple of 512",
    source: "arch/x86/kernel/ldt.c",
  },
  E_LDT_ENTRY: {
    verdict: "invalid",
    doc: "an LDT entry that modify_ldt cannot have made",
    source: "write_ldt(), fill_ldt()",
  },
  E_TLS_ENTRIES: { verdict: "invalid", doc: "gdt_entry_tls_entries is not 3", source: "cr_write_thread()" },
  E_TLS_SIZE: { verdict: "invalid", doc: "sizeof_tls_array is not 24", source: "cr_write_thread()" },
  E_TLS_COUNT: {
    verdict: "invalid",
    doc: "ntls is not the number of TLS entries that are not empty",
    source: "cr_write_thread()",
  },
  E_TLS_DESC: {
    verdict: "invalid",
    doc: "a TLS entry that set_thread_area cannot have made",
    source: "tls_desc_okay(), fill_ldt()",
  },
  E_CPU_WIDTH: {
    verdict: "invalid",
    doc: "a register holds more bits than it has",
    source: "cr_write_cpu()",
  },
  E_CPU_SELECTOR: {
    verdict: "invalid",
    doc: "a selector of code or stack with which no program can run",
    source: "arch/x86/include/asm/segment.h",
  },
  E_CPU_IP: {
    verdict: "invalid",
    doc: "an instruction pointer that is no canonical address",
    source: "Intel SDM, canonical addressing",
  },
  E_CPU_FLAGS: {
    verdict: "invalid",
    doc: "reserved bits of the flags register, or ones that no program can change",
    source: "set_flags()",
  },
  E_CPU_SELF: {
    verdict: "invalid",
    doc: "a task that saves itself is not in a system call that is to return 0",
    source: "cr_write_cpu()",
    only: "port",
  },
  E_CPU_DEBUG: {
    verdict: "invalid",
    doc: "debug registers that no tracer can have set, or uses_debug contradicts debugreg7",
    source: "ptrace_set_debugreg()",
  },
  E_USED_MATH: {
    verdict: "invalid",
    doc: "used_math is impossible: 0 or 1, in the port always 1",
    source: "cr_write_cpu()",
  },
  E_XSTATE_SIZE: {
    verdict: "invalid",
    doc: "xstate_size does not fit has_fxsr, has_xsave or the enabled components",
    source: "cr_write_head_arch()",
  },
  E_XSTATE_MXCSR: { verdict: "invalid", doc: "reserved bits of MXCSR are set", source: "Intel SDM, MXCSR" },
  E_XSTATE_COMPACTED: {
    verdict: "invalid",
    doc: "the FPU state is compacted (xcomp_bv)",
    source: "copy_xstate_to_uabi_buf()",
  },
  E_XSTATE_FEATURES: {
    verdict: "invalid",
    doc: "FPU state of components that the machine has not enabled",
    source: "copy_xstate_to_uabi_buf()",
  },
  E_XSTATE_RESERVED: {
    verdict: "invalid",
    doc: "reserved bytes of the FPU state are not zero",
    source: "copy_xstate_to_uabi_buf()",
  },
  E_XSTATE_INIT: {
    verdict: "invalid",
    doc: "a component in its initial state that does not hold it",
    source: "copy_xstate_to_uabi_buf()",
  },
  E_FSGSBASE: {
    verdict: "invalid",
    doc: "fsbase or gsbase is not a canonical address, or the kernel is a 32-bit one",
    source: "cr_write_fsgsbase()",
    only: "port",
  },
  E_MAGIC_TAIL: { verdict: "invalid", doc: "TAIL has the wrong magic number", source: "cr_write_tail()" },
  E_TRAILING: { verdict: "invalid", doc: "bytes after TAIL", source: FORMAT, only: "port" },
  E_TREE_COUNT: {
    verdict: "invalid",
    doc: "tree.tasks_nr is not the number of TASK records",
    source: "cr_write_tree()",
    only: "v11",
  },
  E_TREE_PIDS: {
    verdict: "invalid",
    doc: "the table of tasks contradicts the records, or holds impossible ids",
    source: "cr_write_tree()",
    only: "v11",
  },
  E_FD_COUNT: {
    verdict: "invalid",
    doc: "files.nfds is not the number of FD_ENT records",
    source: "cr_write_files()",
    only: "v11",
  },
  E_FD_ENTRY: {
    verdict: "invalid",
    doc: "impossible descriptor: not ascending, or bad close_on_exec or objref",
    source: "cr_write_fd_ent()",
    only: "v11",
  },
  E_FD_TYPE: {
    verdict: "invalid",
    doc: "fd_type is neither 1 (file) nor 2 (directory)",
    source: "cr_write_fd_data()",
    only: "v11",
  },
  N_NR_PAGES_CUMULATIVE: {
    verdict: "note",
    doc: "nr_pages is cumulative from chunk 2 on: cnt is never reset",
    source: POSTED,
    only: "v11",
  },
  N_EMPTY_CHUNK: {
    verdict: "note",
    doc: "a PGARR above 0 without pages, before a clean end",
    source: POSTED,
    only: "v11",
  },
  N_STALE_PADDING: {
    verdict: "note",
    doc: "unused bytes hold what the buffer held before",
    source: POSTED,
    only: "v11",
  },
  N_VDSO_AS_ANON: {
    verdict: "note",
    doc: "the vdso is saved as anonymous memory",
    source: POSTED,
    only: "v11",
  },
  N_DELETED_NAME: {
    verdict: "note",
    doc: "FNAME ends in ' (deleted)': an unlinked file, or one of that name",
    source: POSTED,
    only: "v11",
  },
  N_FS_NOT_SAVED: { verdict: "note", doc: "fs is not the task's", source: POSTED, only: "v11" },
  N_SELECTOR_HIGH: {
    verdict: "note",
    doc: "the high bits of fs and gs are leftovers",
    source: POSTED,
    only: "v11",
  },
  N_USES_DEBUG: {
    verdict: "note",
    doc: "uses_debug tells nothing of breakpoints",
    source: POSTED,
    only: "v11",
  },
  N_LDT_ALLOCATED: {
    verdict: "note",
    doc: "nldt is the allocated size, a multiple of 512",
    source: POSTED,
    only: "v11",
  },
  N_COMM_TAIL: { verdict: "note", doc: "bytes of an older comm after the NUL", source: POSTED, only: "v11" },
  N_TRAILING: {
    verdict: "note",
    doc: "bytes after TAIL, such as what ckpt prints on the same descriptor",
    source: POSTED,
    only: "v11",
  },
  N_HEAD_NO_NUL: {
    verdict: "note",
    doc: "a string of HEAD fills its 64 bytes and has no NUL",
    source: "include/uapi/linux/utsname.h",
  },
  N_UNKNOWN_RECORD: {
    verdict: "note",
    doc: "an unknown extension record, where such are allowed",
    source: FORMAT,
    only: "port",
  },
  N_MM_UNMAPPED: {
    verdict: "note",
    doc: "an area of MM is not mapped: munmap() and prctl(PR_SET_MM) may do that",
    source: "fs/binfmt_elf.c",
  },
  N_CPU_IP: {
    verdict: "note",
    doc: "ip is in no executable mapping: the program is about to fault",
    source: "arch/x86/mm/fault.c",
  },
  N_CPU_SP: {
    verdict: "note",
    doc: "sp is in no mapping: the program uses it for something else, or is about to fault",
    source: "arch/x86/mm/fault.c",
  },
  N_CPU_SELECTOR: {
    verdict: "note",
    doc: "a data selector that cannot be loaded: left by a tracer or a signal frame",
    source: "arch/x86/include/asm/segment.h",
  },
  N_FSGSBASE: {
    verdict: "note",
    doc: "fsbase or gsbase outside user space, which only WRFSBASE allows",
    source: "do_arch_prctl_64()",
    only: "port",
  },
} as const satisfies Readonly<Record<string, RuleInfo>>;

/** Id of a rule. */
export type RuleId = keyof typeof RULES;
