// SPDX-License-Identifier: MIT
import { delay } from "./deadline.ts";
import { dirname } from "@std/path";

interface FileLockOptions {
  /** Called once when another process holds the lock; `holder` is its pid, or "?" when it did not say. */
  onWait?: (holder: string) => void;
  /** Time between two tries, in milliseconds. */
  pollMs?: number;
}

/**
 * Runs `work` while holding an exclusive lock on the file `path`, which is made if need be and stays behind.
 * The kernel drops the lock when its holder dies, however it dies, so there is no stale lock.
 */
export async function withFileLock<T>(
  path: string,
  work: () => Promise<T>,
  { onWait, pollMs = 100 }: FileLockOptions = {},
): Promise<T> {
  await Deno.mkdir(dirname(path), { recursive: true });
  using file = await Deno.open(path, { read: true, write: true, create: true });
  let told = false;
  for (let tries = 0; !await file.tryLock(true); tries++) {
    // A holder that just got the lock may not have written its name yet.
    const holder = (await Deno.readTextFile(path)).trim();
    if (!told && (holder !== "" || tries > 2)) {
      onWait?.(holder || "?");
      told = true;
    }
    await delay(pollMs);
  }
  return await holding(file, work);
}

/**
 * Runs `work` while holding the exclusive lock on the file `path`, but only if nobody holds it now.
 *
 * @returns what `work` gave, or undefined when it was not run because another process holds the lock.
 */
export async function tryFileLock<T>(path: string, work: () => Promise<T>): Promise<T | undefined> {
  await Deno.mkdir(dirname(path), { recursive: true });
  using file = await Deno.open(path, { read: true, write: true, create: true });
  return await file.tryLock(true) ? await holding(file, work) : undefined;
}

/** Runs `work`, with our pid in the locked file meanwhile. */
async function holding<T>(file: Deno.FsFile, work: () => Promise<T>): Promise<T> {
  await file.truncate();
  await file.write(new TextEncoder().encode(`${Deno.pid}\n`));
  try {
    return await work();
  } finally {
    await file.truncate();
    await file.unlock();
  }
}
