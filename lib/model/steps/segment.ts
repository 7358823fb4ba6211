// SPDX-License-Identifier: MIT
import { hex } from "../../bytes.ts";
import type * as v from "valibot";
import { PAGE_SIZE } from "../../abi/arch.ts";
import { ERRNO } from "../../abi/errno.ts";
import { SIGNALS } from "../../abi/signals.ts";
import { described, integer, keysOf, numberOrText, oneOf, optional, text, wordSet } from "../../schema.ts";
import {
  LAR_DEFINED_BITS,
  loadAccessRights,
  loadSegmentLimit,
  type SegmentDescriptor,
  segmentLoadFault,
  validOffsets,
} from "../../x86/descriptor.ts";
import type { ModelState } from "../state/model_state.ts";
import { contentBytes } from "../state/page_content.ts";
import { VM } from "../../abi/vm_flags.ts";
import { defineStep, type StepContext } from "./define_step.ts";
import { encodeUserDesc, type UserDesc, ZERO_USER_DESC } from "../../x86/user_desc.ts";
import { PAGE_SET, WORD } from "../fields.ts";
import { pageRuns } from "../state/page_set.ts";
import { syscallNumber } from "../syscall_numbers.ts";

const SIGBUS = BigInt(SIGNALS.SIGBUS);
const SIGSEGV = BigInt(SIGNALS.SIGSEGV);
const BASES = ["fs", "gs"] as const;
const REGISTERS = { es: 0, ss: 1, ds: 2, fs: 3, gs: 4 } as const;

type SegmentRegisterName = keyof typeof REGISTERS;

const SELECTOR = {
  least: 0,
  most: 0xffff,
  pattern: String.raw`0x[\da-fA-F]{1,4}|(?:ldt|tls):\d{1,4}`,
  expected: `a selector: 16 bits, "ldt:ENTRY" or "tls:ENTRY"`,
};

/** A selector in a scenario: a number, or "ldt:5" or "tls:0" for an entry, with privilege level 3. */
export function selectorNumber(state: ModelState, text: number | string): number {
  const match = /^(ldt|tls):(\d+)$/.exec(String(text));
  const index = Number(match?.[2]);
  if (match?.[1] === "ldt") return index << 3 | 7;
  if (match) return (state.tls.options.firstSlot + index) << 3 | 3;
  return Number(text);
}

/** The descriptor that a selector names, as far as the model knows it: an LDT or a TLS entry. */
function descriptorOf(state: ModelState, selector: number): SegmentDescriptor | undefined {
  const index = selector >>> 3;
  if ((selector & 4) !== 0) return index < state.ldt.nrEntries ? state.ldt.entry(index) : undefined;
  const { firstSlot } = state.tls.options;
  if (index >= firstSlot && index < firstSlot + 3) return state.tls.slot(index);
  throw new RangeError(`Selector ${hex(selector)} names no entry that the model knows`);
}

/** Makes sure that the target can make its call in a segment, whose offsets must be its own addresses. */
export function requireFlatCode(state: ModelState, selector: number): void {
  const descriptor = descriptorOf(state, selector);
  const use = { rpl: selector & 3, longMode: state.target.kernelWordSize === 8 };
  const isFlat = descriptor?.base === 0 && descriptor.d && validOffsets(descriptor)?.last === 0xffff_ffff;
  if (isFlat && segmentLoadFault(descriptor, "cs", use) === undefined) return;
  throw new RangeError(
    `cs: expected a code segment of 32 bits that is flat, found 0x${selector.toString(16)}`,
  );
}

function loadRights(selector: number, { state, builder }: StepContext): void {
  const descriptor = descriptorOf(state, selector);
  const use = { rpl: selector & 3, longMode: state.target.kernelWordSize === 8 };
  const rights = descriptor && loadAccessRights(descriptor, use);
  const limit = descriptor && loadSegmentLimit(descriptor, use);
  const name = hex(selector);
  const mask = rights === undefined ? {} : { mask: BigInt(LAR_DEFINED_BITS) };
  builder.emitWithResult({ op: "lar", selector }, `lar ${name}`, BigInt(rights ?? -1), mask);
  builder.emitWithResult({ op: "lsl", selector }, `lsl ${name}`, BigInt(limit ?? -1));
}

