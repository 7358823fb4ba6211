// SPDX-License-Identifier: MIT

import type { Dialect } from "../../lib/abi/series.ts";
import { ERRNO, errnoName } from "../../lib/abi/errno.ts";
import { signalName } from "../../lib/abi/signals.ts";
import { type Finding, mismatch } from "../../lib/image/finding.ts";
import type { CheckpointResult } from "../../vm/agent/agent_types.ts";
import type { ExpectedResult } from "../../lib/model/target_op.ts";
import { hexBytes } from "../../lib/bytes.ts";
import type { TargetResult } from "../../vm/agent/target_program.ts";

/** How a call must end. */
export interface ExpectedReply {
  /** "ok", an errno, or the signal that ends the caller. */
  readonly name: string;
  /** The reason of another end than "ok". */
  readonly why: string;
  /** How often the call was made; once when not given. */
  readonly times?: number;
}

/** A finding about what a call returned or did besides its image. */
export function callFinding(id: string, message: string, expected: string, actual: string): Finding {
  return mismatch(id, { path: "checkpoint(2)", message, expected, actual });
}

/** Checks what a call returned, by default that it succeeded, and what its caller may do afterwards. */
export function checkReply(
  reply: CheckpointResult,
  expected: ExpectedReply | undefined,
  dialect: Dialect,
): Finding[] {
  const findings: Finding[] = [];
  const { name, why, times = 1 } = expected ?? { name: "ok", why: "" };
  const isOk = name === "ok";
  const wanted = isOk ? idExpected(reply, times, dialect) : { isRight: nameOf(reply) === name, shown: name };
  if (!wanted.isRight) {
    const message = isOk ? "the call must succeed, and number its checkpoint" : `the call must fail: ${why}`;
    findings.push(callFinding("E_RETURN", message, wanted.shown, nameOf(reply)));
  }
  if (reply.otherResult !== undefined && !isOk) {
    const message = `${times} calls, one after the other, must fail alike`;
    findings.push(callFinding("E_RETURN", message, nameOf(reply), `${reply.otherResult} as well`));
  }
  if (reply.isLate) {
    const message = "the call must end without anybody reading on";
    findings.push(callFinding("E_LATE", message, name, "a call that went on"));
  }
  if (reply.probe !== undefined && reply.probe !== -BigInt(ERRNO.EFAULT)) {
    const message = "after the call its caller could write(2) from an address of the kernel";
    findings.push(callFinding("E_ADDRESS_LIMIT", message, "EFAULT", String(reply.probe)));
  }
  return findings;
}

function nameOf({ result, errno, signal }: CheckpointResult): string {
  if (signal !== undefined) return signalName(signal);
  return result < 0n ? errnoName(errno) : String(result);
}

/** The port counts the calls that succeed; the code of 2008 those that begin. */
function idExpected(
  { result, previousId, signal }: CheckpointResult,
  times: number,
  dialect: Dialect,
): { isRight: boolean; shown: string } {
  const next = previousId + times;
  if (dialect === "port") {
    return { isRight: signal === undefined && result === BigInt(next), shown: `the id ${next}` };
  }
  return { isRight: signal === undefined && result >= BigInt(next), shown: `an id from ${next} up` };
}

/** Checks that a call that was refused wrote nothing. */
export function checkNothingWritten({ length }: Uint8Array): Finding[] {
  if (length === 0) return [];
  const message = "the call had to be refused before a byte was written";
  return [callFinding("E_REFUSED_OUTPUT", message, "0 bytes", `${length} bytes`)];
}

/** What the target reported of an op: a number, or bytes for a `report` op. */
export type ResultItem = Partial<Pick<TargetResult, "value" | "bytes">>;

/**
 * Compares what the target's calls returned with what they had to return: a set-up that failed proves
 * nothing.
 */
export function checkResults(items: readonly ResultItem[], expected: readonly ExpectedResult[]): Finding[] {
  for (const [index, want] of expected.entries()) {
    const finding = checkItem(items[index], want);
    // Everything after the first failure follows from it.
    if (finding) return [finding];
  }
  return [];
}

function checkItem(item: ResultItem | undefined, want: ExpectedResult): Finding | undefined {
  if (!item) {
    return mismatch("E_SETUP", { path: "target", message: `${want.what}: the target did not get that far` });
  }
  const value = want.mask === undefined || (item.value ?? -1n) < 0n ? item.value : item.value! & want.mask;
  const expected = want.report ? want.bytes && hexBytes(want.bytes) : want.expected?.toString();
  const actual = want.report ? item.bytes && hexBytes(item.bytes) : value?.toString();
  if (expected === undefined || expected === actual) return undefined;
  if (want.orElse !== undefined && value === want.orElse) return undefined;
  const message = `${want.what} did not give what the model says`;
  return mismatch("E_SETUP", { path: "target", message, expected, actual: actual ?? "nothing" });
}
