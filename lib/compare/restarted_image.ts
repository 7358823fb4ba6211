// SPDX-License-Identifier: MIT

import { SIGNALS } from "../abi/signals.ts";
import { VM } from "../abi/vm_flags.ts";
import { decodeBytes } from "../image/decoder.ts";
import { type Finding, mismatch } from "../image/finding.ts";
import { MalformedImageError } from "../image/malformed_image_error.ts";
import type { ImageNode, RecordNode } from "../image/nodes.ts";
import { fieldOf, type RecordName } from "../image/records.ts";
import { RECORD_HEADER } from "../image/structs.ts";
import { vmFlagsWithoutOvercommit } from "../model/state/vm_flag_rules.ts";
import { taskState } from "../model/tracer.ts";
import { DR6_AT_REST } from "../x86/debug_registers.ts";
import { XSAVE_HEADER } from "../x86/xstate.ts";
import { firstDifference, hex, hexBytes, numberAt } from "../bytes.ts";

/** What is known of a restarted process beside the image that it was made from. */
export interface RestartedProcess {
  /** Its pid, by which the image names it. */
  readonly pid: number;
  /** Its scheduler state, as TASK has it. */
  readonly state: number;
  /** The signal that its parent gets at its end: the caller's own. */
  readonly exitSignal: number;
  /** Whether vm.overcommit_memory was 2 when it was restarted. */
  readonly neverOvercommits?: boolean;
}

/** A process that a child of an ordinary fork(2) has become, and that is stopped by a signal. */
export function stoppedProcess(pid: number): RestartedProcess {
  return { pid, state: taskState("signal"), exitSignal: SIGNALS.SIGCHLD };
}

/** Records whose parent is the process: what belongs to an address space or a thread says whose it is. */
const OF_PROCESS: readonly RecordName[] = [
  "MM",
  "THREAD",
  "CPU",
  "X86_FSGSBASE",
  "AUXV",
  "SIGNALS",
  "SIGACTION",
];
const BREAKPOINTS = ["debugreg0", "debugreg1", "debugreg2", "debugreg3", "debugreg7", "uses_debug"];

/** A field that may be another than it was, and what it must be now; undefined: anything. */
type Rule = readonly [field: string, value?: bigint];

function rulesOf({ name }: RecordNode, { state, exitSignal }: RestartedProcess): readonly Rule[] {
  switch (name) {
    case "HEAD":
      return [["time"]];
    case "TASK":
      return [["state", BigInt(state)], ["exit_code", 0n], ["exit_signal", BigInt(exitSignal)]];
    case "CPU":
      return [...BREAKPOINTS.map((field): Rule => [field, 0n]), ["debugreg6", DR6_AT_REST]];
    default:
      return [];
  }
}

/**
 * Holds the image of a restarted process, which has not run yet, against the one that it was made from. They are the
 * same but for a few fields, for each of which there is a rule.
 */
export function restartedImageFindings(
  image: Uint8Array,
  original: Uint8Array,
  restarted: RestartedProcess,
): Finding[] {
  const findings: Finding[] = [];
  const others = decodeBytes(original);
  try {
    for (const node of decodeBytes(image)) {
      const { value: other } = others.next();
      if (!other || other.path !== node.path || other.length !== node.length) {
        const show = (one: ImageNode | void) => one ? `${one.path}, ${one.length} bytes` : "its end";
        const message = "the restarted process has another image from here on";
        const values = { message, expected: show(other), actual: show(node) };
        return [...findings, differs(node.path, node.offset, values)];
      }
      const bytes = image.slice(node.offset, node.offset + node.length);
      const before = original.subarray(other.offset, other.offset + other.length);
      findings.push(...takeRuled(node, { bytes, before, restarted }));
      const at = firstDifference(bytes, before);
      if (at < 0) continue;
      const show = (all: Uint8Array) => hexBytes(all.subarray(at, at + 8));
      const message = "not what it was in the image that was restarted";
      const values = { message, expected: show(before), actual: show(bytes) };
      findings.push(differs(placeOf(node, at), node.offset + at, values));
    }
  } catch (error) {
    if (!(error instanceof MalformedImageError)) throw error;
    findings.push(error.finding);
  }
  return findings;
}

/** Judges what has a rule of its own, and makes it what it was. */
function takeRuled(
  node: ImageNode,
  { bytes, before, restarted }: { bytes: Uint8Array; before: Uint8Array; restarted: RestartedProcess },
): Finding[] {
  const findings: Finding[] = [];
  const take = (field: string, place: { offset: number; size: number }, wanted?: bigint) => {
    const { offset, size } = place;
    const actual = numberAt(bytes, place);
    if (wanted !== undefined && actual !== wanted) {
      const message = "not what its rule says for a restarted process";
      const values = { expected: hex(wanted), actual: hex(actual) };
      findings.push(differs(`${node.path}.${field}`, node.offset + offset, { message, ...values }));
    }
    bytes.set(before.subarray(offset, offset + size), offset);
  };
  if (node.kind === "unknown") take("parent", PARENT, BigInt(restarted.pid));
  if (node.kind === "xstate" && bytes.length > XSAVE_HEADER.offset) {
    // A component whose bytes are those of its initial state may be there or not.
    take("xfeatures", { offset: XSAVE_HEADER.offset, size: 8 });
  }
  if (node.kind !== "record") return findings;
  if (OF_PROCESS.includes(node.name)) take("parent", PARENT, BigInt(restarted.pid));
  if (node.name === "VMA") {
    // All memory is new to who asks what was written to.
    const place = rangeOf("VMA", "vm_flags");
    const old = numberAt(before, place);
    const wanted = restarted.neverOvercommits ? vmFlagsWithoutOvercommit(old) : old;
    if (((numberAt(bytes, place) ^ wanted) & ~VM.SOFTDIRTY) === 0n) {
      bytes.set(before.subarray(place.offset, place.offset + place.size), place.offset);
    }
  }
  for (const [field, wanted] of rulesOf(node, restarted)) take(field, rangeOf(node.name, field), wanted);
  return findings;
}

const PARENT = { offset: 4, size: 4 };

function rangeOf(name: RecordName, field: string): { offset: number; size: number } {
  const { offset, size } = fieldOf(name, field)!;
  return { offset: RECORD_HEADER.size + offset, size };
}

/** The field of a record, or the page, in which a byte of a node lies. */
export function placeOf(node: ImageNode, at: number): string {
  if (node.kind === "pages") {
    const inPages = at - (node.pagesOffset - node.offset);
    const address = node.vaddrs[inPages >> 12];
    return inPages < 0 || address === undefined ? `${node.path} addresses` : `${node.path} ${hex(address)}`;
  }
  if (node.kind !== "record") return node.path;
  const field = Object.keys(node.fields).find((name) => {
    const desc = fieldOf(node.name, name);
    const start = RECORD_HEADER.size + (desc?.offset ?? 0);
    return desc !== undefined && at >= start && at < start + desc.size;
  });
  return field === undefined ? node.path : `${node.path}.${field}`;
}

function differs(
  path: string,
  offset: number,
  values: Pick<Finding, "message"> & Required<Pick<Finding, "expected" | "actual">>,
): Finding {
  return mismatch("E_RESTARTED_IMAGE", { path, offset, ...values });
}
