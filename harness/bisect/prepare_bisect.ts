// SPDX-License-Identifier: MIT

import { exists } from "@std/fs";
import { dirname, join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import { withFileLock } from "../../vm/host/file_lock.ts";
import { isGitUrl, runGit } from "../../vm/host/run_git.ts";
import { OWN_OVERLAY } from "../../vm/kernel/build/build_kernel.ts";
import { digestOf } from "../../vm/host/digest.ts";
import { findPatch } from "../../vm/kernel/source/carried_patch.ts";
import { readOverlay } from "../../vm/kernel/source/kernel_overlay.ts";
import { fetchSource, identifySource } from "../../vm/kernel/source/kernel_source.ts";
import type { BisectSource, BisectState } from "./bisect_state.ts";
import type { TreeSource } from "./bisect_tree.ts";
import { commitPatches, type PatchCommit, patchNamed } from "./patch_series.ts";

/** The ends of a bisect, as far as they are known. */
type Ends = Pick<BisectState, "good" | "bad" | "patches">;

/**
 * Finds the ends of a new bisect, and the sources of any.
 *
 * @param before the ends of one that was interrupted
 * @param places the directory of the bisect, which gets the patches as commits, and the cache
 * @throws {UsageError} naming the option that is not as it must be
 */
export async function prepareBisect(
  source: BisectSource,
  before: Ends | undefined,
  { directory, cacheDir }: { directory: string; cacheDir: string },
): Promise<{ ends: Ends; tree: TreeSource }> {
  if (source.kind === "git") {
    const repository = await openRepository(source.repository, cacheDir);
    const git = async (...args: string[]) => (await runGit(["--git-dir", repository, ...args])).trim();
    const ends = before ?? await findCommits(source, git);
    // A work tree that was added to a repository has its objects elsewhere.
    const objects = await git("rev-parse", "--path-format=absolute", "--git-path", "objects");
    return { ends, tree: { objects } };
  }
  const path = await fetchSource(await identifySource(source.base, { cacheDir }), { cacheDir });
  const series = join(directory, "series");
  const ends = before ?? await findPatches(source, { path, series });
  const [commit] = Object.keys(ends.patches);
  return { ends, tree: { objects: join(series, ".git", "objects"), base: { commit: commit!, path } } };
}

/**
 * The directory of a repository. One behind a URL is fetched into the cache, whole, since all of its commits may be
 * asked for.
 */
async function openRepository(place: string, cacheDir: string): Promise<string> {
  if (!isGitUrl(place)) {
    if (!await exists(place)) throw new UsageError(`option --git: there is no directory ${place}`);
    return (await runGit(["-C", place, "rev-parse", "--absolute-git-dir"])).trim();
  }
  const directory = join(cacheDir, "git", `${(await digestOf([place])).slice(0, 12)}.git`);
  await Deno.mkdir(join(cacheDir, "git"), { recursive: true });
  await withFileLock(`${directory}.lock`, async () => {
    if (!await exists(directory)) await runGit(["init", "--quiet", "--bare", directory]);
    const refs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
    await runGit(["--git-dir", directory, "fetch", "--quiet", "--no-auto-gc", place, ...refs]);
    // Repositories that nobody uses are removed in the end.
    await Deno.utime(directory, new Date(), new Date());
  });
  return directory;
}

async function findCommits(
  source: BisectSource & { kind: "git" },
  git: (...args: string[]) => Promise<string>,
): Promise<Ends> {
  const [good, bad] = await Promise.all((["good", "bad"] as const).map(async (end) => {
    const ref = `${source[end]}^{commit}`;
    return await git("rev-parse", "--verify", "--quiet", "--end-of-options", ref).catch(() => {
      throw new UsageError(
        `option --${end}: expected a commit of ${source.repository}, found "${source[end]}"`,
      );
    });
  })) as [string, string];
  if (good === bad) throw new UsageError(`--good and --bad are the same commit, ${good.slice(0, 12)}`);
  const base = await git("merge-base", good, bad).catch(() => "");
  if (base === good) return { good, bad, patches: {} };
  const parts = base === "" ? "have no history in common" : `part at ${base.slice(0, 12)}`;
  throw new UsageError(
    `--bad ${bad.slice(0, 12)} does not contain --good ${good.slice(0, 12)}: they ${parts}`,
  );
}

async function findPatches(
  source: BisectSource & { kind: "patches" },
  { path, series }: { path: string; series: string },
): Promise<Ends> {
  const patches = await commitPatches({ patches: source.directory, base: path, directory: series });
  const bad = source.bad === undefined ? patches.at(-1)! : patchNamed(patches, source.bad, "--bad");
  const good = source.good === undefined
    ? await firstWhole(patches, { path, series })
    : patchNamed(patches, source.good, "--good");
  if (patches.indexOf(good) >= patches.indexOf(bad)) {
    const hint = source.good === undefined
      ? " (the first patch with all of the checkpoint code): name it with --good"
      : "";
    throw new UsageError(`expected --good before --bad: found ${good.name} and ${bad.name}${hint}`);
  }
  const names = Object.fromEntries(patches.map(({ id, name }) => [id, name]));
  return { good: good.id, bad: bad.id, patches: names };
}

/**
 * The first patch after which the kernel has all of the checkpoint code. Where no patch brings it, the
 * harness adds it, and the kernel without any patch will do.
 */
async function firstWhole(
  patches: readonly PatchCommit[],
  { path, series: cwd }: { path: string; series: string },
): Promise<PatchCommit> {
  const files = [...(await readOverlay(OWN_OVERLAY)).keys()];
  const { series } = await identifySource({ kind: "directory", path }, { cacheDir: "" });
  const hooksPath = join(dirname(OWN_OVERLAY), "hooks", `${series}.patch`);
  const hooks = await Deno.readTextFile(hooksPath).catch(() => "");
  for (const patch of patches) {
    const { state } = await findPatch(
      { files, hooks },
      async (file) =>
        await runGit(["show", `${patch.id}:${file}`], { cwd })
          .catch(() => Deno.readTextFile(join(path, file)).catch(() => undefined)),
    );
    if (state === "carried") return patch;
  }
  return patches[0]!;
}
