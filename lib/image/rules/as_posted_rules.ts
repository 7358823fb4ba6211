// SPDX-License-Identifier: MIT
import type { RecordNode, RecordNodeOf } from "../nodes.ts";
import { isStruct, type RecordDesc, RECORDS } from "../records.ts";
import { dataView } from "../struct_codec.ts";
import { hasBreakpoint } from "./cpu_rules.ts";
import { hex, type RuleContext } from "./rule_context.ts";

/**
 * What the code as posted leaves in unused bytes. All records of patches 1 to 5 are made in one buffer that
 * is never cleared, each from its first byte on, so that unused bytes hold what records before left there.
 * Later patches put other things into the buffer: nothing is predicted for revisions 2 and 3.
 */
export class AsPostedRules {
  readonly #context: RuleContext;
  #firstVma = true;

  /** Rules for one image. */
  constructor(context: RuleContext) {
    this.#context = context;
  }

  /** Takes the next record. */
  visit(node: RecordNode): void {
    if (node.name === "TASK") this.#firstVma = true;
    this.#checkPadding(node);
    if (node.name === "VMA") this.#firstVma = false;
    if (node.name === "CPU") this.#checkCpu(node);
  }

  #checkPadding(node: RecordNode): void {
    const { payload }: RecordDesc = RECORDS[node.name];
    if (!isStruct(payload)) return;
    const fields = node.fields as Readonly<Record<string, number | bigint>>;
    for (const { name, padding } of payload.fields) {
      if (padding === undefined) continue;
      this.#check(node, name, BigInt(fields[name] ?? 0), this.#predictPadding(node));
    }
  }

  #predictPadding(node: RecordNode): bigint | undefined {
    const { head, task, revision } = this.#context;
    if (revision !== 1) return undefined;
    switch (node.name) {
      case "HEAD_ARCH":
        // The upper two bytes of HEAD's magic.
        return 0x00fen;
      case "TASK":
        return (head?.fields.time ?? 0n) >> 32n;
      case "VMA":
        return this.#firstVma ? BigInt(task.mm?.fields.map_count ?? 0) : 0n;
      default:
        return 0n;
    }
  }

  #checkCpu(node: RecordNodeOf<"CPU">): void {
    const { task, revision } = this.#context;
    const { fields } = node;
    if (revision === 1 && task.thread !== undefined && task.vma !== undefined && task.mm !== undefined) {
      const { vm_start, vm_end, vm_page_prot } = task.vma.fields;
      const { brk, start_stack, arg_start, arg_end } = task.mm.fields;
      const stale = {
        r15: dataView(task.thread.payload).getBigUint64(0, true),
        r14: vm_start,
        r13: vm_end,
        r12: vm_page_prot,
        r11: brk,
        r10: start_stack,
        r9: arg_start,
        r8: arg_end,
      };
      for (const [name, value] of Object.entries(stale)) {
        this.#check(node, name, fields[name as keyof typeof stale], value);
      }
    }
    this.#context.reportField("N_FS_NOT_SAVED", node, "fs", {
      message: "fs is the kernel's, the task's is lost: as posted",
      actual: hex(fields.fs & 0xffffn),
    });
    if (fields.fs > 0xffffn || fields.gs > 0xffffn) {
      this.#context.reportField("N_SELECTOR_HIGH", node, "gs", {
        message: "only 16 bits of fs and gs are written: as posted",
        actual: `fs ${hex(fields.fs)}, gs ${hex(fields.gs)}`,
      });
    }
    if (fields.uses_debug !== (hasBreakpoint(fields.debugreg7) ? 1 : 0)) {
      this.#context.reportField("N_USES_DEBUG", node, "uses_debug", {
        message: "tests a bit number for a bit, so it tells nothing of breakpoints: as posted",
        actual: `${fields.uses_debug} with dr7 ${hex(fields.debugreg7)}`,
      });
    }
  }

  #check(node: RecordNode, field: string, value: bigint, predicted: bigint | undefined): void {
    if (predicted !== undefined && value !== predicted) {
      return this.#context.reportField("E_PADDING", node, field, {
        message: "unused bytes do not hold what the code as posted leaves there",
        expected: hex(predicted),
        actual: hex(value),
      });
    }
    if (value === 0n) return;
    this.#context.reportField("N_STALE_PADDING", node, field, {
      message: "unused bytes hold what the buffer held before: as posted",
      actual: hex(value),
    });
  }
}
