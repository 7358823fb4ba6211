// SPDX-License-Identifier: MIT
import { assert, assertEquals } from "@std/assert";
import { LdtModel } from "./ldt_model.ts";
import {
  callArguments,
  describeCall,
  drawLdtCalls,
  type LdtCall,
  type ModifyLdtCall,
  type Random32,
  READ_BUFFER_SIZE,
  shrinkCalls,
} from "./random_calls.ts";
import { runLdtCalls } from "./testing/run_ldt_calls.ts";
import { EMPTY_USER_DESC, isLdtEmpty, isLdtZero, type UserDesc, ZERO_USER_DESC } from "./user_desc.ts";

const MODEL = new LdtModel({ dialect: "port", wordSize: 8 });

/** Mulberry32: enough for these tests. */
function seeded(seed: number): Random32 {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

function writeCall(change: Partial<UserDesc>, func = 0x11): ModifyLdtCall {
  return { call: "modify_ldt", func, pointer: { ...ZERO_USER_DESC, ...change }, bytecount: 16n };
}

function userDescs(calls: readonly LdtCall[]): UserDesc[] {
  return calls.flatMap((step) =>
    step.call === "modify_ldt" && typeof step.pointer !== "string" ? [step.pointer] : []
  );
}

Deno.test("drawLdtCalls() draws the same from the same seed and other calls from another", () => {
  const draw = (seed: number): string[] =>
    drawLdtCalls(seeded(seed), { count: 50, loads: true }).map(describeCall);
  assertEquals(draw(1), draw(1));
  assert(draw(1).join() !== draw(2).join());
});

Deno.test("drawLdtCalls() reaches the boundaries of every check within 3000 steps", () => {
  const calls = drawLdtCalls(seeded(3), { count: 3000, loads: true });
  assertEquals(calls.length, 3000);
  const kinds = new Set(calls.map((step) => step.call));
  assertEquals([...kinds].sort(), ["exec", "fork", "load", "modify_ldt"]);
  const numbers = new Set(userDescs(calls).map((info) => info.entryNumber));
  for (const number of [0, 1, 5, 511, 512, 8190, 8191, 8192, 0xffffffff]) {
    assert(numbers.has(number), `entry ${number} was never drawn`);
  }
  const modify = calls.filter((step) => step.call === "modify_ldt");
  for (const func of [0, 1, 2, 0x11, 3, -1]) {
    assert(modify.some((step) => step.func === func), `function ${func} was never drawn`);
  }
  for (const count of [0n, 1n, 15n, 16n, 17n, -1n]) {
    assert(modify.some((step) => step.bytecount === count), `byte count ${count} was never drawn`);
  }
  const infos = userDescs(calls);
  for (const contents of [0, 1, 2, 3]) assert(infos.some((info) => info.contents === contents));
  assert(infos.some(isLdtEmpty) && infos.some(isLdtZero));
});

Deno.test("drawLdtCalls() leads the model to every result it has", () => {
  const { results } = runLdtCalls(MODEL, drawLdtCalls(seeded(4), { count: 3000, processEvents: false }));
  const errnos = new Set(results.map((result) => result?.errno));
  assertEquals([...errnos].sort(), [0, 14, 22, 38]);
});

Deno.test("drawLdtCalls() leaves out what is not asked for", () => {
  const calls = drawLdtCalls(seeded(5), { count: 2000, processEvents: false });
  assertEquals([...new Set(calls.map((step) => step.call))], ["modify_ldt"]);
});

Deno.test("runLdtCalls() leaves its model alone and follows the child and exec", () => {
  const model = MODEL.fork();
  const before = runLdtCalls(model, [writeCall({ entryNumber: 2 }), { call: "fork" }]);
  assertEquals([model.nrEntries, before.model.nrEntries], [0, 3]);
  assertEquals(before.results.map((result) => result?.result), [0n, undefined]);
  assertEquals(runLdtCalls(model, [writeCall({}), { call: "exec" }]).model.nrEntries, 0);
});

Deno.test("runLdtCalls() applies loads where the accessed bit is not preset", () => {
  const v11 = new LdtModel({ dialect: "v11", wordSize: 4 });
  const load: LdtCall = { call: "load", selector: 7, register: "ds" };
  assertEquals(runLdtCalls(v11, [writeCall({ limit: 1 })]).model.entry(0).type, 2);
  assertEquals(runLdtCalls(v11, [writeCall({ limit: 1 }), load]).model.entry(0).type, 3);
});

Deno.test("callArguments() gives memory for each kind of pointer", () => {
  assertEquals(callArguments({ ...writeCall({}), pointer: "fault" }).ptr, "fault");
  const buffer = callArguments({ ...writeCall({}), pointer: "buffer", bytecount: 5n });
  assertEquals([buffer.ptr.length, buffer.bytecount], [READ_BUFFER_SIZE, 5n]);
  assertEquals(callArguments(writeCall({ entryNumber: 9 })).ptr[0], 9);
});

Deno.test("describeCall() writes each step on one line", () => {
  const steps: LdtCall[] = [
    writeCall({ entryNumber: 3, limit: 1 }),
    { call: "modify_ldt", func: -1, pointer: "fault", bytecount: 16n },
    { call: "fork" },
    { call: "load", selector: 15, register: "fs" },
  ];
  assertEquals(steps.map(describeCall), [
    "modify_ldt(0x11, {entry 3 base 0x0 limit 0x1 contents 0}, 16)",
    "modify_ldt(-1, fault, 16)",
    "fork",
    "load 0xf into fs",
  ]);
});

Deno.test("shrinkCalls() leaves one call when base bits 24 to 31 are lost", async () => {
  const calls = drawLdtCalls(seeded(6), { count: 200, processEvents: false });
  const shrunk = await shrinkCalls(calls, (steps) => {
    const { model } = runLdtCalls(MODEL, steps);
    return Array.from({ length: model.nrEntries }, (_, index) => model.entry(index))
      .some(({ base }) => base > 0xffffff);
  });
  assertEquals(shrunk.length, 1);
  const [info] = userDescs(shrunk);
  assertEquals(info, { ...ZERO_USER_DESC, baseAddr: 0x1000000, seg32bit: true });
});

Deno.test("shrinkCalls() keeps the steps that only fail together", async () => {
  const calls = drawLdtCalls(seeded(7), { count: 120 });
  const shrunk = await shrinkCalls(calls, (steps) => {
    const fork = steps.findIndex((step) => step.call === "fork");
    return fork > 0 && userDescs(steps.slice(0, fork)).some((info) => info.entryNumber >= 512);
  });
  assertEquals(shrunk.length, 2);
  assertEquals(userDescs(shrunk)[0]?.entryNumber, 512);
  assertEquals(shrunk[1], { call: "fork" });
});

Deno.test("shrinkCalls() returns a sequence that does not fail as it is, and accepts a promise", async () => {
  const calls: LdtCall[] = [writeCall(EMPTY_USER_DESC, 1), { call: "fork" }];
  assertEquals(await shrinkCalls(calls, () => Promise.resolve(false)), calls);
  assertEquals(await shrinkCalls(calls, (steps) => Promise.resolve(steps.length > 1)), [
    writeCall({ seg32bit: true }),
    { call: "fork" },
  ]);
});
