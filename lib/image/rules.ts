// SPDX-License-Identifier: MIT
import { decodeBytes, type DecodeOptions, decodeStream } from "./decoder.ts";
import type { FormatOptions } from "./dialect.ts";
import type { Finding } from "./finding.ts";
import { MalformedImageError } from "./malformed_image_error.ts";
import type { ImageNode, RecordNode } from "./nodes.ts";
import { isStruct, type RecordDesc, type RecordName, RECORDS } from "./records.ts";
import { AsPostedRules } from "./rules/as_posted_rules.ts";
import { checkCpu, checkFsGsBase } from "./rules/cpu_rules.ts";
import { checkLdt, checkMmContext, checkThread, checkTls } from "./rules/descriptor_rules.ts";
import { FilesRules } from "./rules/files_rules.ts";
import { checkHead, checkHeadArch, checkTail } from "./rules/head_rules.ts";
import { checkFname, checkMapCount, checkMm, VmaRules } from "./rules/mm_rules.ts";
import { OrderRules } from "./rules/order_rules.ts";
import { PageRules } from "./rules/page_rules.ts";
import { hex, newTaskContext, Reporter, RuleContext } from "./rules/rule_context.ts";
import { checkComm, checkTask } from "./rules/task_rules.ts";
import { checkXstate } from "./rules/xstate_rules.ts";

/** How to check. */
export interface CheckOptions extends FormatOptions {
  /** Findings of one id at most, 20 when left out; the last of them counts the rest. */
  readonly limit?: number;
}

/** Records whose `parent` is the pid of their task. */
const HAS_PID: ReadonlySet<RecordName> = new Set(["MM", "THREAD", "CPU", "FILES", "X86_FSGSBASE"]);

/**
 * Checks an image node by node, as it is decoded. It keeps nothing of an image's size.
 *
 * All broken rules are reported, not just the first. Contents of pages are not looked at.
 */
export class RuleChecker {
  readonly #reporter: Reporter;
  readonly #context: RuleContext;
  readonly #order: OrderRules;
  readonly #pages: PageRules;
  readonly #vmas = new VmaRules();
  readonly #asPosted: AsPostedRules;
  readonly #files: FilesRules;

  /** A checker for one image. */
  constructor(options: CheckOptions = {}) {
    this.#reporter = new Reporter(options.limit ?? 20);
    this.#context = new RuleContext(this.#reporter, options);
    this.#order = new OrderRules(this.#context);
    this.#pages = new PageRules(this.#context);
    this.#asPosted = new AsPostedRules(this.#context);
    this.#files = new FilesRules(this.#context);
  }

  /** Takes the next node. */
  visit(node: ImageNode): void {
    const context = this.#context;
    switch (node.kind) {
      case "record":
        return this.#record(node);
      case "pages":
        return this.#pages.pages(node);
      case "ldt":
        return checkLdt(node, context);
      case "tls":
        return checkTls(node, context);
      case "xstate":
        return checkXstate(node, context);
      case "pids":
        return this.#files.pids(node);
      case "unknown": {
        const message = `skipped a record of unknown type ${node.header.type}`;
        return context.report("N_UNKNOWN_RECORD", node, { message, actual: `${node.header.len} bytes` });
      }
      case "trailing":
        return context.report(context.isPort ? "E_TRAILING" : "N_TRAILING", node, {
          message: "bytes after TAIL",
          expected: "the end",
          actual: `${node.length} bytes`,
        });
    }
  }

  /** The end: all findings, in the order of the image. */
  finish(isCut = false): Finding[] {
    this.#pages.finish(isCut);
    this.#files.finish();
    return this.#reporter.findings();
  }

