// SPDX-License-Identifier: MIT

import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { EXIT_STATUS } from "../../vm/host/errors.ts";
import { readOutcome, writeOutcome } from "./command_outcome.ts";

Deno.test("readOutcome() gives what writeOutcome() wrote, and says what is wrong with anything else", async () => {
  const directory = await Deno.makeTempDir();
  const path = join(directory, "outcome.json");
  assertEquals(await readOutcome(path), undefined);
  const outcome = { status: EXIT_STATUS.testFailed, findings: [{ key: "E_FIELD", text: "one is wrong" }] };
  await writeOutcome(path, outcome);
  assertEquals(await readOutcome(path), Object.assign({ schema: 1 }, outcome));
  await Deno.writeTextFile(path, '{ "schema": 1, "status": 9 }');
  const { status, problem = "" } = await readOutcome(path) ?? {};
  assertEquals(status, EXIT_STATUS.internalError);
  assertStringIncludes(problem, `${path}: $.status: expected one of 0, 1, 2`);
  await Deno.remove(directory, { recursive: true });
});
