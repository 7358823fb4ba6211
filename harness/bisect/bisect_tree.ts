// SPDX-License-Identifier: MIT

import { dirname, join } from "@std/path";
import { lutimesSync } from "node:fs";
import { identifySource } from "../../vm/kernel/source/kernel_source.ts";
import { runCommand } from "../../vm/host/run_command.ts";
import { UsageError } from "../../vm/host/errors.ts";
import type { GitRepository } from "./git_repository.ts";

/** What {@linkcode BisectTree.take} takes. */
export interface BisectTreeOptions {
  readonly cacheDir: string;
  readonly repository: GitRepository;
  /**
   * For a repository that holds only some files of a kernel: its first commit, and the source tree that the
   * others come from, which is only read.
   */
  readonly base?: { readonly commit: string; readonly path: string };
}

/** A file of a commit. */
interface GitFile {
  readonly mode: string;
  readonly blob: string;
}

/** So many bisects may be under way at once. */
const MAX_TREES = 64;
const PATHS_AT_ONCE = 500;
const SUBMODULE = "160000";
const EXECUTABLE = "100755";
/** Seconds since 1970: the year 1980. */
const EARLIEST = 315_532_800;

/**
 * A source tree that takes on the state of one commit after the other, so that each build is an incremental
 * one. It lies below `bisect` in the cache, under one of a few names: the compiler's cache knows what was
 * compiled there before.
 *
 * A file's time is made from its contents: kernels are found in the store by sizes and times of their files.
 */
export class BisectTree implements AsyncDisposable {
  /** The tree. It must not be written to. */
  readonly path: string;
  readonly #directory: string;
  readonly #options: BisectTreeOptions;
  readonly #lock: Deno.FsFile;
  #baseFiles: ReadonlyMap<string, GitFile> | undefined;

  /** Use {@linkcode BisectTree.take}. */
  constructor(directory: string, options: BisectTreeOptions, lock: Deno.FsFile) {
    this.path = join(directory, "linux");
    this.#directory = directory;
    this.#options = options;
    this.#lock = lock;
  }

  /** Takes the first tree that nobody else works with. */
  static async take(options: BisectTreeOptions): Promise<BisectTree> {
    for (let number = 1; number <= MAX_TREES; number++) {
      const directory = join(options.cacheDir, "bisect", String(number));
      await Deno.mkdir(directory, { recursive: true });
      const lock = await Deno.open(join(directory, ".lock"), { write: true, create: true });
      if (await lock.tryLock(true)) return new BisectTree(directory, options, lock);
      lock.close();
    }
    throw new UsageError(`${MAX_TREES} bisects are under way: wait for one of them`);
  }

