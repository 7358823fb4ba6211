// SPDX-License-Identifier: MIT

import type { ResultTree } from "./result_tree.ts";
import { scenarioFindings } from "../run/run_result.ts";

/** Raised when the lines change their meaning; docs/reports.md says what they hold. */
export const JSONL_SCHEMA = 2;

/**
 * Results as JSON lines, an event a line: `run`, then for each job `job`, its `kernel`s, its `scenario`s, each
 * followed by its `splat`s; then the `change`s, and `end`. A stream without `end` was cut off.
 */
export function jsonlReport(tree: ResultTree): string {
  return `${[...events(tree)].map((event) => JSON.stringify(event)).join("\n")}\n`;
}

function* events(tree: ResultTree): Generator<Record<string, unknown>> {
  yield { event: "run", schema: JSONL_SCHEMA, kind: tree.kind, ...tree.run };
  for (const job of tree.jobs) {
    const { scenarios, kernels, ...rest } = job;
    yield { event: "job", job: job.name, ...rest, name: undefined, scenarios: scenarios.length };
    for (const kernel of kernels) yield { event: "kernel", job: job.name, ...kernel };
    for (const scenario of scenarios) {
      const { splats, kept: _kept, stops, findings: _findings, ...words } = scenario;
      yield {
        event: "scenario",
        job: job.name,
        ...words,
        findings: scenarioFindings(scenario),
        images: stops.map(({ label, bytes, pages, counts }) => ({ label, bytes, pages, counts })),
        splats: splats.length,
      };
      for (const splat of splats) {
        yield { event: "splat", job: job.name, scenario: scenario.scenario, title: scenario.title, splat };
      }
    }
  }
  for (const change of tree.changes) yield { event: "change", ...change };
  const { counts: jobs, scenarios, bytes, volatile, mutants } = tree;
  yield { event: "end", jobs, scenarios, bytes, volatile, mutants };
}
