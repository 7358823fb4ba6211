// SPDX-License-Identifier: MIT

import { exists } from "@std/fs";
import { join } from "@std/path";
import { withFileLock } from "../../../vm/host/file_lock.ts";
import { runCommand } from "../../../vm/host/run_command.ts";

/** A commit of a git repository as a directory of its own. */
export interface GitTree {
  readonly commit: string;
  readonly path: string;
}

/** The commit could not be found or fetched. */
export class GitTreeError extends Error {
  override readonly name = "GitTreeError";
}

/**
 * Fetches one commit of a repository, which is only read, into a directory below the cache; once per commit.
 *
 * @param repository path or URL
 * @param ref branch, tag or full hash of a commit
 * @throws {GitTreeError} with what git said
 */
export async function fetchGitTree(
  { repository, ref, cacheDir }: { repository: string; ref: string; cacheDir: string },
): Promise<GitTree> {
  const commit = await commitOf(repository, ref);
  const path = join(cacheDir, "git", commit);
  if (!await exists(path)) {
    await withFileLock(`${path}.lock`, async () => {
      if (await exists(path)) return;
      const partial = `${path}.partial`;
      await Deno.remove(partial, { recursive: true }).catch(() => {});
      try {
        await git("init", "--quiet", partial);
        await git("-C", partial, "fetch", "--quiet", "--depth=1", repository, commit);
        await git("-C", partial, "checkout", "--quiet", "--detach", "FETCH_HEAD");
        await Deno.rename(partial, path);
      } catch (error) {
        await Deno.remove(partial, { recursive: true }).catch(() => {});
        throw error;
      }
    });
  }
  // Trees that nobody uses are removed in the end.
  await Deno.utime(path, new Date(), new Date()).catch(() => {});
  return { commit, path };
}

async function commitOf(repository: string, ref: string): Promise<string> {
  if (/^[0-9a-f]{40}$/.test(ref)) return ref;
  const lines = await git("ls-remote", repository, ref, `${ref}^{}`);
  const found = new Map(lines.map((line) => line.split("\t").toReversed() as [string, string]));
  // An annotated tag is an object of its own; its commit is what is behind it.
  const names = [`refs/tags/${ref}^{}`, `refs/tags/${ref}`, `refs/heads/${ref}`, ref];
  const commit = names.map((name) => found.get(name)).find((hash) => hash !== undefined);
  if (commit === undefined) throw new GitTreeError(`${repository} has no branch or tag ${ref}`);
  return commit;
}

async function git(...args: string[]): Promise<string[]> {
  const { code, lines } = await runCommand(["git", "-c", "safe.directory=*", ...args], {
    env: { GIT_TERMINAL_PROMPT: "0" },
  });
  if (code !== 0) throw new GitTreeError(`git ${args[0]}: ${lines.join("; ") || `status ${code}`}`);
  return lines;
}
