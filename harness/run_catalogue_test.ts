// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { parseScenario, type Scenario } from "../lib/model/scenario.ts";
import { GuestLostError } from "../vm/guest_lost_error.ts";
import type { Guest } from "./guest.ts";
import type { CaseOutcome } from "./run_case.ts";
import { isClean, runCatalogue, type ScenarioResult } from "./run_catalogue.ts";

function scenario(name: string): Scenario {
  return parseScenario({ about: "a scenario of a test", steps: [{ op: "stop", label: "x" }] }, name);
}

const CLEAN: CaseOutcome = {
  findings: [],
  stops: [{
    label: "x",
    image: new Uint8Array(4),
    findings: [],
    counts: { total: 4, predicted: 4, observed: 0, volatile: 0, unexplained: 0 },
    volatile: new Map(),
    pages: 0,
  }],
};
const BAD: CaseOutcome = {
  ...CLEAN,
  findings: [{ id: "E_X", verdict: "mismatch", path: "x", message: "wrong" }],
};

function lost(reason: "timeout" | "panic" | "qemu-exit" | "protocol"): GuestLostError {
  return new GuestLostError({
    reason,
    awaited: "an image",
    consoleTail: "",
    argv: ["qemu", "-M", "microvm"],
  });
}

/** A guest that is nothing but a console; each start is counted. */
function fakeGuests(console = ""): { start: () => Promise<Guest>; started: number; open: number } {
  const guests = {
    started: 0,
    open: 0,
    start: () => {
      guests.started++;
      guests.open++;
      const guest = {
        command: "qemu",
        consoleMark: 0,
        consoleText: () => console,
        [Symbol.asyncDispose]: () => Promise.resolve(void guests.open--),
      };
      return Promise.resolve(guest as unknown as Guest);
    },
  };
  return guests;
}

async function run(
  names: string[],
  outcomes: (name: string, time: number) => CaseOutcome | Error,
  console = "",
): Promise<{ results: ScenarioResult[]; started: number; open: number }> {
  const guests = fakeGuests(console);
  const times = new Map<string, number>();
  const results = await runCatalogue(names.map(scenario), {
    startGuest: guests.start,
    skipReason: ({ name }) => name === "unfit" ? "needs i386" : undefined,
    runScenario: (_guest, { name }) => {
      const time = (times.get(name) ?? 0) + 1;
      times.set(name, time);
      const outcome = outcomes(name, time);
      return outcome instanceof Error ? Promise.reject(outcome) : Promise.resolve(outcome);
    },
  });
  return { results, started: guests.started, open: guests.open };
}

function statuses(results: ScenarioResult[]): unknown[] {
  return results.map(({ status, reproduced }) => [status, reproduced]);
}

Deno.test("runCatalogue() runs many scenarios in one guest and closes it", async () => {
  const { results, started, open } = await run(["a", "b", "c"], () => CLEAN);
  assertEquals(statuses(results), [["pass", undefined], ["pass", undefined], ["pass", undefined]]);
  assertEquals([started, open], [1, 0]);
});

Deno.test("runCatalogue() skips by name and starts no guest for it", async () => {
  const { results, started } = await run(["unfit"], () => CLEAN);
  assertEquals([results[0]?.status, results[0]?.reason, started], ["skip", "needs i386", 0]);
});

Deno.test("runCatalogue() runs a failed scenario again alone and says whether it failed again", async () => {
  const always = await run(["a", "b"], (name) => name === "a" ? BAD : CLEAN);
  assertEquals(statuses(always.results), [["fail", true], ["pass", undefined]]);
  assertEquals([always.started, always.open], [3, 0]);
  const once = await run(["a"], (_, time) => time === 1 ? BAD : CLEAN);
  assertEquals(statuses(once.results), [["fail", false]]);
});

Deno.test("runCatalogue() goes on with a fresh guest after one was lost, for each kind of loss", async () => {
  for (const reason of ["timeout", "panic", "qemu-exit", "protocol"] as const) {
    const { results, open } = await run(["a", "b"], (name) => name === "a" ? lost(reason) : CLEAN);
    assertEquals(statuses(results), [["lost", true], ["pass", undefined]]);
    assertEquals(results[0]?.reason?.includes(`guest lost (${reason})`), true);
    assertEquals(open, 0);
  }
});

Deno.test("runCatalogue() fails a scenario whose kernel complained, though its image is right", async () => {
  const { results } = await run(["a"], () => CLEAN, "[ 1.0] WARNING: CPU: 0 PID: 1 at fs/x.c:1 f+0x1/0x2\n");
  assertEquals(results[0]?.status, "fail");
  assertEquals(results[0]?.outcome?.findings.map(({ id }) => id), ["E_SPLAT"]);
});

Deno.test("runCatalogue() closes the guest when the harness itself is at fault", async () => {
  const guests = fakeGuests();
  await assertRejects(
    () =>
      runCatalogue([scenario("a")], {
        startGuest: guests.start,
        skipReason: () => undefined,
        runScenario: () => Promise.reject(new TypeError("a bug")),
      }),
    TypeError,
  );
  assertEquals(guests.open, 0);
});

Deno.test("isClean() is false for a case without images and for an unexplained byte", () => {
  assertEquals(isClean(CLEAN), true);
  assertEquals(isClean({ findings: [], stops: [] }), false);
  const stop = CLEAN.stops[0]!;
  assertEquals(
    isClean({ findings: [], stops: [{ ...stop, counts: { ...stop.counts, unexplained: 1 } }] }),
    false,
  );
});
