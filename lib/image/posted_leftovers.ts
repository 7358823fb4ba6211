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
  /** The last of each of these records; all but HEAD are of the task. */
  #last: { readonly [N in "HEAD" | "MM" | "VMA" | "THREAD"]?: RecordNodeOf<N> | undefined } = {};

  /**
   * Takes the next record.
   *
   * @returns by name what its unused fields must hold; undefined where that is not known
   */
  next(node: RecordNode): ReadonlyMap<string, bigint | undefined> {
    const isFirstVma = this.#last.VMA === undefined;
    const before = node.name === "TASK" ? { HEAD: this.#last.HEAD } : this.#last;
    this.#last = { ...before, [node.name]: node };
    const isKnown = this.#last.HEAD?.fields.rev === 1;
    const padding = fieldsOf(node.name).filter((field) => field.padding)
      .map(({ name }) => [name, this.#padding(node, isFirstVma)] as const);
    const registers = node.name === "CPU" ? Object.entries(this.#registers()) : [];
    return new Map([...padding, ...registers].map(([name, value]) => [name, isKnown ? value : undefined]));
  }

  #padding({ name }: RecordNode, isFirstVma: boolean): bigint {
    switch (name) {
      case "HEAD_ARCH":
        // The upper two bytes of HEAD's magic.
        return 0x00fen;
      case "TASK":
        return (this.#last.HEAD?.fields.time ?? 0n) >> 32n;
      case "VMA":
        return isFirstVma ? BigInt(this.#last.MM?.fields.map_count ?? 0) : 0n;
      default:
        return 0n;
    }
  }

  /** r8 to r15, which i386 does not have: its code never assigns them. */
  #registers(): Record<string, bigint | undefined> {
    const { VMA, MM, THREAD } = this.#last;
    return {
      r15: THREAD && dataView(THREAD.payload).getBigUint64(0, true),
      r14: VMA?.fields.vm_start,
      r13: VMA?.fields.vm_end,
      r12: VMA?.fields.vm_page_prot,
      r11: MM?.fields.brk,
      r10: MM?.fields.start_stack,
      r9: MM?.fields.arg_start,
      r8: MM?.fields.arg_end,
    };
  }
}
