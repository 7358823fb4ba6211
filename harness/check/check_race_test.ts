// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { buildImage, xstateAtRest } from "../../lib/image/build_image.ts";
import { readImage } from "../../lib/image/image.ts";
import { checkRaceCall, missingOutcomes, parseRaceCalls, splitShared, withoutStamps } from "./check_race.ts";

const STAMP = 0x1234_5678_9abc_def0n;
const ADDRESS = 0x10000n;
const RACE = { meanwhile: "continued", times: 9, expect: ["ok", "EBUSY"] } as const;

/** An image whose three stamps are as given; `time` is that of its head, `other` another register. */
function imageOf({ memory = STAMP, register = STAMP, fpu = STAMP, time = 1n, other = 0n } = {}): Uint8Array {
  const page = new Uint8Array(4096).fill(9);
  new DataView(page.buffer).setBigUint64(8, memory, true);
  const xstate = xstateAtRest(true);
  const st0 = new DataView(xstate.buffer, 32);
  const msb = BigInt(fpu.toString(2).length - 1);
  st0.setBigUint64(0, fpu << (63n - msb), true);
  st0.setUint16(8, 16383 + Number(msb), true);
  xstate[512] = 3;
  const code = { start: 0x400000n, end: 0x401000n, flags: 0x75n };
  const stack = { start: 0x7ffff000n, end: 0x80000000n, flags: 0x10_0173n };
  return buildImage({
    vmas: [{ start: ADDRESS, end: ADDRESS + 0x1000n, pages: [[ADDRESS, page]] }, code, stack],
    registers: { bx: register, bp: ADDRESS + 8n, r15: other },
    head: { time },
    xstate,
  });
}

function idsOf(image: Uint8Array, more: { result?: bigint; reference?: Uint8Array } = {}): string[] {
  const { result = 7n, reference = imageOf({ time: 2n }) } = more;
  return checkRaceCall({ result, image }, {
    ...{ race: RACE, reference: withoutStamps(readImage(reference)), previousId: 6 },
  }).map(({ id }) => id);
}

Deno.test("checkRaceCall() takes an image of one moment, whatever its stamp", () => {
  assertEquals(idsOf(imageOf()), []);
  assertEquals(idsOf(imageOf({ memory: 5n, register: 5n, fpu: 5n })), []);
});

Deno.test("checkRaceCall() finds an image of two moments", () => {
  assertEquals(idsOf(imageOf({ memory: 5n })), ["E_TORN"]);
  assertEquals(idsOf(imageOf({ register: 5n })), ["E_TORN"]);
  assertEquals(idsOf(imageOf({ fpu: 5n })), ["E_TORN"]);
  assertEquals(idsOf(imageOf({ other: 1n })), ["E_OTHER_IMAGE"]);
});

Deno.test("checkRaceCall() wants the next id, a documented errno, and what belongs to it", () => {
  assertEquals(idsOf(imageOf(), { result: 8n }), ["E_RETURN"]);
  assertEquals(idsOf(new Uint8Array(0), { result: -3n }), ["E_RETURN"]);
  assertEquals(idsOf(imageOf().subarray(0, 5000)), ["E_TRUNCATED"]);
  assertEquals(idsOf(imageOf(), { result: -16n }), ["E_NOT_TRUNCATED"]);
  assertEquals(idsOf(imageOf().subarray(0, 5000), { result: -16n }), []);
  assertEquals(idsOf(new Uint8Array(0), { result: -16n }), []);
});

Deno.test("a race in which one of its outcomes never came is none", () => {
  assertEquals(missingOutcomes(RACE, new Set(["ok", "EBUSY"])), []);
  assertEquals(missingOutcomes(RACE, new Set(["ok"])).map(({ id }) => id), ["E_NO_RACE"]);
});

Deno.test("splitShared() gives each call its part, and the last one what is too much", () => {
  const shared = (bytes: number[]) =>
    splitShared([{ result: 9n, image: Uint8Array.from(bytes) }], { firstId: 8, length: 2, count: 2 })
      .map(({ result, image }) => [result, [...image]]);
  assertEquals(shared([1, 2, 3, 4]), [[8n, [1, 2]], [9n, [3, 4]]]);
  assertEquals(shared([1, 2, 3]), [[8n, [1, 2]], [9n, [3]]]);
  assertEquals(shared([1, 2, 3, 4, 5]), [[8n, [1, 2]], [9n, [3, 4, 5]]]);
});

Deno.test("parseRaceCalls() takes apart what the agent sends", () => {
  const words = new Uint8Array(BigInt64Array.of(-16n, 0n, 3n, 2n).buffer);
  const calls = parseRaceCalls(Uint8Array.of(...words, 8, 9));
  assertEquals(calls.map(({ result, image }) => [result, [...image]]), [[-16n, []], [3n, [8, 9]]]);
});
