// SPDX-License-Identifier: MIT

import fc from "fast-check";
import { SIGNALS } from "../../lib/abi/signals.ts";
import { LDT_ENTRIES } from "../../lib/abi/arch.ts";
import { blockHash } from "../../lib/abi/block_hash.ts";
import { syscallNumber } from "../../lib/model/syscall_numbers.ts";
import type { OpArgument, TargetOp } from "../../lib/model/target_op.ts";
import {
  LAR_DEFINED_BITS,
  loadAccessRights,
  loadSegmentLimit,
  segmentLoadFault,
  type SegmentRegister,
} from "../../lib/x86/descriptor.ts";
import { LdtModel, type LdtModelOptions } from "../../lib/x86/ldt_model.ts";
import {
  describeUserDesc,
  EMPTY_USER_DESC,
  encodeUserDesc,
  type UserDesc,
  ZERO_USER_DESC,
} from "../../lib/x86/user_desc.ts";

/** What one result of the target must be. */
export interface LdtCheck {
  /** Index of the call that it belongs to; the number of calls for what is looked at after the last one. */
  readonly step: number;
  readonly what: string;
  /** The result; undefined for a process id. */
  readonly expected: bigint | undefined;
  /** The bits that count in a result that is not negative. */
  readonly mask?: bigint;
}

/** A sequence as the target carries it out, in a process of its own. */
export interface LdtProgram {
  readonly ops: readonly TargetOp[];
  /** One for each op that has a result, in their order. */
  readonly checks: readonly LdtCheck[];
}

interface LdtCompileOptions {
  readonly model: LdtModelOptions;
  readonly wordSize: 4 | 8;
  /** Tells the processes of one program apart: below 2^32. */
  readonly id: number;
  /** What the model is told in place of a call: a wrong model, for tests that must see it caught. */
  readonly tamper?: ((call: LdtCall) => LdtCall) | undefined;
}

/** Bytes of the buffer that a call with `pointer: "buffer"` has: more than any read can fill. */
const READ_BUFFER_SIZE = 69632;
const REGISTERS: Readonly<Partial<Record<SegmentRegister, number>>> = { es: 0, ss: 1, ds: 2, fs: 3, gs: 4 };
const SIGBUS = BigInt(SIGNALS.SIGBUS);
const SIGSEGV = BigInt(SIGNALS.SIGSEGV);
/** Where calls find their user_desc and their buffer in the scratch memory. */
const USER_DESC_AT = 0;
const BUFFER_AT = 0x10000;
/** Bytes behind those that a read fills which must not change. */
const BEYOND = 64;
const SELECTORS_LOOKED_AT = 3;
/**
 * Nothing is mapped at these: the page at 0 and the next, the end of user space, kernel space, the last
 * bytes.
 */
const FAULTS = {
  8: [0n, 0x1008n, 0x7ffffffff000n, 0xffff888000000000n, -16n],
  4: [0n, 0x1008n, 0xfffffff0n, 0xfffff000n],
} as const;

/** Makes the target's program of a sequence, and with the model says what each result must be. */
export function compileLdtCalls(calls: readonly LdtCall[], options: LdtCompileOptions): LdtProgram {
  const compiler = new Compiler(options);
  compiler.begin();
  calls.forEach((call, step) => compiler.call(call, step));
  compiler.end(calls);
  return compiler;
}

class Compiler implements LdtProgram {
  readonly ops: TargetOp[] = [];
  readonly checks: LdtCheck[] = [];
  readonly #options: LdtCompileOptions;
  readonly #buffer = new Uint8Array(READ_BUFFER_SIZE);
  readonly #use: { longMode: boolean };
  #model: LdtModel;
  #step = 0;

  constructor(options: LdtCompileOptions) {
    this.#options = options;
    this.#model = new LdtModel(options.model);
    this.#use = { longMode: options.model.wordSize === 8 };
  }

  begin(): void {
    this.#emit({ op: "fork", mode: "run", id: this.#options.id }, "a process for the sequence", undefined);
  }

  call(call: LdtCall, step: number): void {
    this.#step = step;
    const known = this.#options.tamper?.(call) ?? call;
    switch (call.call) {
      case "modify_ldt":
        this.#modifyLdt(call, known);
        break;
      case "fork":
        this.#emit({ op: "fork", mode: "child", id: 0 }, "fork", undefined);
        this.#model = this.#model.fork();
        break;
      case "exec":
        this.#emit({ op: "exec" }, "exec", 0n);
        this.#model = this.#model.exec();
        this.#buffer.fill(0);
        break;
      case "load":
        this.#load(call.selector, call.register);
    }
  }