  #record(node: RecordNode): void {
    const context = this.#context;
    if (node.name === "HEAD") context.start(node);
    if (node.name === "TASK") context.task = newTaskContext();
    this.#order.visit(node);
    this.#checkParent(node);
    if (context.isPort) this.#checkPadding(node);
    this.#checkFields(node);
    if (!context.isPort) this.#asPosted.visit(node);
    this.#files.visit(node);
  }

  #checkFields(node: RecordNode): void {
    const context = this.#context;
    switch (node.name) {
      case "HEAD":
        return checkHead(node, context);
      case "HEAD_ARCH":
        context.headArch = node;
        return checkHeadArch(node, context);
      case "TASK":
        return checkTask(node, context);
      case "STRING":
        return checkComm(node, context);
      case "MM":
        return checkMm(node, context);
      case "VMA":
        this.#pages.startVma();
        return this.#vmas.visit(node, context);
      case "FNAME":
        return checkFname(node, context);
      case "PGARR":
        return this.#pages.record(node);
      case "MM_CONTEXT":
        this.#pages.finish(false);
        checkMapCount(context);
        return checkMmContext(node, context);
      case "THREAD":
        return checkThread(node, context);
      case "CPU":
        return checkCpu(node, context);
      case "X86_FSGSBASE":
        return checkFsGsBase(node, context);
      case "TAIL":
        return checkTail(node, context);
    }
  }

  #checkParent(node: RecordNode): void {
    const { parent } = node.header;
    const { task } = this.#context;
    // FD_DATA is judged with its FD_ENT.
    if (node.name === "FD_DATA") return;
    if (!HAS_PID.has(node.name)) {
      return this.#expectParent(node, node.name === "MM_CONTEXT" ? "its objref, 0" : "0", 0);
    }
    if (task.pid !== undefined) return this.#expectParent(node, `pid ${task.pid}`, task.pid);
    task.pid = parent;
    // A v11 image may be of a task that its writer cannot see.
    const good = parent <= 0x3f_ffff && (parent > 0 || !this.#context.isPort);
    if (!good) {
      this.#context.report("E_PARENT", node, {
        message: "no pid",
        expected: "1 to 4194303",
        actual: hex(parent),
        at: 4,
      });
    }
  }

  #expectParent(node: RecordNode, words: string, expected: number): void {
    const { parent } = node.header;
    if (parent === expected) return;
    const values = { expected: words, actual: String(parent) };
    this.#context.report("E_PARENT", node, { message: `wrong parent of ${node.name}`, ...values, at: 4 });
  }

  #checkPadding(node: RecordNode): void {
    const { payload }: RecordDesc = RECORDS[node.name];
    if (!isStruct(payload)) return;
    const fields = node.fields as Readonly<Record<string, number | bigint>>;
    for (const { name, padding } of payload.fields) {
      if (padding === undefined || fields[name] === 0) continue;
      const values = { expected: "0x0", actual: hex(fields[name] ?? 0) };
      this.#context.reportField("E_PADDING", node, name, { message: "unused bytes are not zero", ...values });
    }
  }
}

/**
 * Checks nodes against the rules of the format.
 *
 * @param nodes from {@linkcode decodeBytes} or an image's `nodes`
 * @throws {MalformedImageError} what the iterable throws
 */
export function checkNodes(nodes: Iterable<ImageNode>, options: CheckOptions = {}): Finding[] {
  const checker = new RuleChecker(options);
  for (const node of nodes) checker.visit(node);
  return checker.finish();
}

/** Decodes and checks. What cannot be decoded is the last finding, after those about what came before. */
export function checkImage(bytes: Uint8Array, options: CheckOptions & DecodeOptions = {}): Finding[] {
  const checker = new RuleChecker(options);
  try {
    for (const node of decodeBytes(bytes, options)) checker.visit(node);
  } catch (error) {
    return withMalformed(checker.finish(true), error);
  }
  return checker.finish();
}

/** The same for an image that comes in pieces; it holds one chunk at a time. */
export async function checkImageStream(
  source: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>,
  options: CheckOptions & DecodeOptions = {},
): Promise<Finding[]> {
  const checker = new RuleChecker(options);
  try {
    for await (const node of decodeStream(source, { ...options, reuseBuffers: true })) checker.visit(node);
  } catch (error) {
    return withMalformed(checker.finish(true), error);
  }
  return checker.finish();
}

/** Adds the error that stopped the decoder, in place of a finding of the rules about the same. */
function withMalformed(findings: readonly Finding[], error: unknown): Finding[] {
  if (!(error instanceof MalformedImageError)) throw error;
  const { id, path } = error;
  return [...findings.filter((finding) => finding.id !== id || finding.path !== path), error.toFinding()];
}
