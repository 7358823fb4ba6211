// SPDX-License-Identifier: MIT
import { LDT_ENTRIES, LDT_ENTRY_SIZE, TLS_ENTRIES } from "../abi/arch.ts";
import type { RecordNode } from "./nodes.ts";
import { isStruct, NAMES_BY_TYPE, type Numbering, type RecordName, RECORDS, recordType } from "./records.ts";
import type { RuleId } from "./rule_ids.ts";
import { readStruct } from "./struct_codec.ts";
import { PIDS, RECORD_HEADER } from "./structs.ts";
import { dataView } from "../bytes.ts";

/** Most tasks of an image: the largest pid of a kernel of 2008. */
const TASK_LIMIT = 32768;

/** Bytes of the raw TLS descriptors. */
export const TLS_ARRAY_SIZE: number = TLS_ENTRIES * LDT_ENTRY_SIZE;

/**
 * The raw bytes after records: what they are, what counts them up to which number, which field has the bytes of a
 * unit, how many units there can be, and what may follow.
 */
export const BLOCKS = {
  TREE: {
    kind: "pids",
    text: "the table of tasks",
    field: "tasks_nr",
    id: "E_TREE_COUNT",
    limit: TASK_LIMIT,
    unit: PIDS.size,
    most: TASK_LIMIT,
    next: ["TASK"],
  },
  PGARR: { kind: "pages", text: "the pages of a chunk", field: "nr_pages", id: "E_CHUNK_COUNT" },
  MM_CONTEXT: {
    kind: "ldt",
    text: "the LDT",
    field: "nldt",
    id: "E_LDT_COUNT",
    limit: LDT_ENTRIES,
    size: ["ldt_entry_size", "E_LDT_SIZE"],
    unit: LDT_ENTRY_SIZE,
    most: LDT_ENTRIES,
    next: ["FILES", "THREAD"],
  },
  THREAD: {
    kind: "tls",
    text: "the TLS array",
    field: "ntls",
    id: "E_TLS_COUNT",
    limit: TLS_ENTRIES,
    size: ["sizeof_tls_array", "E_TLS_SIZE"],
    unit: TLS_ARRAY_SIZE,
    most: 1,
    next: ["CPU"],
  },
  CPU: { kind: "xstate", text: "the FPU state", field: "used_math", id: "E_USED_MATH", most: 1 },
} as const;

/** A record that raw bytes follow. */
export type BlockOwner = keyof typeof BLOCKS;

/** The FPU state when there is one: its size stands in HEAD_ARCH. */
export const BY_SIZE = { field: "xstate_size", id: "E_XSTATE_SIZE", unit: 1, most: 0x7fff } as const;

/** Raw bytes that were read by the count in a field of a record. */
export interface CountedBlock {
  readonly node: RecordNode;
  readonly path: string;
  readonly field: string;
  /** What a wrong count is called. */
  readonly id: RuleId;
  readonly count: number;
  /** What the field counts beside these: chunks before this one, as posted. */
  readonly base?: number;
  readonly unit: number;
  /** Most units that there can be. */
  readonly most: number;
  /** The record whose state the bytes are, where their number stands in another one. */
  readonly sizeOf?: RecordNode;
  readonly next: readonly RecordName[];
  /** The bytes, less than there should be where the image ends. */
  readonly bytes: Uint8Array;
}

/** Whether a record header of a known type that is no text, with its length, stands at an offset. */
export function isHeaderAt(bytes: Uint8Array, offset: number, numbering: Numbering): boolean {
  if (offset < 0 || offset + RECORD_HEADER.size > bytes.length) return false;
  const { type, len } = readStruct(RECORD_HEADER, dataView(bytes), offset);
  const name = NAMES_BY_TYPE[numbering].get(type);
  if (name === undefined) return false;
  const { payload, parent } = RECORDS[name];
  if (isStruct(payload)) return len === payload.size;
  // Names and texts have types as small as numbers are that stand anywhere.
  return parent === "pid" && len >= payload.min && len <= payload.max;
}

/**
 * How many units the bytes really are, when a record that may follow stands behind another number of them
 * than was read: a count that is wrong is found where it stands, not where the garbage begins.
 *
 * @param ahead the bytes after those that were read
 * @returns undefined when no other number fits
 */
export function trueCount(
  block: CountedBlock,
  ahead: Uint8Array,
  numbering: Numbering,
): { readonly count: number; readonly name: RecordName } | undefined {
  const { bytes, unit, count } = block;
  if (unit === 0) return undefined;
  const found = (at: Uint8Array, offset: number): RecordName | undefined =>
    block.next.find((name) => isRecordAt(name, at, offset, numbering));
  for (let less = Math.min(count - 1, Math.floor(bytes.length / unit)); less >= 0; less--) {
    const name = found(bytes, less * unit);
    if (name !== undefined) return { count: less, name };
  }
  for (let more = 1; more * unit < ahead.length; more++) {
    const name = found(ahead, more * unit);
    if (name !== undefined) return { count: count + more, name };
  }
  return undefined;
}

function isRecordAt(name: RecordName, bytes: Uint8Array, offset: number, numbering: Numbering): boolean {
  if (!isHeaderAt(bytes, offset, numbering)) return false;
  const { type, parent } = readStruct(RECORD_HEADER, dataView(bytes), offset);
  const { parent: kind } = RECORDS[name];
  return type === recordType(name, numbering) && (parent === 0) === (kind !== "pid");
}
