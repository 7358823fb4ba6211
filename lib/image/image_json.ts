// SPDX-License-Identifier: MIT
import { PAGE_SIZE_BIG } from "../abi/arch.ts";
import type { CheckpointImage, TaskImage } from "./image.ts";
import { type VmaImage, vmaPageTotal } from "./image.ts";
import type { RecordNode } from "./nodes.ts";
import { isStruct, type RecordDesc, RECORDS } from "./records.ts";
import { displayText } from "./struct_codec.ts";

/** What JSON.stringify takes as it is. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | {
  readonly [key: string]: JsonValue;
};

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Fields under their C names: 64-bit ones as 0x strings, text as text with escapes. */
function fieldsToJson(node: RecordNode): Record<string, JsonValue> {
  const { payload }: RecordDesc = RECORDS[node.name];
  if (!isStruct(payload)) return { text: displayText(node.payload), length: node.payload.length };
  const values = node.fields as Readonly<Record<string, number | bigint | Uint8Array>>;
  return Object.fromEntries(payload.fields.map(({ name }) => {
    const value = values[name] ?? 0;
    if (value instanceof Uint8Array) return [name, displayText(value)];
    return [name, typeof value === "bigint" ? `0x${value.toString(16)}` : value];
  }));
}

function recordToJson(node: RecordNode): JsonValue {
  return { offset: node.offset, parent: node.header.parent, ...fieldsToJson(node) };
}

/** Addresses as ranges: [first, number of pages] each. */
function pageRanges(vma: VmaImage): JsonValue[] {
  const ranges: [bigint, number][] = [];
  for (const { pages } of vma.chunks) {
    for (const vaddr of pages?.vaddrs ?? []) {
      const last = ranges.at(-1);
      if (last !== undefined && last[0] + BigInt(last[1]) * PAGE_SIZE_BIG === vaddr) last[1]++;
      else ranges.push([vaddr, 1]);
    }
  }
  return ranges.map(([start, count]) => [`0x${start.toString(16)}`, count]);
}

function vmaToJson(vma: VmaImage): JsonValue {
  return {
    ...(recordToJson(vma.record) as Record<string, JsonValue>),
    ...(vma.fname && { name: displayText(vma.fname.payload) }),
    chunks: vma.chunks.map(({ record, pages }) => ({
      offset: record.offset,
      nr_pages: `0x${record.fields.nr_pages.toString(16)}`,
      pages: pages?.count ?? 0,
    })),
    pages: vmaPageTotal(vma),
    pageRanges: pageRanges(vma),
  };
}

function taskToJson(task: TaskImage): JsonValue {
  return {
    task: recordToJson(task.task),
    comm: displayText(task.comm.payload),
    mm: recordToJson(task.mm),
    vmas: task.vmas.map(vmaToJson),
    mmContext: recordToJson(task.mmContext),
    ...(task.ldt && { ldt: toHex(task.ldt.bytes) }),
    ...(task.files && {
      files: task.files.entries.map(({ entry, data, fname }) => ({
        ...fieldsToJson(entry),
        ...(data && { data: fieldsToJson(data) }),
        ...(fname && { name: displayText(fname.payload) }),
      })),
    }),
    thread: recordToJson(task.thread),
    ...(task.tls && { tls: toHex(task.tls.bytes) }),
    cpu: recordToJson(task.cpu),
    ...(task.xstate && { xstate: toHex(task.xstate.bytes) }),
    ...(task.fsgsbase && { fsgsbase: recordToJson(task.fsgsbase) }),
  };
}

/**
 * An image as plain data for JSON: everything but the contents of pages. 64-bit numbers are 0x strings, raw
 * blocks hexadecimal strings, page addresses ranges of [first address, number of pages].
 */
export function imageToJson(image: CheckpointImage): JsonValue {
  return {
    dialect: image.dialect,
    wordSize: image.wordSize,
    start: image.start,
    end: image.end,
    head: recordToJson(image.head),
    headArch: recordToJson(image.headArch),
    ...(image.tree && {
      tree: {
        ...(recordToJson(image.tree.record) as Record<string, JsonValue>),
        tasks: (image.tree.pids?.entries ?? []).map(({ vpid, vtgid, vppid }) => ({ vpid, vtgid, vppid })),
      },
    }),
    tasks: image.tasks.map(taskToJson),
    tail: recordToJson(image.tail),
    unknown: image.unknown.map(({ offset, header, payload }) => ({
      offset,
      type: header.type,
      payload: toHex(payload),
    })),
    trailing: image.trailing.length,
  };
}
