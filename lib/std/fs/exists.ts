// SPDX-License-Identifier: MIT
import { access, constants, stat } from "node:fs/promises";

/** Options of {@linkcode exists}. */
export interface ExistsOptions {
  /** Whether the caller must be able to read it, too. */
  isReadable?: boolean;
  /** Whether it must be a directory. Not together with `isFile`. */
  isDirectory?: boolean;
  /** Whether it must be a file. Not together with `isDirectory`. */
  isFile?: boolean;
}

/**
 * Tells whether `path` leads to something of the wanted kind; symbolic links are followed.
 *
 * @throws {TypeError} If both `isDirectory` and `isFile` are asked for.
 */
export async function exists(path: string | URL, options: ExistsOptions = {}): Promise<boolean> {
  if (options.isDirectory && options.isFile) {
    throw new TypeError("Cannot look for a directory and a file at once: found isDirectory and isFile");
  }
  try {
    const info = await stat(path);
    if (options.isDirectory && !info.isDirectory()) return false;
    if (options.isFile && !info.isFile()) return false;
    if (options.isReadable) await access(path, constants.R_OK);
    return true;
  } catch (error) {
    if (isAbsence(error) || (options.isReadable && isRefusal(error))) return false;
    throw error;
  }
}

function isAbsence(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}

function isRefusal(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EACCES";
}