/** The signal, negative, that a load ends with: the target catches it. */
function loadFault(state: ModelState, selector: number, register: SegmentRegisterName): bigint | undefined {
  if ((selector & 0xfffc) === 0) return register === "ss" ? -SIGSEGV : undefined;
  const descriptor = descriptorOf(state, selector);
  const use = { rpl: selector & 3, longMode: state.target.kernelWordSize === 8 };
  const fault = descriptor ? segmentLoadFault(descriptor, register, use) : "GP";
  return fault === undefined ? undefined : fault === "GP" ? -SIGSEGV : -SIGBUS;
}

/** The byte that the program reads, or the signal, negative, that it gets instead. */
function byteThrough(
  state: ModelState,
  { selector, register, offset, ignoresLimit = false }: {
    selector: number;
    register: SegmentRegisterName;
    offset: number;
    ignoresLimit?: boolean;
  },
): bigint {
  const descriptor = (selector & 0xfffc) === 0 ? undefined : descriptorOf(state, selector);
  const isStack = register === "ss";
  let base = descriptor?.base ?? 0;
  if (state.target.targetWordSize === 8) {
    // In 64-bit mode limits do not count, and bases only those of FS and GS.
    if (register !== "fs" && register !== "gs") base = 0;
  } else if (!ignoresLimit) {
    const valid = descriptor && validOffsets(descriptor);
    if (!valid || offset < valid.first || offset > valid.last) return isStack ? -SIGBUS : -SIGSEGV;
  }
  const wrap = state.target.targetWordSize === 8 ? 2 ** 53 : 2 ** 32;
  const address = (base + offset) % wrap;
  const page = Math.floor(address / PAGE_SIZE);
  const area = state.space.areaAt(page);
  if (!area || (area.flags & (VM.READ | VM.WRITE | VM.EXEC)) === 0n) return -SIGSEGV;
  state.space.readPage(page);
  return BigInt(contentBytes(state.space.contentAt(page))[address % PAGE_SIZE]!);
}

/** Bits of a user_desc in words; `pages`: the limit is in pages. */
const SEGMENT_FLAGS = {
  ...{ "32bit": "seg32bit", readonly: "readExecOnly", pages: "limitInPages" } as const,
  ...{ not_present: "segNotPresent", useable: "useable", long: "lm" } as const,
};

const SEGMENT_CONTENTS = ["data", "expand_down", "code", "conforming"] as const;

const MAX_LDT_BYTES = 0x10000;

const SEGMENT_NUMBER = numberOrText({
  least: 0,
  most: 0xffff_ffff,
  pattern: String.raw`0x[\da-fA-F]{1,8}|entry|area:.+`,
  expected:
    `32 bits such as 4096 or "0x1000", "entry" for the entry's number, or "area:NAME" for its address`,
});

const SEGMENT = {
  base: optional(SEGMENT_NUMBER, "Base address; 0 when not given."),
  limit: optional(SEGMENT_NUMBER, "Limit; 0 when not given."),
  contents: optional(oneOf(SEGMENT_CONTENTS), "Kind of segment; data when not given."),
  flags: optional(wordSet(keysOf(SEGMENT_FLAGS)), "Bits that are set."),
};

type SegmentSpec = v.InferOutput<v.StrictObjectSchema<typeof SEGMENT, undefined>>;

const LDT_ENTRIES_LIMIT = 0x10000;

function segmentNumber(state: ModelState, value: number | string | undefined, entryNumber: number): number {
  if (value === "entry") return entryNumber >>> 0;
  if (typeof value === "string" && value.startsWith("area:")) {
    return state.range(value.slice(5)).start * PAGE_SIZE;
  }
  return Number(value ?? 0);
}

