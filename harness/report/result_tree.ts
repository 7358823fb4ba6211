// SPDX-License-Identifier: MIT

import { FLAVOUR_SUFFIX } from "../../vm/kernel/config/kernel_flavour.ts";
import { addCounts, type ByteCounts } from "../../lib/compare/byte_coverage.ts";
import { findingText } from "../../lib/image/finding.ts";
import {
  type JobDigests,
  NIGHTLY_RESULT_FORMAT,
  type NightlyJob,
  type NightlyResult,
  type NightlyRun,
} from "../nightly/nightly_result.ts";
import {
  isBroken,
  RUN_RESULT_FORMAT,
  type RunKernel,
  type RunResult,
  scenarioFindings,
  type ScenarioRecord,
} from "../run/run_result.ts";
import type { Markup } from "./html/markup.ts";
import { basename, dirname, join, normalize } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import { ignoreMissing } from "../../vm/host/ignore_missing.ts";
import { parseVersioned } from "../../vm/host/versioned_json.ts";
import { imagePicture } from "./html/image_picture.ts";

/** Results in the one form that every report is written from: those of a run, or of a nightly one. */
export interface ResultTree extends Omit<NightlyResult, "schema" | "run" | "jobs"> {
  readonly kind: "run" | "nightly";
  readonly run: Omit<NightlyRun, "matrix"> & { readonly matrix?: NightlyRun["matrix"] };
  /** Jobs of a nightly run; of a single run its platforms. */
  readonly jobs: readonly ReportJob[];
  readonly bytes: ByteCounts;
  readonly volatile: RunResult["volatile"];
  /** Of all jobs that ran mutants. */
  readonly mutants: RunResult["mutants"];
}

/** A job, or a platform of a single run. */
export interface ReportJob extends Omit<NightlyJob, "run" | "digests"> {
  /** Of a single run, those of its kernel alone. */
  readonly digests?: Partial<JobDigests> | undefined;
  readonly kernels: readonly RunKernel[];
  /** When it began, where its result tells. */
  readonly started: string | undefined;
  readonly scenarios: readonly ReportScenario[];
}

/** A scenario, and what was kept of it. */
export interface ReportScenario extends ScenarioRecord {
  /** Its name, unique within its job: a guest may boot, and a scenario be spoken of, more than once. */
  readonly title: string;
  readonly kept?: KeptFiles;
}

/** Files of a failure, as far as they could be read. */
export interface KeptFiles {
  /** The directory, relative to that of the tree. */
  readonly directory: string;
  /** The kernel log, or its end when it is long. */
  readonly kernelLog?: string | undefined;
  /** Images that findings are about, taken apart for a page. */
  readonly pictures: readonly Markup[];
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  /** What could not be read or was left out, and why. */
  readonly notes: readonly string[];
}

/** The tree of a single run: a job for each of its platforms. */
export function treeOfRun(result: RunResult): ResultTree {
  const { started, milliseconds, bytes, volatile, mutants, stopped } = result;
  const platforms = [...new Set([...result.kernels, ...result.results].map(({ platform }) => platform))];
  const jobs = platforms.map((platform) => platformJob(result, platform));
  const count = (status: string): number => jobs.filter((job) => job.status === status).length;
  return {
    kind: "run",
    run: {
      ...{ id: started, started, milliseconds, complete: stopped === undefined, spent: {}, stopped },
    },
    ...{ jobs, scenarios: result.counts, bytes, volatile, mutants },
    counts: { passed: count("pass"), failed: count("fail"), missing: 0 },
    ...{ changes: [], trends: {} },
  };
}

