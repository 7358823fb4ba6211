// SPDX-License-Identifier: MIT

import { fromFileUrl } from "@std/path";
import * as v from "valibot";
import { described, integer, list, object, oneOf, text } from "../../../lib/schema.ts";
import { readJson } from "../../host/read_json.ts";

/** The tools that look at the port, in the order in which they run. */
export const LINT_TOOLS = ["checkpatch", "kernel-doc", "sparse", "W=1"] as const;

/** One of {@linkcode LINT_TOOLS}. */
export type LintTool = (typeof LINT_TOOLS)[number];

/** Something that a tool does not like. */
export interface LintFinding {
  tool: LintTool;
  /** The tool's own name for it: checkpatch's message type, gcc's option; `""` where it has none. */
  type: string;
  /** Path from the root of the kernel tree, or the name of a mail. */
  file: string;
  /** In `file`; for checkpatch, the line of the file that the patch makes, or of the mail. */
  line: number;
  text: string;
}

/** What a tool found in all that it looked at. */
export interface LintReport {
  tool: LintTool;
  /** What it looked at, in words: `6 patches`. */
  looked: string;
  findings: LintFinding[];
  /** Number of findings in files that are not the port's: they are not held against it. */
  elsewhere: number;
}

const ACCEPTED_FINDINGS = list(object({
  tool: oneOf(LINT_TOOLS),
  type: v.string("the tool's name for it"),
  file: text(/\S/, "a path"),
  count: described("How many there are.", integer(1, 1_000_000)),
  reason: text(/\S/, "a reason"),
}));

/** A finding that is known and is to stay. */
export type AcceptedFinding = v.InferOutput<typeof ACCEPTED_FINDINGS>[number];

/** Findings held against the list of those that are to stay. */
export interface JudgedFindings {
  /** Those that nothing excuses. */
  rejected: LintFinding[];
  accepted: { finding: LintFinding; reason: string }[];
  /** Entries of the list that do not match as many findings as they say, in words. */
  stale: string[];
}

/** Reads the project's own list, `accepted_findings.json`. */
export async function readAcceptedFindings(): Promise<readonly AcceptedFinding[]> {
  return await readJson(fromFileUrl(new URL("accepted_findings.json", import.meta.url)), ACCEPTED_FINDINGS);
}

/**
 * Excuses the findings that are on the list. An entry excuses those of one tool, type and file; if there
 * are more or fewer of them than it counts, it is out of date and excuses none.
 */
export function acceptFindings(
  findings: readonly LintFinding[],
  list: readonly AcceptedFinding[],
): JudgedFindings {
  const judged: JudgedFindings = { rejected: [], accepted: [], stale: [] };
  const excuses = new Map<LintFinding, string>();
  for (const { tool, type, file, count, reason } of list) {
    const matches = findings.filter((f) => f.tool === tool && f.type === type && f.file === file);
    if (matches.length === count && count > 0) {
      for (const finding of matches) excuses.set(finding, reason);
    } else {
      judged.stale.push(
        `${tool} ${type} in ${file}: ${count} accepted, ${matches.length} found: change accepted_findings.json`,
      );
    }
  }
  for (const finding of findings) {
    const reason = excuses.get(finding);
    if (reason === undefined) judged.rejected.push(finding);
    else judged.accepted.push({ finding, reason });
  }
  return judged;
}
