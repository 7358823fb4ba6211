// SPDX-License-Identifier: MIT

import { findingText } from "../../lib/image/finding.ts";
import { failingSplats, isBroken, scenarioFindings } from "../report/result_tree.ts";
import type { RunResult, ScenarioRecord } from "../run/run_result.ts";
import type { Failure, RunOutcome, SkipReason } from "./bisect_state.ts";

/** An outcome that says nothing of the kernel. */
export function skippedRun(kind: SkipReason["kind"], text: string): RunOutcome {
  return { skip: { kind, text }, passed: [], skipped: [], failures: [] };
}

/** Reads from the results of a run which scenarios passed and failed, or why that is not known. */
export function outcomeOfRun(run: Pick<RunResult, "results">): RunOutcome {
  const results = run.results.map((record) => isFault(record) ? { ...record, ...FAULT } : record);
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

/** What stands for a scenario that an error of ckptest itself has ended. */
const FAULT = { status: "skip", reason: "ckptest itself failed" } as const;

function isFault({ findings }: ScenarioRecord): boolean {
  return findings.some(({ id }) => id === "E_HARNESS");
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
