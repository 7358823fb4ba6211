// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import { tryFileLock } from "../../vm/host/file_lock.ts";
import { removeIfThere } from "../../vm/host/ignore_missing.ts";
import { runCommand } from "../../vm/host/run_command.ts";
import { runGit } from "../../vm/host/run_git.ts";

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
  if (base) await copyTree(base.path, tree);
  else await Deno.mkdir(tree, { recursive: true });
  await git("init", "--quiet");
  await Deno.writeTextFile(join(tree, ".git", "objects", "info", "alternates"), `${objects}\n`);
  if (base) {
    await git("reset", "--quiet", "--hard", base.commit);
    await git("checkout", "--quiet", "--detach");
  }
  await Deno.writeTextFile(mark, text);
}

/** A copy of hard links where that can be: git never writes through one, but replaces the file. */
async function copyTree(from: string, to: string): Promise<void> {
  const linked = await runCommand(["cp", "--archive", "--link", from, to]);
  if (linked.code !== 0) {
    // Another file system, or somebody else's files where hard links are protected.
    await removeIfThere(to);
    const copied = await runCommand(["cp", "--archive", "--reflink=auto", from, to]);
    if (copied.code !== 0) throw new UsageError(`${from} cannot be copied: ${copied.lines.at(-1)}`);
  }
  await removeIfThere(join(to, ".git"));
}
