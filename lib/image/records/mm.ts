// SPDX-License-Identifier: MIT
import type { StructDesc } from "../struct_desc.ts";

/** MM: the address space as a whole. */
export const MM = {
  cName: "cr_hdr_mm",
  size: 96,
  fields: [
    { name: "objref", type: "u32", offset: 0, size: 4, doc: "always 0: shared address spaces are not told" },
    {
      name: "map_count",
      type: "u32",
      offset: 4,
      size: 4,
      display: "count",
      doc: "number of VMA records that follow",
    },
    {
      name: "start_code",
      type: "u64",
      offset: 8,
      size: 8,
      display: "address",
      doc: "start of the program's text",
    },
    {
      name: "end_code",
      type: "u64",
      offset: 16,
      size: 8,
      display: "address",
      doc: "end of the program's text",
    },
    {
      name: "start_data",
      type: "u64",
      offset: 24,
      size: 8,
      display: "address",
      doc: "start of its initialised data",
    },
    {
      name: "end_data",
      type: "u64",
      offset: 32,
      size: 8,
      display: "address",
      doc: "end of its initialised data",
    },
    { name: "start_brk", type: "u64", offset: 40, size: 8, display: "address", doc: "start of the heap" },
    { name: "brk", type: "u64", offset: 48, size: 8, display: "address", doc: "end of the heap" },
    {
      name: "start_stack",
      type: "u64",
      offset: 56,
      size: 8,
      display: "address",
      doc: "where the stack began at exec",
    },
    {
      name: "arg_start",
      type: "u64",
      offset: 64,
      size: 8,
      display: "address",
      doc: "start of the arguments",
    },
    { name: "arg_end", type: "u64", offset: 72, size: 8, display: "address", doc: "end of the arguments" },
    {
      name: "env_start",
      type: "u64",
      offset: 80,
      size: 8,
      display: "address",
      doc: "start of the environment",
    },
    { name: "env_end", type: "u64", offset: 88, size: 8, display: "address", doc: "end of the environment" },
  ],
} as const satisfies StructDesc;

/** VMA: one mapping. FNAME follows when it maps a file, then page-array chunks up to an empty one. */
export const VMA = {
  cName: "cr_hdr_vma",
  size: 48,
  fields: [
    {
      name: "vma_type",
      type: "u32",
      offset: 0,
      size: 4,
      doc: "1 anonymous, 2 file, 101 special (port only: made by the kernel)",
    },
    { name: "_padding", type: "u32", offset: 4, size: 4, padding: "named", display: "hex", doc: "unused" },
    { name: "vm_start", type: "u64", offset: 8, size: 8, display: "address", doc: "first address" },
    { name: "vm_end", type: "u64", offset: 16, size: 8, display: "address", doc: "first address after it" },
    {
      name: "vm_page_prot",
      type: "u64",
      offset: 24,
      size: 8,
      display: "page-prot",
      doc: "page table bits of the mapping, raw",
    },
    {
      name: "vm_flags",
      type: "u64",
      offset: 32,
      size: 8,
      display: "vm-flags",
      doc: "flags of the mapping, raw kernel bits",
    },
    {
      name: "vm_pgoff",
      type: "u64",
      offset: 40,
      size: 8,
      display: "hex",
      doc: "offset in the file, in pages; for anonymous memory the kernel's linear value",
    },
  ],
} as const satisfies StructDesc;

/** Values of `vma_type`. */
export const VMA_TYPE = { ANON: 1, FILE: 2, SPECIAL: 101 } as const;

/** PGARR: one chunk of page contents: `nr_pages` addresses, each a word of the kernel, then pages, raw. */
export const PGARR = {
  cName: "cr_hdr_pgarr",
  size: 8,
  fields: [
    {
      name: "nr_pages",
      type: "u64",
      offset: 0,
      size: 8,
      display: "count",
      doc: "pages in the chunk, 0 ends the VMA; cumulative in v11 from the second chunk on",
    },
  ],
} as const satisfies StructDesc;
