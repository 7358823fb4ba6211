// SPDX-License-Identifier: MIT

import { dirname, join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import { ignoreMissing, removeIfThere } from "../../vm/host/ignore_missing.ts";
import { GitError, runGit } from "../../vm/host/run_git.ts";
import { patchedFiles } from "../../vm/kernel/source/kernel_overlay.ts";

/** A patch of a series as a commit. */
export interface PatchCommit {
  readonly id: string;
  /** Name of the file; `0` is the kernel without any patch. */
  readonly name: string;
}

const PATCH = /^(\d{4})-.+\.(patch|diff|mbox)$/;
const COVER = "0000";
const BASE_TITLE = "none of the patches";

/** Names of the patches in a directory, in their order. @throws {UsageError} when there is none */
export async function listPatches(directory: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(directory)) names.push(name);
  } catch (error) {
    throw new UsageError(`option --patches: ${directory} cannot be read: ${(error as Error).message}`);
  }
  const patches = names.filter((name) => PATCH.test(name) && !name.startsWith(COVER)).sort();
  if (patches.length > 0) return patches;
  throw new UsageError(`option --patches: expected files NNNN-*.patch in ${directory}, found none`);
}

/**
 * Makes a repository of just those files that patches touch, and applies one after the other, as `git am`
 * does. The same patches on the same kernel give the same commits.
 *
 * @param directory an empty or missing one, for the repository
 * @param base the kernel's source; it is only read
 * @returns the commits, that of the kernel without any patch first
 * @throws {UsageError} naming the patch that does not apply
 */
export async function commitPatches(
  { patches, base, directory }: { patches: string; base: string; directory: string },
): Promise<PatchCommit[]> {
  const names = await listPatches(patches);
  const texts = await Promise.all(names.map((name) => Deno.readTextFile(join(patches, name))));
  await removeIfThere(directory);
  await Deno.mkdir(directory, { recursive: true });
  const git = (...args: string[]) => runGit(args, { cwd: directory, env: ENVIRONMENT });
  const commit = async (title: string): Promise<void> => {
    await git("add", "--all", "--force");
    await git("commit", "--quiet", "--allow-empty", "--no-verify", `--message=${title}`);
  };
  await git("init", "--quiet", "--initial-branch=series");
  for (const file of new Set(texts.flatMap(touchedFiles))) await copyInto(base, directory, file);
  await commit(BASE_TITLE);
  for (const [index, name] of names.entries()) {
    const path = join(patches, name);
    try {
      if (/^(From|Date|Subject|Message-Id):? /im.test(texts[index]!.slice(0, 2000))) {
        await git("am", "--quiet", "--keep-non-patch", "--committer-date-is-author-date", path);
      } else {
        await git("apply", path);
        await commit(name.replace(/^\d+-|\.\w+$/g, ""));
      }
    } catch (error) {
      if (!(error instanceof GitError)) throw error;
      const before = index === 0 ? base : `${base} with ${index} of the patches`;
      throw new UsageError(`${path} does not apply to ${before}: ${error.message}`);
    }
  }
  const ids = (await git("rev-list", "--reverse", "series")).trim().split("\n");
  return ids.map((id, index) => ({ id, name: index === 0 ? "0" : names[index - 1]! }));
}

/**
 * The patch that a user names: by its number or file name; 0 is none of them.
 *
 * @throws {UsageError} naming the option
 */
export function patchNamed(commits: readonly PatchCommit[], text: string, option: string): PatchCommit {
  const number = /^\d+$/.test(text) ? Number(text) : undefined;
  const wanted = commits.find(({ name }) => name === text || Number(name.slice(0, 4)) === number);
  if (wanted) return wanted;
  const last = commits.at(-1)!.name;
  throw new UsageError(
    `option ${option}: expected 0, or the number or file name of a patch up to ${last}, found "${text}"`,
  );
}

/** Nothing of the user's or the machine's settings counts, and all commits have the same committer. */
const ENVIRONMENT = {
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_AUTHOR_NAME: "ckptest",
  GIT_AUTHOR_EMAIL: "ckptest@localhost",
  GIT_AUTHOR_DATE: "@0 +0000",
  GIT_COMMITTER_NAME: "ckptest",
  GIT_COMMITTER_EMAIL: "ckptest@localhost",
  GIT_COMMITTER_DATE: "@0 +0000",
};

/** Every file that a patch speaks of, also those that it only renames or whose mode it changes. */
function touchedFiles(patch: string): string[] {
  const headers = patch.matchAll(/^diff --git a\/(\S+) b\/(\S+)$/gm);
  return [...patchedFiles(patch), ...[...headers].flatMap(([, before, after]) => [before!, after!])];
}

async function copyInto(base: string, directory: string, file: string): Promise<void> {
  const [from, to] = [join(base, file), join(directory, file)];
  await Deno.mkdir(dirname(to), { recursive: true });
  const isLink = await Deno.lstat(from).then(({ isSymlink }) => isSymlink, () => false);
  if (isLink) await Deno.symlink(await Deno.readLink(from), to);
  else await Deno.copyFile(from, to).catch(ignoreMissing);
}
