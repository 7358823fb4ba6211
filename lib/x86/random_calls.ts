// SPDX-License-Identifier: MIT
import type { SegmentRegister } from "./descriptor.ts";
import {
  describeUserDesc,
  EMPTY_USER_DESC,
  encodeUserDesc,
  type UserDesc,
  ZERO_USER_DESC,
} from "./user_desc.ts";

/** Bytes of the buffer that a call with `pointer: "buffer"` has: more than any read can fill. */
export const READ_BUFFER_SIZE = 69632;

/** A source of random numbers: each call gives a uniform integer from 0 to 2^32 - 1. Seeded by its owner. */
export type Random32 = () => number;

/** One modify_ldt call. */
export interface ModifyLdtCall {
  /** Tells it from the other steps. */
  readonly call: "modify_ldt";
  /** First argument. */
  readonly func: number;
  /** A user_desc in memory, a zeroed buffer of READ_BUFFER_SIZE bytes, or an address that faults. */
  readonly pointer: UserDesc | "buffer" | "fault";
  /** Third argument; -1n stands for the largest unsigned value. */
  readonly bytecount: bigint;
}

/** One step of a program that uses its LDT. After fork the child goes on. */
export type LdtCall =
  | ModifyLdtCall
  | { readonly call: "fork" }
  | { readonly call: "exec" }
  | { readonly call: "load"; readonly selector: number; readonly register: SegmentRegister };

/** What `drawLdtCalls` may draw. */
interface DrawOptions {
  /** Steps of the sequence. */
  readonly count: number;
  /** Draw fork and exec events. True when not given. */
  readonly processEvents?: boolean;
  /** Draw loads of LDT selectors. False when not given. */
  readonly loads?: boolean;
}

/** Says whether a sequence still shows the failure that is being shrunk. */
type StillFails = (calls: readonly LdtCall[]) => boolean | Promise<boolean>;

const ENTRY_NUMBERS: readonly number[] = [
  ...[0, 1, 2, 5, 63, 100, 510, 511, 512, 513, 1023, 1024, 4095, 4096, 8189, 8190, 8191, 8192, 8193],
  ...[65535, 0x7fffffff, 0x80000000, 0xffffffff],
];
const WORDS: readonly number[] = [
  ...[0, 1, 0xfff, 0x1000, 0xffff, 0x10000, 0xfffff, 0x100000, 0xffffff, 0x1000000, 0x7fffffff],
  ...[0x80000000, 0xdeadbeef, 0xffffffff],
];
const OTHER_FUNCS = [3, 4, 0x10, 0x12, 0x21, 0x101, 0x7fffffff, -1, -17] as const;
const WRITE_COUNTS = [0n, 1n, 8n, 15n, 17n, 32n, 0x100000010n, -1n] as const;
const READ_COUNTS: readonly bigint[] = [
  ...[0n, 1n, 7n, 8n, 9n, 15n, 16n, 39n, 40n, 41n, 127n, 128n, 129n, 2048n, 4095n, 4096n, 4097n, 65535n],
  ...[65536n, 65537n, 0x100000000n, -1n],
];
const REGISTERS = ["ds", "es", "fs", "gs", "ss"] as const;

/** Draws a sequence of steps, biased to the boundaries of the kernel's checks. */
export function drawLdtCalls(random: Random32, options: DrawOptions): LdtCall[] {
  return Array.from({ length: options.count }, () => drawStep(random, options));
}

/** Draws a user_desc: a wholly random one, one near LDT_empty or LDT_zero, or one of boundary values. */
function drawUserDesc(random: Random32): UserDesc {
  const entryNumber = drawEntryNumber(random);
  switch (random() % 4) {
    case 0:
      return drawNearMiss(random, { ...EMPTY_USER_DESC, entryNumber });
    case 1:
      return drawNearMiss(random, { ...ZERO_USER_DESC, entryNumber });
  }
  return {
    entryNumber,
    baseAddr: drawWord(random),
    limit: drawWord(random),
    seg32bit: chance(random, 0.7),
    contents: random() % 4,
    readExecOnly: chance(random, 0.5),
    limitInPages: chance(random, 0.5),
    segNotPresent: chance(random, 0.3),
    useable: chance(random, 0.5),
    lm: chance(random, 0.2),
    padding: chance(random, 0.1) ? random() >>> 8 : 0,
  };
}

