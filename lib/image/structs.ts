// SPDX-License-Identifier: MIT
import { type BytesDesc, type FieldRow, struct, type StructDesc } from "./struct_desc.ts";

/** First field of HEAD: what an image starts with. */
export const HEAD_MAGIC = 0x00feed0cc0a2d200n;

/** The field of TAIL: what a whole image ends with. */
export const TAIL_MAGIC = 0x002d2a0cc0deef00n;

/** Values of `vma_type`. */
export const VMA_TYPE = { ANON: 1, FILE: 2, SPECIAL: 101 } as const;

/** Most bytes of a name or a string, its NUL included (PATH_MAX). */
const NAME_LIMIT = 4096;

/** BUFFER: bytes of any kind. No code of 2008 writes it. */
export const BUFFER: BytesDesc = { min: 0, max: 0x7fff, doc: "bytes of any kind" };

/** STRING: the task's comm. */
export const STRING: BytesDesc = { min: 0, max: NAME_LIMIT, doc: "the task's comm" };

/** FNAME: path of a file. */
export const FNAME: BytesDesc = {
  min: 1,
  max: NAME_LIMIT,
  doc: "path of a mapped or open file, raw bytes, with its NUL",
};

const RECORD_HEADER_ROWS = [
  ["type", "s16", "record type"],
  ["len", "s16", "bytes of the payload, without this header"],
  ["parent", "u32", "what the record belongs to: 0, a pid or an objref"],
] as const satisfies readonly FieldRow[];

/** Goes before the payload of each record. */
export const RECORD_HEADER: StructDesc<typeof RECORD_HEADER_ROWS> = struct("cr_hdr", 8, RECORD_HEADER_ROWS);

const HEAD_ROWS = [
  ["magic", "u64", "0x00feed0cc0a2d200", "hex"],
  ["major", "u16", "first number of the kernel's version"],
  ["minor", "u16", "second number of the kernel's version"],
  ["patch", "u16", "third number of the kernel's version"],
  ["rev", "u16", "revision of the format: 1 to 3 v11, from 100 up port"],
  ["time", "u64", "seconds since 1970 at the checkpoint", "time"],
  ["flags", "u64", "always 1: the image of a checkpoint", "hex"],
  ["release", "char[64]", "utsname.release"],
  ["version", "char[64]", "utsname.version"],
  ["machine", "char[64]", "utsname.machine; decides the word size of the image"],
] as const satisfies readonly FieldRow[];

/** HEAD: who wrote the image, and when. */
export const HEAD: StructDesc<typeof HEAD_ROWS> = struct("cr_hdr_head", 224, HEAD_ROWS);

const HEAD_ARCH_ROWS = [
  ["has_fxsr", "u16", "the CPU has FXSAVE"],
  ["has_xsave", "u16", "the CPU has XSAVE"],
  ["xstate_size", "u16", "bytes of each FPU state"],
  ["_padding", "u16", "unused", "padding"],
] as const satisfies readonly FieldRow[];

/** HEAD_ARCH: the FPU of the machine. */
export const HEAD_ARCH: StructDesc<typeof HEAD_ARCH_ROWS> = struct("cr_hdr_head_arch", 8, HEAD_ARCH_ROWS);

const TREE_ROWS = [
  ["tasks_nr", "u32", "number of tasks"],
  ["_padding", "u32", "unused", "tail"],
] as const satisfies readonly FieldRow[];

/** TREE, of patch 12: how many tasks the image holds. The raw table of their ids follows. */
export const TREE: StructDesc<typeof TREE_ROWS> = struct("cr_hdr_tree", 8, TREE_ROWS);

const PIDS_ROWS = [
  ["vpid", "s32", "pid"],
  ["vtgid", "s32", "thread group"],
  ["vppid", "s32", "pid of the parent"],
  ["_padding", "u32", "unused", "tail"],
] as const satisfies readonly FieldRow[];

/** One entry of the raw table after TREE. */
export const PIDS: StructDesc<typeof PIDS_ROWS> = struct("cr_hdr_pids", 16, PIDS_ROWS);

const TASK_ROWS = [
  ["state", "u32", "task->state, 0 for a task that saves itself", "hex"],
  ["exit_state", "u32", "task->exit_state, 0 while it lives", "hex"],
  ["exit_code", "u32", "task->exit_code; the signal of a stop", "hex"],
  ["exit_signal", "u32", "the signal to its parent at its end"],
  ["task_comm_len", "s32", "length of the STRING that follows"],
  ["_padding", "u32", "unused", "padding"],
] as const satisfies readonly FieldRow[];

