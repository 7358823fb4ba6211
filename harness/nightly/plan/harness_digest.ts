// SPDX-License-Identifier: MIT

import { walk } from "@std/fs";
import { fromFileUrl, join, relative } from "@std/path";
import { digestOf } from "../../../vm/host/digest.ts";
import { GitError, runGit } from "../../../vm/host/run_git.ts";
import type { Revision } from "../nightly_result.ts";

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

/** What a digest was made of: of each file by name a digest of its own. */
interface NamedDigest {
  /** 32 hex digits. */
  readonly digest: string;
  readonly files: Readonly<Record<string, string>>;
}

/** Digest of the harness: its TypeScript, the guest's C, and what Deno is told. */
export async function harnessDigest(): Promise<NamedDigest> {
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

/** Digest of the names and contents of files of the project. */
export async function digestOfFiles(files: readonly string[]): Promise<NamedDigest> {
  return await digestOfContents(
    await Promise.all(
      files.toSorted((a, b) => a < b ? -1 : 1).map(async (file) =>
        [file, await Deno.readFile(join(PROJECT_ROOT, file))] as const
      ),
    ),
  );
}

/** Digest of files by their names and contents, in this order. */
export async function digestOfContents(
  files: readonly (readonly [name: string, contents: string | Uint8Array])[],
): Promise<NamedDigest> {
  const digests = files.map(async ([name, contents]) => [name, await digestOf([contents], 12)]);
  return {
    digest: await digestOf(files.flat(), 32),
    files: Object.fromEntries(await Promise.all(digests)),
  };
}

/** The commit of the project; undefined where it is no git checkout. */
export async function projectRevision(): Promise<Revision | undefined> {
  const git = (...args: string[]) => runGit(args, { cwd: PROJECT_ROOT });
  try {
    const status = await git("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all");
    const edited = status.split("\0").filter((line) => line !== "").map((line) => line.slice(3));
    return { commit: (await git("rev-parse", "HEAD")).trim(), edited };
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
  }
}