function platformJob(result: RunResult, name: string): ReportJob {
  const kernels = result.kernels.filter(({ platform }) => platform === name);
  const scenarios = withTitles(result.results.filter(({ platform }) => platform === name));
  const [, flavour = "plain"] = FLAVOUR_SUFFIX.exec(name) ?? [];
  const platform = name.replace(FLAVOUR_SUFFIX, "");
  const has = (status: string): boolean => scenarios.some((scenario) => scenario.status === status);
  const kind = has("fail") ? "test" : has("lost") ? "guest lost" : has("pass") ? undefined : "nothing ran";
  const { name: kernel = "unknown", key, digests } = kernels[0] ?? {};
  return {
    ...{ name, kernel, platform, flavour, suite: "scenarios", reused: false, files: ".", kernels, scenarios },
    ...{ digest: key, digests, status: kind === undefined ? "pass" : "fail" },
    failure: kind && { kind, logTail: [] },
    reason: kind === "nothing ran" ? "no scenario ran" : undefined,
    seconds: scenarios.reduce((sum, { milliseconds }) => sum + milliseconds, 0) / 1000,
    reproduce: `deno task test:qemu --arch ${name}`,
    started: result.started,
  };
}

/** The tree of a nightly run. */
export function treeOfNightlyRun(result: NightlyResult): ResultTree {
  const bytes: ByteCounts = { total: 0, predicted: 0, observed: 0, volatile: 0, unexplained: 0 };
  const volatile = new Map<string, { bytes: number; reason: string }>();
  for (const { run } of result.jobs) {
    if (!run) continue;
    addCounts(bytes, run.bytes);
    for (const [name, { bytes, reason }] of Object.entries(run.volatile)) {
      volatile.set(name, { bytes: (volatile.get(name)?.bytes ?? 0) + bytes, reason });
    }
  }
  const scored = result.jobs.flatMap(({ run }) => run?.mutants ?? []);
  const sum = (key: "killed" | "survived" | "equivalent") =>
    scored.reduce((total, counts) => total + counts[key], 0);
  const mutants = scored.length === 0
    ? undefined
    : { killed: sum("killed"), survived: sum("survived"), equivalent: sum("equivalent") };
  const jobs = result.jobs.map(({ run, ...job }): ReportJob => ({
    ...job,
    kernels: run?.kernels ?? [],
    started: run?.started,
    scenarios: withTitles(run?.results ?? []),
  }));
  const { schema: _, ...rest } = result;
  return { ...rest, kind: "nightly", jobs, bytes, volatile: Object.fromEntries(volatile), mutants };
}

function withTitles(records: readonly ScenarioRecord[]): ReportScenario[] {
  const seen = new Map<string, number>();
  return records.map((record) => {
    const { scenario, phase } = record;
    const name = phase === undefined || phase === scenario ? scenario : `${scenario} (${phase})`;
    const number = (seen.get(name) ?? 0) + 1;
    seen.set(name, number);
    return { ...record, title: number === 1 ? name : `${name} (${number})` };
  });
}

/** Whether a job failed or did not run as a whole: none of its scenarios says why. */
export function failedAsWhole({ status, scenarios }: ReportJob): boolean {
  return status !== "pass" && !scenarios.some(isBroken);
}

/** In words, how often a failure came again when it was run alone. */
export function reproducedText({ reproduced }: Pick<ScenarioRecord, "reproduced">): string {
  if (!reproduced || reproduced.of === 0) return "not run again";
  const { times, of } = reproduced;
  if (times === 0) return `not reproduced: 0 of ${of} runs alone failed`;
  return times === of ? `reproduced ${times} of ${of}` : `flaky: reproduced ${times} of ${of}`;
}

/** The lines of a failing scenario: its findings, why it ended, and the command. */
export function failureLines(scenario: ReportScenario, maxFindings = 100): string[] {
  const findings = scenarioFindings(scenario);
  const more = findings.length - maxFindings;
  return [
    ...findings.slice(0, maxFindings).map(findingText),
    ...more > 0 ? [`and ${more} more findings`] : [],
    ...scenario.reason?.split("\n") ?? [],
    reproducedText(scenario),
    `reproduce: ${scenario.reproduce}`,
  ];
}

/** What the kernel said: its complaints decoded, else the end of its log. */
export function kernelLines({ splats, kept }: ReportScenario, maxLines = 200): string[] {
  if (splats.length === 0) return kept?.kernelLog?.trimEnd().split(/\r?\n/).slice(-maxLines) ?? [];
  return splats.flatMap(({ title, frames, lines, allowed }) => [
    allowed === undefined ? title : `${title} (allowed: ${allowed})`,
    ...frames.map((frame) => `  ${frame}`),
    ...lines.slice(0, maxLines),
  ]);
}

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
