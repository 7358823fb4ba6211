// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import { runCommand } from "../../vm/host/run_command.ts";

/** Numbers of lines, by file. */
export type ChangedLines = ReadonlyMap<string, ReadonlySet<number>>;

/**
 * The lines below a directory of a git repository that are not as they were in a commit: what is committed since then,
 * and what is not yet, new files too.
 *
 * @returns by path from that directory
 * @throws {UsageError} when there is no such commit, or git cannot tell
 */
export async function changedLines(directory: string, commit: string): Promise<ChangedLines> {
  const git = async (...args: string[]): Promise<string[]> => {
    const { code, lines } = await runCommand(["git", "-C", directory, ...args], { keepLines: Infinity });
    if (code === 0) return lines;
    throw new UsageError(
      `option --diff takes a commit of the project: git ${args[0]} ${commit}: ${lines.at(-1)}`,
    );
  };
  // A name that begins with a dash is no option.
  await git("rev-parse", "--quiet", "--verify", "--end-of-options", `${commit}^{commit}`);
  const options = ["--relative", "--unified=0", "--no-color", "--no-ext-diff", "--no-prefix", "--no-renames"];
  const changed = new Map(parseDiff(await git("diff", ...options, commit, "--", ".")));
  for (const path of await git("ls-files", "--others", "--exclude-standard", "--", ".")) {
    const { length } = (await Deno.readTextFile(join(directory, path))).split("\n");
    changed.set(path, new Set(Array.from({ length }, (_, index) => index + 1)));
  }
  return changed;
}

/** The lines that a diff without context adds or changes, by path. */
function parseDiff(lines: readonly string[]): Map<string, Set<number>> {
  const changed = new Map<string, Set<number>>();
  let numbers = new Set<number>();
  let left = 0;
  for (const line of lines) {
    // A line of the file may look like a header: it stands in its hunk.
    if (left > 0) {
      if (!line.startsWith("\\ No newline")) left--;
      continue;
    }
    const path = /^\+\+\+ (.+?)\t?$/.exec(line)?.[1];
    if (path !== undefined) changed.set(path, numbers = new Set());
    const [, removed, first, added] = /^@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/.exec(line) ?? [];
    if (first === undefined) continue;
    const count = Number(added ?? 1);
    for (let index = 0; index < count; index++) numbers.add(Number(first) + index);
    left = count + Number(removed ?? 1);
  }
  return changed;
}
