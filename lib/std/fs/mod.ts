// SPDX-License-Identifier: MIT
/**
 * Stands in for `jsr:@std/fs` where only the npm registry can be reached, which has no copy of it: the four functions
 * that this project uses, under the same names and signatures.
 *
 * @module
 */
import { basename, join } from "node:path";

/** Makes the directory and its parents unless it exists. @throws {Error} If a file stands at `dir`. */
export async function ensureDir(dir: string): Promise<void> {
  // Deno takes an existing directory for made, and refuses an existing file.
  await Deno.mkdir(dir, { recursive: true });
}

/** Whether `path` leads to something of the wanted kind; symbolic links are followed. */
export async function exists(path: string, options: { isFile?: boolean } = {}): Promise<boolean> {
  try {
    const { isFile } = await Deno.stat(path);
    return options.isFile !== true || isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    throw error;
  }
}

/**
 * Copies a file, a symbolic link (as a link) or a whole directory.
 *
 * @throws {Deno.errors.AlreadyExists} If the destination exists and `overwrite` is not set.
 */
export async function copy(from: string, to: string, options: { overwrite?: boolean } = {}): Promise<void> {
  if (options.overwrite !== true && await Deno.lstat(to).then(() => true, () => false)) {
    throw new Deno.errors.AlreadyExists(`Cannot copy "${from}": "${to}" exists already`);
  }
  await copyEntry(from, to);
}

// By hand, as Node's cp() turns relative links into absolute ones that lead back to the source.
async function copyEntry(from: string, to: string): Promise<void> {
  const { isDirectory, isSymlink } = await Deno.lstat(from);
  if (isSymlink) {
    await Deno.remove(to).catch(() => {});
    await Deno.symlink(await Deno.readLink(from), to);
  } else if (isDirectory) {
    await Deno.mkdir(to, { recursive: true });
    for await (const { name } of Deno.readDir(from)) await copyEntry(join(from, name), join(to, name));
  } else {
    await Deno.copyFile(from, to);
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
