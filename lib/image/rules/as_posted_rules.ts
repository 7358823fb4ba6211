// SPDX-License-Identifier: MIT
import type { RecordNode, RecordNodeOf } from "../nodes.ts";
import { PostedLeftovers } from "../posted_leftovers.ts";
import { hasBreakpoint } from "./cpu_rules.ts";
import { hex, type RuleContext } from "./rule_context.ts";

/** What the code as posted gets wrong in records that are whole otherwise. */
export class AsPostedRules {
  readonly #context: RuleContext;
  readonly #leftovers = new PostedLeftovers();

  /** Rules for one image. */
  constructor(context: RuleContext) {
    this.#context = context;
  }

  /** Takes the next record. */
  visit(node: RecordNode): void {
    const fields = node.fields as Readonly<Record<string, number | bigint>>;
    for (const [name, predicted] of this.#leftovers.next(node)) {
      this.#check(node, name, BigInt(fields[name] ?? 0), predicted);
    }
    if (node.name === "CPU") this.#checkCpu(node);
  }

  #checkCpu(node: RecordNodeOf<"CPU">): void {
    const { fs, gs, uses_debug, debugreg7 } = node.fields;
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
