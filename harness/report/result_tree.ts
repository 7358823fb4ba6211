// SPDX-License-Identifier: MIT

import { FLAVOUR_SUFFIX } from "../../vm/kernel/config/kernel_flavour.ts";
import { addCounts, type ByteCounts } from "../../lib/compare/byte_coverage.ts";
import { findingText } from "../../lib/image/finding.ts";
import {
  type JobDigests,
  type NightlyJob,
  type NightlyResult,
  type NightlyRun,
} from "../nightly/nightly_result.ts";
import {
  isBroken,
  type RunKernel,
  type RunResult,
  scenarioFindings,
  type ScenarioRecord,
} from "../run/run_result.ts";
import type { Markup } from "./html/markup.ts";

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
  /** All files in the directory. */
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
