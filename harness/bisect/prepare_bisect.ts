// SPDX-License-Identifier: MIT

import { exists } from "@std/fs";
import { dirname, join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import { tryFileLock, withFileLock } from "../../vm/host/file_lock.ts";
import { markAsUsed } from "../../vm/host/own_directories.ts";
import { commitEnvironment, GitError, isGitUrl, runGit } from "../../vm/host/run_git.ts";
import { OWN_OVERLAY } from "../../vm/kernel/build/build_kernel.ts";
import { digestOf } from "../../vm/host/digest.ts";
import { linkTree } from "../../vm/kernel/source/kernel_tree.ts";
import { findPatch } from "../../vm/kernel/source/carried_patch.ts";
import { patchedFiles, readOverlay } from "../../vm/kernel/source/kernel_overlay.ts";
import { fetchSource, identifySource } from "../../vm/kernel/source/kernel_source.ts";
import type { BisectSource, BisectState } from "./bisect_state.ts";
import { ignoreMissing, removeIfThere } from "../../vm/host/ignore_missing.ts";
import { runCommand } from "../../vm/host/run_command.ts";

type Ends = Pick<BisectState, "good" | "bad" | "patches">;

/**
 * Finds the ends of a new bisect, and the sources of any.
 *
 * @param before the ends of one that was interrupted
 * @param places the directory of the bisect, which gets the patches as commits, and the cache
 * @throws {UsageError} naming the option that is not as it must be
 */
export async function prepareBisect(
  source: BisectSource,
  before: Ends | undefined,
  { directory, cacheDir }: { directory: string; cacheDir: string },
): Promise<{ ends: Ends; tree: TreeSource }> {
  if (source.kind === "git") {
    const repository = await openRepository(source.repository, cacheDir);
    const git = async (...args: string[]) => (await runGit(["--git-dir", repository, ...args])).trim();
    const ends = before ?? await findCommits(source, git);
    // A work tree that was added to a repository has its objects elsewhere.
    const objects = await git("rev-parse", "--path-format=absolute", "--git-path", "objects");
    return { ends, tree: { objects } };
  }
  const path = await fetchSource(await identifySource(source.base, { cacheDir }), { cacheDir });
  const series = join(directory, "series");
  const ends = before ?? await findPatches(source, { path, series });
  const [commit] = Object.keys(ends.patches);
  return { ends, tree: { objects: join(series, ".git", "objects"), base: { commit: commit!, path } } };
}

/**
 * The directory of a repository. One behind a URL is fetched into the cache, whole, since all of its commits may be
 * asked for.
 */
async function openRepository(place: string, cacheDir: string): Promise<string> {
  if (!isGitUrl(place)) {
    if (!await exists(place)) throw new UsageError(`option --git: there is no directory ${place}`);
    return (await runGit(["-C", place, "rev-parse", "--absolute-git-dir"])).trim();
  }
  const directory = join(cacheDir, "git", `${await digestOf([place], 12)}.git`);
  await Deno.mkdir(join(cacheDir, "git"), { recursive: true });
  await withFileLock(`${directory}.lock`, async () => {
    if (!await exists(directory)) await runGit(["init", "--quiet", "--bare", directory]);
    const refs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
    await runGit(["--git-dir", directory, "fetch", "--quiet", "--no-auto-gc", place, ...refs]);
    // Repositories that nobody uses are removed in the end.
    await markAsUsed(directory);
  });
  return directory;
}

async function findCommits(
  source: BisectSource & { kind: "git" },
  git: (...args: string[]) => Promise<string>,
): Promise<Ends> {
  const [good, bad] = await Promise.all((["good", "bad"] as const).map(async (end) => {
    const ref = `${source[end]}^{commit}`;
    return await git("rev-parse", "--verify", "--quiet", "--end-of-options", ref).catch(() => {
      throw new UsageError(
        `option --${end}: expected a commit of ${source.repository}, found "${source[end]}"`,
      );
    });
  })) as [string, string];
  if (good === bad) throw new UsageError(`--good and --bad are the same commit, ${good.slice(0, 12)}`);
  const base = await git("merge-base", good, bad).catch(() => "");
  if (base === good) return { good, bad, patches: {} };
  const parts = base === "" ? "have no history in common" : `part at ${base.slice(0, 12)}`;
  throw new UsageError(
    `--bad ${bad.slice(0, 12)} does not contain --good ${good.slice(0, 12)}: they ${parts}`,
  );
}

async function findPatches(
  source: BisectSource & { kind: "patches" },
  { path, series }: { path: string; series: string },
): Promise<Ends> {
  const patches = await commitPatches({ patches: source.directory, base: path, directory: series });
  const bad = source.bad === undefined ? patches.at(-1)! : patchNamed(patches, source.bad, "--bad");
  const good = source.good === undefined
    ? await firstWhole(patches, { path, series })
    : patchNamed(patches, source.good, "--good");
  if (patches.indexOf(good) >= patches.indexOf(bad)) {
    const hint = source.good === undefined
      ? " (the first patch with all of the checkpoint code): name it with --good"
      : "";
    throw new UsageError(`expected --good before --bad: found ${good.name} and ${bad.name}${hint}`);
  }
  const names = Object.fromEntries(patches.map(({ id, name }) => [id, name]));
  return { good: good.id, bad: bad.id, patches: names };
}

/**
 * The first patch after which the kernel has all of the checkpoint code. Where no patch brings it, the
 * harness adds it, and the kernel without any patch will do.
 */
async function firstWhole(
  patches: readonly PatchCommit[],
  { path, series: cwd }: { path: string; series: string },
): Promise<PatchCommit> {
  const files = [...(await readOverlay(OWN_OVERLAY)).keys()];
  const { series } = await identifySource({ kind: "directory", path }, { cacheDir: "" });
  const hooksPath = join(dirname(OWN_OVERLAY), "hooks", `${series}.patch`);
  const hooks = await Deno.readTextFile(hooksPath).catch(() => "");
  for (const patch of patches) {
    const { state } = await findPatch(
      { files, hooks },
      async (file) =>
        await runGit(["show", `${patch.id}:${file}`], { cwd })
          .catch(() => Deno.readTextFile(join(path, file)).catch(() => undefined)),
    );
    if (state === "carried") return patch;
  }
  return patches[0]!;
}

/** What a work tree is made from. */
export interface TreeSource {
  /** Directory of a repository's objects; they are only read. */
  readonly objects: string;
  /**
   * For a repository that holds only some files of a kernel: its first commit, and the source tree that the
   * others come from, which is only read.
   */
  readonly base?: { readonly commit: string; readonly path: string };
}

/** Bisects that may be under way at once. */
const MAX_TREES = 64;

/**
 * Lends a work tree of git's below `bisect` in the cache, with references and a bisect of its own: nothing is written
 * to the user's repository. It is the first that nobody else works with, since the compiler's cache knows what was
 * compiled there before, and is made anew unless it was made for this bisect.
 *
 * @param owner names the bisect
 */
export async function withBisectTree<T>(
  source: TreeSource,
  { cacheDir, owner }: { cacheDir: string; owner: string },
  use: (tree: string) => Promise<T>,
): Promise<T> {
  for (let number = 1; number <= MAX_TREES; number++) {
    const directory = join(cacheDir, "bisect", String(number));
    const tree = join(directory, "linux");
    const used = await tryFileLock(join(directory, ".lock"), async () => {
      await prepareTree(tree, source, owner);
      return { result: await use(tree) };
    });
    if (used) return used.result;
  }
  throw new UsageError(`${MAX_TREES} bisects are under way: wait for one of them`);
}

async function prepareTree(tree: string, { objects, base }: TreeSource, owner: string): Promise<void> {
  const git = (...args: string[]) => runGit(args, { cwd: tree });
  const mark = join(tree, ".git", "ckptest-bisect");
  const text = JSON.stringify([owner, objects, base]);
  const isOurs = await Deno.readTextFile(mark).catch(() => "") === text;
  // Whoever is killed while git writes files leaves its lock, and then this fails.
  if (isOurs && await git("reset", "--quiet", "--hard").then(() => true, () => false)) return;
  await removeIfThere(tree);
  if (base) await linkTree(base.path, tree);
  else await Deno.mkdir(tree, { recursive: true });
  await git("init", "--quiet");
  await Deno.writeTextFile(join(tree, ".git", "objects", "info", "alternates"), `${objects}\n`);
  if (base) {
    await git("reset", "--quiet", "--hard", base.commit);
    await git("checkout", "--quiet", "--detach");
  }
  await Deno.writeTextFile(mark, text);
}

interface PatchCommit {
  readonly id: string;
  /** Name of the file; `0` is the kernel without any patch. */
  readonly name: string;
}

/** The cover letter, 0000, is none. */
const PATCH = /^(?!0000)\d{4}-.+\.(patch|diff|mbox)$/;

/**
 * Makes a repository of just those files that patches touch, and applies one after the other, as `git am`
 * does. The same patches on the same kernel give the same commits.
 *
 * @param directory an empty or missing one, for the repository
 * @param base the kernel's source; it is only read
 * @returns the commits, that of the kernel without any patch first
 * @throws {UsageError} when there are no patches, or naming the one that does not apply
 */
export async function commitPatches(
  { patches, base, directory }: { patches: string; base: string; directory: string },
): Promise<PatchCommit[]> {
  const entries = await Array.fromAsync(Deno.readDir(patches)).catch((error: Error) => {
    throw new UsageError(`option --patches: ${patches} cannot be read: ${error.message}`);
  });
  const names = entries.map(({ name }) => name).filter((name) => PATCH.test(name)).sort();
  if (names.length === 0) {
    throw new UsageError(`option --patches: expected files NNNN-*.patch in ${patches}, found none`);
  }
  const texts = await Promise.all(names.map((name) => Deno.readTextFile(join(patches, name))));
  await removeIfThere(directory);
  await Deno.mkdir(directory, { recursive: true });
  const git = (...args: string[]) => runGit(args, { cwd: directory, env: ENVIRONMENT });
  const commit = async (title: string): Promise<void> => {
    await git("add", "--all", "--force");
    await git("commit", "--quiet", "--allow-empty", "--no-verify", `--message=${title}`);
  };
  await git("init", "--quiet", "--initial-branch=series");
  const touched = [...new Set(texts.flatMap(touchedFiles))];
  const there = await Promise.all(touched.map((file) => Deno.lstat(join(base, file)).catch(ignoreMissing)));
  const files = touched.filter((_, index) => there[index]);
  const copied = await runCommand(["cp", "--archive", "--parents", "--", ...files, directory], { cwd: base });
  if (files.length > 0 && copied.code !== 0) throw new UsageError(`${base}: ${copied.lines.at(-1)}`);
  await commit("none of the patches");
  for (const [index, name] of names.entries()) {
    const path = join(patches, name);
    try {
      if (/^(From|Date|Subject|Message-Id):? /im.test(texts[index]!.slice(0, 2000))) {
        await git("am", "--quiet", "--keep-non-patch", "--committer-date-is-author-date", path);
      } else {
        await git("apply", path);
        await commit(name.replace(/^\d+-|\.\w+$/g, ""));
      }
    } catch (error) {
      if (!(error instanceof GitError)) throw error;
      const before = index === 0 ? base : `${base} with ${index} of the patches`;
      throw new UsageError(`${path} does not apply to ${before}: ${error.message}`);
    }
  }
  const ids = (await git("rev-list", "--reverse", "series")).trim().split("\n");
  return ids.map((id, index) => ({ id, name: index === 0 ? "0" : names[index - 1]! }));
}

/**
 * The patch that a user names: by its number or file name; 0 is none of them.
 *
 * @throws {UsageError} naming the option
 */
export function patchNamed(commits: readonly PatchCommit[], text: string, option: string): PatchCommit {
  const number = /^\d+$/.test(text) ? Number(text) : undefined;
  const wanted = commits.find(({ name }) => name === text || Number(name.slice(0, 4)) === number);
  if (wanted) return wanted;
  const last = commits.at(-1)!.name;
  throw new UsageError(
    `option ${option}: expected 0, or the number or file name of a patch up to ${last}, found "${text}"`,
  );
}

const ENVIRONMENT = commitEnvironment({ name: "ckptest", email: "ckptest@localhost", date: "@0 +0000" });

/** Every file that a patch speaks of, also those that it only renames or whose mode it changes. */
function touchedFiles(patch: string): string[] {
  const headers = patch.matchAll(/^diff --git a\/(\S+) b\/(\S+)$/gm);
  return [...patchedFiles(patch), ...[...headers].flatMap(([, before, after]) => [before!, after!])];
}
