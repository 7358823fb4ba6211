// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import type { SeenPages } from "../check/look_from_host.ts";
import { addCounts, type ByteCounts, type Source, SOURCES } from "../../lib/compare/byte_coverage.ts";
import type { Scenario } from "../../lib/model/scenario.ts";
import { cacheDirectory } from "../../vm/host/own_directories.ts";
import { EXIT_STATUS, type ExitStatus, throwIfInterrupted, UsageError } from "../../vm/host/errors.ts";
import { makeDirectory } from "../../vm/host/temp_directory.ts";
import { ownCommand } from "../../vm/host/own_command.ts";
import { readVersioned } from "../../vm/host/versioned_json.ts";
import { writeJson, writeWhole } from "../../vm/host/write_whole.ts";
import type { KernelBuild } from "../../vm/kernel/build/build_kernel.ts";
import { formatCount, formatSeconds, medianOf, seenLines } from "./quantity.ts";
import type { Terminal } from "../report/terminal.ts";
import { distinctSplats, failureLines, notRestartedLines, resultLine, wasRun } from "./result_text.ts";
import type { StopOutcome } from "./case/observe_checkpoint.ts";
import {
  failingSplats,
  RUN_RESULT_FORMAT,
  RUN_RESULT_SCHEMA,
  type RunKernel,
  type RunResult,
  scenarioFindings,
  type ScenarioRecord,
} from "./run_result.ts";
import type { ScenarioResult } from "./scenario_result.ts";

/** What the report says of the kernel that scenarios run on. */
interface ReportedPlatform {
  readonly name: string;
  readonly kernelName: string;
  readonly acceleratorReason: string;
  /** What was built; undefined for a kernel that was given as a file. */
  readonly build?: Pick<KernelBuild, "key" | "digests"> | undefined;
  /** Options that name the kernel, for the commands that show a failure again. */
  readonly kernelOptions?: readonly string[];
}

interface HeadingOptions {
  /** What is not as usual with it. */
  readonly how?: string;
  /** Prints it when the results of other kernels are printed; at once by default. */
  readonly inTurn?: (work: () => void) => void;
}

interface RunReportOptions {
  /** Where the results go; a new directory below the cache by default. */
  readonly directory: string | undefined;
  readonly terminal: Terminal;
  /** What runs this again, behind `deno task`. */
  readonly task: readonly [string, ...string[]];
  /** The options of the run, for the command that goes on with it; undefined where nothing can. */
  readonly args?: readonly string[];
  /** The files of scenarios that are no part of the catalogue, by the scenarios' names. */
  readonly scenarioFiles?: ReadonlyMap<string, string>;
  /** Whether the directory holds a run that was interrupted, and this one is to go on with it. */
  readonly resume?: boolean;
  /** Told of what came of the run, also where it ended early. */
  readonly remember?: (result: RunResult) => Promise<void>;
  /** Writes the page into the directory of the results; gives its path, or undefined where that failed. */
  readonly writePage?: (directory: string) => Promise<string | undefined>;
}

/** The exit status that tells how many scenarios ended how. */
export function exitStatusOf(counts: RunResult["counts"]): ExitStatus {
  if (counts.failed > 0) return EXIT_STATUS.testFailed;
  if (counts.lost > 0) return EXIT_STATUS.guestLost;
  return counts.passed > 0 ? EXIT_STATUS.pass : EXIT_STATUS.nothingRan;
}

/** Prints a line per scenario, keeps what failed in files, and ends with the counts and the byte coverage. */
export class RunReport {
  readonly directory: string;
  readonly #options: RunReportOptions;
  readonly #terminal: Terminal;
  readonly #before: RunResult | undefined;
  readonly #records: ScenarioRecord[] = [];
  readonly #kernels = new Map<string, { kernel: RunKernel; options: readonly string[] }>();
  readonly #begin = Date.now();
  #seen: SeenPages = { host: 0, guest: 0 };
  readonly #bytes: ByteCounts = { total: 0, predicted: 0, observed: 0, volatile: 0, unexplained: 0 };
  readonly #volatile = new Map<string, { bytes: number; reason: string }>();
  readonly #sources = new Map<Source, number>();
  readonly #knownErrors = new Map<string, { count: number; message: string }>();
  readonly #writes: Promise<void>[] = [];
  readonly #bootTimes: number[] = [];
  readonly #notes: string[] = [];
  readonly #faults = new Set<string>();
  /** Why stopped targets were not restarted, and the scenarios of those. */
  readonly #notRestarted = new Map<string, string[]>();
  #notRun = 0;

