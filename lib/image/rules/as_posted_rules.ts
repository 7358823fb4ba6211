// SPDX-License-Identifier: MIT
import type { RecordNode, RecordNodeOf } from "../nodes.ts";
import { fieldsOf } from "../records.ts";
import type { RuleContext } from "./rule_context.ts";
import { dataView, hex } from "../../bytes.ts";

/** The last of each of these records; all but HEAD are of the task. */
type LastRecords = { readonly [N in "HEAD" | "MM" | "VMA" | "THREAD"]?: RecordNodeOf<N> | undefined };

/** What lies in fields to which nothing is assigned, in words and as the records before have left it; elsewhere 0. */
const LEFTOVERS: Readonly<Record<string, readonly [string, (last: LastRecords) => bigint | undefined]>> = {
  "HEAD_ARCH._padding": ["the upper two bytes of head.magic", () => 0x00fen],
  "TASK._padding": ["the upper half of head.time", ({ HEAD }) => (HEAD?.fields.time ?? 0n) >> 32n],
  "VMA._padding": [
    "mm.map_count before the first VMA",
    ({ VMA, MM }) => VMA ? 0n : BigInt(MM?.fields.map_count ?? 0),
  ],
  // i386 does not have these registers.
  "CPU.r15": ["all of thread", ({ THREAD }) => THREAD && dataView(THREAD.payload).getBigUint64(0, true)],
  "CPU.r14": ["vm_start of the last VMA", ({ VMA }) => VMA?.fields.vm_start],
  "CPU.r13": ["vm_end of the last VMA", ({ VMA }) => VMA?.fields.vm_end],
  "CPU.r12": ["vm_page_prot of the last VMA", ({ VMA }) => VMA?.fields.vm_page_prot],
  "CPU.r11": ["mm.brk", ({ MM }) => MM?.fields.brk],
  "CPU.r10": ["mm.start_stack", ({ MM }) => MM?.fields.start_stack],
  "CPU.r9": ["mm.arg_start", ({ MM }) => MM?.fields.arg_start],
  "CPU.r8": ["mm.arg_end", ({ MM }) => MM?.fields.arg_end],
};

/**
 * What the code as posted leaves in unused bytes. All records of patches 1 to 5 are made in one buffer that
 * is never cleared, each from its first byte on, so that unused bytes hold what records before left there.
 * Later patches put other things into the buffer: nothing is predicted for revisions 2 and 3.
 */
export class PostedLeftovers {
  #last: LastRecords = {};

  /**
   * Takes the next record.
   *
   * @returns by name what its unused fields must hold; undefined where that is not known
   */
  next(node: RecordNode): ReadonlyMap<string, bigint | undefined> {
    const before = node.name === "TASK" ? { HEAD: this.#last.HEAD } : this.#last;
    this.#last = { ...before, [node.name]: node };
    const isKnown = this.#last.HEAD?.fields.rev === 1;
    return new Map(
      fieldsOf(node.name).flatMap(({ name, padding }): [string, bigint | undefined][] => {
        const [, left] = LEFTOVERS[`${node.name}.${name}`] ?? [];
        if (left === undefined && padding === undefined) return [];
        return [[name, isKnown ? left ? left(before) : 0n : undefined]];
      }),
    );
  }
}

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
      const from = LEFTOVERS[`${node.name}.${name}`]?.[0];
      const expected = `${hex(predicted)}${from === undefined ? "" : ` (${from})`}`;
      const values = { expected, actual: hex(value) };
      context.reportField("E_PADDING", node, name, { message, ...values });
    } else if (value !== 0n) {
      context.reportField("N_STALE_PADDING", node, name, { actual: hex(value) });
    }
  }
  if (node.name === "CPU") checkCpuAsPosted(node, context);
}

function checkCpuAsPosted(node: RecordNodeOf<"CPU">, context: RuleContext): void {
  const { fs, gs, uses_debug, debugreg7 } = node.fields;
  context.reportField("N_FS_NOT_SAVED", node, "fs", { actual: hex(fs & 0xffffn) });
  if (fs > 0xffffn || gs > 0xffffn) {
    context.reportField("N_SELECTOR_HIGH", node, "gs", { actual: `fs ${hex(fs)}, gs ${hex(gs)}` });
  }
  // The lower byte of DR7 enables breakpoints.
  if (uses_debug !== ((debugreg7 & 0xffn) === 0n ? 0 : 1)) {
    // A bit number was tested for a bit.
    const actual = `${uses_debug} with dr7 ${hex(debugreg7)}`;
    context.reportField("N_USES_DEBUG", node, "uses_debug", { actual });
  }
}
