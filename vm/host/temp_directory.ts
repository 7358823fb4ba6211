// SPDX-License-Identifier: MIT

import { ExpectedError } from "./errors.ts";

/**
 * Makes a directory for temporary files below TMPDIR, or /tmp.
 *
 * @throws {ExpectedError} when that place cannot be written to
 */
export async function makeTempDirectory(prefix: string): Promise<string> {
  try {
    return await Deno.makeTempDir({ prefix });
  } catch (error) {
    const place = Deno.env.get("TMPDIR") || "/tmp";
    throw new ExpectedError(`no temporary directory below TMPDIR (${place}): ${(error as Error).message}`);
  }
}
