// SPDX-License-Identifier: MIT
import { Buffer } from "node:buffer";
import { dirname, join } from "@std/path";
import { ExpectedError } from "../../host/errors.ts";
import { requireTools } from "../../host/find_tool.ts";
import { ignoreMissing, removeIfThere } from "../../host/ignore_missing.ts";
import { runCommand } from "../../host/run_command.ts";
import { withScratch } from "../../host/temp_directory.ts";
import { writeJson } from "../../host/write_whole.ts";
import { BuildError } from "../build/build_error.ts";
import {
  inStage,
  type OnBuildProgress,
  runStageCommand,
  type StageReport,
  stageReport,
} from "../build/build_stage.ts";
import { editFiles, type OverlayEdit, type OverlayFiles, patchedFiles } from "./kernel_overlay.ts";
import { type IdentifiedSource, listFiles, pathOf } from "./kernel_source.ts";

/** What is to be laid over the pristine source. */
export interface TreeEdits {
  overlay: OverlayFiles;
  /** The hook patch's own path, for messages, and its text. */
  hooks: { path: string; text: string };
  mutations: readonly OverlayEdit[];
}

interface ApplyOptions {
  source: IdentifiedSource;
  /** The directory that stage `fetch` gave. */
  pristine: string;
  edits: TreeEdits;
  /** Name of the working tree below `trees` in the cache. */
  treeName: string;
  cacheDir: string;
  onProgress?: OnBuildProgress | undefined;
}

/** What the tree was last made from; kept beside it. */
interface TreeState {
  contentKey: string;
  /** Files that may differ from the pristine source. */
  edited: string[];
}

/**
 * Stage `apply`: brings the working tree up to date: the pristine source, then the hooks, the overlay and the
 * mutations. The tree is a farm of hard links into the pristine source; a file that differs is replaced,
 * never written through its link. Files whose contents are right already keep their time, so that make does
 * nothing.
 *
 * The caller holds the tree's lock.
 *
 * @returns the tree.
 * @throws {BuildError} of stage `apply`.
 */
export function applyTree(options: ApplyOptions): Promise<string> {
  return inStage("apply", async () => {
    const report = stageReport("apply", options.onProgress);
    report("laying overlay and hooks over the source");
    const wanted = await wantedFiles(options);
    const tree = join(options.cacheDir, "trees", options.treeName);
    const state = await readState(tree) ?? await createLinkTree(options, tree, report);
    if (state.contentKey !== options.source.contentKey) await syncSource(options, tree);
    const edited = [...new Set([...state.edited, ...wanted.keys()])].toSorted();
    // Written before the files are, so that an interrupted run leaves no edit that nobody remembers.
    await writeJson(`${tree}.json`, { contentKey: options.source.contentKey, edited });
    for (const file of edited) await syncFile(file, { tree, pristine: options.pristine, wanted });
    await writeJson(`${tree}.json`, { contentKey: options.source.contentKey, edited: [...wanted.keys()] });
    return tree;
  });
}

async function readState(tree: string): Promise<TreeState | undefined> {
  const text = await Deno.readTextFile(`${tree}.json`).catch(() => undefined);
  return text === undefined ? undefined : JSON.parse(text) as TreeState;
}

/**
 * Contents of every file that is not as in the pristine source, by path: hooks, overlay and mutations.
 *
 * @throws {BuildError} of stage `apply`.
 */
export async function wantedFiles(
  { pristine, edits, cacheDir }: Pick<ApplyOptions, "pristine" | "edits" | "cacheDir">,
): Promise<Map<string, Uint8Array>> {
  const hooked = await hookedFiles({ pristine, hooks: edits.hooks, cacheDir });
  for (const file of edits.overlay.keys()) {
    if (!await isThere(join(pristine, file)) && !hooked.has(file)) continue;
    throw new BuildError({
      stage: "apply",
      problem: `overlay file ${file} exists in the kernel already`,
      hint: `changes of existing files belong in ${edits.hooks.path}`,
    });
  }
  const wanted = new Map([...hooked, ...edits.overlay]);
  const read = async (file: string) =>
    wanted.get(file) ?? await Deno.readFile(join(pristine, file)).catch(() => undefined);
  return new Map([...wanted, ...await editFiles(edits.mutations, read)]);
}

