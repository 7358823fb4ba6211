// SPDX-License-Identifier: MIT

import { assertThrows } from "@std/assert";
import { parseScenario, ScenarioError } from "./scenario.ts";

function parse(fields: Record<string, unknown>): void {
  parseScenario({ about: "a scenario of a test", steps: [{ op: "stop", label: "s", ...fields }] }, "test");
}

Deno.test("a stop says who calls, where the image goes and what happens meanwhile", () => {
  parse({ call: { uid: 1, pid: "init" }, to: { kind: "file", path: "/work/x", flags: ["O_APPEND"] } });
  parse({ during: [{ at: 0, do: "poke", area: "a", page: 1, value: 2 }, { at: 5, do: "kill" }] });
});

Deno.test("words about a call that are none name the field, what was expected and what was found", () => {
  const wrong: [Record<string, unknown>, string][] = [
    [{ call: { user: 1 } }, `"call": field "user" must be one of uid,`],
    [{ call: { uid: "root" } }, `"call": "uid" must be a number: found "root"`],
    [{ call: [] }, `"call" must be an object`],
    [{ call: { signals: "maybe" } }, `"signals" must be one of ignored, fatal`],
    [{ to: {} }, `"to": "kind" must be one of pipe, file`],
    [{ to: { kind: "disk" } }, `"kind" must be one of pipe, file`],
    [{ to: { kind: "file" } }, `"to": "path" must be there for a file`],
    [{ to: { kind: "pipe", path: "/x" } }, `"to": "path" must be there for a file, and for nothing else`],
    [{ to: { kind: "file", path: "/x", flags: "O_APPEND" } }, `"flags" must be a list of strings`],
    [{ during: [{ do: "kill" }] }, `"during" 1: "at" must be a number of bytes`],
    [
      { during: [{ at: 5, do: "kill" }, { at: 4, do: "kill" }] },
      `"during" 2: "at" must be a number of bytes, in`,
    ],
    [{ during: [{ at: 5 }] }, `"during" 1: "do" must be one of nothing, kill`],
    [{ during: [{ at: 5, do: "sing" }] }, `"do" must be one of nothing, kill`],
    [{ during: [{ at: 0.5, do: "kill" }] }, `"at" must be a number: found 0.5`],
    [{ during: { at: 5, do: "kill" } }, `"during" must be a list`],
  ];
  for (const [fields, message] of wrong) assertThrows(() => parse(fields), ScenarioError, message);
});
