// SPDX-License-Identifier: MIT

/** The tools that look at the port. */
export type LintTool = "checkpatch" | "kernel-doc" | "sparse" | "W=1";

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

/** A finding that is known and is to stay. */
export interface AcceptedFinding {
  tool: LintTool;
  type: string;
  file: string;
  /** How many there are. */
  count: number;
  reason: string;
}
