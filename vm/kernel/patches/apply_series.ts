// SPDX-License-Identifier: MIT
import { join } from "@std/path";
import { withScratch } from "../../host/temp_directory.ts";
import { BuildError } from "../build/build_error.ts";
import { inStage } from "../build/build_stage.ts";
import type { Series } from "./load_series.ts";
import { createSeriesGit, type SeriesGit } from "./series_git.ts";

interface ApplySeriesOptions {
  series: Series;
  /** Paths of the mails, in order; a cover letter is passed over. */
  mails: readonly string[];
  cacheDir: string;
}

/** Whoever applies a series commits it; this name goes nowhere. */
const COMMITTER = { name: "ckptest", email: "ckptest@localhost", date: "0 +0000" };

/**
 * Applies mails to the pristine files with `git am`, one by one, and holds each result against what the
 * series says: the same files with the same bytes, and no other. After the last one that is the tree that
 * {@linkcode applyTree} makes.
 *
 * @throws {BuildError} of stage `apply`: a mail that does not apply, applies with a warning, or gives
 * something else.
 */
export function applySeries({ series, mails, cacheDir }: ApplySeriesOptions): Promise<void> {
  const patches = mails.filter((path) => !path.endsWith("-cover-letter.patch"));
  return inStage("apply", () =>
    withScratch(join(cacheDir, "tmp"), async (scratch) => {
      if (patches.length !== series.stages.length) {
        const problem = `expected ${series.stages.length} patches, found ${patches.length}`;
        throw new BuildError({ stage: "apply", problem });
      }
      const git = await createSeriesGit(scratch, series, COMMITTER);
      for (const [index, path] of patches.entries()) {
        const { lines } = await git.run(0, "am", "--whitespace=error-all", path);
        const unexpected = lines.filter((line) => !line.startsWith("Applying: "));
        if (unexpected.length > 0) {
          throw new BuildError({ stage: "apply", problem: `git am warns of ${path}`, lines: unexpected });
        }
        await compareFiles(git, series, index, path);
      }
    }));
}

async function compareFiles(git: SeriesGit, series: Series, index: number, path: string): Promise<void> {
  const expected = new Map([...series.originals, ...series.stages[index] ?? []]);
  const { lines } = await git.run(0, "ls-files");
  const names = lines.toSorted();
  const problems = [
    ...names.filter((name) => !expected.has(name)).map((name) => `${name} should not be there`),
    ...[...expected.keys()].filter((name) => !names.includes(name)).map((name) => `${name} is missing`),
  ];
  for (const [name, text] of expected) {
    const found = await Deno.readTextFile(join(git.directory, name)).catch(() => undefined);
    if (found !== undefined && found !== text) problems.push(`${name} differs`);
  }
  if (problems.length === 0) return;
  throw new BuildError({ stage: "apply", problem: `${path} gives another tree`, detail: problems });
}
