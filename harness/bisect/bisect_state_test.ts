// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import { type BisectState, readBisectState, writeBisectState } from "./bisect_state.ts";

const STATE: BisectState = {
  request: {
    source: { kind: "git", repository: "/k", good: "v1", bad: "v2", firstParent: false },
    ...{ platform: "x86_64", flavour: "plain", suite: { kind: "catalogue", filter: ["ldt"] } },
    ...{ confidence: 0.99, maxRuns: 30, deadlineSeconds: 60 },
  },
  ...{ good: "1", bad: "2", patches: {} },
  runs: [{ change: "2", passed: ["one"], skipped: [], failures: [], seconds: 1, files: "runs/001" }],
};

Deno.test("readBisectState() gives what was written, and names what is wrong in another file", async () => {
  const directory = await Deno.makeTempDir();
  assertEquals(await readBisectState(directory), undefined);
  await writeBisectState(directory, STATE);
  assertEquals(await readBisectState(directory), Object.assign({ schema: 3 }, STATE));
  const path = join(directory, "bisect.json");
  const refused = async (text: string, expected: string) => {
    await Deno.writeTextFile(path, text);
    await assertRejects(() => readBisectState(directory), UsageError, `${path}: ${expected}`);
  };
  await refused("{", "$: expected JSON");
  await refused('{ "schema": 2 }', "$.schema: expected 3, found 2");
  const odd = { ...STATE, schema: 3, runs: [{ ...STATE.runs[0], seconds: "1" }] };
  await refused(JSON.stringify(odd), '$.runs[0].seconds: expected a number, found "1"');
  await Deno.remove(directory, { recursive: true });
});
