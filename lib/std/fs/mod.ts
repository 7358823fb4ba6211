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
  /** Whether files are listed. Default true. */
  includeFiles?: boolean;
  /** Whether directories are listed. Default true. */
  includeDirs?: boolean;
  /** Whether symbolic links are followed, and listed under their real paths. Default false. */
  followSymlinks?: boolean;
  /** Ends of names that are listed, with or without their dot. Without it, all. */
  exts?: string[];
  /** Only paths that match one of these are listed. */
  match?: RegExp[];
  /** Paths that match one of these are neither listed nor entered. */
  skip?: RegExp[];
}

/** One thing that {@linkcode walk} found; its path starts with the root that was given. */
export interface WalkEntry extends Deno.DirEntry {
  path: string;
}

/** Lists the root and all that is below it, a directory before what it holds. */
export async function* walk(root: string, options: WalkOptions = {}): AsyncIterableIterator<WalkEntry> {
  const { includeFiles = true, includeDirs = true, followSymlinks = false, exts, match, skip } = options;
  let path = root;
  let info = await Deno.lstat(path);
  if (info.isSymlink && followSymlinks) {
    path = await Deno.realPath(path);
    info = await Deno.stat(path);
  }
  if (skip?.some((pattern) => pattern.test(path))) return;
  const isWanted = (info.isDirectory ? includeDirs : includeFiles) &&
    (exts === undefined || exts.some((ext) => path.endsWith(ext.startsWith(".") ? ext : `.${ext}`))) &&
    (match === undefined || match.some((pattern) => pattern.test(path)));
  if (isWanted) {
    const { isFile, isDirectory, isSymlink } = info;
    yield { path, name: basename(path), isFile, isDirectory, isSymlink };
  }
  if (!info.isDirectory) return;
  for await (const { name } of Deno.readDir(path)) yield* walk(join(path, name), options);
}
