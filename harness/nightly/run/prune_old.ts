// SPDX-License-Identifier: MIT

import { FLAVOUR_SUFFIX } from "../../../vm/kernel/config/kernel_flavour.ts";
import { basename, join } from "@std/path";
import { tryFileLock, withFileLock } from "../../../vm/host/file_lock.ts";
import { ignoreMissing } from "../../../vm/host/ignore_missing.ts";
import { removeTree } from "../../../vm/kernel/source/kernel_tree.ts";

interface PrunableEntry {
  readonly path: string;
  readonly used: number;
  /** What its removal frees: files that have other names elsewhere free nothing. */
  readonly bytes: number;
  /** Removes it; false when it is in use. */
  readonly remove: () => Promise<boolean>;
}

interface PruneOptions {
  /** Below it `nightly`. */
  readonly stateDir: string;
  /** Below it all else. */
  readonly cacheDir: string;
  readonly keepDays: number;
  /** For all that can be pruned, together. */
  readonly keepBytes: number;
  readonly spare?: readonly string[];
}

const DAY_MS = 86_400_000;

/**
 * Removes runs, logs, kernels, trees and whatever else was not used for so many days, and then the oldest
 * until the rest fits. What was used within a day stays whatever its size, and so does what is in use.
 */
export async function pruneOld(options: PruneOptions): Promise<{ entries: number; bytes: number }> {
  const { keepDays, keepBytes, spare = [] } = options;
  const all = await prunableEntries(options);
  const now = Date.now();
  const entries = all.filter(({ path, used }) => !spare.includes(path) && now - used > DAY_MS)
    .sort((a, b) => a.used - b.used);
  let excess = all.reduce((sum, { bytes }) => sum + bytes, 0) - keepBytes;
  const removed = { entries: 0, bytes: 0 };
  for (const { used, bytes, remove } of entries) {
    if (now - used <= keepDays * DAY_MS && excess <= 0) continue;
    // Not ours to remove, or gone meanwhile: the next nightly run tries again.
    if (!await remove().catch(() => false)) continue;
    excess -= bytes;
    removed.entries++;
    removed.bytes += bytes;
  }
  return removed;
}

/** Directories of the cache whose entries nobody locks: what is used is touched. */
const UNLOCKED = ["runs", "logs", "git", "guest", "initramfs", "tmp", "series/logs"];
const BUILD_ROOTS = ["", "series"];
/** What is being removed has such a name: cut short, it is nobody's, and the next pruning ends it. */
const REMOVED = ".removed-";

async function prunableEntries({ stateDir, cacheDir }: PruneOptions): Promise<PrunableEntry[]> {
  const nightly = await entriesOf(join(stateDir, "nightly"), async (path) => {
    using lock = await Deno.open(join(path, ".lock"), { write: true, create: true });
    return await lock.tryLock(true) && await discard(path);
  });
  const store = join(cacheDir, "store");
  const kernels = await entriesOf(store, (path) => withFileLock(join(store, ".lock"), () => discard(path)));
  const unlocked = UNLOCKED.map((name) => entriesOf(join(cacheDir, name), discard));
  const built = BUILD_ROOTS.flatMap((name) => {
    const root = join(cacheDir, name);
    return [treesOf(root), entriesOf(join(root, "build"), (path) => removeBuild(root, path))];
  });
  return [nightly, kernels, ...await Promise.all([...unlocked, ...built])].flat();
}

async function entriesOf(
  place: string,
  remove: (path: string) => Promise<boolean>,
): Promise<PrunableEntry[]> {
  const entries: PrunableEntry[] = [];
  for (const { name, isSymlink } of await listOf(place)) {
    const isOurs = name.startsWith(REMOVED);
    if (isSymlink || name.endsWith(".lock") || (name.startsWith(".") && !isOurs)) continue;
    const path = join(place, name);
    // A nightly run has its result renamed into it at its end, a build its kernel; what is found is touched.
    entries.push({
      ...{ path, used: isOurs ? 0 : timeOf(path), bytes: sizeOf(path) },
      remove: () => remove(path),
    });
  }
  return entries;
}

/** The working trees below a directory; each begins with its state beside it, and is locked by name. */
async function treesOf(root: string): Promise<PrunableEntry[]> {
  const place = join(root, "trees");
  const trees = (await listOf(place)).filter(({ isDirectory }) => isDirectory);
  return trees.map(({ name }) => {
    const path = join(place, name);
    return {
      path,
      used: Math.max(...[path, `${path}.json`, `${path}.lock`].map(timeOf)),
      bytes: sizeOf(path) + sizeOf(`${path}.manifest`),
      remove: async () =>
        await tryFileLock(`${path}.lock`, async () => (await removeTree(path), true)) ?? false,
    };
  });
}

/** A build directory is used by whoever holds the lock of a tree that it is built of. */
async function removeBuild(root: string, path: string): Promise<boolean> {
  const locks: string[] = [];
  for (const { name } of await listOf(join(root, "trees"))) {
    const source = name.endsWith(".lock")
      ? name.slice(0, -".lock".length).replace(FLAVOUR_SUFFIX, "")
      : undefined;
    if (source !== undefined && basename(path).startsWith(`${source}-`)) {
      locks.push(join(root, "trees", name));
    }
  }
  const under = async ([lock, ...rest]: readonly string[]): Promise<boolean> =>
    lock === undefined ? await discard(path) : await tryFileLock(lock, () => under(rest)) ?? false;
  return await under(locks);
}

/** Removes a file or directory; a directory at once for all who look for it, whenever this is cut short. */
async function discard(path: string): Promise<boolean> {
  const name = basename(path);
  const doomed = name.startsWith(REMOVED) ? path : join(path, "..", `${REMOVED}${name}`);
  if (doomed !== path) await Deno.rename(path, doomed);
  await Deno.remove(doomed, { recursive: true });
  return true;
}

async function listOf(place: string): Promise<Deno.DirEntry[]> {
  return await Array.fromAsync(Deno.readDir(place)).catch(ignoreMissing) ?? [];
}

function timeOf(path: string): number {
  try {
    return Deno.lstatSync(path).mtime?.getTime() ?? 0;
  } catch {
    return 0;
  }
}

/**
 * Bytes of a file, or of all files below a directory; 0 of what is not there. Synchronous: a kernel tree has 80,000
 * files, and this way takes a second.
 */
function sizeOf(path: string): number {
  try {
    const { isDirectory, size, nlink } = Deno.lstatSync(path);
    if (!isDirectory) return (nlink ?? 1) > 1 ? 0 : size;
    let bytes = 0;
    for (const { name } of Deno.readDirSync(path)) bytes += sizeOf(`${path}/${name}`);
    return bytes;
  } catch (error) {
    // Others remove what is theirs meanwhile.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return 0;
  }
}
