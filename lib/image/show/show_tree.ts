// SPDX-License-Identifier: MIT
import { LDT_ENTRY_SIZE } from "../../abi/arch.ts";
import { describePageProt } from "../../abi/page_prot.ts";
import { vmFlagNames, type VmFlagTable, vmFlagTableOf } from "../../abi/vm_flags.ts";
import type { ImageNode } from "../nodes.ts";
import { fieldsOf } from "../records.ts";
import { displayText } from "../struct_codec.ts";
import type { FieldDesc } from "../struct_desc.ts";
import { hex } from "../../bytes.ts";

/** Seconds since 1970 as a date, or as they are when they are none. */
export function showTime(seconds: bigint): string {
  // 8.64e12: the last second that a Date can hold.
  if (seconds > 8_640_000_000_000n) return hex(seconds);
  return new Date(Number(seconds) * 1000).toISOString().replace(".000Z", "Z");
}

/** A decoded field as a person would read it. */
export function showField(
  { display }: FieldDesc,
  value: number | bigint | Uint8Array,
  flags?: VmFlagTable,
): string {
  if (value instanceof Uint8Array) return JSON.stringify(displayText(value));
  if (display === undefined) return String(value);
  if (display === "time") return `${value} (${showTime(BigInt(value))})`;
  if (flags && display === "vm-flags") {
    return `${hex(value)} (${vmFlagNames(BigInt(value), flags).join(" ")})`;
  }
  if (!flags || display !== "page-prot") return hex(value);
  return `${hex(value)} (${describePageProt(BigInt(value), flags.series)})`;
}

function nodeText(node: ImageNode): string {
  switch (node.kind) {
    case "record": {
      const { header: { type, len, parent }, name, payload } = node;
      const text = fieldsOf(name).length > 0 ? "" : ` ${JSON.stringify(displayText(payload))}`;
      return `${name} type=${type} len=${len} parent=${parent}${text}`;
    }
    case "unknown": {
      const { type, len, parent } = node.header;
      return `unknown type=${type} len=${len} parent=${parent}`;
    }
    case "pages": {
      const [first = 0n, last = 0n] = [node.vaddrs[0], node.vaddrs[node.count - 1]];
      return `raw: ${node.count} addresses of ${node.wordSize} bytes, then pages ${hex(first)} to ${
        hex(last)
      }`;
    }
    case "ldt":
    case "tls":
      return `raw: ${node.length / LDT_ENTRY_SIZE} descriptors`;
    case "pids":
      return `raw: ${node.entries.length} entries`;
    case "xstate":
      return "raw: FPU state";
    case "trailing":
      return "bytes after TAIL";
  }
}

/** Lists the parts of an image, as they are decoded, with byte offset, length and path. */
export class TreePrinter {
  readonly #hasFields: boolean;
  #flags: VmFlagTable | undefined;

  /** `fields`: the fields of each record, too. */
  constructor({ fields = false }: { readonly fields?: boolean } = {}) {
    this.#hasFields = fields;
  }

  /** The lines of a node. */
  visit(node: ImageNode): string[] {
    const place = `${String(node.offset).padStart(12)} +${String(node.length).padEnd(9)}`;
    const lines = [`${place} ${node.path}: ${nodeText(node)}`];
    if (node.kind !== "record" || !this.#hasFields) return lines;
    if (node.name === "HEAD") this.#flags = vmFlagTableOf(node.fields, 8);
    const values = node.fields as Readonly<Record<string, number | bigint | Uint8Array>>;
    for (const field of fieldsOf(node.name)) {
      const at = String(node.offset + 8 + field.offset).padStart(12);
      lines.push(`${at}    .${field.name} = ${showField(field, values[field.name] ?? 0, this.#flags)}`);
    }
    return lines;
  }
}
