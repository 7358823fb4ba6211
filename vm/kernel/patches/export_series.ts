// SPDX-License-Identifier: MIT
import { join } from "@std/path";
import { withScratch } from "../../host/temp_directory.ts";
import { BuildError } from "../build/build_error.ts";
import { inStage } from "../build/build_stage.ts";
import type { Series } from "./load_series.ts";
import type { SeriesAuthor } from "./series_author.ts";
import { createSeriesGit } from "./series_git.ts";
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
      const git = await createSeriesGit(scratch, series, author);
      for (const [index, patch] of series.plan.patches.entries()) {
        await git.write(series.stages[index] ?? new Map());
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
