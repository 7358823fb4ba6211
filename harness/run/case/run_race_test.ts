// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import type { RaceScenario } from "../../../lib/model/scenario.ts";
import type { RaceOptions } from "../../../vm/agent/agent_types.ts";
import type { GuestAgent } from "../guest/guest.ts";
import { fakeAgent, RECORDED } from "../testing/fake_guest.ts";
import type { GuestKernel } from "./observe_checkpoint.ts";
import { runRace } from "./run_race.ts";

const KERNEL: GuestKernel = {
  arch: "x86_64",
  series: "6.1",
  dialect: "port",
  checkpointNr: RECORDED.compileTarget.checkpointNr,
  observed: RECORDED.kernel,
};

/** The answer to so many calls that return the same and write nothing. */
function answer(result: bigint, calls: number): Uint8Array {
  return new Uint8Array(
    BigInt64Array.from({ length: 2 * calls }, (_, i) => i % 2 === 0 ? result : 0n).buffer,
  );
}

async function run(race: RaceScenario, result: bigint) {
  const said: unknown[] = [];
  const others: Partial<GuestAgent> = {
    lastId: 0,
    readFile: () => Promise.resolve(new TextEncoder().encode("State:\tT (stopped)\n")),
    exec: (argv) => {
      said.push(argv.join(" "));
      return Promise.resolve({ pid: RECORDED.raw.pid, stdout: "", stderr: "" });
    },
    race: ({ how, times, length }: RaceOptions) => {
      said.push(`${how} ${times}${length === undefined ? "" : ` ${length}`}`);
      return Promise.resolve(answer(result, times));
    },
  };
  const { stops, findings } = await runRace({ agent: fakeAgent({}, others) }, { race }, KERNEL);
  // The recorded case is judged as a program here, whose pages nobody has asked for.
  const ids = [...stops.slice(1).flatMap(({ findings }) => findings), ...findings].map(({ id }) => id);
  return { said, ids, judged: stops[0]!.label };
}

Deno.test("runRace() starts the target as it is wanted, and makes the calls", async () => {
  const continued = await run({ meanwhile: "continued", executes: true, times: 3, expect: ["EBUSY"] }, -16n);
  assertEquals(continued.said, ["/target executes", "continued 3"]);
  assertEquals(continued.judged, "before");
  const paged = await run({ meanwhile: "pagedout", times: 3, expect: ["EBUSY"] }, -16n);
  assertEquals(paged.said.slice(0, 1), ["/target large"]);
  assertEquals(/^pagedout 3 \d+$/.test(String(paged.said[1])), true);
});