  /** The whole table as modify_ldt(0) shows it, and some selectors as the processor sees them. */
  end(calls: readonly LdtCall[]): void {
    this.#step = calls.length;
    const read: LdtCall = { call: "modify_ldt", func: 0, pointer: "buffer", bytecount: 65536n };
    this.#modifyLdt(read, read);
    for (const index of this.#entriesOf(calls)) this.#look(index);
    this.ops.push({ op: "join", id: this.#options.id });
  }

  #emit(op: TargetOp, what: string, expected: bigint | undefined, mask?: bigint): void {
    this.ops.push(op);
    this.checks.push({ step: this.#step, what, expected, ...(mask === undefined ? {} : { mask }) });
  }

  #modifyLdt(call: ModifyLdtCall, known: LdtCall): void {
    if (known.call !== "modify_ldt") throw new TypeError(`expected modify_ldt, found ${known.call}`);
    const { wordSize } = this.#options;
    const { result, data } = this.#model.modifyLdt(known.func, this.#memory(known), known.bytecount);
    const nr = syscallNumber("modify_ldt", wordSize);
    const args = [BigInt(call.func), this.#pointer(call), BigInt.asIntN(64, call.bytecount)];
    this.#emit({ op: "syscall", nr, args }, describeCall(call), result);
    if (data === undefined || call.pointer !== "buffer") return;
    this.#buffer.set(data);
    const length = Math.min(data.length + BEYOND, READ_BUFFER_SIZE);
    const hash = BigInt.asUintN(63, blockHash(this.#buffer.subarray(0, length)));
    const what = `digest of ${data.length} bytes read and ${length - data.length} behind them`;
    this.#emit({ op: "hash", address: { scratch: BUFFER_AT }, length }, what, hash);
  }

  #memory(call: ModifyLdtCall): Uint8Array | "fault" {
    if (typeof call.pointer === "string") return call.pointer === "buffer" ? this.#buffer : "fault";
    const bytes = encodeUserDesc(call.pointer);
    // Writes look at one user_desc alone: no need to make a buffer of it each time.
    if (call.func === 1 || call.func === 0x11) return bytes;
    // Other calls may read on: zeros follow, as in the guest's scratch memory.
    const memory = new Uint8Array(READ_BUFFER_SIZE);
    memory.set(bytes);
    return memory;
  }

  #pointer({ pointer }: ModifyLdtCall): OpArgument {
    if (pointer === "buffer") return { scratch: BUFFER_AT };
    if (pointer === "fault") {
      const faults = FAULTS[this.#options.wordSize];
      return faults[this.#step % faults.length]!;
    }
    this.ops.push({ op: "data", offset: USER_DESC_AT, bytes: encodeUserDesc(pointer) });
    return { scratch: USER_DESC_AT };
  }

  #load(selector: number, register: SegmentRegister): void {
    const index = selector >>> 3;
    const number = REGISTERS[register];
    if (number === undefined) throw new RangeError(`expected es, ss, ds, fs or gs, found ${register}`);
    const fault = index < this.#model.nrEntries
      ? segmentLoadFault(this.#model.entry(index), register, { ...this.#use, rpl: selector & 3 })
      : "GP";
    const expected = fault === undefined ? 0n : fault === "GP" ? -SIGSEGV : -SIGBUS;
    const what = `load 0x${selector.toString(16)} into ${register}`;
    this.#emit({ op: "segload", selector, register: number, offset: 0, access: false }, what, expected);
    if (fault === undefined) this.#model.selectorLoaded(selector, register);
  }

  /** The last few entries that calls were about. */
  #entriesOf(calls: readonly LdtCall[]): number[] {
    const entries = new Set<number>();
    for (const call of calls.toReversed()) {
      if (call.call === "load") entries.add(call.selector >>> 3);
      else if (call.call === "modify_ldt" && typeof call.pointer !== "string") {
        if (call.pointer.entryNumber < LDT_ENTRIES) entries.add(call.pointer.entryNumber);
      }
      if (entries.size === SELECTORS_LOOKED_AT) break;
    }
    return [...entries];
  }

  #look(index: number): void {
    const selector = index << 3 | 7;
    const descriptor = index < this.#model.nrEntries ? this.#model.entry(index) : undefined;
    const rights = descriptor && loadAccessRights(descriptor, this.#use);
    const limit = descriptor && loadSegmentLimit(descriptor, this.#use);
    const name = `0x${selector.toString(16)}`;
    this.#emit({ op: "lar", selector }, `lar ${name}`, BigInt(rights ?? -1), BigInt(LAR_DEFINED_BITS));
    this.#emit({ op: "lsl", selector }, `lsl ${name}`, BigInt(limit ?? -1));
  }
}

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
