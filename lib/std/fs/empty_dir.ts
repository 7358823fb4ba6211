// SPDX-License-Identifier: MIT
import { mkdir, readdir, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { join } from "node:path";

/** Removes all that is in the directory, or makes it when it is missing. */
export async function emptyDir(dir: string | URL): Promise<void> {
  const path = dir instanceof URL ? fileURLToPath(dir) : dir;
  await mkdir(path, { recursive: true });
  for (const name of await readdir(path)) await rm(join(path, name), { recursive: true });
}
