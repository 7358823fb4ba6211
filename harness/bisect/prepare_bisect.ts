// SPDX-License-Identifier: MIT

import { ensureDir, exists } from "@std/fs";
import { dirname, join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import { withFileLock } from "../../vm/host/file_lock.ts";
import { isGitUrl, runGit } from "../../vm/host/run_git.ts";
import { OWN_OVERLAY } from "../../vm/kernel/build/build_kernel.ts";
import { digestOf } from "../../vm/host/digest.ts";
import { findPatch } from "../../vm/kernel/source/carried_patch.ts";
import { readOverlay } from "../../vm/kernel/source/kernel_overlay.ts";
import { fetchSource, identifySource } from "../../vm/kernel/source/kernel_source.ts";
import type { BisectState } from "./bisect_state.ts";
import type { BisectRequest, BisectSource } from "./bisect_request.ts";
import type { TreeSource } from "./bisect_tree.ts";
import { commitPatches, type PatchCommit, patchNamed } from "./patch_series.ts";

/** Where the patches of a bisect lie as commits, in its directory. */
const SERIES = "series";

/** A bisect whose ends are known. */
interface PreparedBisect {
  readonly state: BisectState;
  readonly source: TreeSource;
}

/** Where things are. */
interface Places {
  /** The directory of the bisect; it gets the patches as commits. */
  readonly directory: string;
  readonly cacheDir: string;
}

/** Finds the ends of a new bisect. @throws {UsageError} naming the option that is not as it must be */
export async function prepareBisect(request: BisectRequest, places: Places): Promise<PreparedBisect> {
  const { source } = request;
  const prepared = source.kind === "git"
    ? await prepareGit(source, places.cacheDir)
    : await preparePatches(source, places);
  const { good, bad, patches = [], ...tree } = prepared;
  const names = Object.fromEntries(patches.map(({ id, name }) => [id, name]));
  const started = new Date().toISOString();
  return { state: { started, request, good, bad, patches: names, runs: [] }, source: tree };
}

/** Finds the sources of a bisect that was interrupted. */
export async function reopenBisect(
  state: BisectState,
  { directory, cacheDir }: Places,
): Promise<PreparedBisect> {
  const { source } = state.request;
  if (source.kind === "git") {
    return { state, source: { objects: await objectsOf(await openRepository(source.repository, cacheDir)) } };
  }
  const objects = join(directory, SERIES, ".git", "objects");
  if (!await exists(objects)) {
    throw new UsageError(`${directory} has lost the commits of its patches, ${SERIES}`);
  }
  const [commit] = Object.keys(state.patches);
  return {
    state,
    source: { objects, base: { commit: commit!, path: await basePath(source.base, cacheDir) } },
  };
}

type Ends = TreeSource & {
  readonly good: string;
  readonly bad: string;
  readonly patches?: readonly PatchCommit[];
};

async function prepareGit(source: BisectSource & { kind: "git" }, cacheDir: string): Promise<Ends> {
  const directory = await openRepository(source.repository, cacheDir);
  const git = async (...args: string[]): Promise<string> =>
    (await runGit(["--git-dir", directory, ...args]).catch(() => "")).trim();
  const commitOf = async (ref: string, option: string): Promise<string> => {
    const id = await git("rev-parse", "--verify", "--quiet", "--end-of-options", `${ref}^{commit}`);
    if (id !== "") return id;
    throw new UsageError(`option ${option}: expected a commit of ${source.repository}, found "${ref}"`);
  };
  const good = await commitOf(source.good, "--good");
  const bad = await commitOf(source.bad, "--bad");
  if (good === bad) throw new UsageError(`--good and --bad are the same commit, ${good.slice(0, 12)}`);
  const base = await git("merge-base", good, bad);
  if (base === good) return { good, bad, objects: await objectsOf(directory) };
  const parts = base === "" ? "have no history in common" : `part at ${base.slice(0, 12)}`;
  throw new UsageError(
    `--bad ${bad.slice(0, 12)} does not contain --good ${good.slice(0, 12)}: they ${parts}`,
  );
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
  await ensureDir(join(cacheDir, "git"));
  await withFileLock(`${directory}.lock`, async () => {
    if (!await exists(directory)) await runGit(["init", "--quiet", "--bare", directory]);
    const refs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
    await runGit(["--git-dir", directory, "fetch", "--quiet", "--no-auto-gc", place, ...refs]);
    // Repositories that nobody uses are removed in the end.
    await Deno.utime(directory, new Date(), new Date());
  });
  return directory;
}

/** A work tree that was added to a repository has its objects elsewhere. */
async function objectsOf(directory: string): Promise<string> {
  const args = ["--git-dir", directory, "rev-parse", "--path-format=absolute", "--git-path", "objects"];
  return (await runGit(args)).trim();
}

async function preparePatches(
  source: BisectSource & { kind: "patches" },
  { directory, cacheDir }: Places,
): Promise<Ends> {
  const path = await basePath(source.base, cacheDir);
  const place = join(directory, SERIES);
  const patches = await commitPatches({ patches: source.directory, base: path, directory: place });
  const bad = source.bad === undefined ? patches.at(-1)! : patchNamed(patches, source.bad, "--bad");
  const good = source.good === undefined
    ? await firstWhole(patches, { repository: place, path })
    : patchNamed(patches, source.good, "--good");
  if (patches.indexOf(good) >= patches.indexOf(bad)) {
    const hint = source.good === undefined
      ? " (the first patch with all of the checkpoint code): name it with --good"
      : "";
    throw new UsageError(`expected --good before --bad: found ${good.name} and ${bad.name}${hint}`);
  }
  const base = { commit: patches[0]!.id, path };
  return { good: good.id, bad: bad.id, objects: join(place, ".git", "objects"), base, patches };
}

async function basePath(
  base: (BisectSource & { kind: "patches" })["base"],
  cacheDir: string,
): Promise<string> {
  return await fetchSource(await identifySource(base, { cacheDir }), { cacheDir });
}

/**
 * The first patch after which the kernel has all of the checkpoint code. Where no patch brings it, the
 * harness adds it, and the kernel without any patch will do.
 */
async function firstWhole(
  patches: readonly PatchCommit[],
  { repository, path }: { repository: string; path: string },
): Promise<PatchCommit> {
  const files = [...(await readOverlay(OWN_OVERLAY)).keys()];
  const { series } = await identifySource({ kind: "directory", path }, { cacheDir: "" });
  const hooksPath = join(dirname(OWN_OVERLAY), "hooks", `${series}.patch`);
  const hooks = await Deno.readTextFile(hooksPath).catch(() => "");
  for (const patch of patches) {
    const { state } = await findPatch(
      { files, hooks },
      async (file) =>
        await runGit(["show", `${patch.id}:${file}`], { cwd: repository })
          .catch(() => Deno.readTextFile(join(path, file)).catch(() => undefined)),
    );
    if (state === "carried") return patch;
  }
  return patches[0]!;
}
