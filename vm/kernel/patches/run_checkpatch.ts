// SPDX-License-Identifier: MIT
import { basename, join } from "@std/path";
import { runCommand } from "../../host/run_command.ts";
import { BuildError } from "../build/build_error.ts";
import type { LintFinding, LintReport } from "./lint_finding.ts";

/**
 * Runs the kernel's own `checkpatch.pl --strict` on mails. A cover letter is passed over: it has no patch.
 *
 * @param tree of the kernel that the mails apply to; its checkpatch.pl is the one that runs.
 * @throws {BuildError} of stage `apply` when checkpatch.pl says that something is wrong, but not what.
 */
export async function runCheckpatch(tree: string, mails: readonly string[]): Promise<LintReport> {
  const patches = mails.filter((path) => !path.endsWith("-cover-letter.patch"));
  const findings: LintFinding[] = [];
  for (const path of patches) {
    const argv = ["perl", join(tree, "scripts/checkpatch.pl"), ...OPTIONS, `--root=${tree}`, path] as const;
    const { code, lines } = await runCommand([...argv]);
    const found = lines.map((line) => parseCheckpatch(line, path)).filter((finding) => finding !== undefined);
    findings.push(...found);
    if ((code === 0) === (found.length === 0) && code <= 1) continue;
    const problem = `checkpatch.pl ended with exit status ${code}, and ${found.length} messages that we know`;
    throw new BuildError({ stage: "apply", problem, command: argv, lines });
  }
  return { tool: "checkpatch", looked: `${patches.length} patches`, findings, elsewhere: 0 };
}

const OPTIONS = ["--strict", "--terse", "--showfile", "--show-types", "--no-summary", "--color=never"];

function parseCheckpatch(line: string, mail: string): LintFinding | undefined {
  const [, file = "", at, type = "", text = ""] =
    /^([^:]*):(\d+): (?:ERROR|WARNING|CHECK):(\w+): (.*)$/.exec(line) ?? [];
  if (at === undefined) return undefined;
  // Of what is wrong with a mail itself it says where the mail lies, or nothing.
  const place = file === "" || file === mail ? basename(mail) : file;
  return { tool: "checkpatch", type, file: place, line: Number(at), text };
}
