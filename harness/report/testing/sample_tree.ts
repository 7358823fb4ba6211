// SPDX-License-Identifier: MIT
/**
 * Result trees for tests of the reports.
 *
 * @module
 */
import { fromFileUrl } from "@std/path";
import type { RunResult, ScenarioRecord } from "../../run/run_result.ts";
import { readResultTree, type ResultTree, treeOfRun } from "../result_tree.ts";

/** One of the recorded trees. */
export function recordedTree(name: "run" | "nightly"): Promise<ResultTree> {
  return readResultTree(fromFileUrl(new URL(`../../../fixtures/results/${name}`, import.meta.url)));
}

/** Text that breaks what is not escaped: of HTML, XML, KTAP, terminals and UTF-16. */
const HOSTILE_TEXT = "<script>alert(1)</script>\"'&]]>\0\x1b[31m\ud800" +
  "\nok 1 # SKIP # Subtest: x\r]]>\uffff\nKernel panic - not syncing: VFS: x";

/** A run of one scenario; `overrides` replaces parts of its record. */
export function singleRun(overrides: Partial<ScenarioRecord> = {}): RunResult {
  const bytes = { total: 100, predicted: 60, observed: 40, volatile: 0, unexplained: 0 };
  const record: ScenarioRecord = {
    platform: "x86_64",
    scenario: "minimal",
    status: "pass",
    milliseconds: 250,
    findings: [],
    splats: [],
    stops: [{ label: "stopped", bytes: 100, pages: 1, counts: bytes, findings: [] }],
    reproduce: "deno task test:qemu --arch x86_64 --filter minimal",
    ...overrides,
  };
  const count = (status: string): number => record.status === status ? 1 : 0;
  return {
    schema: 1,
    started: "2026-11-24T01:00:00.000Z",
    milliseconds: 1000,
    kernels: [{ platform: "x86_64", name: "Linux 6.1.192", key: "0123abcd", accelerator: "tcg" }],
    counts: { passed: count("pass"), failed: count("fail"), lost: count("lost"), skipped: count("skip") },
    bytes,
    volatile: {},
    results: [record],
  };
}

/** A failed run in which every text that can come from elsewhere is hostile. */
export function hostileTree(): ResultTree {
  const finding = {
    id: "E_FIELD",
    verdict: "mismatch",
    path: HOSTILE_TEXT,
    message: HOSTILE_TEXT,
    expected: HOSTILE_TEXT,
    actual: HOSTILE_TEXT,
  } as const;
  const run = singleRun({
    scenario: HOSTILE_TEXT,
    status: "fail",
    reason: HOSTILE_TEXT,
    reproduced: { times: 1, of: 2 },
    findings: [finding],
    splats: [{
      kind: "BUG",
      title: HOSTILE_TEXT,
      fingerprint: "x\"'<b>",
      frames: [HOSTILE_TEXT],
      lines: [HOSTILE_TEXT, "Kernel panic - not syncing: VFS: no root", "reboot: System halted"],
    }],
    reproduce: HOSTILE_TEXT,
    files: HOSTILE_TEXT,
  });
  const tree = treeOfRun({
    ...run,
    kernels: [{ ...run.kernels[0]!, name: HOSTILE_TEXT, accelerator: HOSTILE_TEXT }],
  });
  const kept = {
    ...{ directory: HOSTILE_TEXT, kernelLog: HOSTILE_TEXT, pictures: [], notes: [HOSTILE_TEXT] },
    files: [{ name: HOSTILE_TEXT, bytes: 1 }, { name: "javascript:alert(1)", bytes: 1 }],
  };
  const jobs = tree.jobs.map((job) => ({
    ...job,
    scenarios: job.scenarios.map((scenario) => ({ ...scenario, kept })),
  }));
  return { ...tree, jobs };
}
