// SPDX-License-Identifier: MIT

import { ensureDir, exists } from "@std/fs";
import { join } from "@std/path";
import { withFileLock } from "../../vm/host/file_lock.ts";
import { baseEnvironment } from "../../vm/host/run_command.ts";
import { digestOf } from "../../vm/host/digest.ts";
import { UsageError } from "../../vm/host/errors.ts";
import type { Change } from "./change_history.ts";

/** git ended with a status other than 0. */
export class GitError extends UsageError {
  override readonly name = "GitError";
}

/** Hex digits of a commit that people are shown. */
const SHORT = 12;
/** Unit and record separators: in no name and no title. */
const FIELD = "%x1f";

/** A repository that is only read: index and files are put elsewhere. */
export class GitRepository {
  /** What the user calls it. */
  readonly place: string;
  readonly directory: string;

  /** @param directory the repository's own directory, such as `.git` */
  constructor(directory: string, place: string) {
    this.directory = directory;
    this.place = place;
  }

  /**
   * Opens the repository of a directory. One behind a URL is fetched into the cache, whole, since all of its
   * commits may be asked for.
   *
   * @throws {GitError} with what git said
   */
  static async open(place: string, cacheDir: string): Promise<GitRepository> {
    if (!/^[a-z+]+:\/\/|^[\w.-]+@[\w.-]+:/.test(place)) {
      if (!await exists(place)) throw new UsageError(`option --git: there is no directory ${place}`);
      const found = await runGit(["-C", place, "rev-parse", "--absolute-git-dir"]);
      return new GitRepository(found.trim(), place);
    }
    const directory = join(cacheDir, "git", `${(await digestOf([place])).slice(0, 12)}.git`);
    await ensureDir(join(cacheDir, "git"));
    await withFileLock(`${directory}.lock`, async () => {
      if (!await exists(directory)) await runGit(["init", "--quiet", "--bare", directory]);
      const refs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
      await runGit(["--git-dir", directory, "fetch", "--quiet", "--no-auto-gc", place, ...refs]);
      // Repositories that nobody uses are removed in the end.
      await Deno.utime(directory, new Date(), new Date());
    });
    return new GitRepository(directory, place);
  }

  /** Runs git on the repository and gives what it prints. @throws {GitError} */
  async run(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
    return await runGit(["--git-dir", this.directory, ...args], { env });
  }

  /**
   * The hash of the commit that a branch, tag or other name stands for.
   *
   * @throws {UsageError} naming the option when there is none
   */
  async commitOf(ref: string, option: string): Promise<string> {
    const args = ["rev-parse", "--verify", "--quiet", "--end-of-options", `${ref}^{commit}`];
    const found = await this.run(args).catch(() => "");
    if (found === "") {
      throw new UsageError(`option ${option}: expected a commit of ${this.place}, found "${ref}"`);
    }
    return found.trim();
  }

  /**
   * The changes between two commits, both included, each behind its parents.
   *
   * @param firstParent whether only the line of first parents counts: what a merge brought is then one change
   * @throws {UsageError} when `bad` does not contain `good`
   */
  async changesBetween(good: string, bad: string, firstParent: boolean): Promise<Change[]> {
    if (good === bad) throw new UsageError(`--good and --bad are the same commit, ${good.slice(0, SHORT)}`);
    const base = (await this.run(["merge-base", good, bad]).catch(() => "")).trim();
    if (base !== good) {
      const hint = base === ""
        ? "they have no history in common"
        : base === bad
        ? "it is the older one"
        : `they part at ${base.slice(0, SHORT)}`;
      throw new UsageError(
        `--bad ${bad.slice(0, SHORT)} does not contain --good ${good.slice(0, SHORT)}: ${hint}`,
      );
    }
    const line = firstParent ? ["--first-parent"] : [];
    const range = await this.#log([...line, "--topo-order", "--reverse", `${good}..${bad}`]);
    const [end] = await this.#log(["--max-count=1", good]);
    const all = [end!, ...range];
    return firstParent ? all.map((change) => ({ ...change, parents: change.parents.slice(0, 1) })) : all;
  }

  async #log(args: readonly string[]): Promise<Change[]> {
    const format = ["%H", "%P", "%an <%ae>", "%aI", "%s"].join(FIELD);
    const text = await this.run(["log", `--format=${format}`, ...args, "--"]);
    return text.split("\n").filter((line) => line !== "").map((line) => {
      const [id = "", parents = "", author = "", date = "", title = ""] = line.split("\x1f");
      const name = id.slice(0, SHORT);
      return { id, name, title, author, date, parents: parents === "" ? [] : parents.split(" ") };
    });
  }
}

/** Runs git, without the user's settings but with those of the repository, and gives what it prints. */
export async function runGit(
  args: readonly string[],
  { env = {}, cwd }: { env?: Record<string, string>; cwd?: string } = {},
): Promise<string> {
  const settings = ["safe.directory=*", "core.autocrlf=false", "core.quotePath=false", "gc.auto=0"];
  const { code, stdout, stderr } = await new Deno.Command("git", {
    args: [...settings.flatMap((setting) => ["-c", setting]), ...args],
    clearEnv: true,
    env: { ...baseEnvironment(), GIT_TERMINAL_PROMPT: "0", GIT_OPTIONAL_LOCKS: "0", ...env },
    stdin: "null",
    ...(cwd === undefined ? {} : { cwd }),
  }).output();
  const decoder = new TextDecoder();
  if (code === 0) return decoder.decode(stdout);
  const said = (decoder.decode(stderr).trim() || decoder.decode(stdout).trim()).split("\n").slice(-5).join(
    "\n  ",
  );
  const [name] = args.filter((arg, index) =>
    !arg.startsWith("-") && !/^(-C|--git-dir|--work-tree)$/.test(args[index - 1] ?? "")
  );
  throw new GitError(`git ${name}: ${said || `status ${code}`}`);
}
