// SPDX-License-Identifier: MIT
/**
 * Scenarios whose judge fails on what the guest answers: a program that a fake agent runs, with an odd line in one
 * of its files.
 */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { unpackRecordedCase } from "../../../lib/compare/testing/recorded_case.ts";
import { AgentError } from "../../../vm/agent/agent_session.ts";
import type { Guest, GuestAgent } from "../guest/guest.ts";
import type { PreparedGuest } from "../guest/prepare_guest.ts";
import { checkpointReply } from "../../../vm/agent/testing/checkpoint_reply.ts";
import { HarnessFault } from "../harness_fault.ts";
import { PLATFORMS } from "../platform.ts";
import { scenarioRunner } from "./scenario_runner.ts";

const FILE = new URL("../../../fixtures/recorded/x86_64-mixed.json.gz", import.meta.url);
const { raw, image, kernel, compileTarget } = await unpackRecordedCase(await Deno.readFile(FILE));
const SCENARIO = { name: "sh", about: "A shell.", program: { argv: ["/bin/sh"] as const } };
const PREPARED = {
  platform: PLATFORMS[0]!,
  self: false,
  checkpointNr: compileTarget.checkpointNr,
  compileTarget,
  targetPath: "/target",
  filesOf: new Map(),
} as unknown as PreparedGuest;

/** A guest whose agent answers as a real one did once, but for some files of /proc/PID. */
function fakeGuest(files: Readonly<Record<string, string>>, others: Partial<GuestAgent> = {}): Guest {
  const agent: Partial<GuestAgent> = {
    info: {
      ...{ release: "6.1.0", version: kernel.version, machine: kernel.machine, wordSize: 8 },
      zeroPageFrame: kernel.zeroFrame,
    } as GuestAgent["info"],
    readFile: () => Promise.resolve(new TextEncoder().encode("flags\t\t: fpu\n")),
    clean: () => Promise.resolve(),
    exec: () => Promise.resolve({ pid: raw.pid, stderr: "/work/stderr" }) as ReturnType<GuestAgent["exec"]>,
    quiesce: () => Promise.resolve({ state: "S", syscall: "0" }),
    stop: () => Promise.resolve(),
    observe: (_, names) =>
      Promise.resolve(
        new Map(names.map((name) => {
          const text = files[name];
          const file = raw.proc.get(name.endsWith("/stat") ? "stat" : name) ?? new Uint8Array(0);
          return [name, text === undefined ? file.slice() : new TextEncoder().encode(text)];
        })),
      ),
    checkpoint: () =>
      Promise.resolve(checkpointReply({ image, secondsBefore: raw.t0, secondsAfter: raw.t1 })),
    registers: () =>
      Promise.resolve(new Map([...raw.registers].map(([name, bytes]) => [name, bytes.slice()]))),
    pageHash: (_, addresses) => Promise.resolve(new BigUint64Array(addresses.length)),
    ...others,
  };
  return { agent } as unknown as Guest;
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

Deno.test("an error that was foreseen is no fault", async () => {
  const refused = () => Promise.reject(new AgentError("stop 7", 3, "kill"));
  await assertRejects(() => scenarioRunner(PREPARED)(fakeGuest({}, { stop: refused }), SCENARIO), AgentError);
});

Deno.test("the runner judges what the guest answers when nothing is odd about it", async () => {
  const { stops } = await scenarioRunner(PREPARED)(fakeGuest({}), SCENARIO);
  assertEquals(stops.map((stop) => stop.image), [image]);
});
