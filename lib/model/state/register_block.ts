// SPDX-License-Identifier: MIT

import { type CpuRegister, USER_REGS } from "../../x86/registers.ts";

const GENERAL_REGISTER = /^(?:r\d+|[a-d]x|[sd]i|[bs]p)$/;

/** The general registers of a register block, in the block's order: that of the kernel's `struct user_regs_struct`. */
export const BLOCK_REGISTERS = USER_REGS.x86_64.filter((name) => GENERAL_REGISTER.test(name));

/** The segment registers of a register block. */
export const BLOCK_SELECTORS = ["fs", "gs", "ds", "es"] as const;

const HEADER_BYTES = 512;
const SELECTOR_GIVEN = 0x10000;

/** What the registers are to hold while the target is stopped. The target's side is `vm/guest/target/stop.c`. */
export interface RegisterBlock {
  /**
   * General registers; absent ones are zero. The stop itself takes ax, cx, di, si and r11 on x86-64 (cx
   * becomes the resume address, r11 the flags) and ax, bx, cx on i386; sp stays the target's own.
   */
  readonly general?: Partial<Record<typeof BLOCK_REGISTERS[number], bigint>>;
  /** The flags register; bit 1 is always set. Single-stepping (0x100) would end the target. */
  readonly flags?: bigint;
  /** Selectors to load; absent ones stay. */
  readonly selectors?: Partial<Record<typeof BLOCK_SELECTORS[number], number>>;
  /**
   * An FXSAVE image of 512 bytes, or an XSAVE image in the standard format, to load into FPU and vector registers.
   */
  readonly xstate?: { readonly format: "fxsave" | "xsave"; readonly bytes: Uint8Array };
}

/**
 * Encodes a register block. It must lie in the scratch memory at a multiple of 64.
 *
 * @throws {RangeError} for a value that does not fit its register
 */
export function encodeRegisterBlock(block: RegisterBlock): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_BYTES + (block.xstate?.bytes.length ?? 0));
  const view = new DataView(bytes.buffer);
  BLOCK_REGISTERS.forEach((name, i) =>
    view.setBigUint64(8 * i, word(block.general?.[name] ?? 0n, name), true)
  );
  view.setBigUint64(128, (block.flags ?? 0n) | 2n, true);
  BLOCK_SELECTORS.forEach((name, i) => {
    const selector = block.selectors?.[name];
    if (selector === undefined) return;
    if (!Number.isInteger(selector) || selector < 0 || selector >= SELECTOR_GIVEN) {
      throw new RangeError(`${name}: expected a selector of 16 bits, found ${selector}`);
    }
    view.setBigUint64(152 + 8 * i, BigInt(selector | SELECTOR_GIVEN), true);
  });
  if (block.xstate !== undefined) {
    view.setBigUint64(136, BigInt(HEADER_BYTES), true);
    view.setBigUint64(144, block.xstate.format === "xsave" ? 1n : 0n, true);
    bytes.set(block.xstate.bytes, HEADER_BYTES);
  }
  return bytes;
}

function word(value: bigint, where: string): bigint {
  if (value < -(1n << 63n) || value >= 1n << 64n) {
    throw new RangeError(`${where}: expected a value of 64 bits, found ${value}`);
  }
  return BigInt.asUintN(64, value);
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
