// SPDX-License-Identifier: MIT

import { PAGE_SIZE } from "../../abi/arch.ts";
import { SIGNALS } from "../../abi/signals.ts";
import { keysOf, numberOrText, oneOf, optional } from "../../schema.ts";
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
import { defineStep } from "./define_step.ts";
import type { StepContext } from "./step_context.ts";

const SIGBUS = BigInt(SIGNALS.SIGBUS);
const SIGSEGV = BigInt(SIGNALS.SIGSEGV);
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
  throw new RangeError(`Selector 0x${selector.toString(16)} names no entry that the model knows`);
}

function loadRights(selector: number, { state, builder }: StepContext): void {
  const descriptor = descriptorOf(state, selector);
  const use = { rpl: selector & 3, longMode: state.target.kernelWordSize === 8 };
  const rights = descriptor && loadAccessRights(descriptor, use);
  const limit = descriptor && loadSegmentLimit(descriptor, use);
  const name = `0x${selector.toString(16)}`;
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

/** The steps of this family. */
export const SELECTOR_STEPS = [
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
        `load 0x${selector.toString(16)} into ${step.register}` + (access ? `, read at ${offset}` : ""),
        result,
        { orElse },
      );
      if (fault !== undefined) return;
      state.ldt.selectorLoaded(selector, step.register);
      if (step.register === "fs" || step.register === "gs") state.selectors.set(step.register, selector);
    },
  }),
] as const;