/** TASK: the state of one task. */
export const TASK: StructDesc<typeof TASK_ROWS> = struct("cr_hdr_task", 24, TASK_ROWS);

const MM_ROWS = [
  ["objref", "u32", "always 0: shared address spaces are not told"],
  ["map_count", "u32", "number of VMA records that follow"],
  ["start_code", "u64", "start of the program's text", "hex"],
  ["end_code", "u64", "end of the program's text", "hex"],
  ["start_data", "u64", "start of its initialised data", "hex"],
  ["end_data", "u64", "end of its initialised data", "hex"],
  ["start_brk", "u64", "start of the heap", "hex"],
  ["brk", "u64", "end of the heap", "hex"],
  ["start_stack", "u64", "where the stack began at exec", "hex"],
  ["arg_start", "u64", "start of the arguments", "hex"],
  ["arg_end", "u64", "end of the arguments", "hex"],
  ["env_start", "u64", "start of the environment", "hex"],
  ["env_end", "u64", "end of the environment", "hex"],
] as const satisfies readonly FieldRow[];

/** MM: the address space as a whole. */
export const MM: StructDesc<typeof MM_ROWS> = struct("cr_hdr_mm", 96, MM_ROWS);

const VMA_ROWS = [
  ["vma_type", "u32", "1 anonymous, 2 file, 101 special (port only: made by the kernel)"],
  ["_padding", "u32", "unused", "padding"],
  ["vm_start", "u64", "first address", "hex"],
  ["vm_end", "u64", "first address after it", "hex"],
  ["vm_page_prot", "u64", "page table bits of the mapping, raw", "page-prot"],
  ["vm_flags", "u64", "flags of the mapping, raw kernel bits", "vm-flags"],
  ["vm_pgoff", "u64", "offset in the file, in pages; for anonymous memory the kernel's linear value", "hex"],
] as const satisfies readonly FieldRow[];

/** VMA: one mapping. FNAME follows when it maps a file, then page-array chunks up to an empty one. */
export const VMA: StructDesc<typeof VMA_ROWS> = struct("cr_hdr_vma", 48, VMA_ROWS);

const PGARR_ROWS = [
  ["nr_pages", "u64", "pages in the chunk, 0 ends the VMA; cumulative in v11 from the second chunk on"],
] as const satisfies readonly FieldRow[];

/** PGARR: one chunk of page contents: `nr_pages` addresses, each a word of the kernel, then pages, raw. */
export const PGARR: StructDesc<typeof PGARR_ROWS> = struct("cr_hdr_pgarr", 8, PGARR_ROWS);

const MM_CONTEXT_ROWS = [
  ["ldt_entry_size", "s16", "always 8"],
  ["nldt", "s16", "entries: v11 the allocated ones, a multiple of 512; port the highest ever set + 1"],
  ["_padding", "u32", "unused", "padding"],
] as const satisfies readonly FieldRow[];

/** MM_CONTEXT: the LDT. `nldt` descriptors of 8 bytes follow raw. */
export const MM_CONTEXT: StructDesc<typeof MM_CONTEXT_ROWS> = struct("cr_hdr_mm_context", 8, MM_CONTEXT_ROWS);

const FILES_ROWS = [
  ["objref", "u32", "always 0: shared tables are not told"],
  ["nfds", "u32", "number of FD_ENT records that follow"],
] as const satisfies readonly FieldRow[];

/** FILES, of patch 8: the table of open files. */
export const FILES: StructDesc<typeof FILES_ROWS> = struct("cr_hdr_files", 8, FILES_ROWS);

const FD_ENT_ROWS = [
  ["objref", "u32", "which open file, counted from 1"],
  ["fd", "s32", "descriptor number"],
  ["close_on_exec", "u32", "closed by exec"],
  ["_padding", "u32", "unused", "tail"],
] as const satisfies readonly FieldRow[];

/** FD_ENT, of patch 8: one descriptor. FD_DATA and FNAME follow when its file is met for the first time. */
export const FD_ENT: StructDesc<typeof FD_ENT_ROWS> = struct("cr_hdr_fd_ent", 16, FD_ENT_ROWS);

