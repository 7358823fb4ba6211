// SPDX-License-Identifier: MIT

import fc from "fast-check";
import type { SegmentRegister } from "../../lib/x86/descriptor.ts";
import { describeUserDesc, EMPTY_USER_DESC, type UserDesc, ZERO_USER_DESC } from "../../lib/x86/user_desc.ts";

/** One modify_ldt call. */
export interface ModifyLdtCall {
  readonly call: "modify_ldt";
  readonly func: number;
  /** A user_desc in memory, a zeroed buffer of READ_BUFFER_SIZE bytes, or an address that faults. */
  readonly pointer: UserDesc | "buffer" | "fault";
  /** -1n stands for the largest unsigned value. */
  readonly bytecount: bigint;
}

/** One step of a program that uses its LDT. After fork the child goes on. */
export type LdtCall =
  | ModifyLdtCall
  | { readonly call: "fork" }
  | { readonly call: "exec" }
  | { readonly call: "load"; readonly selector: number; readonly register: SegmentRegister };

const MAX_CALLS = 40;
const ENTRY_NUMBERS = [
  ...[0, 1, 2, 5, 63, 100, 510, 511, 512, 513, 1023, 1024, 4095, 4096, 8189, 8190, 8191, 8192, 8193],
  ...[65535, 0x7fffffff, 0x80000000, 0xffffffff],
];
const WORDS = [
  ...[0, 1, 0xfff, 0x1000, 0xffff, 0x10000, 0xfffff, 0x100000, 0xffffff, 0x1000000, 0x7fffffff],
  ...[0x80000000, 0xdeadbeef, 0xffffffff],
];
const OTHER_FUNCS = [3, 4, 0x10, 0x12, 0x21, 0x101, 0x7fffffff, -1, -17];
const WRITE_COUNTS = [0n, 1n, 8n, 15n, 17n, 32n, 0x100000010n, -1n];
const READ_COUNTS = [
  ...[0n, 1n, 7n, 8n, 9n, 15n, 16n, 39n, 40n, 41n, 127n, 128n, 129n, 2048n, 4095n, 4096n, 4097n, 65535n],
  ...[65536n, 65537n, 0x100000000n, -1n],
];

const ANY_WORD = fc.nat(0xffff_ffff);
const ENTRY_NUMBER = oneOf([4, fc.nat(15)], [5, ascending(ENTRY_NUMBERS)], [1, fc.nat(8199)]);
const WORD = oneOf([2, ANY_WORD], [3, ascending(WORDS)], [
  1,
  fc.nat(31).map((bit) => (1 << bit) >>> 0),
]);
const FIELDS = {
  entryNumber: ENTRY_NUMBER,
  baseAddr: WORD,
  limit: WORD,
  seg32bit: oneOf([7, fc.constant(true)], [3, fc.constant(false)]),
  contents: fc.nat(3),
  readExecOnly: fc.boolean(),
  limitInPages: fc.boolean(),
  segNotPresent: oneOf([7, fc.constant(false)], [3, fc.constant(true)]),
  useable: fc.boolean(),
  lm: oneOf([4, fc.constant(false)], [1, fc.constant(true)]),
  padding: oneOf([9, fc.constant(0)], [1, fc.nat(0xff_ffff)]),
};
const { entryNumber: _, ...OTHER_FIELDS } = FIELDS;
/** One field alone that is not as in LDT_empty or LDT_zero, or none. */
const CHANGE: fc.Arbitrary<Partial<UserDesc>> = fc.oneof(
  fc.constant({}),
  ...Object.entries(OTHER_FIELDS).map(([name, values]: [string, fc.Arbitrary<unknown>]) =>
    values.map((value) => ({ [name]: value }))
  ),
);
const USER_DESC: fc.Arbitrary<UserDesc> = fc.oneof(
  fc.record(FIELDS),
  fc.tuple(fc.constantFrom(ZERO_USER_DESC, EMPTY_USER_DESC), ENTRY_NUMBER, CHANGE)
    .map(([base, entryNumber, change]) => ({ ...base, entryNumber, ...change })),
);

const WRITE = { func: oneOf([13, fc.constant(0x11)], [7, fc.constant(1)]), pointer: USER_DESC };
/** Most entries are empty, and their loads all fault alike: the low ones are the likeliest to be set. */
const SELECTOR = fc.tuple(
  oneOf([8, fc.nat(15)], [2, ENTRY_NUMBER]),
  oneOf([8, fc.constant(3)], [2, fc.nat(3)]),
).map(([index, rpl]) => (index & 0x1fff) << 3 | 4 | rpl);

/** Sequences of steps, biased to the boundaries of the kernel's checks. */
export const LDT_CALLS: fc.Arbitrary<LdtCall[]> = fc.array(
  oneOf<LdtCall>(
    [60, modifyLdt(WRITE)],
    [6, modifyLdt({ ...WRITE, bytecount: fc.constantFrom(...WRITE_COUNTS) })],
    [3, modifyLdt({ ...WRITE, pointer: fc.constant("fault") })],
    [1, modifyLdt({ ...WRITE, pointer: fc.constant("fault"), bytecount: fc.constantFrom(...WRITE_COUNTS) })],
    [
      4,
      modifyLdt({
        func: fc.constantFrom(...OTHER_FUNCS),
        pointer: fc.oneof(fc.constant("fault" as const), USER_DESC),
      }),
    ],
    [
      12,
      modifyLdt({
        func: oneOf([8, fc.constant(0)], [2, fc.constant(2)]),
        pointer: oneOf([9, fc.constant("buffer")], [1, fc.constant("fault")]),
        bytecount: fc.constantFrom(...READ_COUNTS),
      }),
    ],
    [
      10,
      fc.record({
        call: fc.constant("load"),
        selector: SELECTOR,
        register: fc.constantFrom("ds", "es", "fs", "gs", "ss"),
      }),
    ],
    [3, fc.constant({ call: "fork" })],
    [1, fc.constant({ call: "exec" })],
  ),
  // With a least length the last calls of a failing sequence could not be taken out.
  { maxLength: MAX_CALLS, size: "max" },
);

/** One of several numbers, made small to the first one that fails. */
function ascending(numbers: readonly number[]): fc.Arbitrary<number> {
  return fc.nat(numbers.length - 1).map((index) => numbers[index]!);
}

function modifyLdt(
  { func, pointer, bytecount = fc.constant(16n) }: {
    func: fc.Arbitrary<number>;
    pointer: fc.Arbitrary<ModifyLdtCall["pointer"]>;
    bytecount?: fc.Arbitrary<bigint>;
  },
): fc.Arbitrary<ModifyLdtCall> {
  return fc.record({ call: fc.constant("modify_ldt"), func, pointer, bytecount });
}

/** Values with their weights; what fails becomes the first one where that fails too. */
function oneOf<T>(
  ...choices: readonly (readonly [weight: number, arbitrary: fc.Arbitrary<T>])[]
): fc.Arbitrary<T> {
  return fc.oneof(
    { withCrossShrink: true },
    ...choices.map(([weight, arbitrary]) => ({ weight, arbitrary })),
  );
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
