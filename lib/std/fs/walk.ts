// SPDX-License-Identifier: MIT
import { lstat, readdir, realpath, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { basename, join } from "node:path";

/** Options of {@linkcode walk}. */
export interface WalkOptions {
  /** How many levels to go down. Without it, all. */
  maxDepth?: number;
  /** Whether files are listed. Default true. */
  includeFiles?: boolean;
  /** Whether directories are listed. Default true. */
  includeDirs?: boolean;
  /** Whether symbolic links are listed. Default true; unused when links are followed. */
  includeSymlinks?: boolean;
  /** Whether symbolic links are followed. Default false. */
  followSymlinks?: boolean;
  /** Whether a followed link is listed under its real path. Default true. */
  canonicalize?: boolean;
  /** Ends of names that are listed, with or without their dot. Without it, all. */
  exts?: string[];
  /** Only paths that match one of these are listed. */
  match?: RegExp[];
  /** Paths that match one of these are neither listed nor entered. */
  skip?: RegExp[];
}

/** One thing that {@linkcode walk} found. */
export interface WalkEntry extends Deno.DirEntry {
  /** Its path, starting with the root that was given. */
  path: string;
}

/**
 * Lists the root and all that is below it, a directory before what it holds.
 *
 * @throws {Error} If a directory cannot be read.
 */
export async function* walk(root: string | URL, options: WalkOptions = {}): AsyncIterableIterator<WalkEntry> {
  const path = root instanceof URL ? fileURLToPath(root) : root;
  const { maxDepth = Infinity, includeDirs = true, exts, match, skip } = options;
  if (maxDepth < 0) return;
  if (includeDirs && isWanted(path, exts, match, skip)) yield { path, ...await kindOf(path) };
  if (maxDepth < 1 || skip?.some((pattern) => pattern.test(path))) return;
  for (const name of await readdir(path)) yield* walkEntry(join(path, name), options);
}

async function* walkEntry(path: string, options: WalkOptions): AsyncIterableIterator<WalkEntry> {
  const { maxDepth = Infinity, includeFiles = true, includeSymlinks = true, exts, match, skip } = options;
  const { followSymlinks = false, canonicalize = true } = options;
  let kind = await kindOf(path);
  if (kind.isSymlink) {
    if (!followSymlinks) {
      if (includeSymlinks && isWanted(path, exts, match, skip)) yield { path, ...kind };
      return;
    }
    const target = await realpath(path);
    const info = await stat(target);
    kind = { ...kind, isFile: info.isFile(), isDirectory: info.isDirectory(), isSymlink: false };
    if (canonicalize) path = target;
  }
  if (kind.isDirectory) {
    yield* walk(path, { ...options, maxDepth: maxDepth - 1 });
  } else if (includeFiles && isWanted(path, exts, match, skip)) {
    yield { path, ...kind };
  }
}

async function kindOf(path: string): Promise<Deno.DirEntry> {
  const info = await lstat(path);
  return {
    name: basename(path),
    isFile: info.isFile(),
    isDirectory: info.isDirectory(),
    isSymlink: info.isSymbolicLink(),
  };
}

function isWanted(path: string, exts?: string[], match?: RegExp[], skip?: RegExp[]): boolean {
  if (exts && !exts.some((ext) => path.endsWith(ext.startsWith(".") ? ext : `.${ext}`))) return false;
  if (match && !match.some((pattern) => pattern.test(path))) return false;
  return !skip?.some((pattern) => pattern.test(path));
}
