// SPDX-License-Identifier: MIT
import { VMA_TYPE } from "../structs.ts";
import type { RecordNode } from "../nodes.ts";
import type { RecordName } from "../records.ts";
import type { RuleContext } from "./rule_context.ts";

/** What may follow a record. */
function successors(last: RecordNode, context: RuleContext): readonly RecordName[] {
  const { isPort, format, revision } = context;
  const hasFiles = !isPort && revision > 1;
  const afterFiles: RecordName[] = ["FD_ENT", "THREAD"];
  switch (last.name) {
    case "HEAD":
      return ["HEAD_ARCH"];
    case "HEAD_ARCH":
      return !isPort && revision > 1 ? ["TASK", "TREE"] : ["TASK"];
    case "TREE":
      return ["TASK"];
    case "TASK":
      return ["STRING"];
    case "STRING":
      return ["MM"];
    case "MM":
      return ["VMA", "MM_CONTEXT"];
    case "VMA":
      return last.fields.vma_type === VMA_TYPE.FILE ? ["FNAME"] : ["PGARR"];
    case "PGARR":
      return last.fields.nr_pages === 0n ? ["VMA", "MM_CONTEXT"] : ["PGARR"];
    case "MM_CONTEXT":
      return hasFiles ? ["FILES", "THREAD"] : ["THREAD"];
    case "FILES":
    case "FD_ENT":
      return last.name === "FD_ENT" ? [...afterFiles, "FD_DATA"] : afterFiles;
    case "FD_DATA":
      return ["FNAME"];
    case "THREAD":
      return ["CPU"];
    case "CPU":
      return isPort && format.wordSize === 8 ? ["X86_FSGSBASE"] : afterTask(context);
    case "X86_FSGSBASE":
      return afterTask(context);
    // What may follow these depends on what stands before them: see OrderRules.
    case "FNAME":
    case "BUFFER":
    case "TAIL":
      return [];
  }
}

function afterTask(context: RuleContext): readonly RecordName[] {
  return !context.isPort && context.revision > 1 ? ["TASK", "TAIL"] : ["TAIL"];
}

/** Judges the order of records. */
export class OrderRules {
  readonly #context: RuleContext;
  #allowed: readonly RecordName[] = ["HEAD"];
  #last: RecordNode | undefined;

  /** Rules for one image. */
  constructor(context: RuleContext) {
    this.#context = context;
  }

  /** Takes the next record. */
  visit(node: RecordNode): void {
    if (!this.#allowed.includes(node.name)) this.#wrong(node);
    if (node.name === "FNAME") {
      this.#allowed = this.#last?.name === "FD_DATA" ? ["FD_ENT", "THREAD"] : ["PGARR"];
    } else if (node.name !== "BUFFER") {
      this.#allowed = successors(node, this.#context);
    }
    this.#last = node;
  }

  #wrong(node: RecordNode): void {
    const last = this.#last;
    const expected = this.#allowed.length === 0 ? "nothing" : this.#allowed.join(" or ");
    const context = this.#context;
    const values = { expected, actual: node.name };
    const message = `wrong record after ${last?.path ?? "the start"}`;
    if (node.name === "FNAME" && last?.name === "VMA") {
      const type = last.fields.vma_type;
      return context.report("E_FNAME_UNEXPECTED", node, {
        message: `a name for a VMA of type ${type}`,
        ...values,
      });
    }
    if (last?.name === "FD_DATA" || (last?.name === "VMA" && last.fields.vma_type === VMA_TYPE.FILE)) {
      return context.report("E_FNAME_MISSING", last, { message: `no name after ${last.path}`, ...values });
    }
    if (last?.name === "PGARR" || last?.name === "VMA" || last?.name === "FNAME") {
      const inVma = last.name !== "PGARR" || last.fields.nr_pages !== 0n;
      if (inVma && node.name !== "PGARR" && this.#allowed.includes("PGARR")) {
        const words = "the contents of the VMA do not end with a PGARR of 0";
        return context.report("E_PGARR_END", last, { message: words, ...values });
      }
    }
    context.report("E_ORDER", node, { message, ...values });
  }
}
