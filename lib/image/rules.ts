// SPDX-License-Identifier: MIT
import { decodeBytes, type DecodeOptions, decodeStream } from "./decoder.ts";
import type { Finding } from "./finding.ts";
import { MalformedImageError } from "./malformed_image_error.ts";
import { checkAsPosted, PostedLeftovers } from "./rules/as_posted_rules.ts";
import type { ImageNode, RecordNode, RecordNodeOf } from "./nodes.ts";
import { fieldsOf, type RecordName, RECORDS } from "./records.ts";
import { checkAuxv } from "./rules/auxv_rule.ts";
import { checkCpu, checkFsGsBase, checkXstate } from "./rules/cpu_rules.ts";
import { checkLdt, checkMmContext, checkThread, checkTls } from "./rules/descriptor_rules.ts";
import { FilesRules } from "./rules/files_rules.ts";
import { checkComm, checkHead, checkHeadArch, checkTail, checkTask } from "./rules/head_rules.ts";
import { checkFname, checkMapCount, checkMm, checkVma } from "./rules/mm_rules.ts";
import { OrderRules } from "./rules/order_rules.ts";
import { PageRules } from "./rules/page_rules.ts";
import { checkAction, checkActionCount, checkSignals } from "./rules/signal_rules.ts";
import { type CheckOptions, RuleContext, TaskContext } from "./rules/rule_context.ts";
import { hex } from "../bytes.ts";

export type { CheckOptions } from "./rules/rule_context.ts";

type Check<N extends RecordName> = (node: RecordNodeOf<N>, context: RuleContext) => void;

/** What is looked at in a record by itself and what stands before it. */
const CHECKS: { readonly [N in RecordName]?: Check<N> } = {
  HEAD: checkHead,
  HEAD_ARCH: checkHeadArch,
  TASK: checkTask,
  STRING: checkComm,
  MM: checkMm,
  VMA: checkVma,
  FNAME: checkFname,
  MM_CONTEXT: checkMmContext,
  THREAD: checkThread,
  CPU: checkCpu,
  X86_FSGSBASE: checkFsGsBase,
  AUXV: checkAuxv,
  SIGNALS: checkSignals,
  SIGACTION: checkAction,
  TAIL: checkTail,
};

/** `PID_MAX_LIMIT` less one (include/linux/threads.h). */
const LAST_PID = 0x3f_ffff;

/**
 * Checks an image node by node, as it is decoded. It keeps nothing of an image's size.
 *
 * All broken rules are reported, not just the first. Contents of pages are not looked at.
 */
export class RuleChecker {
  readonly #context: RuleContext;
  readonly #order: OrderRules;
  readonly #pages: PageRules;
  readonly #files: FilesRules;
  readonly #leftovers = new PostedLeftovers();
  /** The first bytes after TAIL, and how many there are in all. */
  #trailing: { readonly node: ImageNode; length: number } | undefined;

  /** A checker for one image. */
  constructor(options: CheckOptions = {}) {
    this.#context = new RuleContext(options);
    this.#order = new OrderRules(this.#context);
    this.#pages = new PageRules(this.#context);
    this.#files = new FilesRules(this.#context);
  }

