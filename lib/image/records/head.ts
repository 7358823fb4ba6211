// SPDX-License-Identifier: MIT
import type { BytesDesc, StructDesc } from "../struct_desc.ts";

/** First field of HEAD: what an image starts with. */
export const HEAD_MAGIC = 0x00feed0cc0a2d200n;

/** The field of TAIL: what a whole image ends with. */
export const TAIL_MAGIC = 0x002d2a0cc0deef00n;

/** Goes before the payload of each record. */
export const RECORD_HEADER = {
  cName: "cr_hdr",
  size: 8,
  fields: [
    { name: "type", type: "s16", offset: 0, size: 2, doc: "record type" },
    { name: "len", type: "s16", offset: 2, size: 2, doc: "bytes of the payload, without this header" },
    {
      name: "parent",
      type: "u32",
      offset: 4,
      size: 4,
      doc: "what the record belongs to: 0, a pid or an objref",
    },
  ],
} as const satisfies StructDesc;

/** HEAD: who wrote the image, and when. */
export const HEAD = {
  cName: "cr_hdr_head",
  size: 224,
  fields: [
    { name: "magic", type: "u64", offset: 0, size: 8, display: "magic", doc: "0x00feed0cc0a2d200" },
    { name: "major", type: "u16", offset: 8, size: 2, doc: "first number of the kernel's version" },
    { name: "minor", type: "u16", offset: 10, size: 2, doc: "second number of the kernel's version" },
    { name: "patch", type: "u16", offset: 12, size: 2, doc: "third number of the kernel's version" },
    {
      name: "rev",
      type: "u16",
      offset: 14,
      size: 2,
      doc: "revision of the format: 1 to 3 v11, from 100 up port",
    },
    {
      name: "time",
      type: "u64",
      offset: 16,
      size: 8,
      display: "time",
      doc: "seconds since 1970 at the checkpoint",
    },
    {
      name: "flags",
      type: "u64",
      offset: 24,
      size: 8,
      display: "hex",
      doc: "always 1: the image of a checkpoint",
    },
    { name: "release", type: "bytes", offset: 32, size: 64, display: "text", doc: "utsname.release" },
    { name: "version", type: "bytes", offset: 96, size: 64, display: "text", doc: "utsname.version" },
    {
      name: "machine",
      type: "bytes",
      offset: 160,
      size: 64,
      display: "text",
      doc: "utsname.machine; decides the word size of the image",
    },
  ],
} as const satisfies StructDesc;

/** HEAD_ARCH: the FPU of the machine. */
export const HEAD_ARCH = {
  cName: "cr_hdr_head_arch",
  size: 8,
  fields: [
    { name: "has_fxsr", type: "u16", offset: 0, size: 2, display: "bool", doc: "the CPU has FXSAVE" },
    { name: "has_xsave", type: "u16", offset: 2, size: 2, display: "bool", doc: "the CPU has XSAVE" },
    {
      name: "xstate_size",
      type: "u16",
      offset: 4,
      size: 2,
      display: "count",
      doc: "bytes of each FPU state",
    },
    { name: "_padding", type: "u16", offset: 6, size: 2, padding: "named", display: "hex", doc: "unused" },
  ],
} as const satisfies StructDesc;

/** TAIL: the mark that the image is whole. */
export const TAIL = {
  cName: "cr_hdr_tail",
  size: 8,
  fields: [
    { name: "magic", type: "u64", offset: 0, size: 8, display: "magic", doc: "0x002d2a0cc0deef00" },
  ],
} as const satisfies StructDesc;

/** Most bytes of a name or a string, its NUL included (PATH_MAX). */
export const NAME_LIMIT = 4096;

/** BUFFER: bytes of any kind. No code of 2008 writes it. */
export const BUFFER = { min: 0, max: 0x7fff, doc: "bytes of any kind" } as const satisfies BytesDesc;

/** STRING: the task's comm. */
export const STRING = { min: 0, max: NAME_LIMIT, doc: "the task's comm" } as const satisfies BytesDesc;

/** FNAME: path of a file. */
export const FNAME = {
  min: 1,
  max: NAME_LIMIT,
  doc: "path of a mapped or open file, raw bytes, with its NUL",
} as const satisfies BytesDesc;
