// SPDX-License-Identifier: MIT

import { UsageError } from "./errors.ts";

/**
 * Writes a file so that it is there whole or not at all: under another name first, then renamed.
 *
 * @throws {UsageError} naming the file when it cannot be written
 */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const partial = `${path}.${Deno.pid}.partial`;
  try {
    await Deno.writeFile(partial, bytes);
    await Deno.rename(partial, path);
  } catch (error) {
    await Deno.remove(partial).catch(() => {});
    throw new UsageError(`${path} cannot be written: ${(error as Error).message}`);
  }
}
