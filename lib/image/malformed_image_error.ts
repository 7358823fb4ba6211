// SPDX-License-Identifier: MIT
import type { Finding } from "./finding.ts";
import type { RuleId } from "./rule_ids.ts";

/** Why an image cannot be decoded: all of it is known. */
export type MalformedFinding = Required<Omit<Finding, "count">> & { readonly id: RuleId };

/** The image cannot be decoded from here on. */
export class MalformedImageError extends Error {
  /** The name of the class. */
  override readonly name = "MalformedImageError";
  /** What is wrong, and where. */
  readonly finding: MalformedFinding;

  /** Composes the message from the finding. */
  constructor(finding: Omit<MalformedFinding, "verdict">) {
    const { id, offset, path, message, expected, actual } = finding;
    super(`${id} in ${path} at offset ${offset}: ${message}: expected ${expected}, got ${actual}`);
    this.finding = { ...finding, verdict: "malformed" };
  }
}
