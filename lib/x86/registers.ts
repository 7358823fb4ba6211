// SPDX-License-Identifier: MIT
import { hex, wordsOf } from "../bytes.ts";

/** Architecture whose `struct user_regs_struct` is meant: that of the tracer that called PTRACE_GETREGS. */
type RegisterLayout = "x86_64" | "i386";

const WIDE = [
  "r15",
  "r14",
  "r13",
  "r12",
  "bp",
  "bx",
  "r11",
  "r10",
  "r9",
  "r8",
  "ax",
  "cx",
  "dx",
  "si",
  "di",
] as const;
const REST = ["orig_ax", "ip", "cs", "flags", "sp", "ss"] as const;
const DATA = ["ds", "es", "fs", "gs"] as const;

/**
 * The registers of `struct user_regs_struct` in their order, each one native word: 27 of 8 bytes on x86-64
 * (arch/x86/include/asm/user_64.h), 17 of 4 bytes on i386 (user_32.h).
 */
export const USER_REGS = {
  x86_64: [...WIDE, ...REST, "fs_base", "gs_base", ...DATA],
  i386: ["bx", "cx", "dx", "si", "di", "bp", "ax", ...DATA, ...REST],
} as const;

/** The u64 fields of the CPU record that hold registers, in the record's order from offset 0. */
export const CPU_REGISTER_FIELDS: readonly CpuRegister[] = [...WIDE, ...REST, ...DATA];

/** The u64 fields of the CPU record after those: 4 and 5 are always 0. */
export const CPU_DEBUG_FIELDS = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => `debugreg${i}` as const);

/** A register of the CPU record. */
export type CpuRegister = Exclude<(typeof USER_REGS)["x86_64"][number], "fs_base" | "gs_base">;

/** A register of `struct user_regs_struct`. */
export type UserRegister = typeof USER_REGS[RegisterLayout][number];

/** Flag bits by name; bits 12 and 13 are IOPL. Bit 1 is always set. */
const EFLAGS = {
  ...{ CF: 0, PF: 2, AF: 4, ZF: 6, SF: 7, TF: 8, IF: 9, DF: 10, OF: 11 },
  ...{ NT: 14, RF: 16, VM: 17, AC: 18, VIF: 19, VIP: 20, ID: 21 },
} as const;

const SEGMENT_REGISTERS: ReadonlySet<string> = new Set(["cs", "ss", "ds", "es", "fs", "gs"]);
const KNOWN_FLAGS = Object.values(EFLAGS).reduce((mask, bit) => mask | (1n << BigInt(bit)), 0x3002n);

/**
 * Reads a `struct user_regs_struct`.
 * @throws {RangeError} when `bytes` has another length than that struct.
 */
export function decodeUserRegs(bytes: Uint8Array, layout: RegisterLayout): Map<UserRegister, bigint> {
  const word = layout === "x86_64" ? 8 : 4;
  const size = word * USER_REGS[layout].length;
  if (bytes.length !== size) {
    throw new RangeError(`user_regs_struct of ${layout}: expected ${size} bytes, found ${bytes.length}`);
  }
  const words = wordsOf(bytes, word);
  return new Map(USER_REGS[layout].map((name, index): [UserRegister, bigint] => [name, words[index]!]));
}

/**
 * What the register fields of a CPU record must be, for registers that ptrace showed. Selectors count 16
 * bits; r8 to r15 do not exist in the i386 layout and are 0. The record has no room for fs_base and gs_base:
 * on an x86-64 kernel the CR_HDR_X86_FSGSBASE record has them.
 * @throws {RangeError} when a register of the record is missing.
 */
export function cpuFieldsOf(registers: ReadonlyMap<UserRegister, bigint>): Map<CpuRegister, bigint> {
  const isWide = registers.has("r15");
  return new Map(CPU_REGISTER_FIELDS.map((name): [CpuRegister, bigint] => {
    const value = registers.get(name) ?? (/^r\d+$/.test(name) && !isWide ? 0n : undefined);
    if (value === undefined) throw new RangeError(`CPU record: expected a value of ${name}, found none`);
    return [name, SEGMENT_REGISTERS.has(name) ? value & 0xffffn : value];
  }));
}

/** The names of the set flags, IOPL when it is not 0, and unknown bits in hexadecimal. Bit 1 is not named. */
export function describeEflags(flags: bigint): string {
  const names: string[] = Object.entries(EFLAGS)
    .filter(([, bit]) => (flags >> BigInt(bit) & 1n) === 1n)
    .map(([name]) => name);
  const iopl = flags >> 12n & 3n;
  if (iopl !== 0n) names.push(`IOPL=${iopl}`);
  const unknown = flags & ~KNOWN_FLAGS;
  if (unknown !== 0n) names.push(hex(unknown));
  return names.length === 0 ? "none" : names.join(" ");
}

/** One line about a selector: table, index and requested privilege level. */
export function describeSelector(selector: number): string {
  const text = hex(selector & 0xffff, 4);
  if ((selector & 0xfffc) === 0) return `${text} (null)`;
  const table = (selector & 4) !== 0 ? "LDT" : "GDT";
  return `${text} (${table} ${(selector & 0xffff) >> 3}, RPL ${selector & 3})`;
}
