// SPDX-License-Identifier: MIT
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { LdtModel } from "../../lib/x86/ldt_model.ts";
import {
  callArguments,
  describeCall,
  LDT_CALLS,
  type LdtCall,
  type ModifyLdtCall,
  READ_BUFFER_SIZE,
} from "./ldt_calls.ts";
import { runLdtCalls } from "./testing/run_ldt_calls.ts";
import { isLdtEmpty, isLdtZero, type UserDesc, ZERO_USER_DESC } from "../../lib/x86/user_desc.ts";

const MODEL = new LdtModel({ dialect: "port", wordSize: 8 });

/** At least as many calls as wanted. */
function draw(seed: number, count: number): LdtCall[] {
  return fc.sample(LDT_CALLS, { seed, numRuns: count }).flat().slice(0, count);
}

function writeCall(change: Partial<UserDesc>, func = 0x11): ModifyLdtCall {
  return { call: "modify_ldt", func, pointer: { ...ZERO_USER_DESC, ...change }, bytecount: 16n };
}

function userDescs(calls: readonly LdtCall[]): UserDesc[] {
  return calls.flatMap((step) =>
    step.call === "modify_ldt" && typeof step.pointer !== "string" ? [step.pointer] : []
  );
}

Deno.test("LDT_CALLS reach the boundaries of every check within 3000 steps", () => {
  const calls = draw(3, 3000);
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

Deno.test("LDT_CALLS lead the model to every result it has", () => {
  const { results } = runLdtCalls(MODEL, draw(4, 3000));
  const errnos = new Set(results.flatMap((result) => result?.errno ?? []));
  assertEquals([...errnos].sort((a, b) => a - b), [0, 14, 22, 38]);
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

/** The least sequence for which something does not hold. */
function smallest(seed: number, holds: (calls: readonly LdtCall[]) => boolean): readonly LdtCall[] {
  const property = fc.property(LDT_CALLS, (calls) => holds(calls));
  return fc.check(property, { seed, numRuns: 500 }).counterexample![0];
}

Deno.test("LDT_CALLS are made small to one call when base bits 24 to 31 are lost", () => {
  const shrunk = smallest(6, (steps) => {
    const { model } = runLdtCalls(MODEL, steps);
    return Array.from({ length: model.nrEntries }, (_, index) => model.entry(index))
      .every(({ base }) => base <= 0xffffff);
  });
  assertEquals(shrunk.length, 1);
  const [info] = userDescs(shrunk);
  assertEquals([info?.entryNumber, info?.limit, info?.contents], [0, 0, 0]);
  assert(info!.baseAddr > 0xffffff);
});

Deno.test("LDT_CALLS that only fail together are kept", () => {
  const shrunk = smallest(7, (steps) => {
    const fork = steps.findIndex((step) => step.call === "fork");
    return fork <= 0 || userDescs(steps.slice(0, fork)).every((info) => info.entryNumber < 512);
  });
  assertEquals(shrunk.length, 2);
  assertEquals(userDescs(shrunk)[0]?.entryNumber, 512);
  assertEquals(shrunk[1], { call: "fork" });
});
