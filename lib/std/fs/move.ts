// SPDX-License-Identifier: MIT
import { lstat, rename, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** Options of {@linkcode move}. */
export interface MoveOptions {
  /** Whether an existing destination is replaced; without it, one is an error. */
  overwrite?: boolean;
}

/**
 * Renames a file or a directory within one file system.
 *
 * @throws {Deno.errors.AlreadyExists} If the destination exists and `overwrite` is not set.
 */
export async function move(src: string | URL, dest: string | URL, options: MoveOptions = {}): Promise<void> {
  const from = src instanceof URL ? fileURLToPath(src) : src;
  const to = dest instanceof URL ? fileURLToPath(dest) : dest;
  // Looked at first, so that a missing source does not cost the destination.
  await lstat(from);
  if (options.overwrite) {
    await rm(to, { recursive: true, force: true });
  } else if (await lstat(to).then(() => true, () => false)) {
    throw new Deno.errors.AlreadyExists(`Cannot move "${from}": "${to}" exists already`);
  }
  await rename(from, to);
}