function userDesc(state: ModelState, words: SegmentSpec, entryNumber: number): UserDesc {
  const flags = (words.flags ?? []).map((word) => [SEGMENT_FLAGS[word], true]);
  return {
    ...ZERO_USER_DESC,
    entryNumber: entryNumber >>> 0,
    baseAddr: segmentNumber(state, words.base, entryNumber),
    limit: segmentNumber(state, words.limit, entryNumber),
    contents: SEGMENT_CONTENTS.indexOf(words.contents ?? "data"),
    ...Object.fromEntries(flags),
  };
}

/** A native x86-64 program has no TLS entries of its own but by the 32-bit system call table. */
function threadAreaCall(
  { state, builder }: StepContext,
  name: "set_thread_area" | "get_thread_area",
  userDesc: UserDesc,
): void {
  const bytes = encodeUserDesc(userDesc);
  const call = name === "set_thread_area" ? state.tls.setThreadArea(bytes) : state.tls.getThreadArea(bytes);
  const argument = builder.scratch(0, bytes);
  if (builder.wordSize === 4) builder.syscall(name, [argument], { expected: call.result });
  else {
    const op = { op: "syscall32", nr: syscallNumber(name, 4), args: [argument] } as const;
    builder.emitWithResult(op, `${name}() by int $0x80`, call.result);
  }
  // What get_thread_area could not fill stays as it was.
  const written = call.userDesc ?? (name === "get_thread_area" ? bytes : undefined);
  if (written) builder.report(argument, written.length, `user_desc after ${name}`, written);
}

