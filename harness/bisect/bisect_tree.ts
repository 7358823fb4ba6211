// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import { removeIfThere } from "../../vm/host/ignore_missing.ts";
import { runCommand } from "../../vm/host/run_command.ts";
import { gitCommand, runGit } from "../../vm/host/run_git.ts";

/** What a work tree is made from. */
export interface TreeSource {
  /** Directory of a repository's objects; they are only read. */
  readonly objects: string;
  /**
   * For a repository that holds only some files of a kernel: its first commit, and the source tree that the
   * others come from, which is only read.
   */
  readonly base?: { readonly commit: string; readonly path: string } | undefined;
}

/** Bisects that may be under way at once. */
const MAX_TREES = 64;

/**
 * A work tree of git's below `bisect` in the cache, with references and a bisect of its own: nothing is written to
 * the user's repository. It has one of a few names, since the compiler's cache knows what was compiled there before.
 */
export class BisectTree implements AsyncDisposable {
  /** The tree. Nobody but git may write to it. */
  readonly path: string;
  readonly #lock: Deno.FsFile;

  /** Use {@linkcode BisectTree.take}. */
  constructor(directory: string, lock: Deno.FsFile) {
    this.path = join(directory, "linux");
    this.#lock = lock;
  }

  /**
   * Takes the first tree that nobody else works with, and makes it anew unless it was made for this bisect.
   *
   * @param owner names the bisect
   */
  static async take(
    source: TreeSource,
    { cacheDir, owner }: { cacheDir: string; owner: string },
  ): Promise<BisectTree> {
    for (let number = 1; number <= MAX_TREES; number++) {
      const directory = join(cacheDir, "bisect", String(number));
      await Deno.mkdir(directory, { recursive: true });
      const lock = await Deno.open(join(directory, ".lock"), { write: true, create: true });
      if (!await lock.tryLock(true)) {
        lock.close();
        continue;
      }
      const tree = new BisectTree(directory, lock);
      await tree.#prepare(source, owner);
      return tree;
    }
    throw new UsageError(`${MAX_TREES} bisects are under way: wait for one of them`);
  }

  /** Runs git in the tree and gives what it prints. @throws {GitError} */
  async git(...args: string[]): Promise<string> {
    return (await runGit(args, { cwd: this.path })).trimEnd();
  }

  /** git in the tree, to be spawned. */
  gitCommand(args: readonly string[], pipes: Parameters<typeof gitCommand>[1]): Deno.Command {
    return gitCommand(args, { ...pipes, cwd: this.path });
  }

  /** Removes the tree. What was built of it stays in the cache: the next one is compiled upon that. */
  async remove(): Promise<void> {
    await removeIfThere(this.path);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#lock.close();
    return Promise.resolve();
  }

  async #prepare({ objects, base }: TreeSource, owner: string): Promise<void> {
    const mark = join(this.path, ".git", "ckptest-bisect");
    const text = JSON.stringify([owner, objects, base]);
    const isOurs = await Deno.readTextFile(mark).catch(() => "") === text;
    // Whoever is killed while git writes files leaves its lock, and then this fails.
    if (isOurs && await this.git("reset", "--quiet", "--hard").then(() => true, () => false)) return;
    await removeIfThere(this.path);
    if (base) await copyTree(base.path, this.path);
    else await Deno.mkdir(this.path, { recursive: true });
    await this.git("init", "--quiet");
    await Deno.writeTextFile(join(this.path, ".git", "objects", "info", "alternates"), `${objects}\n`);
    if (base) {
      await this.git("reset", "--quiet", "--hard", base.commit);
      await this.git("checkout", "--quiet", "--detach");
    }
    await Deno.writeTextFile(mark, text);
  }
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
