// SPDX-License-Identifier: MIT

import fc from "fast-check";
import type { SegmentRegister } from "../../lib/x86/descriptor.ts";
import {
  describeUserDesc,
  EMPTY_USER_DESC,
  encodeUserDesc,
  type UserDesc,
  ZERO_USER_DESC,
} from "../../lib/x86/user_desc.ts";

/** Bytes of the buffer that a call with `pointer: "buffer"` has: more than any read can fill. */
export const READ_BUFFER_SIZE = 69632;

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

/** One of several numbers, made small towards the first. */
function ascending(numbers: readonly number[]): fc.Arbitrary<number> {
  return fc.nat(numbers.length - 1).map((i) => numbers[i]!);
}

const ENTRY_NUMBER = fc.oneof(
  { weight: 4, arbitrary: fc.nat(15) },
  { weight: 5, arbitrary: ascending(ENTRY_NUMBERS) },
  { weight: 1, arbitrary: fc.nat(8199) },
);
const WORD = fc.oneof(ascending(WORDS), fc.nat(0x7fff_ffff).map((bits) => (bits << 1) >>> 0));
/** A 32-bit segment is the plain case, so that calls are made small in that direction. */
const MOSTLY = fc.boolean().map((is) => !is);

/** A user_desc of boundary values, or one that clears an entry but for one field, if at all. */
const USER_DESC: fc.Arbitrary<UserDesc> = fc.oneof(
  nearMiss(EMPTY_USER_DESC),
  nearMiss(ZERO_USER_DESC),
  {
    weight: 2,
    arbitrary: fc.record({
      entryNumber: ENTRY_NUMBER,
      baseAddr: WORD,
      limit: WORD,
      seg32bit: MOSTLY,
      contents: fc.nat(3),
      readExecOnly: fc.boolean(),
      limitInPages: fc.boolean(),
      segNotPresent: fc.boolean(),
      useable: fc.boolean(),
      lm: fc.boolean(),
      padding: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, fc.nat(0xff_ffff)),
    }),
  },
);

function nearMiss(info: UserDesc): fc.Arbitrary<UserDesc> {
  const change: fc.Arbitrary<Partial<UserDesc>> = fc.oneof(
    fc.constantFrom<Partial<UserDesc>>(
      {},
      { readExecOnly: !info.readExecOnly },
      { segNotPresent: !info.segNotPresent },
      ...[{ seg32bit: true }, { limitInPages: true }, { useable: true }, { lm: true }, { padding: 1 }],
    ),
    fc.record({ baseAddr: WORD }),
    fc.record({ limit: WORD }),
    fc.record({ contents: fc.nat(3) }),
  );
  return fc.tuple(ENTRY_NUMBER, change).map(([entryNumber, changed]) => ({
    ...info,
    entryNumber,
    ...changed,
  }));
}

const WRITE: fc.Arbitrary<ModifyLdtCall> = fc.record({
  call: fc.constant("modify_ldt"),
  func: fc.constantFrom(0x11, 0x11, 1),
  pointer: USER_DESC,
  bytecount: fc.constant(16n),
});
/** A write, a read, or a call that fails. */
const MODIFY: fc.Arbitrary<ModifyLdtCall> = fc.oneof(
  { weight: 60, arbitrary: WRITE },
  {
    weight: 12,
    arbitrary: fc.record({
      call: fc.constant("modify_ldt"),
      func: fc.constantFrom(0, 0, 0, 0, 2),
      pointer: fc.constantFrom("buffer", "buffer", "buffer", "fault"),
      bytecount: fc.constantFrom(...READ_COUNTS),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.tuple(WRITE, fc.constantFrom(16n, ...WRITE_COUNTS), fc.boolean()).map(
      ([write, bytecount, faults]) => ({ ...write, bytecount, ...faults && { pointer: "fault" as const } }),
    ),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(WRITE, fc.constantFrom(...OTHER_FUNCS)).map(([write, func]) => ({ ...write, func })),
  },
);
/** Most entries are empty, and their loads all fault alike: the low ones are the likeliest to be set. */
const LOAD: fc.Arbitrary<LdtCall> = fc.record({
  call: fc.constant("load"),
  selector: fc.tuple(
    fc.oneof({ weight: 4, arbitrary: fc.nat(15) }, ENTRY_NUMBER),
    fc.constantFrom(3, 3, 3, 2, 1, 0),
  )
    .map(([index, rpl]) => (index & 0x1fff) << 3 | 4 | rpl),
  register: fc.constantFrom(...REGISTERS),
});

const CALL: fc.Arbitrary<LdtCall> = fc.oneof(
  { weight: 86, arbitrary: MODIFY },
  { weight: 10, arbitrary: LOAD },
  { weight: 4, arbitrary: fc.constantFrom<LdtCall>({ call: "fork" }, { call: "fork" }, { call: "exec" }) },
);

/**
 * Sequences of calls, biased to the boundaries of the kernel's checks. Each call can become none, so that a sequence is
 * made small wherever it has too much.
 */
export const LDT_CALLS: fc.Arbitrary<LdtCall[]> = fc
  .array(fc.option(CALL, { freq: 50, nil: undefined }), { minLength: 1, maxLength: 40, size: "max" })
  .map((calls) => calls.filter((call) => call !== undefined));

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

/** A write of 17 bytes or more may read on: zeros follow, as in the guest's scratch memory. */
function paddedUserDesc(info: UserDesc): Uint8Array {
  const bytes = new Uint8Array(READ_BUFFER_SIZE);
  bytes.set(encodeUserDesc(info));
  return bytes;
}
