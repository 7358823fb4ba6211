// SPDX-License-Identifier: MIT

import { UsageError } from "./errors.ts";

/**
 * Writes a file so that it is there whole or not at all: under another name first, then renamed.
 *
 * @throws {UsageError} naming the file when it cannot be written
 */
export async function writeWhole(path: string, contents: Uint8Array | string): Promise<void> {
  const partial = `${path}.${Deno.pid}.partial`;
  try {
    await (typeof contents === "string"
      ? Deno.writeTextFile(partial, contents)
      : Deno.writeFile(partial, contents));
    await Deno.rename(partial, path);
  } catch (error) {
    await Deno.remove(partial).catch(() => {});
    throw new UsageError(`${path} cannot be written: ${(error as Error).message}`);
  }
}

/** The same of a value as JSON, for people as well as for programs. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeWhole(path, `${JSON.stringify(value, null, 2)}\n`);
}
