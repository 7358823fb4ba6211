// SPDX-License-Identifier: MIT

import { ensureDir } from "@std/fs";
import { join, relative } from "@std/path";
import { addCounts, type ByteCounts } from "../../lib/compare/byte_account.ts";
import { type Finding, findingText } from "../../lib/image/finding.ts";
import type { Scenario } from "../../lib/model/scenario.ts";
import { cacheDirectory } from "../../vm/host/cache_directory.ts";
import { shellJoin } from "../../vm/host/shell_quote.ts";
import type { KernelBuild } from "../../vm/kernel/build/build_kernel.ts";
import { EXIT_STATUS, type ExitStatus, UsageError } from "../../vm/host/errors.ts";
import { formatBytes, formatCount, formatSeconds } from "../report/format_quantity.ts";
import type { Reruns, ScenarioResult } from "./scenario_result.ts";
import { RUN_RESULT_SCHEMA, type RunKernel, type RunResult } from "./run_result.ts";
import { scenarioRecord } from "./scenario_record.ts";
import type { Terminal } from "../report/terminal.ts";
import { distinctSplats, splatText } from "../triage/splat_text.ts";
import { writeWhole } from "../../vm/host/write_whole.ts";

/** What the report says of the kernel that scenarios run on. */
export interface ReportedPlatform {
  readonly name: string;
  readonly kernelName: string;
  readonly acceleratorReason: string;
  /** What was built; undefined for a kernel that was given as a file. */
  readonly build?: Pick<KernelBuild, "key" | "digests"> | undefined;
  /** Options that name the kernel, for the commands that show a failure again. */
  readonly kernelOptions?: readonly string[];
}

/** How many scenarios ended how. */
export interface RunCounts {
  readonly passed: number;
  readonly failed: number;
  readonly lost: number;
  readonly skipped: number;
}

const encoder = new TextEncoder();
/** Directory for what the guest had answered when ckptest itself failed. */
const ANSWERS = "answers";
const FINDINGS_SHOWN = 6;
const SPLATS_SHOWN = 3;

/** The exit status that tells them. */
export function exitStatusOf(counts: RunCounts): ExitStatus {
  if (counts.failed > 0) return EXIT_STATUS.testFailed;
  if (counts.lost > 0) return EXIT_STATUS.guestLost;
  return counts.passed > 0 ? EXIT_STATUS.pass : EXIT_STATUS.nothingRan;
}

/** Prints a line per scenario, keeps what failed in files, and ends with the counts and the byte account. */
export class RunReport {
  /** Where the results go. */
  readonly directory: string;
  readonly #terminal: Terminal;
  readonly #task: readonly string[];
  readonly #results: { platform: string; result: ScenarioResult; directory: string | undefined }[] = [];
  readonly #kernels = new Map<string, RunKernel>();
  readonly #kernelOptions = new Map<string, readonly string[]>();
  readonly #started = new Date();
  readonly #bytes: ByteCounts = { total: 0, predicted: 0, observed: 0, volatile: 0, unexplained: 0 };
  readonly #volatile = new Map<string, { bytes: number; reason: string }>();
  readonly #files: Promise<void>[] = [];
  readonly #bootTimes: number[] = [];
  readonly #notes: string[] = [];
  readonly #directories = new Set<string>();
  #images = 0;

  /** Use {@linkcode RunReport.open}, which makes the directory. */
  constructor(directory: string, terminal: Terminal, task: readonly string[] = ["test:qemu"]) {
    this.directory = directory;
    this.#terminal = terminal;
    this.#task = task;
  }

  /**
   * Makes the directory for the results; a new one below the cache when none is named.
   *
   * @param task what shows a failure again, behind `deno task`
   */
  static async open(
    directory: string | undefined,
    terminal: Terminal,
    task?: readonly string[],
  ): Promise<RunReport> {
    const stamp = new Date().toISOString().replaceAll(":", "").slice(0, 17);
    const path = directory ?? join(cacheDirectory(), "runs", `${stamp}-${Deno.pid}`);
    await ensureDir(path).catch((error) => {
      throw new UsageError(`no directory for the results, ${path}: ${error.message}`);
    });
    return new RunReport(path, terminal, task);
  }

