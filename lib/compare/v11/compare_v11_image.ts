// SPDX-License-Identifier: MIT

import { readNodes } from "../../image/image.ts";
import type { MalformedImageError } from "../../image/malformed_image_error.ts";
import type { ImageNode } from "../../image/nodes.ts";
import type { Comparison } from "../compare_image.ts";
import { Judge } from "../judge.ts";
import {
  compareV11Cpu,
  compareV11Ldt,
  compareV11MmContext,
  compareV11Thread,
  compareV11Tls,
  compareV11Xstate,
} from "./compare_v11_cpu.ts";
import {
  compareV11Comm,
  compareV11Head,
  compareV11HeadArch,
  compareV11Tail,
  compareV11Task,
} from "./compare_v11_head.ts";
import { compareV11Mm } from "./compare_v11_mm.ts";
import { expectedSegments } from "./expected_segments.ts";
import { expectedVmas } from "./expected_vmas.ts";
import type { CheckpointCall, V11Manifest } from "./manifest.ts";
import { StepMemory } from "./step_memory.ts";
import { rawText } from "../../image/struct_codec.ts";
import { cutOf } from "./refused_call.ts";
import type { V11Context } from "./v11_context.ts";
import { V11MemoryComparison } from "./v11_memory_comparison.ts";

/** How to compare. */
export interface CompareV11Options {
  /** Where the image starts in its file; as the manifest says when left out. */
  readonly start?: number;
}

/**
 * Holds an image that the code of 2008 wrote against what its manifest implies: every byte is predicted by
 * the rules of that code and of Linux 2.6.28, observed by the program itself, volatile by name, or
 * unexplained.
 *
 * Nothing is thrown for a bad image: what cannot be decoded is a finding.
 *
 * @param bytes the whole file
 * @throws {SyntaxError} when a step of the manifest lacks a field, or has no number where one must be
 */
export function compareV11Image(
  bytes: Uint8Array,
  manifest: V11Manifest,
  options: CompareV11Options = {},
): Comparison {
  const judge = new Judge(bytes.length);
  const names = new Map(manifest.maps.map(({ start, name }) => [Number(start), rawText(name)]));
  const memory = new StepMemory(manifest.steps, (address) => {
    const entry = manifest.maps.find(({ start, end }) => Number(start) <= address && address < Number(end));
    return entry && names.get(Number(entry.start));
  });
  let at = options.start ?? manifest.prefix;
  if (at > 0) {
    const declaration = { name: "bytes before the image", reason: "they were in the file before the call" };
    judge.account.claimVolatile(0, Math.min(at, bytes.length), declaration);
  }
  let pages = 0;
  const calls = callsIntoImage(manifest);
  calls.forEach((call, index) => {
    const isLast = index === calls.length - 1;
    const nodes = compareCall({ judge, manifest, memory, bytes, call, start: at, isLast });
    for (const node of nodes) if (node.kind === "pages") pages += node.count;
    const tail = nodes.findLast((node) => node.kind !== "trailing");
    if (tail) at = tail.offset + tail.length;
    if (isLast) compareTrailing(nodes, judge, manifest);
  });
  reportSteps(judge, memory, manifest);
  reportUnexplained(judge);
  return {
    findings: judge.findings,
    findingCounts: judge.counts,
    counts: judge.account.counts(),
    volatile: judge.account.volatileNames,
    pages,
  };
}

/** The calls that wrote to the image's descriptor; without any, a successful one is assumed. */
function callsIntoImage({ calls, steps }: V11Manifest): (CheckpointCall | undefined)[] {
  const fd = steps.find(({ op }) => op === "image_fd")?.fields.image_fd;
  const into = calls.filter((call) => String(call.fd) === fd);
  const all = into.length > 0 ? into : calls;
  return all.length > 0 ? [...all] : [undefined];
}

interface CallInput {
  readonly judge: Judge;
  readonly manifest: V11Manifest;
  readonly memory: StepMemory;
  readonly bytes: Uint8Array;
  readonly call: CheckpointCall | undefined;
  readonly start: number;
  /** No other call writes behind it. */
  readonly isLast: boolean;
}

function compareCall(
  { judge, manifest, memory, bytes, call, start, isLast }: CallInput,
): readonly ImageNode[] {
  const vmas = expectedVmas(manifest, memory);
  const segments = expectedSegments(manifest, call);
  const cut = cutOf(call, { manifest, vmas, hasOutput: bytes.length > start });
  if (cut.kind === "empty") {
    if (bytes.length > start && isLast) reportOutput(judge, cut.why, start);
    return [];
  }
  const { nodes, error } = readNodes(bytes, { start, dialect: "v11", wordSize: 4 });
  const context: V11Context = {
    judge,
    manifest,
    call,
    vmas,
    segments,
    cut,
    nodes,
    head: undefined,
    mm: undefined,
  };
  const comparison = new V11MemoryComparison(context);
  for (const node of nodes) compareNode(node, context, comparison);
  compareEnd(context, { comparison, error, length: bytes.length });
  for (const { where, expected, actual } of segments.contradictions) {
    judge.report({
      id: "E_ORACLES_DISAGREE",
      path: where,
      message: "not as the steps imply",
      expected,
      actual,
    });
  }
  return nodes;
}

