// SPDX-License-Identifier: MIT

import { printableLine } from "../printable.ts";

/**
 * How bad a finding is: `malformed` cannot be decoded, `invalid` breaks a rule of the format, `mismatch` is
 * valid but not what this target's image must be, `note` is worth knowing (as-posted behaviour of v11).
 */
export type Verdict = "malformed" | "invalid" | "mismatch" | "note";

/** One thing that was found in an image. */
export interface Finding {
  /** Stable id: `E_...` for faults, `N_...` for notes. */
  readonly id: string;
  /** How bad it is. */
  readonly verdict: Verdict;
  /** Path of the record or field, e.g. `task[0]/vma[3].vm_flags`. */
  readonly path: string;
  /** Byte offset in the file. */
  readonly offset?: number;
  /** What is wrong, in words. */
  readonly message: string;
  /** What a good image holds there. */
  readonly expected?: string;
  /** What this one holds. */
  readonly actual?: string;
  /** How many places there are, where one finding stands for all of them. */
  readonly count?: number;
}

/** A finding about something that is valid but not as it must be. */
export function mismatch(id: string, rest: Omit<Finding, "id" | "verdict">): Finding {
  return { id, verdict: "mismatch", ...rest };
}

/** The worst verdict among findings, `note` not counted; undefined when the image is good. */
export function worstVerdict(findings: Iterable<Finding>): Exclude<Verdict, "note"> | undefined {
  const order = ["malformed", "invalid", "mismatch"] as const;
  const seen = new Set<Verdict>();
  for (const finding of findings) seen.add(finding.verdict);
  return order.find((verdict) => seen.has(verdict));
}

/** A finding on one line. */
export function findingText(finding: Finding): string {
  const at = finding.offset === undefined ? "" : ` at ${finding.offset}`;
  const values = [
    finding.expected === undefined ? "" : `expected ${finding.expected}`,
    finding.actual === undefined ? "" : `got ${finding.actual}`,
  ].filter((text) => text !== "");
  const places = finding.count === undefined ? "" : ` (${finding.count} places)`;
  const tail = `${places}${values.length === 0 ? "" : `: ${values.join(", ")}`}`;
  return printableLine(`${finding.verdict} ${finding.id} ${finding.path}${at}: ${finding.message}${tail}`);
}