/** The memory and the third argument of a call as `LdtModel.modifyLdt` takes them. */
export function callArguments(call: ModifyLdtCall): { ptr: Uint8Array | "fault"; bytecount: bigint } {
  const { pointer, bytecount } = call;
  const ptr = pointer === "fault"
    ? pointer
    : pointer === "buffer"
    ? new Uint8Array(READ_BUFFER_SIZE)
    : paddedUserDesc(pointer);
  return { ptr, bytecount };
}

/** One line about a step, for a report. */
export function describeCall(step: LdtCall): string {
  switch (step.call) {
    case "modify_ldt": {
      const { func, pointer, bytecount } = step;
      const memory = typeof pointer === "string" ? pointer : `{${describeUserDesc(pointer)}}`;
      return `modify_ldt(${func < 0 ? func : `0x${func.toString(16)}`}, ${memory}, ${bytecount})`;
    }
    case "load":
      return `load 0x${step.selector.toString(16)} into ${step.register}`;
    default:
      return step.call;
  }
}

/**
 * Finds a short sequence that still fails: delta debugging over the steps, then each step is made simpler
 * where that keeps the failure. Nothing is changed in place. `stillFails(calls)` must be true for `calls`
 * itself; otherwise `calls` comes back as it is.
 */
export async function shrinkCalls(calls: readonly LdtCall[], stillFails: StillFails): Promise<LdtCall[]> {
  if (!await stillFails(calls)) return [...calls];
  let best = await removeSteps(calls, stillFails);
  for (let index = 0; index < best.length; index++) {
    best = await simplifyStep(best, index, stillFails);
  }
  return await removeSteps(best, stillFails);
}

async function removeSteps(calls: readonly LdtCall[], stillFails: StillFails): Promise<LdtCall[]> {
  let best = [...calls];
  for (let size = Math.ceil(best.length / 2); size >= 1;) {
    let removed = false;
    for (let start = best.length - size; start > -size; start -= size) {
      const candidate = [...best.slice(0, Math.max(start, 0)), ...best.slice(start + size)];
      if (candidate.length < best.length && await stillFails(candidate)) {
        best = candidate;
        removed = true;
      }
    }
    if (size > 1) size = Math.ceil(size / 2);
    else if (!removed) break;
  }
  return best;
}

/** Takes the first simpler form that still fails, until there is none. Each form is nearer to zero. */
async function simplifyStep(calls: LdtCall[], index: number, stillFails: StillFails): Promise<LdtCall[]> {
  let best = calls;
  for (let progress = true; progress;) {
    progress = false;
    const step = best[index];
    if (step === undefined) break;
    for (const simpler of simplerSteps(step)) {
      const candidate = best.with(index, simpler);
      if (!await stillFails(candidate)) continue;
      best = candidate;
      progress = true;
      break;
    }
  }
  return best;
}

function* simplerSteps(step: LdtCall): Generator<LdtCall> {
  if (step.call !== "modify_ldt" || typeof step.pointer === "string") return;
  const { pointer } = step;
  for (const simpler of simplerUserDescs(pointer)) yield { ...step, pointer: simpler };
  if (step.func === 1) yield { ...step, func: 0x11 };
}

function* simplerUserDescs(info: UserDesc): Generator<UserDesc> {
  for (const field of ["entryNumber", "baseAddr", "limit", "contents", "padding"] as const) {
    for (const less of smallerNumbers(info[field])) yield { ...info, [field]: less };
  }
  const flags = ["readExecOnly", "limitInPages", "segNotPresent", "useable", "lm"] as const;
  for (const flag of flags) {
    if (info[flag]) yield { ...info, [flag]: false };
  }
  // A 32-bit segment is the plain case.
  if (!info.seg32bit) yield { ...info, seg32bit: true };
}