const FD_DATA_ROWS = [
  ["fd_type", "u16", "1 regular file, 2 directory"],
  ["f_mode", "u16", "file->f_mode", "hex"],
  ["f_flags", "u32", "file->f_flags", "hex"],
  ["f_pos", "u64", "file->f_pos"],
  ["f_version", "u64", "file->f_version"],
] as const satisfies readonly FieldRow[];

/** FD_DATA, of patch 8: one open file. */
export const FD_DATA: StructDesc<typeof FD_DATA_ROWS> = struct("cr_hdr_fd_data", 24, FD_DATA_ROWS);

const THREAD_ROWS = [
  ["gdt_entry_tls_entries", "s16", "always 3"],
  ["sizeof_tls_array", "s16", "always 24"],
  ["ntls", "s16", "how many of them are not empty"],
  ["_padding", "u16", "unused", "padding"],
] as const satisfies readonly FieldRow[];

/** THREAD: the TLS entries of the GDT. When `ntls` is not 0, the whole array of 3 follows raw. */
export const THREAD: StructDesc<typeof THREAD_ROWS> = struct("cr_hdr_thread", 8, THREAD_ROWS);

const CPU_ROWS = [
  ["r15", "u64", "register r15; no such register on i386", "hex"],
  ["r14", "u64", "register r14; no such register on i386", "hex"],
  ["r13", "u64", "register r13; no such register on i386", "hex"],
  ["r12", "u64", "register r12; no such register on i386", "hex"],
  ["bp", "u64", "register bp", "hex"],
  ["bx", "u64", "register bx", "hex"],
  ["r11", "u64", "register r11; no such register on i386", "hex"],
  ["r10", "u64", "register r10; no such register on i386", "hex"],
  ["r9", "u64", "register r9; no such register on i386", "hex"],
  ["r8", "u64", "register r8; no such register on i386", "hex"],
  ["ax", "u64", "register ax", "hex"],
  ["cx", "u64", "register cx", "hex"],
  ["dx", "u64", "register dx", "hex"],
  ["si", "u64", "register si", "hex"],
  ["di", "u64", "register di", "hex"],
  ["orig_ax", "u64", "number of the system call that the task is in, or -1", "hex"],
  ["ip", "u64", "instruction pointer", "hex"],
  ["cs", "u64", "selector in cs", "hex"],
  ["flags", "u64", "flags register", "hex"],
  ["sp", "u64", "stack pointer", "hex"],
  ["ss", "u64", "selector in ss", "hex"],
  ["ds", "u64", "selector in ds", "hex"],
  ["es", "u64", "selector in es", "hex"],
  ["fs", "u64", "selector in fs", "hex"],
  ["gs", "u64", "selector in gs", "hex"],
  ["debugreg0", "u64", "address of breakpoint 0", "hex"],
  ["debugreg1", "u64", "address of breakpoint 1", "hex"],
  ["debugreg2", "u64", "address of breakpoint 2", "hex"],
  ["debugreg3", "u64", "address of breakpoint 3", "hex"],
  ["debugreg4", "u64", "always 0", "hex"],
  ["debugreg5", "u64", "always 0", "hex"],
  ["debugreg6", "u64", "debug status", "hex"],
  ["debugreg7", "u64", "debug control", "hex"],
  ["uses_debug", "u32", "the task has breakpoints set"],
  ["used_math", "u32", "FPU state follows"],
] as const satisfies readonly FieldRow[];

/** CPU: registers. When `used_math` is 1, the FPU state follows raw, as long as HEAD_ARCH says. */
export const CPU: StructDesc<typeof CPU_ROWS> = struct("cr_hdr_cpu", 272, CPU_ROWS);

const X86_FSGSBASE_ROWS = [
  ["fsbase", "u64", "base address of fs", "hex"],
  ["gsbase", "u64", "base address of gs", "hex"],
] as const satisfies readonly FieldRow[];

/** X86_FSGSBASE, port only, after CPU on an x86-64 kernel: what v11's CPU record has no room for. */
export const X86_FSGSBASE: StructDesc<typeof X86_FSGSBASE_ROWS> = struct(
  "cr_hdr_x86_fsgsbase",
  16,
  X86_FSGSBASE_ROWS,
);

const TAIL_ROWS = [
  ["magic", "u64", "0x002d2a0cc0deef00", "hex"],
] as const satisfies readonly FieldRow[];

/** TAIL: the mark that the image is whole. */
export const TAIL: StructDesc<typeof TAIL_ROWS> = struct("cr_hdr_tail", 8, TAIL_ROWS);
