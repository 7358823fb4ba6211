// SPDX-License-Identifier: MIT

import { exists } from "@std/fs";
import { dirname, join } from "@std/path";
import { OWN_OVERLAY } from "../../vm/kernel/build/build_kernel.ts";
import { findPatch } from "../../vm/kernel/source/carried_patch.ts";
import { readOverlay } from "../../vm/kernel/source/kernel_overlay.ts";
import { fetchSource, identifySource } from "../../vm/kernel/source/kernel_source.ts";
import { UsageError } from "../../vm/host/errors.ts";
import { SERIES } from "./bisect_directory.ts";
import type { BisectRequest, BisectSource } from "./bisect_request.ts";
import type { BisectTreeOptions } from "./bisect_tree.ts";
import { type Change, ChangeHistory } from "./change_history.ts";
import { GitRepository } from "./git_repository.ts";
import { listPatches, makeSeriesRepository, patchNamed, readSeriesChanges } from "./series_repository.ts";

/** A bisect whose changes are known. */
export interface PreparedBisect {
  readonly history: ChangeHistory;
  /** Ids. */
  readonly good: string;
  readonly bad: string;
  /** How the kernel after each change is made. */
  readonly tree: Omit<BisectTreeOptions, "cacheDir">;
}

/** Ends that an earlier part of the bisect found, by ids: names of branches move. */
export interface KnownEnds {
  readonly good: string;
  readonly bad: string;
}

/**
 * Finds the changes between the ends.
 *
 * @param directory that of the bisect: it gets the patches as commits
 * @throws {UsageError} naming the option that is not as it must be
 */
export async function prepareBisect(
  { source }: BisectRequest,
  { directory, cacheDir, ends }: { directory: string; cacheDir: string; ends: KnownEnds | undefined },
): Promise<PreparedBisect> {
  if (source.kind === "git") return await prepareGit(source, cacheDir, ends);
  const path = await basePath(source.base, cacheDir);
  const place = join(directory, SERIES);
  const known = ends !== undefined && await exists(join(place, ".git"));
  const repository = new GitRepository(join(place, ".git"), source.directory);
  const changes = known
    ? await readSeriesChanges(repository, await listPatches(source.directory))
    : (await makeSeriesRepository({ patches: source.directory, base: path, directory: place })).changes;
  const bad = ends
    ? changes.find(({ id }) => id === ends.bad)
    : patchNamed(changes, source.bad ?? lastName(changes), "--bad");
  const good = ends
    ? changes.find(({ id }) => id === ends.good)
    : source.good === undefined
    ? await firstWhole({ changes, repository, path })
    : patchNamed(changes, source.good, "--good");
  if (!good || !bad) {
    throw new UsageError(`${source.directory}: the patches are not those that the bisect began with`);
  }
  const [from, to] = [changes.indexOf(good), changes.indexOf(bad)];
  if (from >= to) {
    const hint = source.good === undefined
      ? " (the first patch with all of the checkpoint code): name it with --good"
      : "";
    throw new UsageError(`expected --good before --bad: found ${good.name} and ${bad.name}${hint}`);
  }
  return {
    history: new ChangeHistory(changes.slice(from, to + 1)),
    ...{ good: good.id, bad: bad.id },
    tree: { repository, base: { commit: changes[0]!.id, path } },
  };
}

async function prepareGit(
  source: BisectSource & { kind: "git" },
  cacheDir: string,
  ends: KnownEnds | undefined,
): Promise<PreparedBisect> {
  const repository = await GitRepository.open(source.repository, cacheDir);
  const good = ends?.good ?? await repository.commitOf(source.good, "--good");
  const bad = ends?.bad ?? await repository.commitOf(source.bad, "--bad");
  const changes = await repository.changesBetween(good, bad, source.firstParent);
  return { history: new ChangeHistory(changes), good, bad, tree: { repository } };
}

async function basePath(
  base: (BisectSource & { kind: "patches" })["base"],
  cacheDir: string,
): Promise<string> {
  const source = await identifySource(base, { cacheDir });
  return await fetchSource(source, { cacheDir });
}

/**
 * The first patch after which the kernel has all of the checkpoint code. Where no patch brings it, the
 * harness adds it, and the kernel without any patch will do.
 */
async function firstWhole(
  { changes, repository, path }: { changes: readonly Change[]; repository: GitRepository; path: string },
): Promise<Change> {
  const files = [...(await readOverlay(OWN_OVERLAY)).keys()];
  const { series } = await identifySource({ kind: "directory", path }, { cacheDir: "" });
  const hooks = await Deno.readTextFile(join(dirname(OWN_OVERLAY), "hooks", `${series}.patch`)).catch(() =>
    ""
  );
  for (const change of changes) {
    const { state } = await findPatch(
      { files, hooks },
      async (file) =>
        await repository.run(["show", `${change.id}:${file}`])
          .catch(() => Deno.readTextFile(join(path, file)).catch(() => undefined)),
    );
    if (state === "carried") return change;
  }
  return changes[0]!;
}

function lastName(changes: readonly Change[]): string {
  return changes.at(-1)!.name;
}