  /** Takes the next node. */
  visit(node: ImageNode): void {
    switch (node.kind) {
      case "record":
        return this.#record(node);
      case "pages":
        return this.#pages.pages(node);
      case "ldt":
        return checkLdt(node, this.#context);
      case "tls":
        return checkTls(node, this.#context);
      case "xstate":
        return checkXstate(node, this.#context);
      case "pids":
        return this.#files.pids(node);
      case "unknown":
        return this.#order.unknown(node);
      case "trailing":
        this.#trailing ??= { node, length: 0 };
        this.#trailing.length += node.length;
    }
  }

  /**
   * The end: all findings, in the order of the image. The error that stopped the decoder, if one did, comes last, in
   * place of a finding of the rules about the same; any other error is thrown.
   */
  finish(error?: unknown): Finding[] {
    if (error !== undefined && !(error instanceof MalformedImageError)) throw error;
    const context = this.#context;
    this.#pages.finish(error !== undefined);
    if (error === undefined) this.#files.finish();
    if (this.#trailing !== undefined) {
      const { node, length } = this.#trailing;
      const id = context.isPort ? "E_TRAILING" : "N_TRAILING";
      context.report(id, node, { expected: "the end", actual: `${length} bytes` });
    }
    const findings = context.findings();
    if (error === undefined) return findings;
    const { id, path } = error.finding;
    return [...findings.filter((finding) => finding.id !== id || finding.path !== path), error.finding];
  }

  #record(node: RecordNode): void {
    const context = this.#context;
    if (node.name === "HEAD") context.start(node);
    if (node.name === "TASK") context.task = new TaskContext();
    this.#order.visit(node);
    this.#checkParent(node);
    if (context.isPort) this.#checkPadding(node);
    this.#pages.visit(node);
    if (node.name === "MM_CONTEXT") checkMapCount(context);
    if (node.name === "TAIL") checkActionCount(context);
    (CHECKS[node.name] as Check<RecordName> | undefined)?.(node, context);
    if (!context.isPort) checkAsPosted(node, this.#leftovers.next(node), context);
    this.#files.visit(node);
  }

  #checkParent(node: RecordNode): void {
    const { parent } = node.header;
    const { task, isPort } = this.#context;
    const { parent: kind } = RECORDS[node.name];
    // FD_DATA is judged with its FD_ENT.
    if (kind === "objref") return;
    if (kind === "pid" && task.pid === undefined) {
      task.pid = parent;
      // A v11 image may be of a task that its writer cannot see.
      if (parent <= LAST_PID && (parent > 0 || !isPort)) return;
      const values = { expected: `1 to ${LAST_PID}`, actual: hex(parent), at: 4 };
      return this.#context.report("E_PARENT", node, { message: "no pid", ...values });
    }
    const wanted = kind === "pid" ? task.pid : 0;
    if (parent === wanted) return;
    const words = node.name === "MM_CONTEXT" ? "its objref, 0" : kind === "pid" ? `pid ${wanted}` : "0";
    const values = { expected: words, actual: String(parent), at: 4 };
    const message = `wrong parent of ${node.name}${kind === "pid" ? ", or of the records before" : ""}`;
    this.#context.report("E_PARENT", node, { message, ...values });
  }

  #checkPadding(node: RecordNode): void {
    const fields = node.fields as Readonly<Record<string, number | bigint>>;
    for (const { name, padding } of fieldsOf(node.name)) {
      if (padding === undefined || fields[name] === 0) continue;
      const report = { message: "unused bytes are not zero", expected: "0x0" };
      this.#context.reportField("E_PADDING", node, name, report);
    }
  }
}

/**
 * Checks nodes against the rules of the format.
 *
 * @param nodes from {@linkcode decodeBytes} or an image's `nodes`
 * @returns what is wrong; an error of the decoder is the last finding, after those about what came before
 */
export function checkNodes(nodes: Iterable<ImageNode>, options: CheckOptions = {}): Finding[] {
  const checker = new RuleChecker(options);
  try {
    for (const node of nodes) checker.visit(node);
    return checker.finish();
  } catch (error) {
    return checker.finish(error);
  }
}

/** Decodes and checks. What cannot be decoded is the last finding, after those about what came before. */
export function checkImage(bytes: Uint8Array, options: CheckOptions & DecodeOptions = {}): Finding[] {
  return checkNodes(decodeBytes(bytes, options), options);
}

/** The same for an image that comes in pieces; it holds one chunk at a time. */
export async function checkImageStream(
  source: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>,
  options: CheckOptions & DecodeOptions = {},
): Promise<Finding[]> {
  const checker = new RuleChecker(options);
  try {
    for await (const node of decodeStream(source, { ...options, reuseBuffers: true })) checker.visit(node);
    return checker.finish();
  } catch (error) {
    return checker.finish(error);
  }
}
