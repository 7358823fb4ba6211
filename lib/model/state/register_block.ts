// SPDX-License-Identifier: MIT

import { type CpuRegister, USER_REGS } from "../../x86/registers.ts";
import { FXSAVE_SIZE } from "../../x86/xstate.ts";

const GENERAL_REGISTER = /^(?:r\d+|[a-d]x|[sd]i|[bs]p)$/;

/** The general registers of a register block, in the block's order: that of the kernel's `struct user_regs_struct`. */
export const BLOCK_REGISTERS = USER_REGS.x86_64.filter((name) => GENERAL_REGISTER.test(name));

/** The segment registers of a register block. */
export const BLOCK_SELECTORS = ["fs", "gs", "ds", "es", "cs"] as const;

const HEADER_BYTES = 512;
const SELECTOR_GIVEN = 0x10000n;

/**
 * What the registers are to hold while the target is stopped (its side: `vm/guest/target/stop.c`). The block must lie
 * in the scratch memory at a multiple of 64.
 *
 * Absent general registers are zero. The stop itself takes ax, cx, di, si and r11 on x86-64 (cx becomes the resume
 * address, r11 the flags) and ax, bx, cx on i386; sp stays the target's own. Bit 1 of `flags` is always set;
 * single-stepping (0x100) would end the target. Selectors that are absent stay. With `cs` the target stops in a segment
 * of 32 bits, and a 64-bit one does not load the general registers.
 *
 * @param xstate an FXSAVE image of 512 bytes, or a longer XSAVE image in the standard format, to be loaded
 * @throws {RangeError} for a value that does not fit its register
 */
export function encodeRegisterBlock(
  values: ReadonlyMap<string, bigint>,
  xstate: Uint8Array = new Uint8Array(0),
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_BYTES + xstate.length);
  const words = new BigUint64Array(bytes.buffer, 0, HEADER_BYTES / 8);
  BLOCK_REGISTERS.forEach((name, i) => words[i] = fitting(name, values.get(name) ?? 0n, 64));
  words[16] = (values.get("flags") ?? 0n) | 2n;
  BLOCK_SELECTORS.forEach((name, i) => {
    const selector = values.get(name);
    if (selector !== undefined) words[19 + i] = fitting(name, selector, 16) | SELECTOR_GIVEN;
  });
  if (xstate.length > 0) {
    words[17] = BigInt(HEADER_BYTES);
    words[18] = xstate.length > FXSAVE_SIZE ? 1n : 0n;
    bytes.set(xstate, HEADER_BYTES);
  }
  return bytes;
}

function fitting(name: string, value: bigint, bits: 16 | 64): bigint {
  if (value >= 0n && value >> BigInt(bits) === 0n) return value;
  throw new RangeError(`${name}: expected a value of ${bits} bits, found ${value}`);
}

/** Bytes of the FPU state that a step set. */
export interface XstatePart {
  /** Name of the register. */
  readonly name: string;
  /** Offset in the register set NT_X86_XSTATE (or NT_PRFPREG). */
  readonly offset: number;
  /** What stands there. */
  readonly bytes: Uint8Array;
}

/** What registers must hold at a stop. Registers that are not named are for the observation to judge. */
export interface RegisterPrediction {
  /** General and segment registers by name. */
  readonly general: ReadonlyMap<CpuRegister, bigint>;
  /** Segment bases where ptrace shows others: of a target that saves itself and stops with other selectors. */
  readonly bases?: ReadonlyMap<"fsbase" | "gsbase", bigint>;
  /** Parts of the FPU state. */
  readonly xstate: readonly XstatePart[];
}