  /** Use {@linkcode RunReport.open}, which makes the directory. */
  constructor(directory: string, options: RunReportOptions, before: RunResult | undefined) {
    this.directory = directory;
    this.#options = options;
    this.#terminal = options.terminal;
    this.#before = before;
    if (!before) return;
    // What was lost is run again.
    this.#records.push(...before.results.filter(({ status }) => status !== "lost"));
    addCounts(this.#bytes, before.bytes);
    for (const [name, sum] of Object.entries(before.volatile)) this.#volatile.set(name, { ...sum });
    for (const [id, sum] of Object.entries(before.knownErrors ?? {})) this.#knownErrors.set(id, { ...sum });
  }

  /**
   * Makes the directory for the results, or reads what an interrupted run has left there.
   *
   * @throws {UsageError} when that cannot be
   */
  static async open(options: RunReportOptions): Promise<RunReport> {
    const { directory, resume = false } = options;
    if (resume && directory === undefined) throw new UsageError("option --resume goes with --out DIR");
    const stamp = new Date().toISOString().replaceAll(":", "").slice(0, 17);
    const path = directory ?? join(cacheDirectory(), "runs", `${stamp}-${Deno.pid}`);
    const before = resume ? await readVersioned(join(path, "results.json"), RUN_RESULT_FORMAT) : undefined;
    if (resume && !before) {
      throw new UsageError(`there is no run to resume in ${path}: it has no results.json`);
    }
    await makeDirectory(path, "the results");
    return new RunReport(path, options, before);
  }

  /** Says which kernel comes next. */
  beginPlatform(
    reported: ReportedPlatform,
    { how = "", inTurn = (work) => work() }: HeadingOptions = {},
  ): void {
    const { name, kernelName, acceleratorReason, build, kernelOptions = [] } = reported;
    const before = this.#before?.kernels.find(({ platform }) => platform === name);
    if (before && (before.key !== build?.key || before.name !== kernelName)) {
      throw new UsageError(
        `option --resume: ${this.directory} has results of another kernel for ${name} ` +
          `(expected ${kernelName} as it is now, found ${before.name}): run it anew`,
      );
    }
    const { key, digests } = build ?? {};
    this.#kernels.set(name, {
      kernel: { platform: name, name: kernelName, key, digests, accelerator: acceleratorReason },
      options: kernelOptions,
    });
    const what = how === "" ? kernelName : `${kernelName}, ${how}`;
    if (this.#terminal.isQuiet) return;
    inTurn(() => this.#terminal.result(`# ${name}: ${what}, ${acceleratorReason}`));
  }

  /** The scenarios that have no result yet of the run that this one goes on with. */
  rest(platform: string, scenarios: readonly Scenario[]): readonly Scenario[] {
    if (!this.#before) return scenarios;
    const done = this.#records.filter((record) => record.platform === platform && record.phase === undefined);
    const names = new Set(done.map(({ scenario }) => scenario));
    if (names.size > 0) this.#terminal.result(`${platform}: ${names.size} scenarios are finished`);
    return scenarios.filter(({ name }) => !names.has(name));
  }

  guest({ bootMilliseconds }: { bootMilliseconds: number }): void {
    this.#bootTimes.push(bootMilliseconds);
  }

  starting(platform: string, scenario: Scenario, index: number, total: number): void {
    this.#terminal.status(
      `${platform}: ${index + 1}/${total} ${scenario.name}`,
      `${platform}: running ${total}`,
    );
  }

  note(line: string): void {
    this.#notes.push(line);
  }

  /** Prints a scenario's line, and what went wrong below it. */
  result(platform: string, result: ScenarioResult): void {
    const isFailure = wasRun(result) && result.status !== "pass";
    const files = isFailure ? this.#keep(platform, result) : undefined;
    const directory = files && join(this.directory, files);
    const reproduce = this.#reproduce(platform, result);
    const record = { platform, ...scenarioRecord(result), reproduce, files };
    this.#records.push(record);
    if (result.fault) this.#faults.add(result.scenario);
    // One boot that failed is the whole story.
    if (result.status === "lost" && !wasRun(result)) return void this.#notRun++;
    // Nothing but allowed splats at boot or between scenarios: named at the end.
    if (!isCounted(record)) return;
    const stops = result.outcome?.stops ?? [];
    stops.forEach((stop) => this.#count(stop));
    for (const { notRestarted: reason } of stops) {
      if (reason !== undefined) {
        this.#notRestarted.set(reason, [...this.#notRestarted.get(reason) ?? [], result.scenario]);
      }
    }
    const print = (line: string): void => this.#terminal.result(line);
    if (this.#terminal.isQuiet && directory === undefined) return;
    print(resultLine(platform, result, this.#terminal));
    for (const { label, notes = [] } of stops) for (const note of notes) print(`      ${label}: ${note}`);
    if (directory === undefined) return;
    for (const line of failureLines(record)) print(`      ${line}`);
    print(`      reproduce: ${reproduce}`);
    const hasSplat = failingSplats(result).length > 0;
    if (result.recording) print(`      recorded:  ckptest replay ${result.recording}`);
    print(`      kept in:   ${directory}${hasSplat ? " (kernel.log is the whole log)" : ""}`);
  }

  /** @returns the directory of a failure's files, from that of the results */
  #keep(platform: string, result: ScenarioResult): string {
    const { scenario, phase } = result;
    const name = phase === "afterwards" ? `${scenario}.afterwards` : scenario;
    const isTaken = (path: string): boolean => this.#records.some(({ files }) => files === path);
    let path = join(platform, name);
    // A guest may fail to boot more than once.
    for (let n = 2; isTaken(path); n++) path = join(platform, `${name}.${n}`);
    this.#write(writeFailure(join(this.directory, path), result));
    return path;
  }

  /** What fails is thrown by {@linkcode RunReport.close}. */
  #write(written: Promise<void>): void {
    written.catch(() => {});
    this.#writes.push(written);
  }

  #count({ counts, volatile, seen, sources = new Map(), knownErrors = new Map() }: StopOutcome): void {
    addCounts(this.#bytes, counts);
    if (seen) this.#seen = { host: this.#seen.host + seen.host, guest: this.#seen.guest + seen.guest };
    for (const [name, { bytes, reason }] of volatile) {
      this.#volatile.set(name, { bytes: bytes + (this.#volatile.get(name)?.bytes ?? 0), reason });
    }
    for (const [source, bytes] of sources) {
      this.#sources.set(source, bytes + (this.#sources.get(source) ?? 0));
    }
    for (const [id, { count, message }] of knownErrors) {
      this.#knownErrors.set(id, { count: count + (this.#knownErrors.get(id)?.count ?? 0), message });
    }
  }

  /**
   * Does the work of the run and closes the report, also when the work ends early: what has a result is kept.
   *
   * @param work gives why it ended before its time, if it did
   * @throws what ended the work
   */
  async during(signal: AbortSignal, work: () => Promise<string | void>): Promise<RunResult> {
    let stopped: string | void;
    try {
      stopped = await work();
      throwIfInterrupted(signal);
    } catch (error) {
      if (signal.aborted) await this.close(String(signal.reason));
      else if (this.#records.length > 0) await this.close("by an error");
      throw error;
    }
    return await this.close(stopped ?? undefined);
  }

  /**
   * Prints the counts and the byte coverage; the last line is `N passed, N failed`.
   *
   * @param stopped why the run ends before its time
   */
  async close(stopped?: string): Promise<RunResult> {
    this.#terminal.clearStatus();
    const result = this.#summary(stopped);
    this.#write(writeJson(join(this.directory, "results.json"), result));
    await Promise.allSettled(this.#writes);
    await this.#options.remember?.(result);
    this.#printSummary(result, await this.#options.writePage?.(this.directory));
    await Promise.all(this.#writes);
    return result;
  }

  #printSummary({ counts, bytes, volatile, results, stopped }: RunResult, page: string | undefined): void {
    const print = (line: string): void => this.#terminal.result(line);
    const images = results.filter(isCounted).reduce((sum, { stops }) => sum + stops.length, 0);
    print("");
    print(`${images} images, ${formatCount(bytes.total)} bytes:`);
    for (const kind of ["predicted", "observed", "volatile"] as const) {
      print(`  ${kind.padEnd(11)} ${formatCount(bytes[kind])}`);
    }
    for (const [name, { bytes, reason }] of Object.entries(volatile)) {
      print(`    ${name}: ${formatCount(bytes)} (${reason})`);
    }
    print(`  unexplained ${formatCount(bytes.unexplained)}`);
    if (this.#knownErrors.size > 0) {
      print("explained by:");
      for (const [source, count] of [...this.#sources].sort(([, a], [, b]) => b - a)) {
        print(`  ${formatCount(count)} ${SOURCES[source].text}`);
      }
      print("known errors of the code as posted, which fail nothing:");
      for (const [id, { count, message }] of this.#knownErrors) {
        print(`  ${id} ${formatCount(count)} times: ${message}`);
      }
    }
    for (const line of seenLines(this.#seen)) print(line);
    const median = medianOf(this.#bootTimes);
    if (median !== undefined) {
      print(`${this.#bootTimes.length} guests started, from QEMU to hello ${formatSeconds(median)} (median)`);
    }
    for (const line of notRestartedLines(this.#notRestarted)) print(line);
    this.#notes.forEach(print);
    print(`results: ${this.directory}`);
    if (page !== undefined) print(`report: ${page}`);
    for (const line of distinctSplats(this.#records)) print(line);
    if (counts.lost > 0) {
      const rest = this.#notRun > 0 ? `, ${this.#notRun} scenarios not run` : "";
      print(`${counts.lost - this.#notRun} guests lost${rest} (counted as failed)`);
    }
    if (this.#faults.size > 0) {
      const what = this.#faults.size === 1 ? "1 scenario" : `${this.#faults.size} scenarios`;
      print(`${what} failed by an error of ckptest itself: please report, with the files that were kept`);
    }
    if (stopped !== undefined) {
      print(`stopped: ${stopped}`);
      const { args, task } = this.#options;
      const again = args && ownCommand([...task, ...args, "--resume", "--out", this.directory]);
      if (again !== undefined) print(`go on with: ${again}`);
    } else if (results.length === 0) print("no scenario matched: nothing ran");
    const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : "";
    print(`${counts.passed} passed, ${counts.failed + counts.lost} failed${skipped}`);
  }

  #reproduce(platform: string, { phase, scenario }: ScenarioResult): string {
    const file = this.#options.scenarioFiles?.get(scenario);
    const filter = file === undefined ? ["--filter", scenario] : ["--scenario", file];
    const kernel = this.#kernels.get(platform)?.options ?? [];
    const which = phase === "boot" ? [] : filter;
    return ownCommand([...this.#options.task, "--arch", platform, ...kernel, ...which]);
  }

  #summary(stopped: string | undefined): RunResult {
    const before = this.#before;
    const count = (status: string): number =>
      this.#records.filter((record) => record.status === status && isCounted(record)).length;
    return {
      schema: RUN_RESULT_SCHEMA,
      started: before?.started ?? new Date(this.#begin).toISOString(),
      milliseconds: (before?.milliseconds ?? 0) + Date.now() - this.#begin,
      kernels: [...this.#kernels.values()].map(({ kernel }) => kernel),
      boots: {
        count: (before?.boots?.count ?? 0) + this.#bootTimes.length,
        milliseconds: (before?.boots?.milliseconds ?? 0) +
          Math.round(this.#bootTimes.reduce((sum, time) => sum + time, 0)),
      },
      counts: { passed: count("pass"), failed: count("fail"), lost: count("lost"), skipped: count("skip") },
      bytes: this.#bytes,
      volatile: Object.fromEntries(this.#volatile),
      knownErrors: this.#knownErrors.size > 0 ? Object.fromEntries(this.#knownErrors) : undefined,
      results: this.#records,
      stopped,
    };
  }
}

/** False for results of no scenario in which nothing failed. */
function isCounted({ phase, status }: ScenarioRecord): boolean {
  return phase === undefined || status !== "pass";
}

/** What is kept of a scenario's result, but for what only the report knows. */
function scenarioRecord(
  { outcome, kernelLog: _log, guestCommand: _command, fault: _fault, recording: _recording, ...kept }:
    ScenarioResult,
): Omit<ScenarioRecord, "platform" | "reproduce" | "files"> {
  return {
    ...kept,
    milliseconds: Math.round(kept.milliseconds),
    findings: outcome?.findings ?? [],
    stops: outcome?.stops.map(({ label, counts, pages, findings, image }) => (
      { label, bytes: image.length, counts, pages, findings }
    )) ?? [],
  };
}

/** Directory for what the guest had answered when ckptest itself failed. */
const ANSWERS = "answers";

async function writeFailure(directory: string, result: ScenarioResult): Promise<void> {
  const { outcome, fault } = result;
  const texts = {
    "findings.json": `${JSON.stringify(outcome ? scenarioFindings(outcome) : [], null, 2)}\n`,
    "kernel.log": result.kernelLog,
    "guest-command.txt": `${result.guestCommand}\n`,
    ...fault ? { "error.txt": `${fault.trace}\n` } : {},
  };
  await Deno.mkdir(directory, { recursive: true });
  for (const [name, text] of Object.entries(texts)) await writeWhole(join(directory, name), text);
  for (const stop of outcome?.stops ?? []) {
    await writeWhole(join(directory, `${stop.label}.ckpt`), stop.image);
  }
  if (!fault?.inputs.size) return;
  await Deno.mkdir(join(directory, ANSWERS), { recursive: true });
  for (const [name, bytes] of fault.inputs) await writeWhole(join(directory, ANSWERS, name), bytes);
}
