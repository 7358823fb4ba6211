// SPDX-License-Identifier: MIT
import { mkdir, stat } from "node:fs/promises";

/**
 * Makes the directory and its parents unless it exists.
 *
 * @throws {Error} If something that is no directory stands at `dir`.
 */
export async function ensureDir(dir: string | URL): Promise<void> {
  try {
    await mkdir(dir, { recursive: true });
  } catch (error) {
    const info = await stat(dir).catch(() => undefined);
    if (info === undefined) throw error;
    throw new Error(`Failed to ensure directory exists: expected a directory at "${dir}", found a file`, {
      cause: error,
    });
  }
}