function reportOutput(judge: Judge, why: string, offset: number): void {
  judge.report({
    id: "E_REFUSED_OUTPUT",
    path: "image",
    offset,
    message: `the call was refused before a byte was written (${why})`,
    expected: "nothing",
  });
}

function compareNode(node: ImageNode, context: V11Context, memory: V11MemoryComparison): void {
  switch (node.kind) {
    case "pages":
      return memory.pages(node);
    case "ldt":
      return compareV11Ldt(node, context);
    case "tls":
      return compareV11Tls(node, context);
    case "xstate":
      return compareV11Xstate(node, context);
    case "record":
      break;
    default:
      return;
  }
  switch (node.name) {
    case "HEAD":
      return compareV11Head(node, context);
    case "HEAD_ARCH":
      return compareV11HeadArch(node, context);
    case "TASK":
      return compareV11Task(node, context);
    case "STRING":
      return compareV11Comm(node, context);
    case "MM":
      return compareV11Mm(node, context);
    case "VMA":
      return memory.vma(node);
    case "FNAME":
      return memory.fname(node);
    case "PGARR":
      return memory.pgarr(node);
    case "MM_CONTEXT":
      return compareV11MmContext(node, context);
    case "THREAD":
      return compareV11Thread(node, context);
    case "CPU":
      return compareV11Cpu(node, context);
    case "TAIL":
      return compareV11Tail(node, context);
  }
}

interface End {
  readonly comparison: V11MemoryComparison;
  readonly error: MalformedImageError | undefined;
  readonly length: number;
}

/** A whole image has all VMAs and a TAIL; that of a refused call ends where the code as posted gave up. */
function compareEnd({ judge, vmas, cut, nodes }: V11Context, { comparison, error, length }: End): void {
  if (cut.kind === "none" || cut.kind === "empty") {
    comparison.end(vmas.length, false);
    if (error) judge.findings.push(error.toFinding());
    return;
  }
  const last = nodes.at(-1);
  const end = last ? last.offset + last.length : 0;
  judge.findings.push({
    id: "N_PARTIAL_IMAGE",
    verdict: "note",
    path: last?.path ?? "image",
    offset: end,
    message: `the call failed (${cut.why}) and left what it had written, without a mark: as posted`,
  });
  if (cut.kind === "anywhere") {
    comparison.end(comparison.vmas, true);
    if (error && error.id !== "E_TRUNCATED") judge.findings.push(error.toFinding());
    const name = "part of a record";
    return judge.account.claimVolatile(end, length - end, {
      name,
      reason: "the call failed while writing it",
    });
  }
  const count = cut.index === undefined
    ? comparison.vmas
    : cut.kind === "afterVma"
    ? cut.index + 1
    : cut.index;
  comparison.end(count, cut.kind === "afterVma");
  const record = last?.kind === "record" ? last : undefined;
  const isEnd = cut.kind === "afterVma"
    ? record?.name === "VMA"
    : record?.name === "PGARR" && record.fields.nr_pages === 0n || count === 0 && record?.name === "MM";
  if (isEnd && end === length && (!error || error.id === "E_TRUNCATED")) return;
  judge.report({
    id: "E_REFUSED_OUTPUT",
    path: last?.path ?? "image",
    offset: end,
    message: `the call gave up (${cut.why}) at another place than this`,
    expected: cut.kind === "afterVma" ? "the end after a VMA record" : "the end after the pages of a VMA",
    actual: `${length - end} bytes more after ${last?.path ?? "nothing"}`,
  });
}

/** Bytes after TAIL: explained when the program noted that the image ends before them. */
function compareTrailing(nodes: readonly ImageNode[], judge: Judge, { endOffset }: V11Manifest): void {
  for (const node of nodes) {
    if (node.kind !== "trailing") continue;
    if (endOffset === undefined) {
      judge.report({
        id: "E_TRAILING",
        path: node.path,
        offset: node.offset,
        message: "bytes after TAIL, of which the manifest knows nothing",
        actual: `${node.length} bytes`,
      });
    } else {
      const name = "bytes after the image";
      judge.account.claimVolatile(node.offset, node.length, { name, reason: "not written by the call" });
    }
  }
}

function reportSteps(judge: Judge, memory: StepMemory, { length }: V11Manifest): void {
  for (const { index, message, expected, actual } of memory.contradictions) {
    judge.report({ id: "E_ORACLES_DISAGREE", path: `ops[${index}]`, message, expected, actual });
  }
  const { total } = judge.account.counts();
  if (length === undefined || length === total) return;
  judge.report({
    id: "E_LENGTH",
    path: "image",
    message: "the manifest is of an image of another length",
    expected: String(length),
    actual: String(total),
  });
}

function reportUnexplained(judge: Judge): void {
  for (const { offset, length } of judge.account.unexplainedRuns()) {
    judge.report({
      id: "E_UNEXPLAINED",
      path: "image",
      offset,
      message: `${length} byte(s) that neither the rules nor the manifest explains`,
    });
  }
}
