// SPDX-License-Identifier: MIT

import { errnoName } from "../../lib/abi/errno.ts";
import { signalNumber } from "../../lib/abi/signals.ts";
import { cutImageFindings, imageTime, sameImageFindings } from "../../lib/compare/cut_image.ts";
import type { Finding } from "../../lib/image/finding.ts";
import type { CallPlan } from "../../lib/model/predict_call.ts";
import type { CheckpointResult } from "../../vm/agent/agent_types.ts";
import type { MadeCall } from "../run/case/make_call.ts";

/** Images of the same target by plain calls, which are judged in full. */
export interface ReferenceImages {
  /** Before the call. */
  readonly before: Uint8Array;
  /** After it; undefined when the target was no longer there. */
  readonly after: Uint8Array | undefined;
  /** The id of the last call that succeeded before this one. */
  readonly lastId: number;
}

const EFAULT = 14n;
/** Findings that many images may add. */
const MOST_FINDINGS = 5;

/** Holds a call that a stop described against what had to come of it. */
export function checkCall(plan: CallPlan, made: MadeCall, references: ReferenceImages): Finding[] {
  const findings = [...replyFindings(plan, made.reply, references.lastId), ...made.findings];
  findings.push(...outputFindings(plan, made));
  const reference = plan.outcome.sees === "after" ? references.after ?? references.before : references.before;
  if (plan.outcome.written === "whole") {
    findings.push(...wholeFindings(made.image, reference, made.reply));
  } else if (plan.outcome.written === "part") {
    // What a target that runs on has changed meanwhile is in the image from then on.
    const certain = plan.target === "continued" ? plan.during[0]?.at : undefined;
    const images = partsOf(made.image, plan.caller.times);
    findings.push(
      ...images.flatMap((image) => cutImageFindings(image, reference, certain)).slice(0, MOST_FINDINGS),
    );
  }
  for (const other of made.others) {
    findings.push(...wholeFindings(other.image ?? new Uint8Array(0), references.before, other));
  }
  return findings;
}

function finding(id: string, message: string, expected: string, actual: string): Finding {
  return { id, verdict: "mismatch", path: "checkpoint(2)", message, expected, actual };
}

/** What the call returned, and what its caller may do afterwards. */
function replyFindings({ outcome, caller }: CallPlan, reply: CheckpointResult, lastId: number): Finding[] {
  const findings: Finding[] = [];
  const id = Number(reply.result);
  const actual = reply.signal !== undefined
    ? `the end of the caller by signal ${reply.signal}`
    : id < 0
    ? errnoName(reply.errno)
    : String(id);
  const signal = signalNumber(outcome.name);
  const isRight = signal !== undefined
    ? reply.signal === signal
    : reply.signal === undefined && (outcome.name === "ok" ? id > lastId : actual === outcome.name);
  if (!isRight) {
    const message = outcome.name === "ok" ? "the call must succeed" : `the call must fail: ${outcome.why}`;
    findings.push(
      finding("E_RETURN", message, outcome.name === "ok" ? `an id above ${lastId}` : outcome.name, actual),
    );
  }
  if (reply.otherResult !== undefined && outcome.name !== "ok") {
    const message = `${caller.times} calls, one after the other, must fail alike`;
    findings.push(finding("E_RETURN", message, actual, `${reply.otherResult} as well`));
  }
  if (reply.isLate) {
    const message = "the call must end without anybody reading on";
    findings.push(finding("E_LATE", message, outcome.name, "a call that went on"));
  }
  if (reply.probe !== undefined && reply.probe !== -EFAULT) {
    const message = "after the call its caller could write(2) from an address of the kernel";
    findings.push(finding("E_ADDRESS_LIMIT", message, "EFAULT", String(reply.probe)));
  }
  return findings;
}

/** What is in the output, and where its position is. */
function outputFindings({ outcome: { written } }: CallPlan, { image, file, reply }: MadeCall): Finding[] {
  const findings: Finding[] = [];
  if (written === "nothing" && image.length > 0) {
    findings.push(finding("E_WRITTEN", "nothing may be written", "0 bytes", `${image.length} bytes`));
  }
  if (!file || reply.signal !== undefined) return findings;
  const position = image.length === 0 ? file.before : file.start + image.length;
  if (file.after !== position) {
    const message = "the file position must be behind what was written";
    findings.push(finding("E_POSITION", message, String(position), String(file.after)));
  }
  if (!file.isUnharmed) {
    findings.push(finding("E_OVERWRITTEN", "what is not the image's must remain", "the old bytes", "others"));
  }
  return findings;
}

/** A whole image is that of a plain call at the same stop, but for its time. */
function wholeFindings(image: Uint8Array, reference: Uint8Array, reply: CheckpointResult): Finding[] {
  const findings = sameImageFindings(image, reference);
  const time = imageTime(image);
  if (time !== undefined) {
    // ktime_get_real_seconds() is as of the last tick.
    if (time < reply.secondsBefore - 1n || time > reply.secondsAfter) {
      const span = `${reply.secondsBefore} to ${reply.secondsAfter}`;
      findings.push(finding("E_TIME", "the time of the image must lie within the call", span, String(time)));
    }
  }
  return findings;
}

/** Several calls that fail alike leave one beginning of an image behind the other. */
function partsOf(image: Uint8Array, times: number): Uint8Array[] {
  const length = Math.ceil(image.length / times);
  return Array.from({ length: times }, (_, index) => image.subarray(index * length, (index + 1) * length));
}
