// SPDX-License-Identifier: MIT
import type { RecordNode, RecordNodeOf } from "./nodes.ts";
import { fieldsOf } from "./records.ts";
import { dataView } from "./struct_codec.ts";

/**
 * What the code as posted leaves in unused bytes. All records of patches 1 to 5 are made in one buffer that
 * is never cleared, each from its first byte on, so that unused bytes hold what records before left there.
 * Later patches put other things into the buffer: nothing is predicted for revisions 2 and 3.
 */
export class PostedLeftovers {
  #head: RecordNodeOf<"HEAD"> | undefined;
  #mm: RecordNodeOf<"MM"> | undefined;
  #vma: RecordNodeOf<"VMA"> | undefined;
  #thread: RecordNodeOf<"THREAD"> | undefined;

  /**
   * Takes the next record.
   *
   * @returns by name what its unused fields must hold; undefined where that is not known
   */
  next(node: RecordNode): ReadonlyMap<string, bigint | undefined> {
    const isFirstVma = this.#vma === undefined;
    this.#remember(node);
    const isKnown = this.#head?.fields.rev === 1;
    const unused = new Map<string, bigint | undefined>();
    for (const { name, padding } of fieldsOf(node.name)) {
      if (padding) unused.set(name, isKnown ? this.#padding(node, isFirstVma) : undefined);
    }
    if (node.name === "CPU") {
      for (const [name, value] of Object.entries(this.#registers())) {
        unused.set(name, isKnown ? value : undefined);
      }
    }
    return unused;
  }

  #remember(node: RecordNode): void {
    switch (node.name) {
      case "HEAD":
        this.#head = node;
        break;
      case "TASK":
        this.#mm = this.#vma = this.#thread = undefined;
        break;
      case "MM":
        this.#mm = node;
        break;
      case "VMA":
        this.#vma = node;
        break;
      case "THREAD":
        this.#thread = node;
        break;
    }
  }

  #padding({ name }: RecordNode, isFirstVma: boolean): bigint {
    switch (name) {
      case "HEAD_ARCH":
        // The upper two bytes of HEAD's magic.
        return 0x00fen;
      case "TASK":
        return (this.#head?.fields.time ?? 0n) >> 32n;
      case "VMA":
        return isFirstVma ? BigInt(this.#mm?.fields.map_count ?? 0) : 0n;
      default:
        return 0n;
    }
  }

  /** r8 to r15, which i386 does not have: its code never assigns them. */
  #registers(): Record<string, bigint | undefined> {
    const vma = this.#vma?.fields;
    const mm = this.#mm?.fields;
    return {
      r15: this.#thread && dataView(this.#thread.payload).getBigUint64(0, true),
      r14: vma?.vm_start,
      r13: vma?.vm_end,
      r12: vma?.vm_page_prot,
      r11: mm?.brk,
      r10: mm?.start_stack,
      r9: mm?.arg_start,
      r8: mm?.arg_end,
    };
  }
}
