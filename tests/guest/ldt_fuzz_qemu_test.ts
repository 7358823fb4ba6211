// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import { fuzzLdtPlatform } from "../../harness/fuzz/run_ldt_fuzz.ts";
import { PLATFORMS } from "../../harness/run/platform.ts";
import { prepareGuest } from "../../harness/run/guest/prepare_guest.ts";
import { Terminal } from "../../harness/report/terminal.ts";
import { EMPTY_USER_DESC, type UserDesc } from "../../lib/x86/user_desc.ts";

const SEQUENCES = { seed: 20081201, count: 1000 };

/** Wrong models: what each takes a user_desc for. */
const WRONG: Readonly<Record<string, (info: UserDesc) => UserDesc>> = {
  "limit bits 16 to 19 are lost": (info) => ({ ...info, limit: (info.limit & 0xfff0ffff) >>> 0 }),
  "base bits 24 to 31 are lost": (info) => ({ ...info, baseAddr: info.baseAddr & 0xffffff }),
  "the useable bit is lost": (info) => ({ ...info, useable: false }),
  "LDT_zero clears an entry": (info) =>
    info.baseAddr === 0 && info.limit === 0 && !info.seg32bit
      ? { ...EMPTY_USER_DESC, entryNumber: info.entryNumber }
      : info,
};

Deno.test("random LDT sequences give away a wrong model against the running kernel", async (test) => {
  const prepared = await prepareGuest(PLATFORMS[0]!, { terminal: new Terminal() });
  await test.step("the right model passes", async () => {
    const result = await fuzzLdtPlatform(prepared, SEQUENCES);
    assertEquals(
      result.failure,
      undefined,
      JSON.stringify(result.failure),
    );
  });
  for (const [name, change] of Object.entries(WRONG)) {
    await test.step(name, async () => {
      const { failure } = await fuzzLdtPlatform(prepared, {
        ...SEQUENCES,
        tamper: (call) =>
          call.call === "modify_ldt" && typeof call.pointer !== "string"
            ? { ...call, pointer: change(call.pointer) }
            : call,
      });
      assert(failure?.alone);
      assert(failure.calls.length <= 2, `${failure.calls.length} calls`);
    });
  }
});
