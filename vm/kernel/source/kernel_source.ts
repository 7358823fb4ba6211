// SPDX-License-Identifier: MIT
import { exists } from "@std/fs";
import { basename, join } from "@std/path";
import { requireTools } from "../../host/find_tool.ts";
import { removeIfThere } from "../../host/ignore_missing.ts";
import { BuildError } from "../build/build_error.ts";
import {
  inStage,
  type OnBuildProgress,
  runStageCommand,
  type StageReport,
  stageReport,
  tellingEverySecond,
  withStageLock,
} from "../build/build_stage.ts";
import { digestOf } from "../../host/digest.ts";
import { type FetchDebianOptions, fetchDebianSource } from "./fetch_debian_source.ts";

/** Where a kernel's source comes from. */
export type KernelSource =
  /**
   * Debian's package linux-source-SERIES; `directory` is where its tarball lies. By default that is /usr/src,
   * and where it is not there, it is fetched.
   */
  | { kind: "debian"; series: string; directory?: string }
  /**
   * A kernel source tree that nothing was built in. It is never written to. The patch is added to a copy unless
   * the tree carries it; with `asIs` nobody looks, and nothing is added.
   */
  | { kind: "directory"; path: string; asIs?: boolean };

/** A source that was looked at but not yet unpacked. */
export interface IdentifiedSource {
  description: string;
  /** Major and minor version, such as `6.1`. It picks the hooks. */
  series: string;
  /** Names the working tree; stays the same when files of a directory change. */
  treeKey: string;
  /** Changes whenever the contents may have changed. */
  contentKey: string;
  path: string;
  /** One line a file (type, size, time, path), for a directory. */
  manifest?: readonly string[];
  /** Whether nothing may be added to it. */
  asIs?: boolean;
}

/**
 * Finds a source and tells which one it is, without unpacking it. A Debian package that is not installed is
 * fetched.
 *
 * @throws {BuildError} of stage `fetch`.
 */
export function identifySource(source: KernelSource, fetch: FetchDebianOptions): Promise<IdentifiedSource> {
  return inStage(
    "fetch",
    () => source.kind === "debian" ? identifyDebian(source, fetch) : identifyDirectory(source),
  );
}

async function identifyDebian(
  { series, directory }: { series: string; directory?: string },
  fetch: FetchDebianOptions,
): Promise<IdentifiedSource> {
  let path = join(directory ?? "/usr/src", `linux-source-${series}.tar.xz`);
  const info = await Deno.stat(path).catch(async (cause) => {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    if (directory === undefined) return await Deno.stat(path = await fetchDebianSource(series, fetch));
    throw new BuildError({
      stage: "fetch",
      problem: `there is no ${path}`,
      hint: `it comes with the Debian package linux-source-${series}`,
    });
  });
  const key = await digestOf([basename(path), String(info.size), String(info.mtime?.getTime())], 12);
  return { description: basename(path), series, treeKey: `debian-${series}-${key}`, contentKey: key, path };
}

async function identifyDirectory(
  { path, asIs = false }: { path: string; asIs?: boolean },
): Promise<IdentifiedSource> {
  const real = await Deno.realPath(path).catch(() => {
    throw new BuildError({ stage: "fetch", problem: `there is no kernel source directory ${path}` });
  });
  const series = await readSeries(real);
  for (const leftover of [".config", "include/config"]) {
    if (!await exists(join(real, leftover))) continue;
    throw new BuildError({
      stage: "fetch",
      problem: `${real} has ${leftover} in it: a kernel was configured inside the source tree`,
      hint: "run `make mrproper` there (it deletes .config too), or use a separate `git worktree`",
    });
  }
  const manifest = listFiles(real);
  const contentKey = await digestOf(manifest, 12);
  const treeKey = `directory-${series}-${await digestOf([real], 12)}`;
  return { description: real, series, treeKey, contentKey, path: real, manifest, asIs };
}

async function readSeries(tree: string): Promise<string> {
  const makefile = await Deno.readTextFile(join(tree, "Makefile")).catch(() => "");
  const version = /^VERSION = (\d+)$/m.exec(makefile)?.[1];
  const patchLevel = /^PATCHLEVEL = (\d+)$/m.exec(makefile)?.[1];
  if (version !== undefined && patchLevel !== undefined) return `${version}.${patchLevel}`;
  throw new BuildError({
    stage: "fetch",
    problem: `${tree} is no kernel source tree: its Makefile does not begin with VERSION and PATCHLEVEL`,
  });
}

/**
 * All files and symlinks below a directory but those of git, as lines `type size time path`, in the order of
 * their paths. Synchronous: a kernel has 80,000 files, and this way takes a second.
 */
export function listFiles(root: string): string[] {
  const lines: string[] = [];
  const directories = [""];
  for (let below = directories.pop(); below !== undefined; below = directories.pop()) {
    for (const { name, isDirectory, isSymlink } of Deno.readDirSync(join(root, below))) {
      const path = below === "" ? name : `${below}/${name}`;
      if (name === ".git") continue;
      if (isDirectory) {
        directories.push(path);
        continue;
      }
      const { size, mtime } = Deno.lstatSync(`${root}/${path}`);
      lines.push(`${isSymlink ? "l" : "f"} ${size} ${mtime?.getTime()} ${path}`);
    }
  }
  return lines.toSorted((a, b) => pathOf(a) < pathOf(b) ? -1 : 1);
}

/** The path in a line of {@linkcode listFiles}. */
export function pathOf(line: string): string {
  return line.split(" ").slice(3).join(" ");
}

/**
 * Stage `fetch`: makes the pristine source available as a directory, unpacking a tarball once.
 *
 * @returns the directory; nobody may write to it.
 * @throws {BuildError} of stage `fetch`. An interrupted or failed unpacking leaves nothing under the final
 * name.
 */
export async function fetchSource(
  source: IdentifiedSource,
  { cacheDir, onProgress }: { cacheDir: string; onProgress?: OnBuildProgress | undefined },
): Promise<string> {
  if (source.manifest !== undefined) return source.path;
  const target = join(cacheDir, "src", source.treeKey);
  if (await exists(target)) return target;
  const report = stageReport("fetch", onProgress);
  await inStage(
    "fetch",
    () =>
      withStageLock(`${target}.lock`, { doing: "unpacks the same source", report }, async () => {
        if (!await exists(target)) await unpack(source.path, target, report);
      }),
  );
  return target;
}

async function unpack(tarball: string, target: string, report: StageReport): Promise<void> {
  await requireTools(["tar", "xz"]);
  const partial = `${target}.partial`;
  await removeIfThere(partial);
  await Deno.mkdir(partial, { recursive: true });
  const options = ["--extract", "--xz", "--strip-components=1", "--no-same-owner", `--directory=${partial}`];
  try {
    await tellingEverySecond(
      () => report(`unpacking ${basename(tarball)}`),
      () => runStageCommand("fetch", ["tar", ...options, `--file=${tarball}`], { outputDir: partial }),
    );
    await Deno.rename(partial, target);
  } catch (error) {
    await removeIfThere(partial);
    throw error;
  }
}