  /**
   * Says which kernel comes next.
   *
   * @param how what is not as usual with it, for the heading
   */
  beginPlatform(reported: ReportedPlatform, how = ""): void {
    const { name, kernelName, acceleratorReason, build, kernelOptions = [] } = reported;
    this.#kernelOptions.set(name, kernelOptions);
    this.#kernels.set(name, {
      platform: name,
      name: kernelName,
      ...build ? { key: build.key, digests: build.digests } : {},
      accelerator: acceleratorReason,
    });
    const what = how === "" ? kernelName : `${kernelName}, ${how}`;
    this.#terminal.result(`# ${name}: ${what}, ${acceleratorReason}`);
  }

  /** Notes that a guest was started. */
  guest({ bootMilliseconds }: { bootMilliseconds: number }): void {
    this.#bootTimes.push(bootMilliseconds);
  }

  /** Shows which scenario is running. */
  starting(platform: string, scenario: Scenario, index: number, total: number): void {
    this.#terminal.status(
      `${platform}: ${index + 1}/${total} ${scenario.name}`,
      `${platform}: running ${total}`,
    );
  }

  /** Keeps a line for the end of the report. */
  note(line: string): void {
    this.#notes.push(line);
  }

  /** Prints a scenario's line, and what went wrong below it. */
  result(platform: string, result: ScenarioResult): void {
    const isFailure = wasRun(result) && result.status !== "pass";
    const directory = isFailure ? this.#directoryFor(platform, result) : undefined;
    this.#results.push({ platform, result, directory });
    // Nothing but allowed splats at boot or between scenarios: named at the end.
    if (!isCounted(result)) return;
    const stops = result.outcome?.stops ?? [];
    for (const stop of stops) {
      this.#images++;
      addCounts(this.#bytes, stop.counts);
      for (const [name, { bytes, reason }] of stop.volatile) {
        const sum = this.#volatile.get(name) ?? { bytes: 0, reason };
        this.#volatile.set(name, { bytes: sum.bytes + bytes, reason });
      }
    }
    const word = { pass: "ok  ", fail: "FAIL", skip: "skip", lost: "LOST" }[result.status];
    const style = result.status === "lost" ? "fail" : result.status;
    const pages = stops.reduce((sum, stop) => sum + stop.pages, 0);
    const bytes = stops.reduce((sum, stop) => sum + stop.image.length, 0);
    const columns = [
      this.#terminal.style(word, style),
      platform.padEnd(8),
      nameOf(result).padEnd(26),
      `${pages} pages`.padStart(11),
      formatBytes(bytes).padStart(10),
      formatSeconds(result.milliseconds).padStart(8),
    ];
    this.#terminal.result(
      columns.join("  ") + (result.reason && !wasRun(result) ? `  ${result.reason}` : ""),
    );
    for (const { label, notes = [] } of stops) {
      for (const note of notes) this.#terminal.result(`      ${label}: ${note}`);
    }
    if (directory !== undefined) this.#failure(platform, result, directory);
  }

  #failure(platform: string, result: ScenarioResult, directory: string): void {
    const print = (line: string): void => this.#terminal.result(`      ${line}`);
    const findings = [
      ...result.outcome?.findings ?? [],
      ...result.outcome?.stops.flatMap((stop) =>
        stop.findings.map((f) => ({ ...f, path: `${stop.label}: ${f.path}` }))
      ) ??
        [],
    ];
    for (const finding of findings.slice(0, FINDINGS_SHOWN)) print(findingText(finding));
    if (findings.length > FINDINGS_SHOWN) print(`... and ${findings.length - FINDINGS_SHOWN} more findings`);
    if (result.reason) result.reason.split("\n").forEach(print);
    const splats = result.splats.filter(({ allowed }) => !allowed);
    for (const splat of splats.slice(0, SPLATS_SHOWN)) splatText(splat).forEach(print);
    if (splats.length > SPLATS_SHOWN) print(`... and ${splats.length - SPLATS_SHOWN} more splats`);
    if (result.reruns) rerunText(result.reruns, splats.length > 0).forEach(print);
    print(`reproduce: ${this.#reproduce(platform, result)}`);
    print(`kept in:   ${directory}${splats.length > 0 ? " (kernel.log is the whole log)" : ""}`);
    const kept = this.#keep(directory, result, findings);
    // Reported by close(), with the counts.
    kept.catch(() => {});
    this.#files.push(kept);
  }

  /** A directory of its own for each failure: a guest may fail to boot more than once. */
  #directoryFor(platform: string, { scenario, phase }: ScenarioResult): string {
    const name = phase === "afterwards" ? `${scenario}.afterwards` : scenario;
    const path = join(this.directory, platform, name);
    let free = path;
    for (let n = 2; this.#directories.has(free); n++) free = `${path}.${n}`;
    this.#directories.add(free);
    return free;
  }

  async #keep(directory: string, result: ScenarioResult, findings: readonly Finding[]): Promise<void> {
    await ensureDir(directory);
    const write = (name: string, text: string): Promise<void> =>
      writeWhole(join(directory, name), encoder.encode(text));
    await write("findings.json", `${JSON.stringify(findings, null, 2)}\n`);
    await write("kernel.log", result.kernelLog);
    await write("guest-command.txt", `${result.guestCommand}\n`);
    for (const stop of result.outcome?.stops ?? []) {
      await writeWhole(join(directory, `${stop.label}.ckpt`), stop.image);
    }
    const { fault } = result;
    if (!fault) return;
    await write("error.txt", `${fault.trace}\n`);
    if (fault.inputs.size > 0) await ensureDir(join(directory, ANSWERS));
    for (const [name, bytes] of fault.inputs) await writeWhole(join(directory, ANSWERS, name), bytes);
  }

  /** Prints the counts and the byte account; the last line is `N passed, N failed`. */
  async close(): Promise<RunResult> {
    const count = (status: string): number =>
      this.#results.filter(({ result }) => result.status === status && isCounted(result)).length;
    const counts = {
      passed: count("pass"),
      failed: count("fail"),
      lost: count("lost"),
      skipped: count("skip"),
    };
    const { total, predicted, observed, volatile, unexplained } = this.#bytes;
    const print = (line: string): void => this.#terminal.result(line);
    this.#terminal.clearStatus();
    const result = this.#summary(counts);
    const text = `${JSON.stringify(result, null, 2)}\n`;
    this.#files.push(writeWhole(join(this.directory, "results.json"), encoder.encode(text)));
    const [unwritten] = (await Promise.allSettled(this.#files)).filter(({ status }) => status === "rejected");
    print("");
    print(`${this.#images} images, ${formatCount(total)} bytes:`);
    print(`  predicted   ${formatCount(predicted)}`);
    print(`  observed    ${formatCount(observed)}`);
    print(`  volatile    ${formatCount(volatile)}`);
    for (const [name, { bytes, reason }] of this.#volatile) {
      print(`    ${name}: ${formatCount(bytes)} (${reason})`);
    }
    print(`  unexplained ${formatCount(unexplained)}`);
    const boots = this.#bootTimes.sort((a, b) => a - b);
    const median = boots[boots.length >> 1];
    if (median !== undefined) {
      print(`${boots.length} guests started, from QEMU to hello ${formatSeconds(median)} (median)`);
    }
    this.#notes.forEach(print);
    print(`results: ${this.directory}`);
    for (const line of distinctSplats(this.#results)) print(line);
    if (counts.lost > 0) {
      const notRun = this.#results.filter(({ result }) => result.status === "lost" && !wasRun(result)).length;
      const rest = notRun > 0 ? `, ${notRun} scenarios not run` : "";
      print(`${counts.lost - notRun} guests lost${rest} (counted as failed)`);
    }
    const faults = new Set(
      this.#results.filter(({ result }) => result.fault).map(({ result }) => result.scenario),
    );
    if (faults.size > 0) {
      const what = faults.size === 1 ? "1 scenario" : `${faults.size} scenarios`;
      print(`${what} failed by an error of ckptest itself: please report, with the files that were kept`);
    }
    if (this.#results.length === 0) print("no scenario matched: nothing ran");
    const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : "";
    print(`${counts.passed} passed, ${counts.failed + counts.lost} failed${skipped}`);
    if (unwritten?.status === "rejected") throw unwritten.reason;
    return result;
  }

  /** The command that shows a result again. */
  #reproduce(platform: string, { phase, scenario }: ScenarioResult): string {
    const filter = phase === "boot" ? [] : ["--filter", scenario];
    const kernel = this.#kernelOptions.get(platform) ?? [];
    return shellJoin(["deno", "task", ...this.#task, "--arch", platform, ...kernel, ...filter]);
  }

  #summary(counts: RunCounts): RunResult {
    return {
      schema: RUN_RESULT_SCHEMA,
      started: this.#started.toISOString(),
      milliseconds: Date.now() - this.#started.getTime(),
      kernels: [...this.#kernels.values()],
      boots: {
        count: this.#bootTimes.length,
        milliseconds: Math.round(this.#bootTimes.reduce((sum, time) => sum + time, 0)),
      },
      counts,
      bytes: this.#bytes,
      volatile: Object.fromEntries(this.#volatile),
      results: this.#results.map(({ platform, result, directory }) => ({
        platform,
        ...scenarioRecord(result),
        reproduce: this.#reproduce(platform, result),
        ...directory === undefined ? {} : { files: relative(this.directory, directory) },
      })),
    };
  }
}

/** False for results of no scenario in which nothing failed. */
function isCounted({ phase, status }: ScenarioResult): boolean {
  return phase === undefined || status !== "pass";
}

/** False for scenarios that were skipped, or left over when no guest booted any more. */
function wasRun({ status, guestCommand }: ScenarioResult): boolean {
  return status !== "skip" && guestCommand !== "";
}

function nameOf({ scenario, phase }: ScenarioResult): string {
  return phase === "afterwards" ? `${scenario} (afterwards)` : scenario;
}

/** What the runs alone gave; with a splat, whether it was the same one. */
function rerunText({ runs, failed, sameSplat }: Reruns, hadSplat: boolean): string[] {
  const again = failed > 0 ? "again" : "not again";
  const same = hadSplat && failed > 0 ? `, ${sameSplat} of them with the same splat` : "";
  return [`run alone in a fresh guest it failed ${again}: reproduced ${failed} of ${runs}${same}`];
}
