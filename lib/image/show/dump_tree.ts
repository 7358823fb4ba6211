// SPDX-License-Identifier: MIT
import type { VmFlagTable } from "../../abi/vm_flags.ts";
import type { CheckpointImage } from "../image.ts";
import type { ImageNode } from "../nodes.ts";
import { isStruct, type RecordDesc, RECORDS } from "../records.ts";
import { showField } from "./show_field.ts";
import { displayText } from "../struct_codec.ts";

/** How to list records. */
export interface TreeOptions {
  /** Show the fields of each record too. */
  readonly fields?: boolean;
  /** Names vm_flags. */
  readonly flags?: VmFlagTable;
}

function rawText(node: Exclude<ImageNode, { kind: "record" | "unknown" }>): string {
  switch (node.kind) {
    case "pages": {
      const first = node.vaddrs[0] ?? 0n;
      const last = node.vaddrs[node.count - 1] ?? 0n;
      return `raw: ${node.count} addresses of ${node.wordSize} bytes, then pages 0x${
        first.toString(16)
      } to 0x${last.toString(16)}`;
    }
    case "ldt":
      return `raw: ${node.count} descriptors`;
    case "tls":
      return "raw: 3 descriptors";
    case "pids":
      return `raw: ${node.entries.length} entries`;
    case "xstate":
      return "raw: FPU state";
    case "trailing":
      return "bytes after TAIL";
  }
}

function nodeText(node: ImageNode): string {
  if (node.kind === "record") {
    const { type, len, parent } = node.header;
    const text = isStruct(RECORDS[node.name].payload) ? "" : ` ${JSON.stringify(displayText(node.payload))}`;
    return `${node.name} type=${type} len=${len} parent=${parent}${text}`;
  }
  if (node.kind === "unknown") {
    return `unknown type=${node.header.type} len=${node.header.len} parent=${node.header.parent}`;
  }
  return rawText(node);
}

function fieldLines(node: ImageNode, flags: VmFlagTable | undefined): string[] {
  if (node.kind !== "record") return [];
  const { payload }: RecordDesc = RECORDS[node.name];
  if (!isStruct(payload)) return [];
  const values = node.fields as Readonly<Record<string, number | bigint | Uint8Array>>;
  return payload.fields.map((field) => {
    const at = String(node.offset + 8 + field.offset).padStart(12);
    return `${at}    .${field.name} = ${showField(field, values[field.name] ?? 0, flags)}`;
  });
}

/**
 * Lists all nodes of an image with byte offset, length and path, one a line.
 *
 * @param image an image, or nodes in order, so that a broken one can be shown too
 */
export function dumpTree(image: CheckpointImage | Iterable<ImageNode>, options: TreeOptions = {}): string {
  const lines: string[] = [];
  for (const node of "nodes" in image ? image.nodes : image) {
    const place = `${String(node.offset).padStart(12)} +${String(node.length).padEnd(9)}`;
    lines.push(`${place} ${node.path}: ${nodeText(node)}`);
    if (options.fields) lines.push(...fieldLines(node, options.flags));
  }
  return lines.join("\n") + (lines.length === 0 ? "" : "\n");
}
