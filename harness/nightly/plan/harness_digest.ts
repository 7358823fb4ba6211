// SPDX-License-Identifier: MIT

import { walk } from "@std/fs";
import { fromFileUrl, join, relative } from "@std/path";
import { digestOf } from "../../../vm/host/digest.ts";

/** The project's directory. */
export const PROJECT_ROOT: string = fromFileUrl(new URL("../../../", import.meta.url));

/**
 * What does not decide the outcome of a job: tests, what goes into the kernel (it has digests of its own), and
 * what only runs or shows jobs.
 */
export const NOT_COUNTED: readonly RegExp[] = [
  /_test\.ts$/,
  /\/testing\//,
  /^vm\/kernel\/(overlay|hooks|config)\//,
  /^harness\/(nightly|report|bisect)\//,
  /^harness\/cli\/commands\/(nightly|merge|report|bisect|slurm)\.ts$/,
];

/** Digest of the harness: its TypeScript, the guest's C, and what Deno is told. 32 hex digits. */
export async function harnessDigest(): Promise<string> {
  const files = ["deno.json", "deno.lock", "fixtures/splat_allowlist.json", ...await harnessFiles()];
  return await digestOfFiles(files.filter((file) => !NOT_COUNTED.some((pattern) => pattern.test(file))));
}

/** All files that the harness may be made of. */
export async function harnessFiles(): Promise<string[]> {
  return (await Promise.all(["lib", "vm", "harness"].map(filesBelow))).flat();
}

/** Paths of all files below a directory of the project, from its root. */
export async function filesBelow(directory: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { path } of walk(join(PROJECT_ROOT, directory), { includeDirs: false })) {
    files.push(relative(PROJECT_ROOT, path));
  }
  return files;
}

/** Digest of the names and contents of files of the project. 32 hex digits. */
export async function digestOfFiles(files: readonly string[]): Promise<string> {
  const sorted = files.toSorted((a, b) => a < b ? -1 : 1);
  const contents = await Promise.all(sorted.map((file) => Deno.readFile(join(PROJECT_ROOT, file))));
  return (await digestOf(sorted.flatMap((file, index) => [file, contents[index]!]))).slice(0, 32);
}
