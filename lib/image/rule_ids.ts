// SPDX-License-Identifier: MIT
import type { Dialect } from "../abi/dialect.ts";
import type { Verdict } from "./finding.ts";

/** What is known of one rule. */
export interface RuleInfo {
  /** The verdict of its findings. */
  readonly verdict: Verdict;
  /** What breaks it, in words. */
  readonly doc: string;
  /** Where it holds. */
  readonly dialects: readonly Dialect[];
  /** What of the kernel makes it so: a function or file of the checkpoint code or of Linux; or the format. */
  readonly source: string;
}

type Row = readonly [verdict: Verdict, doc: string, source: string, only?: Dialect];

const FORMAT = "the format";
const VM_FLAGS = "include/linux/mm.h, mm/mmap.c";
const POSTED = "the code as posted";

const ROWS = {
  E_TRUNCATED: ["malformed", "the file ends before the image does", FORMAT],
  E_MAGIC_HEAD: ["malformed", "the image does not start with HEAD's magic number", "cr_write_head()"],
  E_MACHINE: ["malformed", "utsname.machine is not that of an x86", "cr_write_head()"],
  E_TYPE: ["malformed", "unknown record type", FORMAT],
  E_LEN_NEGATIVE: ["malformed", "negative record length", FORMAT],
  E_LEN: ["malformed", "the length of a record is not that of its type", FORMAT],
  E_CHUNK_COUNT: [
    "malformed",
    "a chunk has more or fewer pages than nr_pages, or its VMA no room for them",
    FORMAT,
  ],
  E_VERSION: [
    ...["invalid", "unknown revision of the format, or unknown or contradicting kernel version"] as const,
    "cr_write_head()",
  ],
  E_ORDER: ["invalid", "a record stands in the wrong place or is missing", "do_checkpoint()"],
  E_UNKNOWN_RECORD: [
    "invalid",
    "an extension record (type 1001 and up) that this version does not know",
    FORMAT,
    "port",
  ],
  E_PARENT: ["invalid", "the parent of a record is not what its type asks for", FORMAT],
  E_PADDING: [
    "invalid",
    "unused bytes are not zero (v11: not the stale bytes of the code as posted)",
    "cr_write_obj()",
  ],
  E_HEAD_FLAGS: ["invalid", "head.flags is not 1", "cr_write_head()"],
  E_HEAD_TEXT: ["invalid", "a string of HEAD is not printable, or not zero after its NUL", "init/version.c"],
  E_ARCH_FLAGS: [
    "invalid",
    "has_fxsr and has_xsave are not possible on this machine",
    "cr_write_head_arch()",
  ],
  E_TASK_STATE: ["invalid", "a state in which no task can be checkpointed", "cr_task_wait()"],
  E_TASK_EXIT: ["invalid", "impossible exit state, exit code or exit signal", "kernel/fork.c, kernel/exit.c"],
  E_COMM: ["invalid", "comm is not 16 bytes with a NUL and zeros after it", "get_task_comm()"],
  E_MM_OBJREF: ["invalid", "mm.objref or files.objref is not 0", "cr_write_mm()"],
  E_MM_RANGE: [
    "invalid",
    "an area of MM ends before it starts, or lies outside user space",
    "kernel/sys.c, prctl_set_mm()",
  ],
  E_MAP_COUNT: ["invalid", "mm.map_count is not the number of VMA records", "cr_write_mm()"],
  E_VMA_TYPE: ["invalid", "vma_type is none of the dialect's", "cr_vma_type()"],
  E_VMA_ALIGN: ["invalid", "a VMA does not start or end on a page boundary", "mm/mmap.c"],
  E_VMA_RANGE: ["invalid", "a VMA is empty or backwards, or lies outside user space", "mm/mmap.c"],
  E_VMA_ORDER: ["invalid", "a VMA overlaps the one before or lies below it", "mm/mmap.c"],
  E_VM_FLAGS: ["invalid", "unknown, contradicting or refused bits in vm_flags", VM_FLAGS],
  E_PAGE_PROT: ["invalid", "vm_page_prot is not what the kernel makes of vm_flags", "vm_get_page_prot()"],
  E_PGOFF: ["invalid", "vm_pgoff is impossible", "mm/mmap.c"],
  E_FNAME_MISSING: ["invalid", "a file mapping or open file without FNAME", "cr_write_fname()"],
  E_FNAME_UNEXPECTED: ["invalid", "FNAME after a VMA that maps no file", "cr_write_vma()"],
  E_FNAME: [
    "invalid",
    "FNAME is not an absolute path as d_path() makes it, with one NUL at its end",
    "__d_path()",
  ],
  E_PGARR_END: [
    "invalid",
    "the contents of a VMA do not end with a PGARR of 0 pages",
    "cr_write_private_vma_contents()",
  ],
  E_CHUNK_SIZE: [
    "invalid",
    "a chunk is larger than allowed, or smaller though not the last one",
    "cr_write_private_vma_contents()",
  ],
  E_PAGE_ALIGN: ["invalid", "a page address is not a multiple of 4096", FORMAT],
  E_PAGE_RANGE: ["invalid", "a page address lies outside its VMA", FORMAT],
  E_PAGE_ORDER: ["invalid", "page addresses of a VMA are not ascending, or one comes twice", FORMAT],
  E_PAGE_SPECIAL: [
    "invalid",
    "pages of a mapping of device memory, which has none of its own",
    "vm_normal_page()",
  ],
  E_LDT_SIZE: ["invalid", "ldt_entry_size is not 8", "cr_write_mm_context()"],
  E_LDT_COUNT: ["invalid", "nldt is impossible: 0 to 8192, v11 a multiple of 512", "arch/x86/kernel/ldt.c"],
  E_LDT_ENTRY: ["invalid", "an LDT entry that modify_ldt cannot have made", "write_ldt(), fill_ldt()"],
  E_TLS_ENTRIES: ["invalid", "gdt_entry_tls_entries is not 3", "cr_write_thread()"],
  E_TLS_SIZE: ["invalid", "sizeof_tls_array is not 24", "cr_write_thread()"],
  E_TLS_COUNT: ["invalid", "ntls is not the number of TLS entries that are not empty", "cr_write_thread()"],
  E_TLS_DESC: ["invalid", "a TLS entry that set_thread_area cannot have made", "tls_desc_okay(), fill_ldt()"],
  E_CPU_WIDTH: ["invalid", "a register holds more bits than it has", "cr_write_cpu()"],
  E_CPU_SELECTOR: [
    "invalid",
    "a selector of code or stack with which no program can run",
    "arch/x86/include/asm/segment.h",
  ],
  E_CPU_IP: [
    "invalid",
    "an instruction pointer that is no canonical address",
    "Intel SDM, canonical addressing",
  ],
  E_CPU_FLAGS: [
    "invalid",
    "reserved bits of the flags register, or ones that no program can change",
    "set_flags()",
  ],
  E_CPU_SELF: [
    "invalid",
    "a task that saves itself is not in a system call that is to return 0",
    "cr_write_cpu()",
    "port",
  ],
  E_CPU_DEBUG: [
    "invalid",
    "debug registers that no tracer can have set, or uses_debug contradicts debugreg7",
    "ptrace_set_debugreg()",
  ],
  E_USED_MATH: ["invalid", "used_math is impossible: 0 or 1, in the port always 1", "cr_write_cpu()"],
  E_XSTATE_SIZE: [
    "invalid",
    "xstate_size does not fit has_fxsr, has_xsave or the enabled components",
    "cr_write_head_arch()",
  ],
  E_XSTATE_MXCSR: ["invalid", "reserved bits of MXCSR are set", "Intel SDM, MXCSR"],
  E_XSTATE_COMPACTED: ["invalid", "the FPU state is compacted (xcomp_bv)", "copy_xstate_to_uabi_buf()"],
  E_XSTATE_FEATURES: [
    "invalid",
    "FPU state of components that the machine has not enabled",
    "copy_xstate_to_uabi_buf()",
  ],
  E_XSTATE_RESERVED: ["invalid", "reserved bytes of the FPU state are not zero", "copy_xstate_to_uabi_buf()"],
  E_XSTATE_INIT: [
    "invalid",
    "a component in its initial state that does not hold it",
    "copy_xstate_to_uabi_buf()",
  ],
  E_FSGSBASE: [
    "invalid",
    "fsbase or gsbase is not a canonical address, or the kernel is a 32-bit one",
    "cr_write_fsgsbase()",
    "port",
  ],
  E_MAGIC_TAIL: ["invalid", "TAIL has the wrong magic number", "cr_write_tail()"],
  E_TRAILING: ["invalid", "bytes after TAIL", FORMAT, "port"],
  E_TREE_COUNT: ["invalid", "tree.tasks_nr is not the number of TASK records", "cr_write_tree()", "v11"],
  E_TREE_PIDS: [
    "invalid",
    "the table of tasks contradicts the records, or holds impossible ids",
    "cr_write_tree()",
    "v11",
  ],
  E_FD_COUNT: ["invalid", "files.nfds is not the number of FD_ENT records", "cr_write_files()", "v11"],
  E_FD_ENTRY: [
    "invalid",
    "impossible descriptor: not ascending, or bad close_on_exec or objref",
    "cr_write_fd_ent()",
    "v11",
  ],
  E_FD_TYPE: ["invalid", "fd_type is neither 1 (file) nor 2 (directory)", "cr_write_fd_data()", "v11"],
  N_NR_PAGES_CUMULATIVE: [
    "note",
    "nr_pages is cumulative from chunk 2 on: cnt is never reset",
    POSTED,
    "v11",
  ],
  N_EMPTY_CHUNK: ["note", "a PGARR above 0 without pages, before a clean end", POSTED, "v11"],
  N_STALE_PADDING: ["note", "unused bytes hold what the buffer held before", POSTED, "v11"],
  N_VDSO_AS_ANON: ["note", "the vdso is saved as anonymous memory", POSTED, "v11"],
  N_DELETED_NAME: [
    "note",
    "FNAME ends in ' (deleted)': an unlinked file, or one of that name",
    POSTED,
    "v11",
  ],
  N_FS_NOT_SAVED: ["note", "fs is not the task's", POSTED, "v11"],
  N_SELECTOR_HIGH: ["note", "the high bits of fs and gs are leftovers", POSTED, "v11"],
  N_USES_DEBUG: ["note", "uses_debug tells nothing of breakpoints", POSTED, "v11"],
  N_LDT_ALLOCATED: ["note", "nldt is the allocated size, a multiple of 512", POSTED, "v11"],
  N_COMM_TAIL: ["note", "bytes of an older comm after the NUL", POSTED, "v11"],
  N_TRAILING: ["note", "bytes after TAIL, such as what ckpt prints on the same descriptor", POSTED, "v11"],
  N_HEAD_NO_NUL: [
    "note",
    "a string of HEAD fills its 64 bytes and has no NUL",
    "include/uapi/linux/utsname.h",
  ],
  N_UNKNOWN_RECORD: ["note", "an unknown extension record, where such are allowed", FORMAT, "port"],
  N_MM_UNMAPPED: [
    "note",
    "an area of MM is not mapped: munmap() and prctl(PR_SET_MM) may do that",
    "fs/binfmt_elf.c",
  ],
  N_CPU_IP: ["note", "ip is in no executable mapping: the program is about to fault", "arch/x86/mm/fault.c"],
  N_CPU_SP: [
    "note",
    "sp is in no mapping: the program uses it for something else, or is about to fault",
    "arch/x86/mm/fault.c",
  ],
  N_CPU_SELECTOR: [
    "note",
    "a data selector that cannot be loaded: left by a tracer or a signal frame",
    "arch/x86/include/asm/segment.h",
  ],
  N_FSGSBASE: [
    "note",
    "fsbase or gsbase outside user space, which only WRFSBASE allows",
    "do_arch_prctl_64()",
    "port",
  ],
} as const satisfies Readonly<Record<string, Row>>;

/** Id of a rule. */
export type RuleId = keyof typeof ROWS;

function infoOf([verdict, doc, source, only]: Row): RuleInfo {
  return { verdict, doc, dialects: only === undefined ? ["port", "v11"] : [only], source };
}

/**
 * All rules about the format, by the ids of their findings. Those with verdict `malformed` stop the decoder; some of
 * the others do where decoding cannot go on.
 */
export const RULES: Readonly<Record<RuleId, RuleInfo>> = Object.fromEntries(
  Object.entries(ROWS).map(([id, row]) => [id, infoOf(row)]),
) as Record<RuleId, RuleInfo>;