/** The steps of this family. */
export const SEGMENT_STEPS = [
  defineStep({
    op: "modify_ldt",
    about: "modify_ldt(2), once for each entry; refusals are predicted as well.",
    fields: {
      entries: PAGE_SET,
      func: optional(WORD),
      vary: optional(
        wordSet(keysOf(SEGMENT_FLAGS)),
        "Flags that vary from entry to entry of a range: bit k of the place in it decides on word k.",
      ),
      ...SEGMENT,
    },
    apply(step, { state, builder }) {
      const func = step.func ?? 0x11;
      for (const { first, count } of pageRuns(step.entries, LDT_ENTRIES_LIMIT, state.pagesPerChunk)) {
        for (let entry = first; entry < first + count; entry++) {
          const varied = (step.vary ?? []).filter((_, bit) => ((entry - first) >> bit & 1) === 1);
          const words = { ...step, flags: [...step.flags ?? [], ...varied] };
          const bytes = encodeUserDesc(userDesc(state, words, entry));
          const { result } = state.ldt.modifyLdt(func, bytes, 16n);
          builder.syscall("modify_ldt", [BigInt(func), builder.scratch(0, bytes), 16n], { expected: result });
        }
      }
    },
  }),
  defineStep({
    op: "read_ldt",
    about: "modify_ldt(2) that reads: what it returns, and every byte that it writes.",
    fields: { func: optional(WORD), bytes: integer(0, MAX_LDT_BYTES) },
    apply(step, { state, builder }) {
      const MARK = 0xa5;
      const before = new Uint8Array(step.bytes).fill(MARK);
      const { result, data } = state.ldt.modifyLdt(step.func ?? 0, before, BigInt(step.bytes));
      const buffer = builder.scratch(0, before);
      builder.syscall("modify_ldt", [BigInt(step.func ?? 0), buffer, BigInt(step.bytes)], {
        expected: result,
      });
      const after = before.slice();
      after.set(data ?? []);
      builder.report(buffer, step.bytes, `${step.bytes} bytes read by modify_ldt`, after);
    },
  }),
  defineStep({
    op: "set_thread_area",
    about: "set_thread_area(2): a TLS entry of the GDT.",
    fields: {
      entry: described("From 0; -1 lets the kernel choose, -2 is below the first.", integer(-2, 8191)),
      ...SEGMENT,
    },
    apply(step, context) {
      const entry = step.entry === -1 ? -1 : context.state.tls.options.firstSlot + step.entry;
      threadAreaCall(context, "set_thread_area", userDesc(context.state, step, entry));
    },
  }),
  defineStep({
    op: "get_thread_area",
    about: "get_thread_area(2): what it returns, and the user_desc that it fills.",
    fields: { entry: integer(-2, 8191) },
    apply(step, context) {
      const entryNumber = (context.state.tls.options.firstSlot + step.entry) >>> 0;
      threadAreaCall(context, "get_thread_area", { ...ZERO_USER_DESC, entryNumber });
    },
  }),
  defineStep({
    op: "selector",
    about: "LAR and LSL: what the processor itself says of a descriptor, or of a range of them.",
    fields: {
      selector: numberOrText({
        ...SELECTOR,
        pattern: String.raw`${SELECTOR.pattern}|(?:ldt|tls):\d{1,4}\.\.\d{1,4}`,
        expected: `${SELECTOR.expected}, or a range such as "ldt:0..31"`,
      }),
    },
    apply(step, context) {
      const range = /^(ldt|tls):(\d+)\.\.(\d+)$/.exec(String(step.selector));
      if (!range) return loadRights(selectorNumber(context.state, step.selector), context);
      for (let index = Number(range[2]); index <= Number(range[3]); index++) {
        loadRights(selectorNumber(context.state, `${range[1]}:${index}`), context);
      }
    },
  }),
  defineStep({
    op: "load_segment",
    about: "Loads a selector, and reads a byte through it if asked to.",
    fields: {
      register: oneOf(keysOf(REGISTERS)),
      selector: numberOrText(SELECTOR),
      read: optional(
        numberOrText({
          least: 0,
          most: 0xffff_ffff,
          pattern: String.raw`0x[\da-fA-F]{1,8}`,
          expected: `an offset such as 4096 or "0x1000"`,
        }),
        "Reads the byte at this offset through it.",
      ),
    },
    apply(step, { state, builder }) {
      // The load makes the processor set the accessed bit.
      const register = REGISTERS[step.register];
      const selector = selectorNumber(state, step.selector);
      const offset = Number(step.read ?? 0);
      const fault = loadFault(state, selector, step.register);
      const access = step.read !== undefined;
      const read = { selector, register: step.register, offset };
      const result = fault ?? (access ? byteThrough(state, read) : 0n);
      const orElse = fault === undefined && access
        ? byteThrough(state, { ...read, ignoresLimit: true })
        : result;
      builder.emitWithResult(
        { op: "segload", selector, register, offset, access },
        `load ${hex(selector)} into ${step.register}` + (access ? `, read at ${offset}` : ""),
        result,
        { orElse },
      );
      if (fault !== undefined) return;
      state.ldt.selectorLoaded(selector, step.register);
      if (step.register === "fs" || step.register === "gs") state.selectors.set(step.register, selector);
      // In 64-bit code they serve nothing, and the target leaves them loaded.
      else if (step.register !== "ss" && builder.wordSize === 8) state.selectors.set(step.register, selector);
    },
  }),
  defineStep({
    op: "load_base",
    about:
      "WRFSBASE or WRGSBASE, where the processor has it: unlike arch_prctl(2) it takes any canonical address, one " +
      "of the kernel's half too. ptrace shows what is there.",
    fields: {
      register: oneOf(BASES),
      base: text(/^0x[\da-f]{1,16}$/, `an address such as "0xffff800000000000"`),
    },
    apply({ register, base }, { builder }) {
      if (builder.wordSize === 4) {
        throw new RangeError("64-bit programs alone can load the base of a segment");
      }
      const op = { op: "wrbase", register: BASES.indexOf(register), base: BigInt(base) } as const;
      builder.emitWithResult(op, `load ${base} as the base of ${register}`, 0n, {
        orElse: BigInt(-ERRNO.ENOSYS),
      });
    },
    since: () => [{ release: "5.9", what: "by WRFSBASE" }],
  }),
] as const;
