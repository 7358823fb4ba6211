// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import type { NightlyChange } from "../nightly_result.ts";
import { groupChanges, someNames } from "./group_changes.ts";

const BASE = {
  kind: "new failure",
  job: "a",
  text: "passed last on Monday",
  changed: [],
  reproduce: "",
} as const;

Deno.test("groupChanges() takes together the scenarios of a job that changed alike, and nothing else", () => {
  const changes: NightlyChange[] = [
    { ...BASE, scenario: "one" },
    { ...BASE, scenario: "two", job: "b" },
    BASE,
    { ...BASE, scenario: "three" },
    { ...BASE, scenario: "four", kind: "flaky" },
    { ...BASE, scenario: "five", since: { id: "run1", started: "" } },
  ];
  assertEquals(groupChanges(changes).map(({ change, scenarios }) => [change.job, change.kind, scenarios]), [
    ["a", "new failure", ["one", "three"]],
    ["b", "new failure", ["two"]],
    ["a", "new failure", []],
    ["a", "flaky", ["four"]],
    ["a", "new failure", ["five"]],
  ]);
});

Deno.test("someNames() says how many are left out", () => {
  assertEquals(someNames(["a", "b", "c"], 3), "a, b, c");
  assertEquals(someNames(["a", "b", "c"], 1), "a and 2 more");
});
