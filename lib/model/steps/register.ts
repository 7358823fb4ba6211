// SPDX-License-Identifier: MIT

import { hex } from "../../bytes.ts";
import { SIGNALS } from "../../abi/signals.ts";
import { oneOf, record, text } from "../../schema.ts";
import type { CpuRegister } from "../../x86/registers.ts";
import { AVX_COMPONENT, FXSAVE_FIELDS, FXSAVE_SIZE, XSAVE_HEADER } from "../../x86/xstate.ts";
import {
  BLOCK_REGISTERS,
  BLOCK_SELECTORS,
  encodeRegisterBlock,
  type XstatePart,
} from "../state/register_block.ts";
import { syscallNumber } from "../syscall_numbers.ts";
import { defineStep } from "./define_step.ts";
import { requireFlatCode, selectorNumber } from "./segment.ts";

/** Registers that a scenario may set: those that the call which stops the target leaves alone. */
const SETTABLE = {
  8: ["r15", "r14", "r13", "r12", "bp", "bx", "r10", "r9", "r8", "dx"],
  4: ["bp", "dx", "si", "di"],
} as const;

function range(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`);
}

const VECTOR_NAMES = ["fcw", "mxcsr", ...range("st", 8), ...range("xmm", 16), ...range("ymm", 16)];

/** Registers that a scenario may set on one architecture or another. */
const REGISTER_NAMES: readonly string[] = [
  ...new Set([...SETTABLE[8], ...SETTABLE[4], "flags", ...BLOCK_SELECTORS, ...VECTOR_NAMES]),
];

const IF_AND_FIXED = 0x202n;
const SETTABLE_FLAGS = 0x240cd5n; // CF PF AF ZF SF DF OF AC ID

/** What the call that stops the target leaves in registers: its number, its result, and the signal. */
function afterKill(wordSize: 4 | 8): [CpuRegister, bigint][] {
  const number = BigInt(syscallNumber("kill", wordSize));
  return [["ax", 0n], ["orig_ax", number], [wordSize === 4 ? "cx" : "si", BigInt(SIGNALS.SIGSTOP)]];
}

const DEFAULT_FCW = 0x37fn;
const DEFAULT_MXCSR = 0x1f80n;

/** The FPU state to load, and what of it must then be found. A ymm register is 256 bits, its low half the xmm one. */
function xstateOf(values: readonly [string, bigint][]): { block: Uint8Array; parts: XstatePart[] } {
  if (values.length === 0) return { block: new Uint8Array(0), parts: [] };
  const hasAvx = values.some(([name]) => name.startsWith("ymm"));
  const bytes = new Uint8Array(hasAvx ? AVX_COMPONENT.offset + AVX_COMPONENT.size : FXSAVE_SIZE);
  const parts: XstatePart[] = [];
  const put = (name: string, offset: number, length: number, value: bigint): void => {
    const part = littleEndian(name, value, length);
    bytes.set(part, offset);
    parts.push({ name, offset, bytes: part });
  };
  const given = new Map(values);
  put("fcw", FXSAVE_FIELDS.fcw.offset, 2, given.get("fcw") ?? DEFAULT_FCW);
  put("mxcsr", FXSAVE_FIELDS.mxcsr.offset, 4, given.get("mxcsr") ?? DEFAULT_MXCSR);
  let tags = 0;
  for (const [name, value] of values) {
    const index = Number(/\d+$/.exec(name)?.[0] ?? "0");
    if (name.startsWith("st")) {
      put(name, FXSAVE_FIELDS.st.offset + 16 * index, 10, value);
      tags |= 1 << index;
    } else if (name.startsWith("xmm")) {
      put(name, FXSAVE_FIELDS.xmm.offset + 16 * index, 16, value);
    } else if (name.startsWith("ymm")) {
      put(name, FXSAVE_FIELDS.xmm.offset + 16 * index, 16, value & ((1n << 128n) - 1n));
      put(`${name}, upper half`, AVX_COMPONENT.offset + 16 * index, 16, value >> 128n);
    }
  }
  put("ftw", FXSAVE_FIELDS.ftw.offset, 1, BigInt(tags));
  // x87, SSE and AVX are in the image to be loaded.
  if (hasAvx) bytes[XSAVE_HEADER.offset] = 7;
  return { block: bytes, parts };
}

function littleEndian(name: string, value: bigint, length: number): Uint8Array {
  if (value < 0n || value >= 1n << BigInt(8 * length)) {
    throw new RangeError(`${name}: expected a value of ${8 * length} bits, found ${hex(value)}`);
  }
  return Uint8Array.from({ length }, (_, i) => Number(value >> BigInt(8 * i) & 0xffn));
}

/** The steps of this family. */
export const REGISTER_STEPS = [
  defineStep({
    op: "registers",
    about: "Sets registers for the next stop: general ones, flags, selectors, x87, SSE and AVX state.",
    fields: {
      values: record(
        oneOf(REGISTER_NAMES),
        text(/^(?:0x[\da-fA-F]{1,64}|\d+|(?:ldt|tls):\d{1,4})$/, `a number such as "0x1f80", or "ldt:ENTRY"`),
      ),
    },
    apply(step, { state, builder }) {
      const values = new Map(
        Object.entries(step.values).map(([name, text]) => [
          name,
          /^[a-z]+:/.test(text) ? BigInt(selectorNumber(state, text)) : BigInt(text),
        ]),
      );
      const take = (names: readonly string[]): [string, bigint][] => {
        const taken = [...values].filter(([name]) => names.includes(name));
        for (const [name] of taken) values.delete(name);
        return taken;
      };
      const selectors = take(BLOCK_SELECTORS);
      const cs = selectors.find(([name]) => name === "cs")?.[1];
      if (cs !== undefined) requireFlatCode(state, Number(cs));
      // Code of 32 bits makes the call of 32 bits.
      const wordSize = cs === undefined ? builder.wordSize : 4;
      const general = wordSize === builder.wordSize ? take(SETTABLE[wordSize]) : [];
      const flags = (take(["flags"])[0]?.[1] ?? 0n) | IF_AND_FIXED;
      if ((flags & ~(SETTABLE_FLAGS | IF_AND_FIXED)) !== 0n) {
        throw new RangeError(`flags: a scenario may set CF PF AF ZF SF DF OF AC ID, found ${hex(flags)}`);
      }
      const { block, parts } = xstateOf(take(VECTOR_NAMES));
      if (values.size > 0) {
        throw new SyntaxError(
          `No register ${[...values.keys()].join(", ")} can be set: ${BLOCK_REGISTERS.join(", ")}`,
        );
      }
      const set = [...general, ["flags", flags], ...selectors] as [CpuRegister, bigint][];
      state.registers = {
        block: encodeRegisterBlock(new Map(set), block),
        general: new Map([...set, ...afterKill(wordSize)]),
        xstate: parts,
      };
    },
  }),
] as const;
