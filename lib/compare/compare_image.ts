// SPDX-License-Identifier: MIT

import type { Finding } from "../image/finding.ts";
import { MalformedImageError } from "../image/malformed_image_error.ts";
import type { ImageNode } from "../image/nodes.ts";
import { PostedLeftovers } from "../image/rules/as_posted_rules.ts";
import type { ByteCounts, Source } from "./byte_coverage.ts";
import {
  compareAuxv,
  compareComm,
  compareHead,
  compareHeadArch,
  compareTail,
  compareTask,
} from "./compare_head.ts";
import { MemoryComparison } from "./compare_memory.ts";
import { compareCpu } from "./compare_cpu.ts";
import { compareAction, compareSignals } from "./compare_signals.ts";
import {
  compareFsGsBase,
  compareLdt,
  compareMmContext,
  compareThread,
  compareTls,
  compareXstate,
} from "./compare_x86.ts";
import type { CompareOptions, ComparisonContext } from "./comparison_context.ts";
import { expected, type FieldExpectations, FindingCollector, type KnownError } from "./finding_collector.ts";

/** What a comparison found. */
export interface Comparison {
  /** What was found, at most 20 of each id; the last of these has the `count` of all others. */
  readonly findings: readonly Finding[];
  /** Bytes by class. */
  readonly counts: ByteCounts;
  /** Explained bytes by who explains them. */
  readonly sources: ReadonlyMap<Source, number>;
  /** Known errors of the code as posted, by id. */
  readonly knownErrors: ReadonlyMap<string, KnownError>;
  /** Volatile bytes by name, with the reason. */
  readonly volatile: ReadonlyMap<string, { readonly bytes: number; readonly reason: string }>;
  /** Pages in the image. */
  readonly pages: number;
}

/**
 * Holds an image against what the steps imply and what other kernel interfaces showed of the stopped target.
 *
 * @param nodes the decoded image; an error of the decoder becomes a finding, unless the prediction is a refusal
 * @param length bytes in the image
 */
export function compareImage(
  nodes: Iterable<ImageNode>,
  length: number,
  options: CompareOptions,
): Comparison {
  const collector = new FindingCollector(length);
  const context: ComparisonContext = { ...options, collector };
  const leftovers = options.dialect === "v11" ? new PostedLeftovers() : undefined;
  const memory = new MemoryComparison(context);
  const { refusal, knownErrors = [] } = options.prediction ?? {};
  for (const { id, message, count } of refusal ? [] : knownErrors) collector.note(id, message, count);
  const walk: Walk = { pages: 0, end: 0, length };
  try {
    for (const node of nodes) {
      walk.end = node.offset + node.length;
      if (node.kind === "pages") walk.pages += node.count;
      if (node.kind === "record" && node.name === "TAIL") walk.tail = node;
      if (leftovers && node.kind === "record") collector.unused = unusedFields(leftovers.next(node));
      compareNode(node, context, memory);
    }
  } catch (error) {
    if (!(error instanceof MalformedImageError)) throw error;
    walk.error = error;
  }
  checkEnd(walk, context, memory);
  for (const run of collector.coverage.unexplainedRuns()) {
    const message = `${run.length} byte(s) that neither the model nor an observation explains`;
    collector.report("E_UNEXPLAINED", { path: "image", offset: run.offset }, message);
  }
  return {
    findings: collector.findings,
    counts: collector.coverage.counts(),
    sources: collector.coverage.bySource,
    knownErrors: collector.knownErrors,
    volatile: collector.coverage.volatileNames,
    pages: walk.pages,
  };
}

interface Walk {
  readonly length: number;
  pages: number;
  /** Where the last whole part of it ends. */
  end: number;
  tail?: ImageNode;
  error?: MalformedImageError;
}

/** What the code as posted leaves in fields that it does not fill. */
function unusedFields(leftovers: ReadonlyMap<string, bigint | undefined>): FieldExpectations {
  const entries = [...leftovers].map(([name, value]) => [
    name,
    value !== undefined ? expected(value, "posted") : {
      name: "bytes that are never filled",
      reason: "what the buffer held before is not known of this revision",
    },
  ]);
  return Object.fromEntries(entries);
}

function checkEnd(
  walk: Walk,
  { collector, prediction, dialect }: ComparisonContext,
  memory: MemoryComparison,
): void {
  const { length, end, tail, error } = walk;
  const refusal = prediction?.refusal;
  if (!refusal) {
    // What an image that breaks off does not hold follows from that: it is not listed.
    if (error) return void collector.findings.unshift(error.finding);
    if (!tail) collector.report("E_TRUNCATED", { path: "image", offset: length }, "the image has no TAIL");
    return memory.end();
  }
  const must = `the call had to be refused with ${refusal.name}`;
  if (refusal.atPage === undefined) {
    if (error && length > 0) collector.findings.unshift(error.finding);
    const message = `${must} before a byte was written (${refusal.why})`;
    if (length === 0) return;
    const values = { expected: "0 bytes", actual: `${length} bytes` };
    return collector.report("E_REFUSED_OUTPUT", { path: "image", offset: 0 }, message, values);
  }
  if (!error || end === length) memory.end(refusal);
  if (dialect === "v11") {
    const side = refusal.afterRecord ? "behind" : "before";
    const message = `${refusal.name} ends the image ${side} the record of a VMA, without a mark`;
    collector.note("N_PARTIAL_IMAGE", message);
  }
  // A refused image ends where the refused VMA's record, or the next chunk of it, would begin: whole records, no TAIL.
  const message = `${must} (${refusal.why}), but the image has a TAIL`;
  if (tail) collector.report("E_REFUSED_OUTPUT", { path: "tail" }, message);
  else if (error && (error.finding.id !== "E_TRUNCATED" || end !== length)) {
    collector.findings.unshift(error.finding);
  }
}

/** Paths of what patches 8 and 12 add to an image. */
const LATER_PARTS = /(^tree|\/files)(\/|$)/;

function compareNode(node: ImageNode, context: ComparisonContext, memory: MemoryComparison): void {
  if ((context.revision ?? 1) > 1 && LATER_PARTS.test(node.path)) {
    return context.collector.coverage.claimVolatile(node.offset, node.length, {
      name: "open files and the tree of tasks (revisions 2 and 3)",
      reason: "nothing is asked that tells them: only the rules of the format hold",
    });
  }
  if (node.kind !== "record") {
    // Unknown records, trailing bytes and id tables have no place here: they stay unexplained.
    if (node.kind === "pages") memory.pages(node);
    if (node.kind === "ldt") compareLdt(node, context);
    if (node.kind === "tls") compareTls(node, context);
    if (node.kind === "xstate") compareXstate(node, context);
    return;
  }
  switch (node.name) {
    case "HEAD":
      return compareHead(node, context);
    case "HEAD_ARCH":
      return compareHeadArch(node, context);
    case "TASK":
      return compareTask(node, context);
    case "STRING":
      return compareComm(node, context);
    case "MM":
      return memory.mm(node);
    case "VMA":
      return memory.vma(node);
    case "FNAME":
      return memory.fname(node);
    case "PGARR":
      return memory.pgarr(node);
    case "MM_CONTEXT":
      memory.endVma();
      return compareMmContext(node, context);
    case "THREAD":
      return compareThread(node, context);
    case "CPU":
      return compareCpu(node, context);
    case "X86_FSGSBASE":
      return compareFsGsBase(node, context);
    case "AUXV":
      return compareAuxv(node, context);
    case "SIGNALS":
      return compareSignals(node, context);
    case "SIGACTION":
      return compareAction(node, context);
    case "TAIL":
      return compareTail(node, context);
  }
}
