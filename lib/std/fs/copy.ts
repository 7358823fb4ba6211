// SPDX-License-Identifier: MIT
import { copyFile, lstat, mkdir, readdir, readlink, rm, symlink, utimes } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { join } from "node:path";

/** Options of {@linkcode copy}. */
export interface CopyOptions {
  /** Whether existing files are written over; without it, an existing destination is an error. */
  overwrite?: boolean;
  /** Whether the copies keep the times of last access and change. */
  preserveTimestamps?: boolean;
}

/**
 * Copies a file, a symbolic link (as a link) or a whole directory.
 *
 * @throws {Deno.errors.AlreadyExists} If the destination exists and `overwrite` is not set.
 */
export async function copy(src: string | URL, dest: string | URL, options: CopyOptions = {}): Promise<void> {
  const from = src instanceof URL ? fileURLToPath(src) : src;
  const to = dest instanceof URL ? fileURLToPath(dest) : dest;
  if (!options.overwrite && await lstat(to).then(() => true, () => false)) {
    throw new Deno.errors.AlreadyExists(`Cannot copy "${from}": "${to}" exists already`);
  }
  await copyEntry(from, to, options.preserveTimestamps ?? false);
}

// By hand, as Node's cp() turns relative links into absolute ones that lead back to the source.
async function copyEntry(from: string, to: string, preserveTimestamps: boolean): Promise<void> {
  const info = await lstat(from);
  if (info.isSymbolicLink()) {
    await rm(to, { force: true });
    return await symlink(await readlink(from), to);
  }
  if (info.isDirectory()) {
    await mkdir(to, { recursive: true });
    for (const name of await readdir(from)) {
      await copyEntry(join(from, name), join(to, name), preserveTimestamps);
    }
  } else {
    await copyFile(from, to);
  }
  if (preserveTimestamps) await utimes(to, info.atime, info.mtime);
}
