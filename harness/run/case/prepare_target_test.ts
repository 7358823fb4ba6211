// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import type { TracerWork } from "../../../lib/model/tracer.ts";
import { AgentError } from "../../../vm/agent/agent_session.ts";
import { RELEASE_OFFSET } from "../../../vm/agent/target_program.ts";
import type { GuestAgent } from "../guest/guest.ts";
import { awaitConditions, meets, prepareTarget } from "./prepare_target.ts";

const STOP = { kind: "stop", pid: 7, label: 0, scratch: 0x5000n, resumeAddress: 0n } as const;
const NOTHING: TracerWork = {
  debug: [],
  pokes: [],
  copied: [],
  set: [],
  stoppedBy: "signal",
  busy: undefined,
};
const MAPS = [
  "00400000-00402000 r-xp 00000000 00:02 17 /target",
  "7fff1000-7fff3000 r-xp 00000000 00:00 0 [vdso]",
].join("\n") + "\n";

/** An agent that notes its calls; what a test does not script gives a plain answer. */
function scripted(answers: Partial<GuestAgent> = {}): { agent: GuestAgent; calls: string[] } {
  const calls: string[] = [];
  const plain: Record<string, unknown> = {
    setRegister: 0,
    poke: Uint8Array.of(0x55),
    observe: new Map([["maps", new TextEncoder().encode(MAPS)]]),
    readFile: new TextEncoder().encode("State:\tt (tracing stop)\nfrozen 1\n"),
  };
  const agent = new Proxy({}, {
    get: (_, name: string) => (...args: unknown[]) => {
      calls.push(
        [name, ...args.map((arg) => arg instanceof Uint8Array ? arg.toHex() : String(arg))].join(" "),
      );
      const answer = answers[name as keyof GuestAgent] as ((...args: unknown[]) => unknown) | undefined;
      return answer ? answer(...args) : Promise.resolve(plain[name]);
    },
  });
  return { agent: agent as GuestAgent, calls };
}

Deno.test("prepareTarget() sets registers first, then breakpoints, and takes out those outside of areas", async () => {
  const { agent, calls } = scripted();
  const prepared = await prepareTarget(agent, STOP, {
    ...NOTHING,
    debug: [{ register: 7, value: 1n, errno: 0 }],
    pokes: [{ address: 0x1000n, bytes: Uint8Array.of(1) }],
    copied: [
      { place: "vdso", offset: 0x10, bytes: Uint8Array.of(0xcc) },
      { place: "text", offset: 4, bytes: Uint8Array.of(0xcd) },
    ],
  });
  assertEquals(prepared.findings, []);
  await prepared.release();
  assertEquals(calls, [
    "setRegister 7 7 1",
    "poke 7 4096 01",
    "observe 7 maps",
    `poke 7 ${0x7fff1010} cc`,
    `poke 7 ${0x400004} cd`,
    `poke 7 ${0x400004} 55`,
    `poke 7 ${0x7fff1010} 55`,
    "cont 7",
  ]);
});

Deno.test("prepareTarget() tells of a debug register that has another outcome than the model says", async () => {
  const { agent } = scripted({ setRegister: () => Promise.resolve(22) });
  const { findings } = await prepareTarget(agent, STOP, {
    ...NOTHING,
    debug: [{ register: 0, value: 5n, errno: 0 }],
  });
  assertEquals(findings.map(({ id, path, expected, actual }) => [id, path, expected, actual]), [
    ["E_DEBUG_REGISTER", "debug register 0", "success", "EINVAL"],
  ]);
});

Deno.test("prepareTarget() traces, and lets go before the target goes on", async () => {
  for (const stoppedBy of ["seize", "attach", "singlestep"] as const) {
    const { agent, calls } = scripted();
    const prepared = await prepareTarget(agent, STOP, { ...NOTHING, stoppedBy });
    assertEquals(prepared.findings, []);
    await prepared.release();
    assertEquals(calls, [`attach 7 ${stoppedBy}`, "readFile /proc/7/status", "detach 7", "cont 7"]);
  }
});

