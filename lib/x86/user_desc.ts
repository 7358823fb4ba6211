// SPDX-License-Identifier: MIT

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
  const view = new DataView(bytes.buffer, bytes.byteOffset, USER_DESC_SIZE);
  const flags = view.getUint32(12, true);
  return {
    entryNumber: view.getUint32(0, true),
    baseAddr: view.getUint32(4, true),
    limit: view.getUint32(8, true),
    seg32bit: (flags & 1) !== 0,
    contents: (flags >>> 1) & 3,
    readExecOnly: (flags & 8) !== 0,
    limitInPages: (flags & 16) !== 0,
    segNotPresent: (flags & 32) !== 0,
    useable: (flags & 64) !== 0,
    lm: (flags & 128) !== 0,
    padding: flags >>> 8,
  };
}

/**
 * Gives the 16 bytes.
 * @throws {RangeError} when a field does not fit its bits.
 */
export function encodeUserDesc(info: UserDesc): Uint8Array<ArrayBuffer> {
  checkField("entryNumber", info.entryNumber, 0xffffffff);
  checkField("baseAddr", info.baseAddr, 0xffffffff);
  checkField("limit", info.limit, 0xffffffff);
  checkField("contents", info.contents, 3);
  checkField("padding", info.padding, 0xffffff);
  const bytes = new Uint8Array(USER_DESC_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, info.entryNumber, true);
  view.setUint32(4, info.baseAddr, true);
  view.setUint32(8, info.limit, true);
  const low = Number(info.seg32bit) | (info.contents << 1) | (Number(info.readExecOnly) << 3);
  const middle = (Number(info.limitInPages) << 4) | (Number(info.segNotPresent) << 5);
  const high = (Number(info.useable) << 6) | (Number(info.lm) << 7) | (info.padding << 8);
  view.setUint32(12, (low | middle | high) >>> 0, true);
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
  const hex = (value: number): string => `0x${value.toString(16)}`;
  const words = [`entry ${info.entryNumber}`, `base ${hex(info.baseAddr)}`, `limit ${hex(info.limit)}`];
  words.push(`contents ${info.contents}`);
  if (info.seg32bit) words.push("seg_32bit");
  if (info.readExecOnly) words.push("read_exec_only");
  if (info.limitInPages) words.push("limit_in_pages");
  if (info.segNotPresent) words.push("seg_not_present");
  if (info.useable) words.push("useable");
  if (info.lm) words.push("lm");
  if (info.padding !== 0) words.push(`padding ${hex(info.padding)}`);
  return words.join(" ");
}

/** The part that LDT_empty and LDT_zero have in common. Neither looks at lm or the padding. */
function hasNothingSet(info: UserDesc): boolean {
  return info.baseAddr === 0 && info.limit === 0 && info.contents === 0 && !info.seg32bit &&
    !info.limitInPages && !info.useable;
}

function checkField(name: string, value: number, maximum: number): void {
  if (!Number.isInteger(value) || value < 0 || value > maximum) {
    throw new RangeError(`user_desc ${name}: expected an integer from 0 to ${maximum}, found ${value}`);
  }
}

/** Memory that a program hands to a system call: its bytes, or an address that cannot be accessed. */
export type UserMemory = Uint8Array | "fault";
