// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import { type BisectState, readBisectState, writeBisectState } from "./bisect_state.ts";

const STATE: BisectState = {
  options: ["--git", "/k", "--good", "v1", "--bad", "v2"],
  ...{ good: "1", bad: "2", patches: {} },
  runs: [{ change: "2", passed: ["one"], skipped: [], failures: [], seconds: 1, files: "runs/001" }],
};

Deno.test("readBisectState() gives what was written, and names what is wrong in another file", async () => {
  const directory = await Deno.makeTempDir();
  assertEquals(await readBisectState(directory), undefined);
  await writeBisectState(directory, STATE);
  assertEquals(await readBisectState(directory), Object.assign({ schema: 4 }, STATE));
  const path = join(directory, "bisect.json");
  const refused = async (text: string, expected: string) => {
    await Deno.writeTextFile(path, text);
    await assertRejects(() => readBisectState(directory), UsageError, `${path}: ${expected}`);
  };
  await refused("{", "$: expected JSON");
  await refused('{ "schema": 2 }', "$.schema: expected 4, found 2");
  const odd = { ...STATE, schema: 4, runs: [{ ...STATE.runs[0], seconds: "1" }] };
  await refused(JSON.stringify(odd), '$.runs[0].seconds: expected a number, found "1"');
  await Deno.remove(directory, { recursive: true });
});
