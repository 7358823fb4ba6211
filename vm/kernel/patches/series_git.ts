// SPDX-License-Identifier: MIT
import { dirname, join } from "@std/path";
import { runStageCommand } from "../build/build_stage.ts";
import type { CommandResult } from "../../host/run_command.ts";
import type { Series } from "./load_series.ts";
import type { SeriesAuthor } from "./series_author.ts";

/**
 * Makes a repository in an empty directory, with one commit tagged `pristine`: just those files of the
 * kernel's that the port changes.
 *
 * @throws {BuildError} of stage `apply`.
 */
export async function createSeriesGit(
  directory: string,
  series: Series,
  author: SeriesAuthor,
): Promise<SeriesGit> {
  const git = new SeriesGit(directory, author);
  await git.run(0, "init", "--quiet", "--initial-branch=series");
  await git.write(series.originals);
  await git.commit(0, "Files of the kernel");
  await git.run(0, "tag", "pristine");
  return git;
}

/**
 * A repository of one series. No setting of the user's or the machine's counts in it: the same input gives
 * the same bytes everywhere.
 */
export class SeriesGit {
  readonly directory: string;
  readonly #author: SeriesAuthor;

  constructor(directory: string, author: SeriesAuthor) {
    this.directory = directory;
    this.#author = author;
  }

  /** Writes files into the working tree. */
  async write(files: ReadonlyMap<string, string>): Promise<void> {
    for (const [file, text] of files) {
      const path = join(this.directory, file);
      await Deno.mkdir(dirname(path), { recursive: true });
      await Deno.writeTextFile(path, text);
    }
  }

  /** Commits all of the working tree. `index` seconds after the series' date. */
  async commit(index: number, message: string): Promise<void> {
    await this.run(index, "add", "--all", "--force");
    await this.run(index, "commit", "--quiet", "--cleanup=verbatim", "--no-verify", `--message=${message}`);
  }

  /** Runs git in the repository, as at `index` seconds after the series' date. */
  run(index: number, ...args: string[]): Promise<CommandResult> {
    const { name, email, date } = this.#author;
    const [, seconds = "0", zone = "+0000"] = /^(\d+) ([+-]\d{4})$/.exec(date) ?? [];
    const when = `@${Number(seconds) + index} ${zone}`;
    const env = {
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_DIR: join(this.directory, ".git"),
      GIT_WORK_TREE: this.directory,
      GIT_AUTHOR_NAME: name,
      GIT_AUTHOR_EMAIL: email,
      GIT_AUTHOR_DATE: when,
      GIT_COMMITTER_NAME: name,
      GIT_COMMITTER_EMAIL: email,
      GIT_COMMITTER_DATE: when,
    };
    return runStageCommand("apply", ["git", ...args], { cwd: this.directory, env });
  }
}
