// SPDX-License-Identifier: MIT
import { commitEnvironment } from "../../host/run_git.ts";
import { dirname, join } from "@std/path";
import type { CommandResult } from "../../host/run_command.ts";
import { withScratch } from "../../host/temp_directory.ts";
import { BuildError } from "../build/build_error.ts";
import { inStage, runStageCommand } from "../build/build_stage.ts";
import type { Series } from "./load_series.ts";
import type { SeriesAuthor } from "./series_author.ts";
import type { SeriesMessage } from "./series_plan.ts";

interface ExportSeriesOptions {
  series: Series;
  author: SeriesAuthor;
  /** Made if need be. It may hold an earlier series, which is replaced, and nothing else. */
  outDir: string;
  cacheDir: string;
}

const MAIL = /^\d{4}-[\w.+-]+\.patch$/;

/**
 * Writes the series as `git format-patch` does: `0000-cover-letter.patch`, `0001-....patch`, and so on. The
 * same port, author and date give the same bytes.
 *
 * @returns the paths of the mails, the cover letter first.
 * @throws {BuildError} of stage `apply`.
 */
export function exportSeries(options: ExportSeriesOptions): Promise<string[]> {
  return inStage("apply", async () => {
    const { series, author, outDir, cacheDir } = options;
    await clearSeries(outDir);
    return await withScratch(join(cacheDir, "tmp"), async (scratch) => {
      const git = await seriesGit(scratch, series, author);
      for (const [index, patch] of series.plan.patches.entries()) {
        await writeFiles(scratch, series.stages[index] ?? new Map());
        await git.commit(index + 1, `${messageOf(patch)}\nSigned-off-by: ${author.name} <${author.email}>\n`);
      }
      const about = messageOf(series.plan.cover);
      await git.run(0, "config", "branch.series.description", about);
      const { lines } = await git.run(
        0,
        ...[
          "format-patch",
          "--quiet",
          "--cover-letter",
          "--cover-from-description=subject",
          "--no-signature",
        ],
        // Nobody has these commits.
        ...["--zero-commit", "--full-index", "--no-renames", `--output-directory=${outDir}`],
        "pristine..series",
      );
      if (lines.length > 0) {
        throw new BuildError({ stage: "apply", problem: "git format-patch complains", lines });
      }
      return (await seriesFiles(outDir)).map((name) => join(outDir, name));
    });
  });
}

function messageOf({ subject, body }: SeriesMessage): string {
  return `${subject}\n\n${body.join("\n")}\n`;
}

async function seriesFiles(directory: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(directory));
  return entries.map(({ name }) => name).toSorted();
}

/** Two series in one directory would be sent as one: the old one goes, and anything else is left alone. */
async function clearSeries(outDir: string): Promise<void> {
  await Deno.mkdir(outDir, { recursive: true });
  const names = await seriesFiles(outDir);
  const foreign = names.find((name) => !MAIL.test(name));
  if (foreign !== undefined) {
    throw new BuildError({
      stage: "apply",
      problem: `${outDir} holds something else than a series: ${foreign}`,
      hint: "name a directory that is empty, or does not exist yet",
    });
  }
  for (const name of names) await Deno.remove(join(outDir, name));
}

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
      const git = await seriesGit(scratch, series, COMMITTER);
      for (const [index, path] of patches.entries()) {
        const { lines } = await git.run(0, "am", "--whitespace=error-all", path);
        const unexpected = lines.filter((line) => !line.startsWith("Applying: "));
        if (unexpected.length > 0) {
          throw new BuildError({ stage: "apply", problem: `git am warns of ${path}`, lines: unexpected });
        }
        await compareFiles(git, { directory: scratch, series, index, path });
      }
    }));
}

async function compareFiles(
  git: SeriesGit,
  { directory, series, index, path }: { directory: string; series: Series; index: number; path: string },
): Promise<void> {
  const expected = new Map([...series.originals, ...series.stages[index] ?? []]);
  const { lines } = await git.run(0, "ls-files");
  const names = lines.toSorted();
  const problems = [
    ...names.filter((name) => !expected.has(name)).map((name) => `${name} should not be there`),
    ...[...expected.keys()].filter((name) => !names.includes(name)).map((name) => `${name} is missing`),
  ];
  for (const [name, text] of expected) {
    const found = await Deno.readTextFile(join(directory, name)).catch(() => undefined);
    if (found !== undefined && found !== text) problems.push(`${name} differs`);
  }
  if (problems.length === 0) return;
  throw new BuildError({ stage: "apply", problem: `${path} gives another tree`, detail: problems });
}

/** A repository of one series: what git does there happens `index` seconds after the series' date. */
interface SeriesGit {
  run(index: number, ...args: string[]): Promise<CommandResult>;
  commit(index: number, message: string): Promise<void>;
}

/**
 * Makes a repository in an empty directory, with one commit tagged `pristine`: just those files of the kernel's that
 * the port changes. No setting of the user's or the machine's counts in it: the same input gives the same bytes
 * everywhere.
 *
 * @throws {BuildError} of stage `apply`.
 */
async function seriesGit(
  directory: string,
  series: Series,
  { name, email, date }: SeriesAuthor,
): Promise<SeriesGit> {
  const [, seconds = "0", zone = "+0000"] = /^(\d+) ([+-]\d{4})$/.exec(date) ?? [];
  const run: SeriesGit["run"] = (index, ...args) => {
    const env = {
      ...commitEnvironment({ name, email, date: `@${Number(seconds) + index} ${zone}` }),
      ...{ GIT_DIR: join(directory, ".git"), GIT_WORK_TREE: directory },
    };
    return runStageCommand("apply", ["git", ...args], { cwd: directory, env });
  };
  const commit = async (index: number, message: string): Promise<void> => {
    await run(index, "add", "--all", "--force");
    await run(index, "commit", "--quiet", "--cleanup=verbatim", "--no-verify", `--message=${message}`);
  };
  await run(0, "init", "--quiet", "--initial-branch=series");
  await writeFiles(directory, series.originals);
  await commit(0, "Files of the kernel");
  await run(0, "tag", "pristine");
  return { run, commit };
}

/** Writes files below a directory, by their paths from there. */
export async function writeFiles(directory: string, files: ReadonlyMap<string, string>): Promise<void> {
  for (const [file, text] of files) {
    const path = join(directory, file);
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeTextFile(path, text);
  }
}
