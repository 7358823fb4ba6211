// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import { ignoreMissing, removeIfThere } from "../../vm/host/ignore_missing.ts";
import { runCommand } from "../../vm/host/run_command.ts";
import { GitError, runGit } from "../../vm/host/run_git.ts";
import { patchedFiles } from "../../vm/kernel/source/kernel_overlay.ts";

/** A patch of a series as a commit. */
export interface PatchCommit {
  readonly id: string;
  /** Name of the file; `0` is the kernel without any patch. */
  readonly name: string;
}

/** The cover letter, 0000, is none. */
const PATCH = /^(?!0000)\d{4}-.+\.(patch|diff|mbox)$/;

/**
 * Makes a repository of just those files that patches touch, and applies one after the other, as `git am`
 * does. The same patches on the same kernel give the same commits.
 *
 * @param directory an empty or missing one, for the repository
 * @param base the kernel's source; it is only read
 * @returns the commits, that of the kernel without any patch first
 * @throws {UsageError} when there are no patches, or naming the one that does not apply
 */
export async function commitPatches(
  { patches, base, directory }: { patches: string; base: string; directory: string },
): Promise<PatchCommit[]> {
  const entries = await Array.fromAsync(Deno.readDir(patches)).catch((error: Error) => {
    throw new UsageError(`option --patches: ${patches} cannot be read: ${error.message}`);
  });
  const names = entries.map(({ name }) => name).filter((name) => PATCH.test(name)).sort();
  if (names.length === 0) {
    throw new UsageError(`option --patches: expected files NNNN-*.patch in ${patches}, found none`);
  }
  const texts = await Promise.all(names.map((name) => Deno.readTextFile(join(patches, name))));
  await removeIfThere(directory);
  await Deno.mkdir(directory, { recursive: true });
  const git = (...args: string[]) => runGit(args, { cwd: directory, env: ENVIRONMENT });
  const commit = async (title: string): Promise<void> => {
    await git("add", "--all", "--force");
    await git("commit", "--quiet", "--allow-empty", "--no-verify", `--message=${title}`);
  };
  await git("init", "--quiet", "--initial-branch=series");
  const touched = [...new Set(texts.flatMap(touchedFiles))];
  const there = await Promise.all(touched.map((file) => Deno.lstat(join(base, file)).catch(ignoreMissing)));
  const files = touched.filter((_, index) => there[index]);
  const copied = await runCommand(["cp", "--archive", "--parents", "--", ...files, directory], { cwd: base });
  if (files.length > 0 && copied.code !== 0) throw new UsageError(`${base}: ${copied.lines.at(-1)}`);
  await commit("none of the patches");
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
  ...identity("AUTHOR"),
  ...identity("COMMITTER"),
};

function identity(role: string): Record<string, string> {
  const name = `GIT_${role}`;
  return {
    [`${name}_NAME`]: "ckptest",
    [`${name}_EMAIL`]: "ckptest@localhost",
    [`${name}_DATE`]: "@0 +0000",
  };
}

/** Every file that a patch speaks of, also those that it only renames or whose mode it changes. */
function touchedFiles(patch: string): string[] {
  const headers = patch.matchAll(/^diff --git a\/(\S+) b\/(\S+)$/gm);
  return [...patchedFiles(patch), ...[...headers].flatMap(([, before, after]) => [before!, after!])];
}