/** Zero, then nearer and nearer to `value`: taking the first that fits ends at a boundary in few steps. */
function* smallerNumbers(value: number): Generator<number> {
  for (let distance = value; distance >= 1; distance = Math.floor(distance / 2)) yield value - distance;
}

function drawStep(random: Random32, { processEvents = true, loads = false }: DrawOptions): LdtCall {
  const roll = random() % 100;
  if (roll < 4 && processEvents) return { call: roll < 3 ? "fork" : "exec" };
  if (roll < 14 && loads) return drawLoad(random);
  if (roll < 26) return drawRead(random);
  if (roll < 30) return drawOther(random);
  if (roll < 34) {
    return {
      ...drawWrite(random),
      pointer: "fault",
      bytecount: chance(random, 0.7) ? 16n : pick(random, WRITE_COUNTS),
    };
  }
  if (roll < 40) return { ...drawWrite(random), bytecount: pick(random, WRITE_COUNTS) };
  return drawWrite(random);
}

function drawWrite(random: Random32): ModifyLdtCall {
  const func = chance(random, 0.35) ? 1 : 0x11;
  return { call: "modify_ldt", func, pointer: drawUserDesc(random), bytecount: 16n };
}

function drawRead(random: Random32): ModifyLdtCall {
  const func = chance(random, 0.8) ? 0 : 2;
  const pointer = chance(random, 0.1) ? "fault" : "buffer";
  return { call: "modify_ldt", func, pointer, bytecount: pick(random, READ_COUNTS) };
}

function drawOther(random: Random32): ModifyLdtCall {
  const pointer = chance(random, 0.5) ? drawUserDesc(random) : "fault";
  return { call: "modify_ldt", func: pick(random, OTHER_FUNCS), pointer, bytecount: 16n };
}

function drawLoad(random: Random32): LdtCall {
  // Most entries are empty, and their loads all fault alike: the low ones are the likeliest to be set.
  const index = chance(random, 0.8) ? random() % 16 : drawEntryNumber(random) & 0x1fff;
  const selector = (index << 3) | 4 | (chance(random, 0.8) ? 3 : random() % 4);
  return { call: "load", selector, register: pick(random, REGISTERS) };
}

function drawEntryNumber(random: Random32): number {
  if (chance(random, 0.4)) return random() % 16;
  return chance(random, 0.8) ? pick(random, ENTRY_NUMBERS) : random() % 8200;
}

function drawWord(random: Random32): number {
  return chance(random, 0.6) ? pick(random, WORDS) : random() >>> (random() % 32);
}

/** Changes one field, or none. */
function drawNearMiss(random: Random32, info: UserDesc): UserDesc {
  const changes: readonly Partial<UserDesc>[] = [
    {},
    {},
    { baseAddr: 1 << (random() % 31) },
    { limit: 1 << (random() % 31) },
    { contents: 1 + random() % 3 },
    { readExecOnly: !info.readExecOnly },
    { seg32bit: true },
    { limitInPages: true },
    { segNotPresent: !info.segNotPresent },
    { useable: true },
    { lm: true },
    { padding: 1 + random() % 0xffffff },
  ];
  return { ...info, ...pick(random, changes) };
}

/** A write of 17 bytes or more may read on: zeros follow, as in the guest's scratch memory. */
function paddedUserDesc(info: UserDesc): Uint8Array {
  const bytes = new Uint8Array(READ_BUFFER_SIZE);
  bytes.set(encodeUserDesc(info));
  return bytes;
}

function chance(random: Random32, probability: number): boolean {
  return random() < probability * 0x100000000;
}

function pick<T>(random: Random32, values: readonly T[]): T {
  const value = values[random() % values.length];
  if (value === undefined) throw new RangeError("pick: expected at least one value, found none");
  return value;
}
