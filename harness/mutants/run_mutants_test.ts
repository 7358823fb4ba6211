// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { ExpectedError } from "../../vm/host/errors.ts";
import { GuestLostError } from "../../vm/qemu/guest_lost_error.ts";
import type { PreparedGuest } from "../run/guest/prepare_guest.ts";
import { PLATFORMS } from "../run/platform.ts";
import type { Scenario } from "../../lib/model/scenario.ts";
import type { Mutant } from "./mutant.ts";
import { MutantRunner } from "./run_mutants.ts";

const MUTANT: Mutant = {
  name: "one",
  about: "A guest hangs.",
  platform: "x86_64",
  scenario: "minimal",
  finding: "lost at guest",
  edits: [],
};

Deno.test("a guest that does not boot kills no mutant, not even one that is to hang", async () => {
  const appended: (readonly string[] | undefined)[] = [];
  const prepared = {
    platform: PLATFORMS[0],
    skipReason: () => undefined,
    startGuest: (append?: readonly string[]) => {
      appended.push(append);
      const told = {
        reason: "timeout",
        awaited: "the agent's hello",
        consoleTail: "",
        consoleText: "",
        argv: [],
      };
      return Promise.reject(
        new GuestLostError(told as unknown as ConstructorParameters<typeof GuestLostError>[0]),
      );
    },
  } as unknown as PreparedGuest;
  const catalogue = [{ name: "minimal", about: "", needs: {} } as unknown as Scenario];
  const runner = new MutantRunner({ prepared, mutants: [MUTANT], catalogue, onProgress() {} });
  await assertRejects(() => runner.run(MUTANT), ExpectedError, "boot: ");
  assertEquals(new Set(appended.map(String)), new Set(["cr_mutant=1"]));
});
