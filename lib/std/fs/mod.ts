// SPDX-License-Identifier: MIT
/**
 * Stands in for `jsr:@std/fs` where only the npm registry can be reached, which has no copy of it: the two functions
 * that this project uses, which do the same.
 *
 * @module
 */
import { basename, join } from "node:path";

/** Whether `path` leads to something of the wanted kind; symbolic links are followed. */
export async function exists(path: string, options: { isFile?: boolean } = {}): Promise<boolean> {
  try {
    const { isFile } = await Deno.stat(path);
    return options.isFile !== true || isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Options of {@linkcode walk}. */
export interface WalkOptions {
  /** Whether directories are listed. Default true. */
  includeDirs?: boolean;
  /** Whether symbolic links are followed, and listed under their real paths. Default false. */
  followSymlinks?: boolean;
  /** Ends of names that are listed. Without it, all. */
  exts?: string[];
}

/** One thing that {@linkcode walk} found; its path starts with the root that was given. */
export interface WalkEntry extends Deno.DirEntry {
  path: string;
}

/** Lists the root and all that is below it, a directory before what it holds. */
export async function* walk(root: string, options: WalkOptions = {}): AsyncIterableIterator<WalkEntry> {
  const { includeDirs = true, followSymlinks = false, exts = [""] } = options;
  const isFollowed = followSymlinks && (await Deno.lstat(root)).isSymlink;
  const path = isFollowed ? await Deno.realPath(root) : root;
  const { isFile, isDirectory, isSymlink } = await Deno.lstat(path);
  if ((includeDirs || !isDirectory) && exts.some((ext) => path.endsWith(ext))) {
    yield { path, name: basename(path), isFile, isDirectory, isSymlink };
  }
  if (!isDirectory) return;
  for await (const { name } of Deno.readDir(path)) yield* walk(join(path, name), options);
}