Deno.test("prepareTarget() freezes in a cgroup, and moves the target out of it to thaw it", async () => {
  const busy = () => Promise.reject(new AgentError("mount", 16, "/cgroup"));
  const states = { readFile: () => Promise.resolve(new TextEncoder().encode("State:\tS (x)\nfrozen 1\n")) };
  const { agent, calls } = scripted({ mount: busy, ...states });
  const prepared = await prepareTarget(agent, STOP, { ...NOTHING, stoppedBy: "freezer" });
  assertEquals(prepared.findings, []);
  await prepared.release();
  assertEquals(calls.filter((call) => !/^(readFile|mkdir|mount)/.test(call)), [
    "writeFile /cgroup/frozen/cgroup.procs 7",
    "writeFile /cgroup/frozen/cgroup.freeze 1",
    "cont 7",
    "writeFile /cgroup/cgroup.procs 7",
    "writeFile /cgroup/frozen/cgroup.freeze 0",
  ]);
  const refused = scripted({ mount: () => Promise.reject(new AgentError("mount", 19, "/cgroup")) });
  await assertRejects(
    () => prepareTarget(refused.agent, STOP, { ...NOTHING, stoppedBy: "freezer and signal" }),
    AgentError,
    "errno 19",
  );
});

Deno.test("prepareTarget() releases a busy target by a word in its scratch memory", async () => {
  const { agent, calls } = scripted({
    readFile: () => Promise.resolve(new TextEncoder().encode("State:\tD (disk sleep)\n")),
  });
  const prepared = await prepareTarget(agent, STOP, { ...NOTHING, busy: "vfork" });
  await prepared.release();
  assertEquals([prepared.findings, calls.at(-1)], [[], `poke 7 ${0x5000 + RELEASE_OFFSET} 01`]);
  const leaderless = scripted({
    readFile: () => Promise.resolve(new TextEncoder().encode("State:\tZ (zombie)\n")),
  });
  await (await prepareTarget(leaderless.agent, STOP, { ...NOTHING, busy: "exited leader" })).release();
  assertEquals(leaderless.calls.at(-1), "cont 7");
});

/** An agent whose files give one text after the other, the last one for ever. */
function agentWith(files: Record<string, string[]>): GuestAgent {
  const readFile = (path: string): Promise<Uint8Array> => {
    const texts = files[path];
    if (!texts) return Promise.reject(new Error(`no ${path}`));
    return Promise.resolve(new TextEncoder().encode(texts.length > 1 ? texts.shift() : texts[0]));
  };
  return { readFile } as unknown as GuestAgent;
}

const WAIT = { pid: 7, waitFor: [], waitsForMerge: false };
/** For what never comes: what does come has time, however busy the machine is. */
const deadlineMs = 100;

Deno.test("meets() wants a match, or that there is none", () => {
  assertEquals(meets("a: 1\nb: 2\n", { file: "x", matching: "^b: 2$" }), true);
  assertEquals(meets("a: 1\nb: 2\n", { file: "x", matching: "^b: 1$" }), false);
  assertEquals(meets("a: 1\n", { file: "x", notMatching: "b" }), true);
  assertEquals(meets("a: 1\nb: 2\n", { file: "x", matching: "a", notMatching: "b" }), false);
});

Deno.test("awaitConditions() waits until a file is as it must be, and says when it never is", async () => {
  const waitFor = [{ file: "/proc/{pid}/maps", notMatching: "vdso" }];
  const agent = agentWith({ "/proc/7/maps": ["[vdso]", "[vdso]", "[stack]"] });
  assertEquals(await awaitConditions(agent, { ...WAIT, waitFor }), []);
  const stays = agentWith({ "/proc/7/maps": ["[heap]\n[vdso]\n[stack]\n[vdso]"] });
  const never = await awaitConditions(stays, { ...WAIT, waitFor, deadlineMs });
  assertEquals(never.map(({ id, path, expected, actual }) => [id, path, expected, actual]), [
    ["E_SETUP", "/proc/7/maps", "no /vdso/", "[vdso]"],
  ]);
});

Deno.test("awaitConditions() waits for three whole scans of ksmd", async () => {
  const scans = (...texts: string[]) => agentWith({ "/sys/kernel/mm/ksm/full_scans": texts });
  const options = { ...WAIT, waitsForMerge: true };
  assertEquals(await awaitConditions(scans("5", "6", "7", "8"), options), []);
  const [stuck] = await awaitConditions(scans("5", "6", "7"), { ...options, deadlineMs });
  assertEquals([stuck?.expected, stuck?.actual], ["at least 8", "7"]);
});

Deno.test("prepareTarget() takes flags back that a tracer has set, before the target goes on", async () => {
  const { agent, calls } = scripted();
  const prepared = await prepareTarget(agent, STOP, {
    ...NOTHING,
    set: [["flags", 0x302n]],
    stoppedBy: "unread",
  });
  await prepared.release();
  const told = calls.filter((call) => !call.startsWith("readFile"));
  assertEquals(told, [
    "attach 7 unread",
    "setRegister 7 flags 770",
    "setRegister 7 flags 514",
    "detach 7",
    "cont 7",
  ]);
});
