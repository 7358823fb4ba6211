// SPDX-License-Identifier: MIT
import type { RecordNode, RecordNodeOf } from "../nodes.ts";
import { fieldsOf } from "../records.ts";
import { hasBreakpoint } from "./cpu_rules.ts";
import type { RuleContext } from "./rule_context.ts";
import { dataView, hex } from "../../bytes.ts";

/** Where leftovers come from, in words: see {@linkcode PostedLeftovers}. */
const LEFT_BY: Readonly<Record<string, string>> = {
  "TASK._padding": "the upper half of head.time",
  "VMA._padding": "mm.map_count before the first VMA",
  "CPU.r15": "all of thread",
  "CPU.r14": "vm_start of the last VMA",
  "CPU.r13": "vm_end of the last VMA",
  "CPU.r12": "vm_page_prot of the last VMA",
  "CPU.r11": "mm.brk",
  "CPU.r10": "mm.start_stack",
  "CPU.r9": "mm.arg_start",
  "CPU.r8": "mm.arg_end",
};

/**
 * What the code as posted gets wrong in records that are whole otherwise.
 *
 * @param leftovers what its unused fields must hold, as far as that is known
 */
export function checkAsPosted(
  node: RecordNode,
  leftovers: ReadonlyMap<string, bigint | undefined>,
  context: RuleContext,
): void {
  const fields = node.fields as Readonly<Record<string, number | bigint>>;
  for (const [name, predicted] of leftovers) {
    const value = BigInt(fields[name] ?? 0);
    if (predicted !== undefined && value !== predicted) {
      const message = "unused bytes do not hold what the code as posted leaves there";
      const from = LEFT_BY[`${node.name}.${name}`];
      const expected = `${hex(predicted)}${from === undefined ? "" : ` (${from})`}`;
      const values = { expected, actual: hex(value) };
      context.reportField("E_PADDING", node, name, { message, ...values });
    } else if (value !== 0n) {
      const message = "unused bytes hold what the buffer held before: as posted";
      context.reportField("N_STALE_PADDING", node, name, { message, actual: hex(value) });
    }
  }
  if (node.name === "CPU") checkCpuAsPosted(node, context);
}

function checkCpuAsPosted(node: RecordNodeOf<"CPU">, context: RuleContext): void {
  const { fs, gs, uses_debug, debugreg7 } = node.fields;
  const lost = "fs is the kernel's, the task's is lost: as posted";
  context.reportField("N_FS_NOT_SAVED", node, "fs", { message: lost, actual: hex(fs & 0xffffn) });
  if (fs > 0xffffn || gs > 0xffffn) {
    const message = "only 16 bits of fs and gs are written: as posted";
    context.reportField("N_SELECTOR_HIGH", node, "gs", { message, actual: `fs ${hex(fs)}, gs ${hex(gs)}` });
  }
  if (uses_debug !== (hasBreakpoint(debugreg7) ? 1 : 0)) {
    const message = "tests a bit number for a bit, so it tells nothing of breakpoints: as posted";
    const actual = `${uses_debug} with dr7 ${hex(debugreg7)}`;
    context.reportField("N_USES_DEBUG", node, "uses_debug", { message, actual });
  }
}

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
