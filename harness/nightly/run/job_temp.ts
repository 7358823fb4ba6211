// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { ExpectedError } from "../../../vm/host/errors.ts";

const PREFIX = "ckptest-jobs-";
const LOCK = ".lock";
/** Between making a directory and locking it. */
const YOUNG_MS = 60_000;

/**
 * A directory for the temporary files of all jobs of a nightly run. It is locked meanwhile: what a killed
 * one left behind is found by that and removed by the next.
 */
export class JobTemp implements AsyncDisposable {
  readonly path: string;
  readonly #lock: Deno.FsFile;

  /** Use {@linkcode JobTemp.make}. */
  constructor(path: string, lock: Deno.FsFile) {
    this.path = path;
    this.#lock = lock;
  }

  /** Makes one below `base`, where `TMPDIR` says or in /tmp. */
  static async make(base: string = Deno.env.get("TMPDIR") ?? "/tmp"): Promise<JobTemp> {
    await removeAbandoned(base).catch((error) => {
      throw new ExpectedError(`no temporary directory below TMPDIR (${base}): ${error.message}`);
    });
    const path = await Deno.makeTempDir({ dir: base, prefix: PREFIX });
    const lock = await Deno.open(join(path, LOCK), { write: true, create: true });
    await lock.lock(true);
    return new JobTemp(path, lock);
  }

  /** Runs work with a directory of its own, and removes that. */
  async with<T>(work: (directory: string) => Promise<T>): Promise<T> {
    const directory = await Deno.makeTempDir({ dir: this.path });
    try {
      return await work(directory);
    } finally {
      await removeStubbornly(directory);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeStubbornly(this.path);
    this.#lock.close();
  }
}

/** What a killed job started may end, and write, a moment later. */
async function removeStubbornly(directory: string): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    const error = await Deno.remove(directory, { recursive: true }).catch((error: Error) => error);
    if (error === undefined || error instanceof Deno.errors.NotFound) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function removeAbandoned(base: string): Promise<void> {
  for await (const { name } of Deno.readDir(base)) {
    if (!name.startsWith(PREFIX)) continue;
    const path = join(base, name);
    try {
      const { mtime, uid } = await Deno.stat(path);
      if (uid !== Deno.uid() || Date.now() - (mtime?.getTime() ?? 0) < YOUNG_MS) continue;
      using lock = await Deno.open(join(path, LOCK), { write: true, create: true });
      if (await lock.tryLock(true)) await Deno.remove(path, { recursive: true });
    } catch {
      // Another nightly run removes it at the same time.
    }
  }
}
