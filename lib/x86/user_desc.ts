// SPDX-License-Identifier: MIT
import { dataView, hex, requireWithin } from "../bytes.ts";

/** Bytes of `struct user_desc`. */
export const USER_DESC_SIZE = 16;

/**
 * `struct user_desc` of arch/x86/include/uapi/asm/ldt.h: what a program gives to modify_ldt and
 * set_thread_area. Together the fields cover all 16 bytes.
 */
export interface UserDesc {
  /** Index in the LDT, or slot in the GDT. */
  readonly entryNumber: number;
  /** Address of the first byte. */
  readonly baseAddr: number;
  /** All 32 bits as given; only the low 20 reach the descriptor. */
  readonly limit: number;
  /** Becomes D/B. */
  readonly seg32bit: boolean;
  /** 0 data, 1 expand-down data ("stack"), 2 code, 3 conforming code. */
  readonly contents: number;
  /** Not writable data, or code that cannot be read. */
  readonly readExecOnly: boolean;
  /** Becomes G. */
  readonly limitInPages: boolean;
  /** Becomes P, inverted. */
  readonly segNotPresent: boolean;
  /** Becomes AVL. */
  readonly useable: boolean;
  /** Bit 7, a field for x86-64 programs only and ignored by fill_ldt everywhere. */
  readonly lm: boolean;
  /** Bits 8 to 31 of the last word, which the kernel never looks at. */
  readonly padding: number;
}

/** Fields of one bit: their places in the last word, and their names in C. */
const BITS = [
  ["seg32bit", 0, "seg_32bit"],
  ["readExecOnly", 3, "read_exec_only"],
  ["limitInPages", 4, "limit_in_pages"],
  ["segNotPresent", 5, "seg_not_present"],
  ["useable", 6, "useable"],
  ["lm", 7, "lm"],
] as const;

/** A data segment of base 0 and limit 0 in entry 0, to be spread and changed. It satisfies `isLdtZero`. */
export const ZERO_USER_DESC: UserDesc = {
  entryNumber: 0,
  baseAddr: 0,
  limit: 0,
  seg32bit: false,
  contents: 0,
  readExecOnly: false,
  limitInPages: false,
  segNotPresent: false,
  useable: false,
  lm: false,
  padding: 0,
};

/** The one that means "no segment at all" to modify_ldt and set_thread_area. It satisfies `isLdtEmpty`. */
export const EMPTY_USER_DESC: UserDesc = { ...ZERO_USER_DESC, readExecOnly: true, segNotPresent: true };

/**
 * Reads the first 16 bytes. Every value is accepted.
 * @throws {RangeError} when fewer than 16 bytes are there.
 */
export function decodeUserDesc(bytes: Uint8Array): UserDesc {
  if (bytes.length < USER_DESC_SIZE) {
    throw new RangeError(`user_desc: expected ${USER_DESC_SIZE} bytes, found ${bytes.length}`);
  }
  const view = dataView(bytes);
  const flags = view.getUint32(12, true);
  const bits = BITS.map(([name, bit]) => [name, (flags >>> bit & 1) === 1]);
  return {
    ...Object.fromEntries(bits) as Record<(typeof BITS)[number][0], boolean>,
    entryNumber: view.getUint32(0, true),
    baseAddr: view.getUint32(4, true),
    limit: view.getUint32(8, true),
    contents: (flags >>> 1) & 3,
    padding: flags >>> 8,
  };
}

/**
 * Gives the 16 bytes.
 * @throws {RangeError} when a field does not fit its bits.
 */
export function encodeUserDesc(info: UserDesc): Uint8Array<ArrayBuffer> {
  const { entryNumber, baseAddr, limit, contents, padding } = info;
  const limits = {
    entryNumber: 0xffffffff,
    baseAddr: 0xffffffff,
    limit: 0xffffffff,
    contents: 3,
    padding: 0xffffff,
  };
  requireWithin("user_desc", info, limits);
  const bytes = new Uint8Array(USER_DESC_SIZE);
  const flags = BITS.reduce(
    (word, [name, bit]) => word | Number(info[name]) << bit,
    contents << 1 | padding << 8,
  );
  [entryNumber, baseAddr, limit, flags >>> 0].forEach((word, i) =>
    dataView(bytes).setUint32(4 * i, word, true)
  );
  return bytes;
}

/** `LDT_empty` of arch/x86/include/asm/desc.h: base and limit 0, read-only, not present, nothing else. */
export function isLdtEmpty(info: UserDesc): boolean {
  return hasNothingSet(info) && info.readExecOnly && info.segNotPresent;
}

/** `LDT_zero` of the same file: all zero but for the entry number. */
export function isLdtZero(info: UserDesc): boolean {
  return hasNothingSet(info) && !info.readExecOnly && !info.segNotPresent;
}

/** One line with every field that is not zero, in the kernel's names. */
export function describeUserDesc(info: UserDesc): string {
  const words = [`entry ${info.entryNumber}`, `base ${hex(info.baseAddr)}`, `limit ${hex(info.limit)}`];
  words.push(`contents ${info.contents}`);
  for (const [name, , shown] of BITS) if (info[name]) words.push(shown);
  if (info.padding !== 0) words.push(`padding ${hex(info.padding)}`);
  return words.join(" ");
}

/** The part that LDT_empty and LDT_zero have in common. Neither looks at lm or the padding. */
function hasNothingSet(info: UserDesc): boolean {
  return info.baseAddr === 0 && info.limit === 0 && info.contents === 0 && !info.seg32bit &&
    !info.limitInPages && !info.useable;
}

/** Memory that a program hands to a system call: its bytes, or an address that cannot be accessed. */
export type UserMemory = Uint8Array | "fault";
