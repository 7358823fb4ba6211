// SPDX-License-Identifier: MIT

import fc from "fast-check";
import { assert, assertEquals } from "@std/assert";
import { LdtModel } from "../../lib/x86/ldt_model.ts";
import { encodeUserDesc, isLdtEmpty, isLdtZero, ZERO_USER_DESC } from "../../lib/x86/user_desc.ts";
import { describeCall, LDT_CALLS, type LdtCall, type ModifyLdtCall } from "./ldt_program.ts";

const CALLS = fc.sample(LDT_CALLS, { seed: 3, numRuns: 150 }).flat();
const MODIFY = CALLS.filter((step) => step.call === "modify_ldt");

Deno.test("LDT_CALLS reaches the boundaries of every check within 3000 steps", () => {
  assert(CALLS.length < 4500, String(CALLS.length));
  const calls = CALLS.slice(0, 3000);
  const kinds = new Set(calls.map((step) => step.call));
  assertEquals([...kinds].sort(), ["exec", "fork", "load", "modify_ldt"]);
  const infos = MODIFY.map(({ pointer }) => pointer).filter((pointer) => typeof pointer !== "string");
  const numbers = new Set(infos.map((info) => info.entryNumber));
  for (const number of [0, 1, 5, 511, 512, 8190, 8191, 8192, 0xffffffff]) {
    assert(numbers.has(number), `entry ${number} was never drawn`);
  }
  for (const func of [0, 1, 2, 0x11, 3, -1]) {
    assert(MODIFY.some((step) => step.func === func), `function ${func} was never drawn`);
  }
  for (const count of [0n, 1n, 15n, 16n, 17n, -1n]) {
    assert(MODIFY.some((step) => step.bytecount === count), `byte count ${count} was never drawn`);
  }
  for (const contents of [0, 1, 2, 3]) assert(infos.some((info) => info.contents === contents));
  assert(infos.some(isLdtEmpty) && infos.some(isLdtZero));
});

Deno.test("LDT_CALLS leads the model to every result it has", () => {
  const model = new LdtModel({ dialect: "port", wordSize: 8 });
  const memoryOf = ({ pointer }: ModifyLdtCall): Uint8Array | "fault" => {
    if (pointer === "fault") return pointer;
    const bytes = new Uint8Array(69632);
    if (pointer !== "buffer") bytes.set(encodeUserDesc(pointer));
    return bytes;
  };
  const errnos = new Set(
    MODIFY.map((step) => model.modifyLdt(step.func, memoryOf(step), step.bytecount).errno),
  );
  assertEquals([...errnos].sort(), [0, 14, 22, 38]);
});

Deno.test("describeCall() writes each step on one line", () => {
  const steps: LdtCall[] = [
    {
      call: "modify_ldt",
      func: 0x11,
      pointer: { ...ZERO_USER_DESC, entryNumber: 3, limit: 1 },
      bytecount: 16n,
    },
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
