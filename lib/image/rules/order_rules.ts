// SPDX-License-Identifier: MIT
import type { RecordNode, UnknownNode } from "../nodes.ts";
import type { RecordName } from "../records.ts";
import { VMA_TYPE } from "../structs.ts";
import type { RuleContext } from "./rule_context.ts";

/** Records of patches 8 and 12, and what follows them: there is none in the port and before revision 2. */
const LATER: readonly RecordName[] = ["TREE", "FILES"];

/** What may follow a record; FNAME and BUFFER depend on what stands before them, too. */
const SUCCESSORS: Readonly<Record<RecordName, readonly RecordName[]>> = {
  HEAD: ["HEAD_ARCH"],
  HEAD_ARCH: ["TASK", "TREE"],
  TREE: ["TASK"],
  TASK: ["STRING"],
  STRING: ["MM"],
  MM: ["VMA", "MM_CONTEXT"],
  VMA: ["PGARR"],
  PGARR: ["PGARR"],
  MM_CONTEXT: ["FILES", "THREAD"],
  FILES: ["FD_ENT", "THREAD"],
  FD_ENT: ["FD_ENT", "THREAD", "FD_DATA"],
  FD_DATA: ["FNAME"],
  THREAD: ["CPU"],
  CPU: ["TASK", "TAIL"],
  X86_FSGSBASE: ["AUXV"],
  AUXV: ["SIGNALS"],
  SIGNALS: ["SIGACTION", "TAIL"],
  SIGACTION: ["SIGACTION", "TAIL"],
  FNAME: [],
  BUFFER: [],
  TAIL: [],
};

function successors(last: RecordNode, { isPort, format, revision }: RuleContext): readonly RecordName[] {
  if (last.name === "VMA" && last.fields.vma_type === VMA_TYPE.FILE) return ["FNAME"];
  if (last.name === "PGARR" && last.fields.nr_pages === 0n) return SUCCESSORS.MM;
  if (last.name === "CPU" && isPort) return [format.wordSize === 8 ? "X86_FSGSBASE" : "AUXV"];
  const all = SUCCESSORS[last.name];
  if (!isPort && revision > 1) return all;
  return all.filter((name) => !LATER.includes(name) && !(name === "TASK" && all.includes("TAIL")));
}

/** Judges the order of records. */
export class OrderRules {
  readonly #context: RuleContext;
  #allowed: readonly RecordName[] = ["HEAD"];
  #last: RecordNode | undefined;

  constructor(context: RuleContext) {
    this.#context = context;
  }

  visit(node: RecordNode): void {
    const isOfOthers = node.name === "X86_FSGSBASE" && this.#context.format.wordSize === 4;
    if (!this.#allowed.includes(node.name) && !isOfOthers) this.#wrong(node);
    if (node.name === "FNAME") {
      this.#allowed = this.#last?.name === "FD_DATA" ? ["FD_ENT", "THREAD"] : ["PGARR"];
    } else if (node.name !== "BUFFER") {
      this.#allowed = successors(node, this.#context);
    }
    this.#last = node;
  }

  /** Takes a record of an unknown type: extension records stand behind all others of a task, and name its pid. */
  unknown(node: UnknownNode): void {
    const context = this.#context;
    const { type, len, parent } = node.header;
    const values = { expected: "a type that is known", actual: `type ${type}, ${len} bytes` };
    if (!context.options.allowUnknown) return context.report("E_UNKNOWN_RECORD", node, values);
    if (!this.#allowed.includes("TAIL")) {
      const [message, expected] = ["an extension record among others", this.#allowed.join(" or ")];
      context.report("E_ORDER", node, { message, expected, actual: `type ${type}` });
    }
    if (parent !== context.task.pid) {
      const report = { expected: `pid ${context.task.pid}`, actual: String(parent), at: 4 };
      context.report("E_PARENT", node, { message: "wrong parent of an extension record", ...report });
    }
    context.report("N_UNKNOWN_RECORD", node, values);
  }

  #wrong(node: RecordNode): void {
    const last = this.#last;
    const context = this.#context;
    const allowed = this.#allowed;
    const values = { expected: allowed.length === 0 ? "nothing" : allowed.join(" or "), actual: node.name };
    const isFileVma = last?.name === "VMA" && last.fields.vma_type === VMA_TYPE.FILE;
    if (last?.name === "VMA" && node.name === "FNAME") {
      const message = `a name for a VMA of type ${last.fields.vma_type}`;
      return context.report("E_FNAME_UNEXPECTED", node, { message, ...values });
    }
    // What is missing would stand here, and belongs to the record before.
    const missing = (record: RecordNode) => ({ ...record, offset: node.offset });
    if (last?.name === "FD_DATA" || isFileVma) {
      const message = `no name after ${last.path}`;
      return context.report("E_FNAME_MISSING", missing(last), { message, ...values });
    }
    if (last !== undefined && allowed.includes("PGARR")) {
      return context.report("E_PGARR_END", missing(last), values);
    }
    const message = `wrong record after ${last?.path ?? "the start"}`;
    context.report("E_ORDER", node, { message, ...values });
  }
}
