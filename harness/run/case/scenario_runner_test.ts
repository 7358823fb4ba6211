// SPDX-License-Identifier: MIT
/**
 * Scenarios whose judge fails on what the guest answers: a program that a fake agent runs, with an odd line in one
 * of its files.
 */
import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { AgentError } from "../../../vm/agent/agent_session.ts";
import { JudgePool } from "../../check/judge_pool.ts";
import type { Guest } from "../guest/guest.ts";
import { HarnessFault } from "../scenario_result.ts";
import { fakeAgent, fakePrepared, RECORDED } from "../testing/fake_guest.ts";
import { scenarioRunner } from "./scenario_runner.ts";

const { raw, image } = RECORDED;
const SCENARIO = { name: "sh", about: "A shell.", program: { argv: ["/bin/sh"] as const } };
const PREPARED = fakePrepared(() => Promise.reject(new Error("no guest is started here")));

function fakeGuest(...args: Parameters<typeof fakeAgent>): Guest {
  return { agent: fakeAgent(...args) } as unknown as Guest;
}

Deno.test("a judge that fails on an answer of the guest is a fault that keeps image and observation", async () => {
  const run = scenarioRunner(PREPARED);
  const guest = fakeGuest({ maps: "this is no line of maps\n" });
  const fault = await assertRejects(() => run(guest, SCENARIO), HarnessFault);
  assertEquals(fault.inputs.get("002-checkpoint.image"), image);
  assertEquals(new TextDecoder().decode(fault.inputs.get("001-observe.maps")), "this is no line of maps\n");
  assertEquals(fault.inputs.get("004-registers.gpr"), raw.registers.get("gpr"));
  assertStringIncludes(fault.trace, "    at ");
  // The next scenario begins anew.
  const again = await assertRejects(() => run(guest, SCENARIO), HarnessFault);
  assertEquals([...again.inputs.keys()], [...fault.inputs.keys()]);
});

Deno.test("an error in a thread of its own fails that scenario alone, and is told with its stack", async () => {
  using judges = new JudgePool(1);
  const run = scenarioRunner(PREPARED, { judge: judges.judge });
  const odd = fakeGuest({ maps: "this is no line of maps\n" });
  const [fault, good] = await Promise.all([
    assertRejects(() => run(odd, SCENARIO), HarnessFault),
    run(fakeGuest({}), SCENARIO),
  ]);
  assertStringIncludes(fault.message, "SyntaxError: A line of maps must look like");
  assertMatch(fault.trace, /at parseMaps.*proc_maps\.ts:\d+/);
  assertEquals(fault.inputs.get("002-checkpoint.image"), image);
  assertEquals(good.stops.map((stop) => stop.image), [image]);
});

Deno.test("an error that was foreseen is no fault", async () => {
  const refused = () => Promise.reject(new AgentError("stop 7", 3, "kill"));
  await assertRejects(() => scenarioRunner(PREPARED)(fakeGuest({}, { stop: refused }), SCENARIO), AgentError);
});

Deno.test("the runner judges what the guest answers when nothing is odd about it", async () => {
  const { stops } = await scenarioRunner(PREPARED)(fakeGuest({}), SCENARIO);
  assertEquals(stops.map((stop) => stop.image), [image]);
});