  /** Makes the tree that of a commit. Only files that differ are written, and those are new files. */
  async moveTo(commit: string): Promise<void> {
    const at = await this.#readPosition();
    if (at === commit) return;
    // Whoever is killed here leaves a tree that nobody takes for one of a commit.
    await Deno.remove(this.#positionPath).catch(ignoreMissing);
    const { base, repository } = this.#options;
    const start = at ?? await this.#plant();
    const [before, after] = [
      start === undefined ? new Map() : await this.#filesOf(start),
      await this.#filesOf(commit),
    ];
    const env = { GIT_INDEX_FILE: join(this.#directory, "index") };
    await repository.run(["read-tree", commit], env);
    const changed = [...after].filter(([path, file]) => !isSameFile(before.get(path), file));
    const baseFiles = base === undefined ? undefined : this.#baseFiles ??= await this.#filesOf(base.commit);
    const asInBase = changed.filter(([path, file]) => isSameFile(baseFiles?.get(path), file));
    const written = changed.filter(([path, file]) => !isSameFile(baseFiles?.get(path), file));
    for (const path of before.keys()) if (!after.has(path)) await this.#removeFile(path);
    for (const [path] of asInBase) await this.#linkFromBase(path);
    await this.#checkOut(written, { env, all: start === undefined });
    await Deno.writeTextFile(this.#positionPath, JSON.stringify({ ...this.#origin, commit }));
  }

  /** Removes the tree and what was built in it. */
  async remove(): Promise<void> {
    const { cacheDir } = this.#options;
    const source = await identifySource({ kind: "directory", path: this.path }, { cacheDir }).catch(() =>
      undefined
    );
    // The name of the tree ends in a digest of its path; what is made from it bears that, too.
    const digest = source?.treeKey.split("-").at(-1);
    await Deno.remove(this.#positionPath).catch(ignoreMissing);
    await Deno.remove(this.path, { recursive: true }).catch(ignoreMissing);
    if (digest === undefined) return;
    for (const place of ["trees", "build"]) {
      const directory = join(cacheDir, place);
      for await (const { name } of Deno.readDir(directory)) {
        const own = name.startsWith("directory-") && name.includes(`-${digest}`) && !name.endsWith(".lock");
        if (own) await Deno.remove(join(directory, name), { recursive: true });
      }
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#lock.close();
    return Promise.resolve();
  }

  get #positionPath(): string {
    return join(this.#directory, "position.json");
  }

  /** What the tree is made from. */
  get #origin(): { repository: string; base: string } {
    const { repository, base } = this.#options;
    return {
      repository: repository.directory,
      base: base === undefined ? "" : `${base.commit} ${base.path}`,
    };
  }

  async #readPosition(): Promise<string | undefined> {
    const text = await Deno.readTextFile(this.#positionPath).catch(() => "{}");
    const { repository, base, commit } = JSON.parse(text) as Record<string, string>;
    return repository === this.#origin.repository && base === this.#origin.base ? commit : undefined;
  }

  /** Makes the tree anew: empty, or that of the base; then it gives the commit that it is at. */
  async #plant(): Promise<string | undefined> {
    const { base } = this.#options;
    await Deno.remove(this.path, { recursive: true }).catch(ignoreMissing);
    if (base === undefined) {
      await Deno.mkdir(this.path, { recursive: true });
      return undefined;
    }
    const linked = await runCommand(["cp", "--archive", "--link", base.path, this.path]);
    if (linked.code !== 0) {
      // Another file system, or somebody else's files where hard links are protected.
      await Deno.remove(this.path, { recursive: true }).catch(ignoreMissing);
      const copied = await runCommand(["cp", "--archive", "--reflink=auto", base.path, this.path]);
      if (copied.code !== 0) throw new UsageError(`${base.path} cannot be copied: ${copied.lines.at(-1)}`);
    }
    await Deno.remove(join(this.path, ".git"), { recursive: true }).catch(ignoreMissing);
    return base.commit;
  }

  async #filesOf(commit: string): Promise<Map<string, GitFile>> {
    const text = await this.#options.repository.run(["ls-tree", "-r", "-z", "--full-tree", commit]);
    const files = new Map<string, GitFile>();
    for (const entry of text.split("\0")) {
      const [, mode, blob, path] = /^(\d+) \w+ ([0-9a-f]+)\t(.*)$/s.exec(entry) ?? [];
      if (path !== undefined && mode !== SUBMODULE) files.set(path, { mode: mode!, blob: blob! });
    }
    return files;
  }

  async #checkOut(
    files: readonly (readonly [string, GitFile])[],
    { env, all }: { env: Record<string, string>; all: boolean },
  ): Promise<void> {
    const { repository } = this.#options;
    // Paths begin at the work tree, wherever we are.
    const command = ["--work-tree", this.path, "checkout-index", "-f", `--prefix=${this.path}/`];
    if (all) await repository.run([...command, "-a"], env);
    for (let from = 0; from < files.length && !all; from += PATHS_AT_ONCE) {
      const paths = files.slice(from, from + PATHS_AT_ONCE).map(([path]) => path);
      await repository.run([...command, "--", ...paths], env);
    }
    for (const [path, file] of files) {
      const seconds = timeOf(file);
      lutimesSync(join(this.path, path), seconds, seconds);
    }
  }

  async #linkFromBase(path: string): Promise<void> {
    const [from, to] = [join(this.#options.base!.path, path), join(this.path, path)];
    await Deno.remove(to).catch(ignoreMissing);
    await Deno.mkdir(dirname(to), { recursive: true });
    const { code, lines } = await runCommand(["cp", "--archive", "--link", from, to]);
    if (code === 0) return;
    const copied = await runCommand(["cp", "--archive", from, to]);
    if (copied.code !== 0) throw new UsageError(`${from} cannot be copied: ${lines.at(-1)}`);
  }

  async #removeFile(path: string): Promise<void> {
    await Deno.remove(join(this.path, path)).catch(ignoreMissing);
  }
}

function isSameFile(a: GitFile | undefined, b: GitFile): boolean {
  return a !== undefined && a.mode === b.mode && a.blob === b.blob;
}

/** A time between 1980 and 2015 that stands for contents and mode, in seconds with milliseconds. */
function timeOf({ mode, blob }: GitFile): number {
  const contents = Number.parseInt(blob.slice(0, 10), 16);
  return EARLIEST + (contents + Number(mode === EXECUTABLE)) / 1000;
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
