// SPDX-License-Identifier: MIT

import { DISK_FULL_HINT } from "../../vm/kernel/build/build_error.ts";
import { EXIT_STATUS, type ExitStatus } from "../../vm/host/errors.ts";
import type { ChangeKind, NightlyJob, NightlyPlan, NightlyResult } from "./nightly_result.ts";
import type { Terminal } from "../report/terminal.ts";
import { jobBreakdown } from "./build_nightly_result.ts";
import { changedText, groupChanges } from "./history/compare_history.ts";
import { formatDuration, someNames } from "../run/quantity.ts";

const WORDS = { pass: "ok  ", fail: "FAIL", missing: "miss" } as const;
const STYLES = { pass: "pass", fail: "fail", missing: "skip" } as const;
const CHANGE_STYLES: Readonly<Partial<Record<ChangeKind, "fail" | "pass">>> = {
  ...{ "fixed": "pass", "new failure": "fail", "still failing": "fail", "conflict": "fail" },
};
const CHANGES_SHOWN = 30;
const NAMES_SHOWN = 4;
const JOBS_SHOWN = 8;

/** The line of a job, and what went wrong below it. */
export function jobLine(job: NightlyJob, terminal: Pick<Terminal, "style">): string {
  const { counts } = job.run ?? {};
  const ran = counts ? `${counts.passed + counts.failed + counts.lost} scenarios` : "";
  const time = job.status === "missing" ? "" : formatDuration(job.seconds);
  const columns = [job.name.padEnd(42), ran.padStart(14), time.padStart(8)];
  const line = `${terminal.style(WORDS[job.status], STYLES[job.status])}  ${columns.join("  ")}`.trimEnd();
  if (job.status === "pass") return line;
  const kind = job.failure && job.failure.kind !== "test" ? `${job.failure.kind}: ` : "";
  const below = [`${kind}${job.reason ?? ""}`, ...job.failure?.log ? [`log: ${job.failure.log}`] : []];
  return [line, ...below.map((text) => `      ${text}`)].join("\n");
}

/** Prints the jobs of a plan: the name, what it took before, and the digest or what is wrong with it. */
export function printPlan(
  { jobs, selected }: NightlyPlan,
  durations: ReadonlyMap<string, number>,
  terminal: Pick<Terminal, "result">,
): void {
  for (const { name, digest, problem } of jobs) {
    if (!selected.includes(name)) continue;
    const seconds = durations.get(name);
    const time = seconds === undefined ? "unknown" : formatDuration(seconds);
    const what = problem === undefined ? digest ?? "" : `cannot be planned: ${problem.split("\n")[0]}`;
    terminal.result([name.padEnd(42), time.padStart(8), what].join("  "));
  }
}

/** Prints how a nightly run ended; the last line is `N passed, N failed` and, when jobs did not run, `, N missing`. */
export function printNightly(
  result: NightlyResult,
  { directory, terminal, resume, page }: {
    directory: string;
    terminal: Terminal;
    resume?: string;
    page?: string | undefined;
  },
): void {
  const { run, counts, jobs, scenarios } = result;
  const print = (line: string): void => terminal.result(line);
  const missing = jobs.filter(({ status }) => status === "missing");
  const absent = new Set(missing.map(({ name }) => name));
  const changes = result.changes.filter(({ scenario, job }) => scenario !== undefined || !absent.has(job));
  print("");
  const groups = groupChanges(changes);
  for (const { change, scenarios } of groups.slice(0, CHANGES_SHOWN)) {
    const what = [change.job, someNames(scenarios, NAMES_SHOWN)].join(" ").trimEnd();
    print(`${terminal.style(change.kind, CHANGE_STYLES[change.kind] ?? "skip")}: ${what}: ${change.text}`);
    for (const entry of change.changed) if (entry.files) print(`      ${changedText(entry)}`);
    if (change.kind !== "fixed" && change.kind !== "missing") print(`      ${change.reproduce}`);
  }
  if (groups.length > CHANGES_SHOWN) print(`... and ${groups.length - CHANGES_SHOWN} more changes`);
  for (const { name, reason } of missing) print(`missing: ${name}: ${reason}`);
  if (run.stopped !== undefined) {
    print(`stopped: ${run.stopped}`);
    if (resume !== undefined) print(`go on with: ${resume}`);
  }
  const reused = jobs.filter((job) => job.reused).length;
  timeLines(result).forEach(print);
  if (reused > 0) print(`${reused} jobs kept of an earlier part of the run`);
  const { passed, failed, lost, skipped } = scenarios;
  print(`scenarios: ${passed} passed, ${failed + lost} failed, ${skipped} skipped`);
  print(`results: ${directory}`);
  if (page !== undefined) print(`report: ${page}`);
  print(
    `${counts.passed} passed, ${counts.failed} failed${
      counts.missing > 0 ? `, ${counts.missing} missing` : ""
    }`,
  );
}

/** How long the run took, what that was spent on, and by which jobs. */
function timeLines({ run, jobs }: NightlyResult): string[] {
  const textOf = (spent: Readonly<Record<string, number>>): string =>
    Object.entries(spent).filter(([, seconds]) => seconds >= 0.05).toSorted(([, a], [, b]) => b - a)
      .map(([name, seconds]) => `${name} ${formatDuration(seconds)}`).join(", ");
  const sum = formatDuration(Object.values(run.spent).reduce((total, seconds) => total + seconds, 0));
  const { slots = 1, kernels } = run;
  const of = run.merged
    ? `, ${run.merged.length} parts, together ${sum}`
    : slots > 1
    ? `, ${slots} processes side by side, together ${sum}`
    : "";
  const done = jobs.filter(({ reused, seconds }) => !reused && seconds > 0)
    .toSorted((a, b) => b.seconds - a.seconds);
  const longest = done.slice(0, JOBS_SHOWN).map((job) => {
    const inside = jobBreakdown(job);
    const parts = Object.keys(inside).length > 1 ? ` (${textOf(inside)})` : "";
    return `  ${job.name} ${formatDuration(job.seconds)}${parts}`;
  });
  const spent = textOf(run.spent);
  return [
    `time: ${formatDuration(run.milliseconds / 1000)}${of}${spent ? `: ${spent}` : ""}`,
    ...longest,
    ...done.length > longest.length ? [`  and ${done.length - longest.length} shorter jobs`] : [],
    ...kernels
      ? [
        `kernels: ${kernels.built} built, ${kernels.cached} from the cache${
          kernels.failed > 0 ? `, ${kernels.failed} not built` : ""
        }`,
      ]
      : [],
  ];
}

/** The exit status of a nightly run: what is missing is no pass. */
export function exitStatusOfNightly({ run, jobs, counts }: NightlyResult): ExitStatus {
  if (run.stopped === DISK_FULL_HINT) return EXIT_STATUS.usage;
  const kinds = new Set(jobs.map(({ failure }) => failure?.kind).filter((kind) => kind !== undefined));
  if (counts.failed > 0) {
    if (kinds.size > 1) return EXIT_STATUS.testFailed;
    if (kinds.has("build")) return EXIT_STATUS.buildFailed;
    return kinds.has("guest lost") ? EXIT_STATUS.guestLost : EXIT_STATUS.testFailed;
  }
  if (counts.passed === 0) return EXIT_STATUS.nothingRan;
  return counts.missing > 0 ? EXIT_STATUS.testFailed : EXIT_STATUS.pass;
}
