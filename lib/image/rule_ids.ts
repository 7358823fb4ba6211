// SPDX-License-Identifier: MIT
import type { Dialect } from "../abi/series.ts";
import type { Verdict } from "./finding.ts";

/** One rule: what breaks it, in words; what makes it so; the dialect in which alone it holds. */
export type RuleRow = readonly [doc: string, source: string, only?: Dialect];

/** What is known of one rule. */
export interface RuleInfo {
  /** The verdict of its findings: `malformed` stops the decoder, as some of the others do where it cannot go on. */
  readonly verdict: Verdict;
  /** What breaks it, in words. */
  readonly doc: string;
  /** What makes it so: a function or file of the checkpoint code or of Linux; or the format. */
  readonly source: string;
  /** The dialect in which alone it holds. */
  readonly only: Dialect | undefined;
}

const FORMAT = "the format";
const POSTED = "the code as posted";

/** All rules about the format, by the ids of their findings: see {@linkcode ruleInfo}. */
export const RULES = {
  E_TRUNCATED: ["the file ends before the image does", FORMAT],
  E_MAGIC_HEAD: ["the image does not start with HEAD's magic number", "cr_write_head()"],
  E_MACHINE: ["utsname.machine is not that of an x86", "cr_write_head()"],
  E_TYPE: ["unknown record type", FORMAT],
  E_LEN_NEGATIVE: ["negative record length", FORMAT],
  E_LEN: ["the length of a record is not that of its type", FORMAT],
  E_CHUNK_COUNT: ["a chunk has more or fewer pages than nr_pages, or its VMA no room for them", FORMAT],
  E_VERSION: [
    "unknown revision of the format, or unknown or contradicting kernel version",
    "cr_write_head()",
  ],
  E_ORDER: ["a record stands in the wrong place or is missing", "do_checkpoint()"],
  E_UNKNOWN_RECORD: [
    "an extension record (type 1001 and up) that this version does not know",
    FORMAT,
    "port",
  ],
  E_PARENT: ["the parent of a record is not what its type asks for", FORMAT],
  E_PADDING: ["unused bytes are not zero (v11: not the stale bytes of the code as posted)", "cr_write_obj()"],
  E_HEAD_FLAGS: ["head.flags is not 1", "cr_write_head()"],
  E_HEAD_TEXT: ["a string of HEAD is not printable, or not zero after its NUL", "init/version.c"],
  E_ARCH_FLAGS: ["has_fxsr and has_xsave are not possible on this machine", "cr_write_head_arch()"],
  E_TASK_STATE: ["a state in which no task can be checkpointed", "cr_task_wait()"],
  E_TASK_EXIT: ["impossible exit state, exit code or exit signal", "kernel/fork.c, kernel/exit.c"],
  E_COMM: ["comm is not 16 bytes with a NUL and zeros after it", "get_task_comm()"],
  E_MM_OBJREF: ["mm.objref or files.objref is not 0", "cr_write_mm()"],
  E_MM_RANGE: [
    "an area of MM ends before it starts, or lies outside user space",
    "kernel/sys.c, prctl_set_mm()",
  ],
  E_MAP_COUNT: ["mm.map_count is not the number of VMA records", "cr_write_mm()"],
  E_VMA_TYPE: ["vma_type is none of the dialect's", "cr_vma_type()"],
  E_VMA_ALIGN: ["a VMA does not start or end on a page boundary", "mm/mmap.c"],
  E_VMA_RANGE: ["a VMA is empty or backwards, or lies outside user space", "mm/mmap.c"],
  E_VMA_ORDER: ["a VMA overlaps the one before or lies below it", "mm/mmap.c"],
  E_VM_FLAGS: ["unknown, contradicting or refused bits in vm_flags", "include/linux/mm.h, mm/mmap.c"],
  E_PAGE_PROT: ["vm_page_prot is not what the kernel makes of vm_flags", "vm_get_page_prot()"],
  E_PGOFF: ["vm_pgoff is impossible", "mm/mmap.c"],
  E_FNAME_MISSING: ["a file mapping or open file without FNAME", "cr_write_fname()"],
  E_FNAME_UNEXPECTED: ["FNAME after a VMA that maps no file", "cr_write_vma()"],
  E_FNAME: ["FNAME is not an absolute path as d_path() makes it, with one NUL at its end", "__d_path()"],
  E_PGARR_END: [
    "the contents of a VMA do not end with a PGARR of 0 pages",
    "cr_write_private_vma_contents()",
  ],
  E_CHUNK_SIZE: [
    "a chunk is larger than allowed, or smaller though not the last one",
    "cr_write_private_vma_contents()",
  ],
  E_PAGE_ALIGN: ["a page address is not a multiple of 4096", FORMAT],
  E_PAGE_RANGE: ["a page address lies outside its VMA", FORMAT],
  E_PAGE_ORDER: ["page addresses of a VMA are not ascending, or one comes twice", FORMAT],
  E_PAGE_SPECIAL: ["pages of a mapping of device memory, which has none of its own", "vm_normal_page()"],
  E_LDT_SIZE: ["ldt_entry_size is not 8", "cr_write_mm_context()"],
  E_LDT_COUNT: ["nldt is impossible: 0 to 8192, v11 a multiple of 512", "arch/x86/kernel/ldt.c"],
  E_LDT_ENTRY: ["an LDT entry that modify_ldt cannot have made", "write_ldt(), fill_ldt()"],
  E_TLS_ENTRIES: ["gdt_entry_tls_entries is not 3", "cr_write_thread()"],
  E_TLS_SIZE: ["sizeof_tls_array is not 24", "cr_write_thread()"],
  E_TLS_COUNT: ["ntls is not the number of TLS entries that are not empty", "cr_write_thread()"],
  E_TLS_DESC: ["a TLS entry that set_thread_area cannot have made", "tls_desc_okay(), fill_ldt()"],
  E_CPU_WIDTH: ["a register holds more bits than it has", "cr_write_cpu()"],
  E_CPU_SELECTOR: [
    "a selector of code or stack with which no program can run",
    "arch/x86/include/asm/segment.h",
  ],
  E_CPU_IP: ["an instruction pointer that is no canonical address", "Intel SDM, canonical addressing"],
  E_CPU_FLAGS: ["reserved bits of the flags register, or ones that no program can change", "set_flags()"],
  E_CPU_SELF: [
    "a task that saves itself is not in a system call that is to return 0",
    "cr_write_cpu()",
    "port",
  ],
  E_CPU_DEBUG: [
    "debug registers that no tracer can have set, or uses_debug contradicts debugreg7",
    "ptrace_set_debugreg()",
  ],
  E_USED_MATH: ["used_math is impossible: 0 or 1, in the port always 1", "cr_write_cpu()"],
  E_XSTATE_SIZE: [
    "xstate_size does not fit has_fxsr, has_xsave or the enabled components",
    "cr_write_head_arch()",
  ],
  E_XSTATE_MXCSR: ["reserved bits of MXCSR are set", "Intel SDM, MXCSR"],
  E_XSTATE_COMPACTED: ["the FPU state is compacted (xcomp_bv)", "copy_xstate_to_uabi_buf()"],
  E_XSTATE_FEATURES: [
    "FPU state of components that the machine has not enabled",
    "copy_xstate_to_uabi_buf()",
  ],
  E_XSTATE_RESERVED: ["reserved bytes of the FPU state are not zero", "copy_xstate_to_uabi_buf()"],
  E_XSTATE_INIT: ["a component in its initial state that does not hold it", "copy_xstate_to_uabi_buf()"],
  E_FSGSBASE: [
    "fsbase or gsbase is not a canonical address, or the kernel is a 32-bit one",
    "cr_write_fsgsbase()",
    "port",
  ],
  E_AUXV: [
    "the auxiliary vector has no AT_NULL, or not at its end, or more entries than the kernel keeps",
    "include/linux/mm_types.h",
    "port",
  ],
  E_SIGNALS: [
    "a mask with SIGKILL or SIGSTOP, or a stack that sigaltstack would not set",
    "kernel/signal.c, do_sigaltstack()",
    "port",
  ],
  E_SIGACTION: [
    "an action that sigaction would not set, that is the default, or that does not stand in the order of signals",
    "kernel/signal.c, do_sigaction()",
    "port",
  ],
  E_SIGACTION_COUNT: [
    "signals.nactions is not the number of SIGACTION records",
    "cr_write_signals()",
    "port",
  ],
  E_MAGIC_TAIL: ["TAIL has the wrong magic number", "cr_write_tail()"],
  E_TRAILING: ["bytes after TAIL", FORMAT, "port"],
  E_TREE_COUNT: ["tree.tasks_nr is not the number of TASK records", "cr_write_tree()", "v11"],
  E_TREE_PIDS: [
    "the table of tasks contradicts the records, or holds impossible ids",
    "cr_write_tree()",
    "v11",
  ],
  E_FD_COUNT: ["files.nfds is not the number of FD_ENT records", "cr_write_files()", "v11"],
  E_FD_ENTRY: [
    "impossible descriptor: not ascending, or bad close_on_exec or objref",
    "cr_write_fd_ent()",
    "v11",
  ],
  E_FD_TYPE: ["fd_type is neither 1 (file) nor 2 (directory)", "cr_write_fd_data()", "v11"],
  N_NR_PAGES_CUMULATIVE: ["nr_pages is cumulative from chunk 2 on: cnt is never reset", POSTED, "v11"],
  N_EMPTY_CHUNK: ["a PGARR above 0 without pages, before a clean end", POSTED, "v11"],
  N_STALE_PADDING: ["unused bytes hold what the buffer held before", POSTED, "v11"],
  N_VDSO_AS_ANON: ["the vdso is saved as anonymous memory", POSTED, "v11"],
  N_DELETED_NAME: ["FNAME ends in ' (deleted)': an unlinked file, or one of that name", POSTED, "v11"],
  N_FS_NOT_SAVED: ["fs is not the task's", POSTED, "v11"],
  N_SELECTOR_HIGH: ["the high bits of fs and gs are leftovers", POSTED, "v11"],
  N_USES_DEBUG: ["uses_debug tells nothing of breakpoints", POSTED, "v11"],
  N_LDT_ALLOCATED: ["nldt is the allocated size, a multiple of 512", POSTED, "v11"],
  N_COMM_TAIL: ["bytes of an older comm after the NUL", POSTED, "v11"],
  N_TRAILING: ["bytes after TAIL, such as what ckpt prints on the same descriptor", POSTED, "v11"],
  N_HEAD_NO_NUL: ["a string of HEAD fills its 64 bytes and has no NUL", "include/uapi/linux/utsname.h"],
  N_UNKNOWN_RECORD: ["an unknown extension record, where such are allowed", FORMAT, "port"],
  N_MM_UNMAPPED: [
    "an area of MM is not mapped: munmap() and prctl(PR_SET_MM) may do that",
    "fs/binfmt_elf.c",
  ],
  N_CPU_IP: ["ip is in no executable mapping: the program is about to fault", "arch/x86/mm/fault.c"],
  N_CPU_SP: [
    "sp is in no mapping: the program uses it for something else, or is about to fault",
    "arch/x86/mm/fault.c",
  ],
  N_CPU_SELECTOR: [
    "a data selector that cannot be loaded: left by a tracer or a signal frame",
    "arch/x86/include/asm/segment.h",
  ],
  N_FSGSBASE: [
    "fsbase or gsbase outside user space, which only WRFSBASE allows",
    "do_arch_prctl_64()",
    "port",
  ],
} as const satisfies Readonly<Record<string, RuleRow>>;

/** Id of a rule. */
export type RuleId = keyof typeof RULES;

const MALFORMED: ReadonlySet<string> = new Set<RuleId>([
  "E_TRUNCATED",
  "E_MAGIC_HEAD",
  "E_MACHINE",
  "E_TYPE",
  "E_LEN_NEGATIVE",
  "E_LEN",
  "E_CHUNK_COUNT",
]);

/** What is known of a rule. */
export function ruleInfo(id: RuleId): RuleInfo {
  const [doc, source, only]: RuleRow = RULES[id];
  const verdict = id.startsWith("N_") ? "note" : MALFORMED.has(id) ? "malformed" : "invalid";
  return { verdict, doc, source, only };
}
