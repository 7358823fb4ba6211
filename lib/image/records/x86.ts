// SPDX-License-Identifier: MIT
import type { StructDesc } from "../struct_desc.ts";

/** MM_CONTEXT: the LDT. `nldt` descriptors of 8 bytes follow raw. */
export const MM_CONTEXT = {
  cName: "cr_hdr_mm_context",
  size: 8,
  fields: [
    { name: "ldt_entry_size", type: "s16", offset: 0, size: 2, display: "count", doc: "always 8" },
    {
      name: "nldt",
      type: "s16",
      offset: 2,
      size: 2,
      display: "count",
      doc: "entries: v11 the allocated ones, a multiple of 512; port the highest ever set + 1",
    },
    { name: "_padding", type: "u32", offset: 4, size: 4, padding: "named", display: "hex", doc: "unused" },
  ],
} as const satisfies StructDesc;

/** THREAD: the TLS entries of the GDT. When `ntls` is not 0, the whole array of 3 follows raw. */
export const THREAD = {
  cName: "cr_hdr_thread",
  size: 8,
  fields: [
    { name: "gdt_entry_tls_entries", type: "s16", offset: 0, size: 2, display: "count", doc: "always 3" },
    { name: "sizeof_tls_array", type: "s16", offset: 2, size: 2, display: "count", doc: "always 24" },
    {
      name: "ntls",
      type: "s16",
      offset: 4,
      size: 2,
      display: "count",
      doc: "how many of them are not empty",
    },
    { name: "_padding", type: "u16", offset: 6, size: 2, padding: "named", display: "hex", doc: "unused" },
  ],
} as const satisfies StructDesc;

/** CPU: registers. When `used_math` is 1, the FPU state follows raw, as long as HEAD_ARCH says. */
export const CPU = {
  cName: "cr_hdr_cpu",
  size: 272,
  fields: [
    {
      name: "r15",
      type: "u64",
      offset: 0,
      size: 8,
      display: "hex",
      doc: "register r15; no such register on i386",
    },
    {
      name: "r14",
      type: "u64",
      offset: 8,
      size: 8,
      display: "hex",
      doc: "register r14; no such register on i386",
    },
    {
      name: "r13",
      type: "u64",
      offset: 16,
      size: 8,
      display: "hex",
      doc: "register r13; no such register on i386",
    },
    {
      name: "r12",
      type: "u64",
      offset: 24,
      size: 8,
      display: "hex",
      doc: "register r12; no such register on i386",
    },
    { name: "bp", type: "u64", offset: 32, size: 8, display: "hex", doc: "register bp" },
    { name: "bx", type: "u64", offset: 40, size: 8, display: "hex", doc: "register bx" },
    {
      name: "r11",
      type: "u64",
      offset: 48,
      size: 8,
      display: "hex",
      doc: "register r11; no such register on i386",
    },
    {
      name: "r10",
      type: "u64",
      offset: 56,
      size: 8,
      display: "hex",
      doc: "register r10; no such register on i386",
    },
    {
      name: "r9",
      type: "u64",
      offset: 64,
      size: 8,
      display: "hex",
      doc: "register r9; no such register on i386",
    },
    {
      name: "r8",
      type: "u64",
      offset: 72,
      size: 8,
      display: "hex",
      doc: "register r8; no such register on i386",
    },
    { name: "ax", type: "u64", offset: 80, size: 8, display: "hex", doc: "register ax" },
    { name: "cx", type: "u64", offset: 88, size: 8, display: "hex", doc: "register cx" },
    { name: "dx", type: "u64", offset: 96, size: 8, display: "hex", doc: "register dx" },
    { name: "si", type: "u64", offset: 104, size: 8, display: "hex", doc: "register si" },
    { name: "di", type: "u64", offset: 112, size: 8, display: "hex", doc: "register di" },
    {
      name: "orig_ax",
      type: "u64",
      offset: 120,
      size: 8,
      display: "hex",
      doc: "number of the system call that the task is in, or -1",
    },
    { name: "ip", type: "u64", offset: 128, size: 8, display: "address", doc: "instruction pointer" },
    { name: "cs", type: "u64", offset: 136, size: 8, display: "selector", doc: "selector in cs" },
    { name: "flags", type: "u64", offset: 144, size: 8, display: "bits", doc: "flags register" },
    { name: "sp", type: "u64", offset: 152, size: 8, display: "address", doc: "stack pointer" },
    { name: "ss", type: "u64", offset: 160, size: 8, display: "selector", doc: "selector in ss" },
    { name: "ds", type: "u64", offset: 168, size: 8, display: "selector", doc: "selector in ds" },
    { name: "es", type: "u64", offset: 176, size: 8, display: "selector", doc: "selector in es" },
    { name: "fs", type: "u64", offset: 184, size: 8, display: "selector", doc: "selector in fs" },
    { name: "gs", type: "u64", offset: 192, size: 8, display: "selector", doc: "selector in gs" },
    { name: "debugreg0", type: "u64", offset: 200, size: 8, display: "hex", doc: "address of breakpoint 0" },
    { name: "debugreg1", type: "u64", offset: 208, size: 8, display: "hex", doc: "address of breakpoint 1" },
    { name: "debugreg2", type: "u64", offset: 216, size: 8, display: "hex", doc: "address of breakpoint 2" },
    { name: "debugreg3", type: "u64", offset: 224, size: 8, display: "hex", doc: "address of breakpoint 3" },
    { name: "debugreg4", type: "u64", offset: 232, size: 8, display: "hex", doc: "always 0" },
    { name: "debugreg5", type: "u64", offset: 240, size: 8, display: "hex", doc: "always 0" },
    { name: "debugreg6", type: "u64", offset: 248, size: 8, display: "hex", doc: "debug status" },
    { name: "debugreg7", type: "u64", offset: 256, size: 8, display: "hex", doc: "debug control" },
    {
      name: "uses_debug",
      type: "u32",
      offset: 264,
      size: 4,
      display: "bool",
      doc: "the task has breakpoints set",
    },
    { name: "used_math", type: "u32", offset: 268, size: 4, display: "bool", doc: "FPU state follows" },
  ],
} as const satisfies StructDesc;

/** X86_FSGSBASE, port only, after CPU on an x86-64 kernel: what v11's CPU record has no room for. */
export const X86_FSGSBASE = {
  cName: "cr_hdr_x86_fsgsbase",
  size: 16,
  fields: [
    { name: "fsbase", type: "u64", offset: 0, size: 8, display: "address", doc: "base address of fs" },
    { name: "gsbase", type: "u64", offset: 8, size: 8, display: "address", doc: "base address of gs" },
  ],
} as const satisfies StructDesc;
