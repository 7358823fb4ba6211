// SPDX-License-Identifier: MIT

import { basename, dirname, join, normalize } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import { ignoreMissing } from "../../vm/host/ignore_missing.ts";
import { parseVersioned } from "../../vm/host/versioned_json.ts";
import { NIGHTLY_RESULT_FORMAT } from "../nightly/nightly_result.ts";
import { isBroken, RUN_RESULT_FORMAT } from "../run/run_result.ts";
import { imagePicture } from "./html/image_picture.ts";
import {
  type KeptFiles,
  type ReportJob,
  type ReportScenario,
  type ResultTree,
  treeOfNightlyRun,
  treeOfRun,
} from "./result_tree.ts";

/** Kernel logs are read from this many bytes before their end: what counts is there. */
const MAX_LOG_BYTES = 1 << 20;
/** Larger images are not taken apart. */
const MAX_IMAGE_BYTES = 256 << 20;
/** Images of a failure that are shown. */
const MAX_PICTURES = 4;
/** Failures whose files are read. */
const MAX_FAILURES = 200;

/**
 * Reads the results of a run (`results.json`) or of a nightly one (`nightly.json`), and the files that were kept of
 * failures.
 *
 * @param path the directory, or one of the two files
 * @throws {UsageError} when there is neither, or it is not as it must be
 */
export async function readResultTree(path: string): Promise<ResultTree> {
  const isFile = /(^|\/)(nightly|results)\.json$/.test(path);
  const directory = isFile ? dirname(path) : path;
  const names = isFile ? [basename(path)] : ["nightly.json", "results.json"];
  for (const name of names) {
    const file = join(directory, name);
    const text = await Deno.readTextFile(file).catch(ignoreMissing);
    if (text === undefined) continue;
    const tree = name === "nightly.json"
      ? treeOfNightlyRun(parseVersioned(text, file, NIGHTLY_RESULT_FORMAT))
      : treeOfRun(parseVersioned(text, file, RUN_RESULT_FORMAT));
    return await withKeptFiles(tree, directory);
  }
  const info = await Deno.stat(path).catch(ignoreMissing);
  if (!info) throw new UsageError(`${path}: no such file or directory`);
  throw new UsageError(
    info.isDirectory
      ? `${path}: expected a directory of results, found neither nightly.json nor results.json`
      : `${path}: expected a directory, or a file nightly.json or results.json`,
  );
}

async function withKeptFiles(tree: ResultTree, root: string): Promise<ResultTree> {
  let failures = 0;
  const jobs = await Promise.all(tree.jobs.map(async (job) => {
    const scenarios = await Promise.all(job.scenarios.map(async (scenario) => {
      const reads = isBroken(scenario) && scenario.files !== undefined && failures++ < MAX_FAILURES;
      return reads ? { ...scenario, kept: await readKeptFiles(root, job, scenario) } : scenario;
    }));
    return { ...job, scenarios };
  }));
  return { ...tree, jobs };
}

async function readKeptFiles(root: string, job: ReportJob, scenario: ReportScenario): Promise<KeptFiles> {
  const directory = join(job.files ?? ".", scenario.files ?? ".");
  const notes: string[] = [];
  // A tree may come from elsewhere: it names files of its own, and no others.
  if (directory.startsWith("/") || normalize(directory).split("/").includes("..")) {
    return {
      directory,
      pictures: [],
      files: [],
      notes: [`${directory} lies outside the results and was not read`],
    };
  }
  const pictures: KeptFiles["pictures"][number][] = [];
  for (const { label, findings } of scenario.stops.filter(({ findings }) => findings.length > 0)) {
    if (!/^[\w.-]+$/.test(label) || pictures.length === MAX_PICTURES) continue;
    const bytes = await readPart(join(root, directory, `${label}.ckpt`), notes, { atMost: MAX_IMAGE_BYTES });
    if (bytes) pictures.push(imagePicture(label, bytes, findings));
  }
  const log = await readPart(join(root, directory, "kernel.log"), notes, { fromEnd: MAX_LOG_BYTES });
  const kernelLog = log && log.length > 0 ? new TextDecoder().decode(log) : undefined;
  const files = await filesIn(join(root, directory));
  return { directory, pictures, files, notes, kernelLog };
}

async function filesIn(directory: string): Promise<KeptFiles["files"]> {
  const entries = await Array.fromAsync(Deno.readDir(directory)).catch(ignoreMissing) ?? [];
  const files = entries.filter(({ isFile }) => isFile).toSorted((a, b) => a.name < b.name ? -1 : 1);
  return await Promise.all(
    files.map(async ({ name }) => ({ name, bytes: (await Deno.lstat(join(directory, name))).size })),
  );
}

/** A file, or its last bytes; nothing when there is none, and a note when it cannot be had. */
async function readPart(
  path: string,
  notes: string[],
  { atMost, fromEnd }: { atMost?: number; fromEnd?: number },
): Promise<Uint8Array | undefined> {
  const name = path.split("/").at(-1);
  try {
    using file = await Deno.open(path);
    const { size } = await file.stat();
    if (atMost !== undefined && size > atMost) {
      notes.push(`${name} has ${size} bytes: images of more than ${atMost} are not taken apart`);
      return undefined;
    }
    if (fromEnd !== undefined && size > fromEnd) await file.seek(-fromEnd, Deno.SeekMode.End);
    return new Uint8Array(await new Response(file.readable).arrayBuffer());
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      notes.push(`${name} was not read: ${(error as Error).message}`);
    }
    return undefined;
  }
}