/** Applies the hook patch to copies of the files that it names. */
async function hookedFiles(
  { pristine, hooks, cacheDir }: { pristine: string; hooks: TreeEdits["hooks"]; cacheDir: string },
): Promise<Map<string, Uint8Array>> {
  const files = patchedFiles(hooks.text);
  if (files.length === 0) return new Map();
  await requireTools(["patch"]);
  return await withScratch(join(cacheDir, "tmp"), async (scratch) => {
    const patchFile = join(scratch, ".hooks.patch");
    await Deno.writeTextFile(patchFile, hooks.text);
    for (const file of files) {
      await Deno.mkdir(dirname(join(scratch, file)), { recursive: true });
      await Deno.copyFile(join(pristine, file), join(scratch, file)).catch(ignoreMissing);
    }
    const options = ["--strip=1", "--fuzz=0", "--batch", "--forward", "--no-backup-if-mismatch"];
    await runStageCommand("apply", ["patch", ...options, `--directory=${scratch}`, `--input=${patchFile}`]);
    const results = files.map(async (file) => [file, await Deno.readFile(join(scratch, file))] as const);
    return new Map(await Promise.all(results));
  });
}

/** Makes the tree from nothing: every file a hard link to the pristine one. */
async function createLinkTree(
  { source, pristine }: ApplyOptions,
  tree: string,
  report: StageReport,
): Promise<TreeState> {
  report("making the working tree");
  await removeIfThere(tree);
  const manifest = source.manifest ?? listFiles(pristine);
  await linkTree(pristine, tree);
  await Deno.writeTextFile(`${tree}.manifest`, manifest.join("\n"));
  const state = { contentKey: source.contentKey, edited: [] };
  await writeJson(`${tree}.json`, state);
  return state;
}

/**
 * Removes a working tree and what is kept beside it, all but its lock, which the caller holds. Cut short, it
 * leaves what {@linkcode applyTree} makes anew.
 */
export async function removeTree(tree: string): Promise<void> {
  // First of all what says that the tree is whole.
  for (const path of [`${tree}.json`, `${tree}.manifest`, tree]) await removeIfThere(path);
}

/** A copy of hard links where that can be: nobody may write through one. What git keeps there is left out. */
export async function linkTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(dirname(to), { recursive: true });
  const linked = await runCommand(["cp", "--archive", "--link", from, to]);
  if (linked.code !== 0) {
    // Another file system, or somebody else's files where hard links are protected.
    await removeIfThere(to);
    const copied = await runCommand(["cp", "--archive", "--reflink=auto", from, to]);
    if (copied.code !== 0) throw new ExpectedError(`${from} cannot be copied: ${copied.lines.at(-1)}`);
  }
  await removeIfThere(join(to, ".git"));
}

/**
 * Takes changes of a source directory over into its tree. Changed files get a new time, whatever theirs is.
 */
async function syncSource({ source, pristine }: ApplyOptions, tree: string): Promise<void> {
  const now = source.manifest ?? [];
  const before = new Set((await Deno.readTextFile(`${tree}.manifest`)).split("\n"));
  const present = new Set(now.map(pathOf));
  for (const file of [...before].map(pathOf)) {
    if (!present.has(file)) await removeIfThere(join(tree, file));
  }
  for (const line of now.filter((line) => !before.has(line))) {
    const [from, to] = [join(pristine, pathOf(line)), join(tree, pathOf(line))];
    await Deno.mkdir(dirname(to), { recursive: true });
    if (line.startsWith("l")) {
      await removeIfThere(to);
      await Deno.symlink(await Deno.readLink(from), to);
    } else {
      await replaceFile(to, await Deno.readFile(from), (await Deno.stat(from)).mode ?? 0o644);
    }
  }
  await Deno.writeTextFile(`${tree}.manifest`, now.join("\n"));
}

/** Makes one file of the tree what it must be, touching it only when its contents differ. */
async function syncFile(
  file: string,
  { tree, pristine, wanted }: { tree: string; pristine: string; wanted: ReadonlyMap<string, Uint8Array> },
): Promise<void> {
  const target = join(tree, file);
  const original = join(pristine, file);
  const contents = wanted.get(file) ?? await Deno.readFile(original).catch(() => undefined);
  if (contents === undefined) return await removeIfThere(target);
  const present = await Deno.readFile(target).catch(() => undefined);
  if (present !== undefined && Buffer.compare(present, contents) === 0) return;
  const mode = await Deno.stat(original).then((info) => info.mode ?? 0o644, () => 0o644);
  await Deno.mkdir(dirname(target), { recursive: true });
  await replaceFile(target, contents, mode);
}

/** Writes a new file and renames it over the old one, so that hard links of the old one are not touched. */
async function replaceFile(path: string, contents: Uint8Array, mode: number): Promise<void> {
  await Deno.writeFile(`${path}.new`, contents);
  await Deno.chmod(`${path}.new`, mode & 0o777);
  await Deno.rename(`${path}.new`, path);
}

/** Whether a file is there, or a link that leads nowhere. */
function isThere(path: string): Promise<boolean> {
  return Deno.lstat(path).then(() => true, () => false);
}
