// SPDX-License-Identifier: MIT
import { struct } from "./struct_codec.ts";
import type { FieldRow, StructDesc } from "./struct_desc.ts";

/** First field of HEAD: what an image starts with. */
export const HEAD_MAGIC = 0x00feed0cc0a2d200n;

/** The field of TAIL: what a whole image ends with. */
export const TAIL_MAGIC = 0x002d2a0cc0deef00n;

/** Values of `vma_type`. */
export const VMA_TYPE = { ANON: 1, FILE: 2, SPECIAL: 101 } as const;

const RECORD_HEADER_ROWS = [
  ["type", "s16", "record type"],
  ["len", "s16", "bytes of the payload, without this header"],
  ["parent", "u32", "what the record belongs to: 0, a pid or an objref"],
] as const satisfies readonly FieldRow[];

/** Goes before the payload of each record. */
export const RECORD_HEADER: StructDesc<typeof RECORD_HEADER_ROWS> = struct("cr_hdr", 8, RECORD_HEADER_ROWS);

const PIDS_ROWS = [
  ["vpid", "s32", "pid"],
  ["vtgid", "s32", "thread group"],
  ["vppid", "s32", "pid of the parent"],
  ["_padding", "u32", "unused", "tail"],
] as const satisfies readonly FieldRow[];

/** One entry of the raw table after TREE. */
export const PIDS: StructDesc<typeof PIDS_ROWS> = struct("cr_hdr_pids", 16, PIDS_ROWS);

/** The fields of each record, in their order. */
export const ROWS = {
  // Who wrote the image, and when.
  HEAD: [
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
  ],
  // The FPU of the machine.
  HEAD_ARCH: [
    ["has_fxsr", "u16", "the CPU has FXSAVE"],
    ["has_xsave", "u16", "the CPU has XSAVE"],
    ["xstate_size", "u16", "bytes of each FPU state"],
    ["_padding", "u16", "unused", "padding"],
  ],
  // Of patch 12: how many tasks the image holds. The raw table of their ids follows.
  TREE: [
    ["tasks_nr", "u32", "number of tasks"],
    ["_padding", "u32", "unused", "tail"],
  ],
  // The state of one task.
  TASK: [
    ["state", "u32", "task->state, 0 for a task that saves itself", "hex"],
    ["exit_state", "u32", "task->exit_state, 0 while it lives", "hex"],
    ["exit_code", "u32", "task->exit_code; the signal of a stop", "hex"],
    ["exit_signal", "u32", "the signal to its parent at its end"],
    ["task_comm_len", "s32", "length of the STRING that follows"],
    ["_padding", "u32", "unused", "padding"],
  ],
  // The address space as a whole.
  MM: [
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
  ],
  // One mapping. FNAME follows when it maps a file, then page-array chunks up to an empty one.
  VMA: [
    ["vma_type", "u32", "1 anonymous, 2 file, 101 special (port only: made by the kernel)"],
    ["_padding", "u32", "unused", "padding"],
    ["vm_start", "u64", "first address", "hex"],
    ["vm_end", "u64", "first address after it", "hex"],
    ["vm_page_prot", "u64", "page table bits of the mapping, raw", "page-prot"],
    ["vm_flags", "u64", "flags of the mapping, raw kernel bits", "vm-flags"],
    [
      "vm_pgoff",
      "u64",
      "offset in the file, in pages; for anonymous memory the kernel's linear value",
      "hex",
    ],
  ],
  // One chunk of page contents: `nr_pages` addresses, each a word of the kernel, then pages, raw.
  PGARR: [
    ["nr_pages", "u64", "pages in the chunk, 0 ends the VMA; cumulative in v11 from the second chunk on"],
  ],
  // The LDT. `nldt` descriptors of 8 bytes follow raw.
  MM_CONTEXT: [
    ["ldt_entry_size", "s16", "always 8"],
    ["nldt", "s16", "entries: v11 the allocated ones, a multiple of 512; port the highest ever set + 1"],
    ["_padding", "u32", "unused", "padding"],
  ],
  // Of patch 8: the table of open files.
  FILES: [
    ["objref", "u32", "always 0: shared tables are not told"],
    ["nfds", "u32", "number of FD_ENT records that follow"],
  ],
  // Of patch 8: one descriptor. FD_DATA and FNAME follow when its file is met for the first time.
  FD_ENT: [
    ["objref", "u32", "which open file, counted from 1"],
    ["fd", "s32", "descriptor number"],
    ["close_on_exec", "u32", "closed by exec"],
    ["_padding", "u32", "unused", "tail"],
  ],
  // Of patch 8: one open file.
  FD_DATA: [
    ["fd_type", "u16", "1 regular file, 2 directory"],
    ["f_mode", "u16", "file->f_mode", "hex"],
    ["f_flags", "u32", "file->f_flags", "hex"],
    ["f_pos", "u64", "file->f_pos"],
    ["f_version", "u64", "file->f_version"],
  ],
  // The TLS entries of the GDT. When `ntls` is not 0, the whole array of 3 follows raw.
  THREAD: [
    ["gdt_entry_tls_entries", "s16", "always 3"],
    ["sizeof_tls_array", "s16", "always 24"],
    ["ntls", "s16", "how many of them are not empty"],
    ["_padding", "u16", "unused", "padding"],
  ],
  // Registers. When `used_math` is 1, the FPU state follows raw, as long as HEAD_ARCH says.
  CPU: [
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
  ],
  // Port only, after CPU on an x86-64 kernel: what v11's CPU record has no room for.
  X86_FSGSBASE: [
    ["fsbase", "u64", "base address of fs", "hex"],
    ["gsbase", "u64", "base address of gs", "hex"],
  ],
  // Port only: which signals wait, and the stack that handlers may have.
  SIGNALS: [
    ["blocked", "u64", "mask: bit n - 1 is signal n", "hex"],
    ["sas_ss_sp", "u64", "start of the alternate stack", "hex"],
    ["sas_ss_size", "u64", "its bytes", "hex"],
    ["sas_ss_flags", "u32", "SS_DISABLE (2): there is none; SS_AUTODISARM (0x80000000)", "hex"],
    ["nactions", "u32", "number of SIGACTION records that follow"],
  ],
  // Port only: what a signal does, where that is not the default. Ascending by signr.
  SIGACTION: [
    ["sa_handler", "u64", "0 the default, 1 it is ignored, or the address of a function", "hex"],
    ["sa_flags", "u64", "flags of the action, raw", "hex"],
    ["sa_restorer", "u64", "where the function returns to", "hex"],
    ["sa_mask", "u64", "what is blocked in the function besides", "hex"],
    ["signr", "u32", "number of the signal"],
    ["_padding", "u32", "unused", "padding"],
  ],
  // The mark that the image is whole.
  TAIL: [
    ["magic", "u64", "0x002d2a0cc0deef00", "hex"],
  ],
} as const satisfies Readonly<Record<string, readonly FieldRow[]>>;
