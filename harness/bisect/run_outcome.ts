// SPDX-License-Identifier: MIT

import { findingText } from "../../lib/image/finding.ts";
import {
  failingSplats,
  isBroken,
  type RunResult,
  scenarioFindings,
  type ScenarioRecord,
} from "../run/run_result.ts";
import type { BisectAnswer, Failure, RunOutcome, SkipReason } from "./bisect_state.ts";
import { EXIT_STATUS, type ExitStatus } from "../../vm/host/errors.ts";

/** An outcome that says nothing of the kernel. */
export function skippedRun(kind: SkipReason["kind"], text: string): RunOutcome {
  return { skip: { kind, text }, passed: [], skipped: [], failures: [] };
}

/** Reads from the results of a run which scenarios passed and failed, or why that is not known. */
export function outcomeOfRun(run: Pick<RunResult, "results">): RunOutcome {
  const results = run.results.map((record) => {
    const isFault = record.findings.some(({ id }) => id === "E_HARNESS");
    return isFault ? { ...record, status: "skip" as const, reason: "ckptest itself failed" } : record;
  });
  const unbooted = results.find(({ phase, status }) => phase === "boot" && status === "lost");
  if (unbooted) {
    return skippedRun("boot", `does not boot: ${firstLine(unbooted.reason ?? "the guest was lost")}`);
  }
  const failed = results.filter(isBroken);
  const names = new Set(failed.map(({ scenario }) => scenario));
  const others = (wanted: ScenarioRecord["status"]): string[] =>
    results.filter(({ scenario, status }) => status === wanted && !names.has(scenario))
      .map(({ scenario }) => scenario);
  const [passed, skipped] = [others("pass"), others("skip")];
  if (names.size === 0 && passed.length === 0) {
    const first = results.find(({ status }) => status === "skip");
    const text = first ? `${first.scenario} was skipped: ${first.reason}` : "no scenario ran";
    return skippedRun("nothing ran", text);
  }
  const failures = [...names].map((name) => failureOf(failed.filter(({ scenario }) => scenario === name)));
  return { passed, skipped, failures };
}

/** Whether two failures are the same: of one scenario, with a finding or complaint in common. */
export function isSameFailure(a: Failure, b: Failure): boolean {
  if (a.scenario !== b.scenario) return false;
  if (a.keys.length === 0 && b.keys.length === 0) return a.lost === b.lost;
  return a.keys.some((key) => b.keys.includes(key));
}

/** What a run says of one failure; another failure of the same scenario says nothing of it. */
export function verdictOfRun(
  { skip, passed, skipped, failures }: RunOutcome,
  wanted: Failure,
): "fail" | "pass" | SkipReason {
  if (skip) return skip;
  const { scenario } = wanted;
  if (failures.some((failure) => isSameFailure(failure, wanted))) return "fail";
  const other = failures.find((failure) => failure.scenario === scenario);
  if (other) return { kind: "other failure", text: `fails in another way: ${other.text}` };
  if (passed.includes(scenario)) return "pass";
  const why = skipped.includes(scenario) ? "was skipped" : "did not run";
  return { kind: "nothing ran", text: `${scenario} ${why}` };
}

function failureOf(records: readonly ScenarioRecord[]): Failure {
  const findings = records.flatMap(scenarioFindings);
  const splats = records.flatMap(failingSplats);
  // The finding that there was a complaint says less than the complaint.
  const ids = findings.map(({ id }) => id).filter((id) => id !== "E_SPLAT" && id.startsWith("E_"));
  const titles = splats.map(({ title }) => `splat: ${title}`);
  const [first] = findings;
  const reason = records.find((record) => record.reason !== undefined)?.reason;
  return {
    scenario: records[0]!.scenario,
    keys: [...new Set([...titles, ...ids])],
    lost: records.some(({ status }) => status === "lost"),
    text: firstLine(splats[0]?.title ?? (first ? findingText(first) : reason) ?? "failed"),
  };
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0]!;
}

/**
 * The exit status of a command under `--bisect-status`, as `git bisect run` reads it (git-bisect(1)): good, bad, skip,
 * or from 128 on stop. After a mistake in the command line or an error of ckptest itself nothing is known of the
 * kernel, and the next commit would fare no better: the bisect stops.
 */
export function bisectStatusOf(status: ExitStatus): number {
  switch (status) {
    case EXIT_STATUS.pass:
      return 0;
    case EXIT_STATUS.testFailed:
    case EXIT_STATUS.guestLost:
      return 1;
    case EXIT_STATUS.buildFailed:
    case EXIT_STATUS.nothingRan:
      return 125;
    default:
      return 128;
  }
}

/**
 * Whether a kernel is good or bad by one run on it. A kernel that does not boot, or on which no scenario ran, is
 * neither.
 *
 * @param keys texts of which a failure must have one in the id of a finding or the title of a complaint; any
 * failure counts when there are none
 */
export function bisectVerdict(
  result: RunResult,
  keys: readonly string[],
): { status: ExitStatus; word: "good" | "bad" | "skip"; text: string } {
  const { skip, failures, passed } = outcomeOfRun(result);
  const skipped = (text: string) => ({ status: EXIT_STATUS.nothingRan, word: "skip", text }) as const;
  if (skip) return skipped(skip.text);
  const wanted = failures.find((failure) =>
    keys.length === 0 || failure.keys.some((key) => keys.some((text) => key.includes(text)))
  );
  const shown = wanted ?? failures[0];
  const text = shown && `${shown.scenario}: ${shown.text}`;
  if (text === undefined) return { status: EXIT_STATUS.pass, word: "good", text: `${passed.length} passed` };
  return wanted
    ? { status: EXIT_STATUS.testFailed, word: "bad", text }
    : skipped(`fails in another way: ${text}`);
}

/** What a bisect ends with: 0 only when it names one change. */
export function exitStatusOfBisect({ firstBad, problem }: BisectAnswer): ExitStatus {
  switch (problem?.kind) {
    case undefined:
      return firstBad.length === 1 ? EXIT_STATUS.pass : EXIT_STATUS.testFailed;
    case "build":
      return EXIT_STATUS.buildFailed;
    case "boot":
    case "guest lost":
      return EXIT_STATUS.guestLost;
    case "nothing ran":
      return EXIT_STATUS.nothingRan;
    case "other failure":
      return EXIT_STATUS.usage;
    default:
      return EXIT_STATUS.testFailed;
  }
}
