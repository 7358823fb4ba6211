// SPDX-License-Identifier: MIT

import { assertEquals, assertMatch } from "@std/assert";
import { fakeAgent, fakePrepared } from "../run/testing/fake_guest.ts";
import type { Guest } from "../run/guest/guest.ts";
import { harnessTimeLines, measureHarnessTime } from "./harness_time.ts";

Deno.test("measureHarnessTime() counts what the agent of a guest was asked, and what failed", async () => {
  const text = "";
  const guest = {
    agent: fakeAgent({}, {
      clean: () => Promise.reject(new RangeError("x")),
      writeFile: () => Promise.resolve(),
    }),
    ...{ bootMilliseconds: 5, command: "qemu", ended: Promise.resolve() },
    console: { start: 0, offset: 0, text: () => text, grown: new Promise<void>(() => {}) },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  } satisfies Guest;
  const prepared = fakePrepared(() => Promise.resolve({ ...guest }));
  const scenario = {
    name: "a",
    about: "x",
    program: { argv: ["/bin/true"] as [string], refused: "EBUSY" as const },
  };
  const time = await measureHarnessTime(prepared, [scenario]);
  assertEquals([time.scenarios, time.failed, time.boots], [1, 1, { count: 1, ms: 5 }]);
  assertEquals((time.agent.get("writeFile")?.count ?? 0) > 0, true);
});

Deno.test("harnessTimeLines() gives each part its share, the longest first", () => {
  const lines = harnessTimeLines({
    ...{ scenarios: 2, failed: 0, wall: 2000, processor: 900 },
    boots: { count: 1, ms: 500 },
    agent: new Map([["observe", { count: 4, ms: 200 }], ["checkpoint", { count: 2, ms: 400 }]]),
  });
  assertEquals(
    lines[0],
    "2 scenarios, 0 failed, one after another in 2.00 s; the harness had 0.90 s of processor time",
  );
  assertEquals(lines.slice(1).map((line) => line.replace(/ +/g, " ").trim()), [
    "0.50 s 25 % boots 1 x 500.0 ms",
    "0.60 s 30 % the guest answers",
    "0.40 s 20 % checkpoint 2 x 200.0 ms",
    "0.20 s 10 % observe 4 x 50.0 ms",
    "0.90 s 45 % the harness: judging",
  ]);
  assertMatch(lines[1]!, /^ +0\.50 s/);
});
