// SPDX-License-Identifier: MIT
import { MAX_AUXV_ENTRIES } from "../abi/auxv.ts";
import { struct } from "./struct_codec.ts";
import type { BytesDesc, FieldDesc, FieldsOf, StructDesc } from "./struct_desc.ts";
import { ROWS } from "./structs.ts";

/** Which numbers TREE, TASK, THREAD and CPU have: patch 12 puts TREE at 101 and moves the others by one. */
export type Numbering = "plain" | "tree";

/** Name of a record type. */
export type RecordName = keyof typeof ROWS | "BUFFER" | "STRING" | "FNAME" | "AUXV";

/** One record type. */
export interface RecordDesc {
  /** Number of the type where there is no TREE; undefined for a record that exists only beside it. */
  readonly type?: number;
  /** Number of the type after patch 12, where it differs. */
  readonly typeWithTree?: number;
  /** The payload. */
  readonly payload: StructDesc | BytesDesc;
  /** What `parent` is, when it is not 0: the pid of the task, or the object that a descriptor refers to. */
  readonly parent?: "pid" | "objref";
  /** First part of the series that writes it: patch number of v11, or "port". */
  readonly since: string;
  /** Raw bytes, without a record header, that follow it. */
  readonly raw?: string;
}

/** Most bytes of a name or a string, its NUL included (PATH_MAX). */
const NAME_LIMIT = 4096;

/** The struct of a record: `size` bytes, which its fields cover. */
function fields(name: keyof typeof ROWS, size: number): StructDesc {
  return struct(`cr_hdr_${name.toLowerCase()}`, size, ROWS[name]);
}

function bytes(min: number, max: number, doc: string): BytesDesc {
  return { min, max, doc };
}

const FNAME_DOC = "path of a mapped or open file, raw bytes, with its NUL";
const AUXV_DOC = "the auxiliary vector: pairs of words of the kernel, the last of them AT_NULL";
const TREE_RAW = "tasks_nr entries of struct cr_hdr_pids";
const PGARR_RAW =
  "page addresses, each one word of the kernel, then the pages, 4096 bytes each, in the same order";
const MM_CONTEXT_RAW = "nldt descriptors of 8 bytes";
const TLS_RAW = "when ntls > 0, sizeof_tls_array bytes: all three TLS descriptors";
const CPU_RAW = "when used_math is 1, head_arch.xstate_size bytes of FPU state";

/** All record types by name, which in C begins with CR_HDR_, in the order in which the format defines them. */
export const RECORDS: Readonly<Record<RecordName, RecordDesc>> = {
  HEAD: { type: 1, payload: fields("HEAD", 224), since: "patch 3" },
  HEAD_ARCH: { type: 2, payload: fields("HEAD_ARCH", 8), since: "patch 4" },
  BUFFER: { type: 3, payload: bytes(0, 0x7fff, "bytes of any kind"), since: "never written" },
  STRING: { type: 4, payload: bytes(0, NAME_LIMIT, "the task's comm"), since: "patch 3" },
  FNAME: { type: 5, payload: bytes(1, NAME_LIMIT, FNAME_DOC), since: "patch 5" },
  TREE: { typeWithTree: 101, payload: fields("TREE", 8), since: "patch 12", raw: TREE_RAW },
  TASK: { type: 101, typeWithTree: 102, payload: fields("TASK", 24), since: "patch 3" },
  THREAD: {
    type: 102,
    typeWithTree: 103,
    payload: fields("THREAD", 8),
    parent: "pid",
    since: "patch 4",
    raw: TLS_RAW,
  },
  CPU: {
    type: 103,
    typeWithTree: 104,
    payload: fields("CPU", 272),
    parent: "pid",
    since: "patch 4",
    raw: CPU_RAW,
  },
  MM: { type: 201, payload: fields("MM", 96), parent: "pid", since: "patch 5" },
  VMA: { type: 202, payload: fields("VMA", 48), since: "patch 5" },
  PGARR: { type: 203, payload: fields("PGARR", 8), since: "patch 5", raw: PGARR_RAW },
  MM_CONTEXT: { type: 204, payload: fields("MM_CONTEXT", 8), since: "patch 5", raw: MM_CONTEXT_RAW },
  FILES: { type: 301, payload: fields("FILES", 8), parent: "pid", since: "patch 8" },
  FD_ENT: { type: 302, payload: fields("FD_ENT", 16), since: "patch 8" },
  FD_DATA: { type: 303, payload: fields("FD_DATA", 24), parent: "objref", since: "patch 8" },
  X86_FSGSBASE: { type: 1001, payload: fields("X86_FSGSBASE", 16), parent: "pid", since: "port" },
  AUXV: { type: 1002, payload: bytes(8, 16 * MAX_AUXV_ENTRIES, AUXV_DOC), parent: "pid", since: "port" },
  SIGNALS: { type: 1003, payload: fields("SIGNALS", 32), parent: "pid", since: "port" },
  SIGACTION: { type: 1004, payload: fields("SIGACTION", 40), parent: "pid", since: "port" },
  TAIL: { type: 5001, payload: fields("TAIL", 8), since: "patch 3" },
};

/** All names, in the order in which the format defines them. */
export const RECORD_NAMES: readonly RecordName[] = Object.keys(RECORDS) as RecordName[];

/** Extension records, which this project adds to v11, have types from here up. */
export const FIRST_PORT_TYPE = 1001;

/** The fields of a record, by its name; none for records whose payload is plain bytes. */
export type RecordFields<N extends RecordName> = N extends keyof typeof ROWS
  ? FieldsOf<StructDesc<(typeof ROWS)[N]>>
  : Readonly<Record<never, never>>;

/** Whether a payload is a struct, not plain bytes. */
export function isStruct(payload: StructDesc | BytesDesc): payload is StructDesc {
  return "fields" in payload;
}

/** The fields of a record type; none where the payload is plain bytes. */
export function fieldsOf(name: RecordName): readonly FieldDesc[] {
  const { payload } = RECORDS[name];
  return isStruct(payload) ? payload.fields : [];
}

/** One field of a record type, or undefined where it has no such field. */
export function fieldOf(name: RecordName, field: string): FieldDesc | undefined {
  return fieldsOf(name).find((desc) => desc.name === field);
}

/** The number of a record type; undefined where this numbering has no such record. */
export function recordType(name: RecordName, numbering: Numbering): number | undefined {
  const desc = RECORDS[name];
  return numbering === "tree" ? desc.typeWithTree ?? desc.type : desc.type;
}

function namesByType(numbering: Numbering): ReadonlyMap<number, RecordName> {
  return new Map(RECORD_NAMES.flatMap((name): [number, RecordName][] => {
    const type = recordType(name, numbering);
    return type === undefined ? [] : [[type, name]];
  }));
}

/** Record names by their numbers. */
export const NAMES_BY_TYPE: Readonly<Record<Numbering, ReadonlyMap<number, RecordName>>> = {
  plain: namesByType("plain"),
  tree: namesByType("tree"),
};
