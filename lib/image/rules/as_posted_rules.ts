// SPDX-License-Identifier: MIT
import type { RecordNode, RecordNodeOf } from "../nodes.ts";
import { fieldsOf } from "../records.ts";
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
    const fields = node.fields as Readonly<Record<string, number | bigint>>;
    for (const { name, padding } of fieldsOf(node.name)) {
      if (padding) this.#check(node, name, BigInt(fields[name] ?? 0), this.#predictPadding(node));
    }
    if (node.name === "VMA") this.#firstVma = false;
    if (node.name === "CPU") this.#checkCpu(node);
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
    const { task: { thread, vma, mm }, revision } = this.#context;
    const { fs, gs, uses_debug, debugreg7, ...fields } = node.fields;
    if (revision === 1 && thread !== undefined && vma !== undefined && mm !== undefined) {
      const stale = {
        r15: dataView(thread.payload).getBigUint64(0, true),
        r14: vma.fields.vm_start,
        r13: vma.fields.vm_end,
        r12: vma.fields.vm_page_prot,
        r11: mm.fields.brk,
        r10: mm.fields.start_stack,
        r9: mm.fields.arg_start,
        r8: mm.fields.arg_end,
      };
      for (const [name, value] of Object.entries(stale)) {
        this.#check(node, name, fields[name as keyof typeof stale], value);
      }
    }
    const note = (
      id: "N_FS_NOT_SAVED" | "N_SELECTOR_HIGH" | "N_USES_DEBUG",
      field: string,
      text: string[],
    ): void => {
      const [message = "", actual = ""] = text;
      this.#context.reportField(id, node, field, { message: `${message}: as posted`, actual });
    };
    note("N_FS_NOT_SAVED", "fs", ["fs is the kernel's, the task's is lost", hex(fs & 0xffffn)]);
    if (fs > 0xffffn || gs > 0xffffn) {
      note("N_SELECTOR_HIGH", "gs", [
        "only 16 bits of fs and gs are written",
        `fs ${hex(fs)}, gs ${hex(gs)}`,
      ]);
    }
    if (uses_debug !== (hasBreakpoint(debugreg7) ? 1 : 0)) {
      const message = "tests a bit number for a bit, so it tells nothing of breakpoints";
      note("N_USES_DEBUG", "uses_debug", [message, `${uses_debug} with dr7 ${hex(debugreg7)}`]);
    }
  }

  #check(node: RecordNode, field: string, value: bigint, predicted: bigint | undefined): void {
    const actual = hex(value);
    if (predicted !== undefined && value !== predicted) {
      const message = "unused bytes do not hold what the code as posted leaves there";
      this.#context.reportField("E_PADDING", node, field, { message, expected: hex(predicted), actual });
    } else if (value !== 0n) {
      const message = "unused bytes hold what the buffer held before: as posted";
      this.#context.reportField("N_STALE_PADDING", node, field, { message, actual });
    }
  }
}
