// SPDX-License-Identifier: MIT

import type { Dialect } from "../../lib/abi/series.ts";
import { imageTime, sameImageFindings, truncatedImageFindings } from "../../lib/compare/truncated_image.ts";
import type { Finding } from "../../lib/image/finding.ts";
import type { CallPlan } from "../../lib/model/predict_call.ts";
import type { PlacedCall } from "../run/case/place_call.ts";
import type { CheckpointResult } from "../../vm/agent/agent_types.ts";
import type { MadeCall } from "../run/case/make_call.ts";
import { callFinding, checkNothingWritten, checkReply } from "./check_reply.ts";

/** Findings that many images may add. */
const MAX_FINDINGS = 5;

/**
 * Holds a call that a stop described against what had to come of it, and against images of before and after it; there
 * is none of after it when the target was no longer there.
 */
export function checkCall(
  plan: PlacedCall,
  made: MadeCall,
  { before, after, dialect }: { before: Uint8Array; after: Uint8Array | undefined; dialect: Dialect },
): Finding[] {
  const expected = { ...plan.outcome, times: plan.caller.times };
  const findings = [...checkReply(made.reply, expected, dialect), ...made.findings];
  findings.push(...outputFindings(plan, made));
  const referenceOf = (sees: "before" | "after" = "before"): Uint8Array =>
    sees === "after" ? after ?? before : before;
  const reference = referenceOf(plan.outcome.sees);
  if (plan.outcome.written === "whole") {
    findings.push(...wholeFindings(made.image, reference, made.reply));
  } else if (plan.outcome.written === "part") {
    // What a target that runs on has changed meanwhile is in the image from then on.
    const certain = plan.target === "continued" ? plan.whileBlocked[0]?.at : plan.outcome.tornAt;
    // Behind a call whose reader went away in its middle the others write nothing.
    const times = plan.output.readerClosesAfter === undefined ? plan.caller.times : 1;
    // Several calls that fail alike leave one beginning of an image behind the other.
    const length = Math.ceil(made.image.length / times);
    const images = Array.from(
      { length: times },
      (_, index) => made.image.subarray(index * length, (index + 1) * length),
    );
    findings.push(
      ...images.flatMap((image) => truncatedImageFindings(image, reference, certain)).slice(0, MAX_FINDINGS),
    );
  }
  const { endsBefore = Infinity } = plan;
  if (made.image.length > endsBefore) {
    const message = `the call must end where it can notice: ${plan.outcome.why}`;
    findings.push(
      callFinding("E_LATE", message, `${endsBefore} bytes at most`, `${made.image.length} bytes`),
    );
  }
  for (const [index, other] of made.others.entries()) {
    findings.push(...checkReply(other, undefined, dialect));
    findings.push(
      ...wholeFindings(other.image ?? new Uint8Array(0), referenceOf(plan.othersSee[index]), other),
    );
  }
  return findings;
}

/** What is in the output, and where its position is. */
function outputFindings({ outcome: { written } }: CallPlan, { image, file, reply }: MadeCall): Finding[] {
  const findings: Finding[] = [];
  if (written === "nothing" || written === "discarded") findings.push(...checkNothingWritten(image));
  if (!file || reply.signal !== undefined) return findings;
  const position = image.length === 0 ? file.before : file.start + image.length;
  if (file.after !== position) {
    const message = "the file position must be behind what was written";
    findings.push(callFinding("E_POSITION", message, String(position), String(file.after)));
  }
  if (!file.isUnharmed) {
    findings.push(
      callFinding("E_OVERWRITTEN", "what is not the image's must remain", "the old bytes", "others"),
    );
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
      findings.push(
        callFinding("E_TIME", "the time of the image must lie within the call", span, String(time)),
      );
    }
  }
  return findings;
}
