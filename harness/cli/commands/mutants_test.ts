// SPDX-License-Identifier: MIT

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { parseVersioned } from "../../../vm/host/versioned_json.ts";
import type { Mutant } from "../../mutants/mutant.ts";
import type { MutantResult } from "../../mutants/run_mutants.ts";
import { History } from "../../nightly/history/history.ts";
import { NightlyFixture } from "../../nightly/testing/nightly_fixture.ts";
import { htmlReport } from "../../report/html_report.ts";
import { treeOfNightlyRun, treeOfRun } from "../../report/result_tree.ts";
import { textReport } from "../../report/text_report.ts";
import { RUN_RESULT_FORMAT, type RunResult } from "../../run/run_result.ts";
import { runResultOf } from "./mutants.ts";

function mutant(name: string): Mutant {
  return { name, platform: "x86_64", about: "One entry is left out.", edits: [] };
}

function resultOf(verdict: MutantResult["verdict"], by?: string): MutantResult {
  return { mutant: mutant(verdict), verdict, scenarios: 3, seconds: 1.5, ...by !== undefined && { by } };
}

function sample(): RunResult {
  return runResultOf(
    [
      resultOf("killed", "ldt_one"),
      resultOf("survived"),
      resultOf("missed", "minimal"),
      resultOf("equivalent"),
    ],
    [{ ...mutant("known"), survives: "nobody waits so long" }],
    {
      ...{ started: "2026-11-30T01:00:00.000Z", milliseconds: 9000 },
      kernels: [{ platform: "x86_64", name: "Linux 6.1", accelerator: "tcg" }],
    },
  );
}

Deno.test("results of mutants are those of a run, with a mutant in place of a scenario and the score", () => {
  const result = parseVersioned(JSON.stringify(sample()), "results.json", RUN_RESULT_FORMAT);
  assertEquals(result.mutants, { killed: 1, survived: 3, equivalent: 1 });
  assertEquals(result.counts, { passed: 2, failed: 2, lost: 0, skipped: 1 });
  assertEquals(result.results.map(({ scenario, status }) => `${scenario}: ${status}`), [
    ...["killed: pass", "survived: fail", "missed: fail", "equivalent: pass", "known: skip"],
  ]);
  assertEquals(result.results[2]?.reason, "missed by minimal: One entry is left out.");
  assertEquals(result.results[1]?.reproduce, "deno task ckptest mutants --filter survived");
});

Deno.test("the page and the text report tell the mutation score", () => {
  const tree = treeOfRun(sample());
  assertStringIncludes(htmlReport(tree), "Mutation score: <b>25.0 % (1 of 4)</b>");
  assertMatch(textReport(tree), /^mutation score: 25\.0 % \(1 of 4\)$/m);
  assertEquals(htmlReport(treeOfRun({ ...sample(), mutants: undefined })).includes("Mutation score"), false);
});

Deno.test("the history keeps the mutation score of a job, and the trends show it", async () => {
  await using fixture = await NightlyFixture.make();
  const name = "6.1/x86_64/plain/mutants";
  const result = await fixture.run({ [name]: { results: sample() } });
  using history = await History.open(fixture.historyPath);
  assertEquals(history.jobHistory(name)[0]?.mutants, sample().mutants);
  assertEquals(result.trends[name]?.[0]?.mutants, sample().mutants);
  assertStringIncludes(htmlReport(treeOfNightlyRun(result)), "mutation score 25.0 % (1 of 4)");
});
