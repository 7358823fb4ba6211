// SPDX-License-Identifier: MIT

import { ExpectedError, UsageError } from "./errors.ts";

/** Runs `use` with an empty directory below `parent`, which is made if need be, and removes it. */
export async function withScratch<T>(parent: string, use: (directory: string) => Promise<T>): Promise<T> {
  await Deno.mkdir(parent, { recursive: true });
  const directory = await Deno.makeTempDir({ dir: parent, prefix: "scratch-" });
  try {
    return await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

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

/**
 * Makes a directory that a command line names, unless it is there.
 *
 * @param use what it is for, such as `the results`
 * @throws {UsageError} when it cannot be made
 */
export async function makeDirectory(path: string, use: string): Promise<void> {
  await Deno.mkdir(path, { recursive: true }).catch((error: Error) => {
    throw new UsageError(`no directory for ${use}, ${path}: ${error.message}`);
  });
}

/** Longest path of a UNIX socket (sun_path, unix(7)), without the NUL. */
const SOCKET_PATH_MAX = 107;
/** The longest name of a socket. */
const SOCKET_NAME_MAX = "/terminal".length;

/** Makes such a directory for sockets, whose paths must be short. */
export async function makeSocketDirectory(prefix: string): Promise<string> {
  const directory = await makeTempDirectory(prefix);
  if (directory.length + SOCKET_NAME_MAX <= SOCKET_PATH_MAX) return directory;
  await Deno.remove(directory);
  return await Deno.makeTempDir({ dir: "/tmp", prefix });
}
