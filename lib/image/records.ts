// SPDX-License-Identifier: MIT
import { BUFFER, FNAME, HEAD, HEAD_ARCH, STRING, TAIL } from "./records/head.ts";
import { TASK, TREE } from "./records/task.ts";
import { MM, PGARR, VMA } from "./records/mm.ts";
import { CPU, MM_CONTEXT, THREAD, X86_FSGSBASE } from "./records/x86.ts";
import { FD_DATA, FD_ENT, FILES } from "./records/files.ts";
import type { BytesDesc, FieldsOf, StructDesc } from "./struct_desc.ts";

/** Which numbers TREE, TASK, THREAD and CPU have: patch 12 puts TREE at 101 and moves the others by one. */
export type Numbering = "plain" | "tree";

/** One record type. */
export interface RecordDesc {
  /** Name in the C enum. */
  readonly constant: string;
  /** Number of the type where there is no TREE; undefined for a record that exists only beside it. */
  readonly type?: number;
  /** Number of the type after patch 12, where it differs. */
  readonly typeWithTree?: number;
  /** The payload. */
  readonly payload: StructDesc | BytesDesc;
  /** First part of the series that writes it: patch number of v11, or "port". */
  readonly since: string;
  /** Raw bytes, without a record header, that follow it. */
  readonly raw?: string;
}

/** All record types, by name. */
export const RECORDS = {
  HEAD: { constant: "CR_HDR_HEAD", type: 1, payload: HEAD, since: "patch 3" },
  HEAD_ARCH: { constant: "CR_HDR_HEAD_ARCH", type: 2, payload: HEAD_ARCH, since: "patch 4" },
  BUFFER: { constant: "CR_HDR_BUFFER", type: 3, payload: BUFFER, since: "never written" },
  STRING: { constant: "CR_HDR_STRING", type: 4, payload: STRING, since: "patch 3" },
  FNAME: { constant: "CR_HDR_FNAME", type: 5, payload: FNAME, since: "patch 5" },
  TREE: {
    constant: "CR_HDR_TREE",
    typeWithTree: 101,
    payload: TREE,
    since: "patch 12",
    raw: "tasks_nr entries of struct cr_hdr_pids",
  },
  TASK: { constant: "CR_HDR_TASK", type: 101, typeWithTree: 102, payload: TASK, since: "patch 3" },
  THREAD: {
    constant: "CR_HDR_THREAD",
    type: 102,
    typeWithTree: 103,
    payload: THREAD,
    since: "patch 4",
    raw: "when ntls > 0, sizeof_tls_array bytes: all three TLS descriptors",
  },
  CPU: {
    constant: "CR_HDR_CPU",
    type: 103,
    typeWithTree: 104,
    payload: CPU,
    since: "patch 4",
    raw: "when used_math is 1, head_arch.xstate_size bytes of FPU state",
  },
  MM: { constant: "CR_HDR_MM", type: 201, payload: MM, since: "patch 5" },
  VMA: { constant: "CR_HDR_VMA", type: 202, payload: VMA, since: "patch 5" },
  PGARR: {
    constant: "CR_HDR_PGARR",
    type: 203,
    payload: PGARR,
    since: "patch 5",
    raw: "page addresses, each one word of the kernel, then the pages, 4096 bytes each, in the same order",
  },
  MM_CONTEXT: {
    constant: "CR_HDR_MM_CONTEXT",
    type: 204,
    payload: MM_CONTEXT,
    since: "patch 5",
    raw: "nldt descriptors of 8 bytes",
  },
  FILES: { constant: "CR_HDR_FILES", type: 301, payload: FILES, since: "patch 8" },
  FD_ENT: { constant: "CR_HDR_FD_ENT", type: 302, payload: FD_ENT, since: "patch 8" },
  FD_DATA: { constant: "CR_HDR_FD_DATA", type: 303, payload: FD_DATA, since: "patch 8" },
  X86_FSGSBASE: { constant: "CR_HDR_X86_FSGSBASE", type: 1001, payload: X86_FSGSBASE, since: "port" },
  TAIL: { constant: "CR_HDR_TAIL", type: 5001, payload: TAIL, since: "patch 3" },
} as const satisfies Readonly<Record<string, RecordDesc>>;

/** Name of a record type. */
export type RecordName = keyof typeof RECORDS;

/** All names, in the order in which the format defines them. */
export const RECORD_NAMES: readonly RecordName[] = Object.keys(RECORDS) as RecordName[];

/** Record types that this project adds to v11 start here; a reader that knows less skips them by length. */
export const FIRST_PORT_TYPE = 1001;

/** The fields of a record, by its name; none for records whose payload is plain bytes. */
export type RecordFields<N extends RecordName> = (typeof RECORDS)[N]["payload"] extends StructDesc
  ? FieldsOf<(typeof RECORDS)[N]["payload"]>
  : Readonly<Record<never, never>>;

/** Whether a payload is a struct, not plain bytes. */
export function isStruct(payload: StructDesc | BytesDesc): payload is StructDesc {
  return "fields" in payload;
}

/** The number of a record type; undefined where this numbering has no such record. */
export function recordType(name: RecordName, numbering: Numbering): number | undefined {
  const desc: RecordDesc = RECORDS[name];
  return numbering === "tree" ? desc.typeWithTree ?? desc.type : desc.type;
}

function namesByType(numbering: Numbering): ReadonlyMap<number, RecordName> {
  const names = new Map<number, RecordName>();
  for (const name of RECORD_NAMES) {
    const type = recordType(name, numbering);
    if (type !== undefined) names.set(type, name);
  }
  return names;
}

/** Record names by their numbers. */
export const NAMES_BY_TYPE: Readonly<Record<Numbering, ReadonlyMap<number, RecordName>>> = {
  plain: namesByType("plain"),
  tree: namesByType("tree"),
};
