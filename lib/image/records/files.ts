// SPDX-License-Identifier: MIT
import type { StructDesc } from "../struct_desc.ts";

/** FILES, of patch 8: the table of open files. */
export const FILES = {
  cName: "cr_hdr_files",
  size: 8,
  fields: [
    { name: "objref", type: "u32", offset: 0, size: 4, doc: "always 0: shared tables are not told" },
    {
      name: "nfds",
      type: "u32",
      offset: 4,
      size: 4,
      display: "count",
      doc: "number of FD_ENT records that follow",
    },
  ],
} as const satisfies StructDesc;

/** FD_ENT, of patch 8: one descriptor. FD_DATA and FNAME follow when its file is met for the first time. */
export const FD_ENT = {
  cName: "cr_hdr_fd_ent",
  size: 16,
  fields: [
    { name: "objref", type: "u32", offset: 0, size: 4, doc: "which open file, counted from 1" },
    { name: "fd", type: "s32", offset: 4, size: 4, doc: "descriptor number" },
    { name: "close_on_exec", type: "u32", offset: 8, size: 4, display: "bool", doc: "closed by exec" },
    { name: "_padding", type: "u32", offset: 12, size: 4, padding: "tail", display: "hex", doc: "unused" },
  ],
} as const satisfies StructDesc;

/** FD_DATA, of patch 8: one open file. */
export const FD_DATA = {
  cName: "cr_hdr_fd_data",
  size: 24,
  fields: [
    { name: "fd_type", type: "u16", offset: 0, size: 2, doc: "1 regular file, 2 directory" },
    { name: "f_mode", type: "u16", offset: 2, size: 2, display: "bits", doc: "file->f_mode" },
    { name: "f_flags", type: "u32", offset: 4, size: 4, display: "bits", doc: "file->f_flags" },
    { name: "f_pos", type: "u64", offset: 8, size: 8, doc: "file->f_pos" },
    { name: "f_version", type: "u64", offset: 16, size: 8, doc: "file->f_version" },
  ],
} as const satisfies StructDesc;
