// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { programProblem } from "./program_scenario.ts";
import { parseScenario, ScenarioError } from "./scenario.ts";

const ABOUT = "A program that waits for a line.";

Deno.test("programProblem() accepts a program with all that it may have", () => {
  const whole = {
    argv: ["/bin/sh", "-i"],
    package: "dash",
    files: ["/usr/lib/x.*/a"],
    env: { LANG: "C" },
    refused: "EOPNOTSUPP",
  };
  assertEquals(programProblem(whole), undefined);
  assertEquals(parseScenario({ about: ABOUT, judge: "gcore", program: whole }, "x").program, whole);
});

Deno.test("programProblem() names the key that is wrong", () => {
  const cases: [unknown, string][] = [
    [["/bin/sh"], `"program"`],
    [{ argv: ["/bin/sh"], stdin: "x" }, `"program"`],
    [{ argv: [] }, `"argv"`],
    [{ argv: ["sh"] }, `"argv"`],
    [{ argv: ["/bin/sh", 1] }, `"argv"`],
    [{ argv: ["/bin/sh"], package: 1 }, `"package"`],
    [{ argv: ["/bin/sh"], files: ["lib"] }, `"files"`],
    [{ argv: ["/bin/sh"], env: { A: 1 } }, `"env"`],
    [{ argv: ["/bin/sh"], refused: "-95" }, `"refused"`],
  ];
  for (const [value, key] of cases) {
    assertEquals(programProblem(value)?.[0].includes(key), true, JSON.stringify(value));
    assertThrows(() => parseScenario({ about: ABOUT, program: value }, "x"), ScenarioError, key);
  }
});

Deno.test("parseScenario() knows one second judge", () => {
  const program = { argv: ["/bin/sh"] };
  assertThrows(
    () => parseScenario({ about: ABOUT, judge: "criu", program }, "x"),
    ScenarioError,
    `"judge" must be "gcore": found "criu"`,
  );
});
