// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import type { ScenarioRecord } from "./run_result.ts";
import { failedOf, readScenarioHistory, rememberRun, timesOf } from "./scenario_history.ts";

function record(scenario: string, changes: Partial<ScenarioRecord> = {}): ScenarioRecord {
  return {
    ...{ platform: "x86_64", scenario, status: "pass", milliseconds: 5, findings: [], splats: [], stops: [] },
    reproduce: "",
    ...changes,
  };
}

Deno.test("rememberRun() keeps times of passes, and what failed until it passes again", async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/scenarios.json`;
  const after = async (...results: ScenarioRecord[]) => {
    await rememberRun({ results }, path);
    const history = await readScenarioHistory(path);
    return [[...timesOf(history, "x86_64")], [...failedOf(history, "x86_64")], [
      ...failedOf(history, "i386"),
    ]];
  };
  try {
    assertEquals(await after(), [[], [], []]);
    assertEquals(
      await after(
        record("a"),
        record("b", { status: "fail", milliseconds: 9000 }),
        record("b", { platform: "i386", status: "lost" }),
        record("c", { status: "skip" }),
        record("boot", { phase: "boot", status: "fail" }),
        record("e"),
      ),
      [[["a", 5], ["e", 5]], ["b"], ["b"]],
    );
    assertEquals(
      await after(
        record("a", { milliseconds: 7 }),
        record("a", { status: "fail", phase: "afterwards" }),
        record("a", { phase: "afterwards" }),
        record("b"),
      ),
      [[["a", 7], ["e", 5], ["b", 5]].toSorted(), ["a"], ["b"]],
    );
    // What another version wrote, or what is broken, is forgotten.
    for (const text of ['{ "schema": 99 }', "no JSON", '{ "schema": 1, "platforms": { "x": [] } }']) {
      await Deno.writeTextFile(path, text);
      assertEquals(await after(record("a")), [[["a", 5]], [], []]);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
