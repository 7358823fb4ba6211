// SPDX-License-Identifier: MIT
import type { Dialect } from "../abi/series.ts";
import type { UserDesc } from "./user_desc.ts";
import { dataView, hex, requireWithin } from "../bytes.ts";

/** Bytes of one descriptor in an LDT or GDT (`LDT_ENTRY_SIZE`). */
export const DESCRIPTOR_SIZE = 8;

/** Bits 16 to 19 of a LAR result are undefined on some processors; these are the others. */
export const LAR_DEFINED_BITS = 0x00f0ff00;

/**
 * The fields of an 8-byte segment descriptor, `struct desc_struct` of arch/x86/include/asm/desc_defs.h.
 * They cover all 64 bits, so that each 8-byte value has exactly one such object and back.
 */
export interface SegmentDescriptor {
  /** Base address, 32 bits, from three places of the descriptor. */
  readonly base: number;
  /** Limit as stored, 20 bits, in bytes or in 4 KiB units as `g` says. */
  readonly limit: number;
  /** Four type bits: bit 0 accessed, 1 writable/readable, 2 expand-down/conforming, 3 code. */
  readonly type: number;
  /** True for code and data, false for a system descriptor. */
  readonly s: boolean;
  /** Descriptor privilege level, 0 to 3. */
  readonly dpl: number;
  /** Present. */
  readonly p: boolean;
  /** Available for software. */
  readonly avl: boolean;
  /** 64-bit code. */
  readonly l: boolean;
  /** 32-bit operands and addresses, or a 4 GiB upper bound of an expand-down segment. */
  readonly d: boolean;
  /** The limit counts 4 KiB units. */
  readonly g: boolean;
}

/** Segment registers, by the names that `struct user_regs_struct` uses. */
export type SegmentRegister = "es" | "cs" | "ss" | "ds" | "fs" | "gs";

/** How a selector is used: its requested privilege level, and whether the processor is in long mode. */
export interface SelectorUse {
  /** Low two bits of the selector; 3 when not given. Code at CPL 3 gains nothing by a smaller one. */
  readonly rpl?: number;
  /** True on an x86-64 kernel, whatever the program is: fewer system types are valid there. */
  readonly longMode?: boolean;
}

const SYSTEM_TYPES = [
  "reserved 0",
  "16-bit TSS (available)",
  "LDT",
  "16-bit TSS (busy)",
  "16-bit call gate",
  "task gate",
  "16-bit interrupt gate",
  "16-bit trap gate",
  "reserved 8",
  "32-bit TSS (available)",
  "reserved 10",
  "32-bit TSS (busy)",
  "32-bit call gate",
  "reserved 13",
  "32-bit interrupt gate",
  "32-bit trap gate",
] as const;

// Intel SDM, tables of the LAR and LSL instructions.
const LAR_SYSTEM_TYPES = { legacy: [1, 2, 3, 4, 5, 9, 11, 12], long: [2, 9, 11, 12] } as const;
const LSL_SYSTEM_TYPES = { legacy: [1, 2, 3, 9, 11], long: [2, 9, 11] } as const;

/**
 * Reads the descriptor at `offset` of `bytes`. Every 8-byte value is accepted.
 * @throws {RangeError} when fewer than 8 bytes are there.
 */
export function decodeDescriptor(bytes: Uint8Array, offset = 0): SegmentDescriptor {
  if (offset < 0 || offset + DESCRIPTOR_SIZE > bytes.length) {
    throw new RangeError(
      `descriptor: expected 8 bytes at offset ${offset}, found ${bytes.length} bytes in all`,
    );
  }
  const view = dataView(bytes);
  const low = view.getUint32(offset, true);
  const high = view.getUint32(offset + 4, true);
  return {
    base: ((low >>> 16) | ((high & 0xff) << 16) | (high & 0xff000000)) >>> 0,
    limit: (low & 0xffff) | (high & 0xf0000),
    type: (high >>> 8) & 0xf,
    s: (high & 0x1000) !== 0,
    dpl: (high >>> 13) & 3,
    p: (high & 0x8000) !== 0,
    avl: (high & 0x100000) !== 0,
    l: (high & 0x200000) !== 0,
    d: (high & 0x400000) !== 0,
    g: (high & 0x800000) !== 0,
  };
}

/**
 * Gives the 8 bytes of a descriptor.
 * @throws {RangeError} when a field does not fit its bits.
 */
export function encodeDescriptor(descriptor: SegmentDescriptor): Uint8Array<ArrayBuffer> {
  const { base, limit } = descriptor;
  requireWithin("descriptor", descriptor, { base: 0xffffffff, limit: 0xfffff, type: 0xf, dpl: 3 });
  const bytes = new Uint8Array(DESCRIPTOR_SIZE);
  const view = dataView(bytes);
  view.setUint32(0, ((base & 0xffff) << 16 | (limit & 0xffff)) >>> 0, true);
  view.setUint32(4, highWord(descriptor), true);
  return bytes;
}

/**
 * The descriptor that the kernel makes of a `user_desc`: `fill_ldt` of arch/x86/include/asm/desc.h.
 * Since 4.15 the accessed bit is preset, so that the table can be mapped read-only; before, the processor set
 * it on the first load. L is 0 in both, whatever lm says.
 *
 * @param oldMode modify_ldt function 1: AVL is forced to 0
 */
export function fillLdt(
  info: UserDesc,
  { dialect, oldMode = false }: { readonly dialect: Dialect; readonly oldMode?: boolean },
): SegmentDescriptor {
  const accessed = dialect === "port" ? 1 : 0;
  return {
    base: info.baseAddr,
    limit: info.limit & 0xfffff,
    type: (info.contents << 2) | (info.readExecOnly ? 0 : 2) | accessed,
    s: true,
    dpl: 3,
    p: !info.segNotPresent,
    avl: info.useable && !oldMode,
    l: false,
    d: info.seg32bit,
    g: info.limitInPages,
  };
}

/** Tells whether all 8 bytes are zero, as `desc_empty` of the kernel does. */
export function isEmptyDescriptor(descriptor: SegmentDescriptor): boolean {
  return descriptor.base === 0 && descriptor.limit === 0 && accessRights(descriptor) === 0;
}

/**
 * One line about the descriptor at `offset` of `bytes`, as a person would read it, for instance
 * `data read-write, base 0x00001000, limit 0xffffffff (page), 32-bit, DPL 3, present, accessed`.
 * @throws {RangeError} when fewer than 8 bytes are there.
 */
export function describeDescriptor(bytes: Uint8Array, offset = 0): string {
  const descriptor = decodeDescriptor(bytes, offset);
  if (isEmptyDescriptor(descriptor)) return "empty";
  const { type, s, base, dpl, p, avl, l, d, g } = descriptor;
  const words = [
    typeName(descriptor),
    `base ${hex(base, 8)}`,
    `limit ${hex(scaledLimit(descriptor), 8)} (${g ? "page" : "byte"})`,
  ];
  if (isExpandDown(descriptor)) {
    const offsets = validOffsets(descriptor);
    words.push(offsets ? `offsets ${hex(offsets.first, 8)}..${hex(offsets.last, 8)}` : "no valid offset");
  }
  const isLong = isCode(descriptor) && l && !d;
  if (s) words.push(isLong ? "64-bit" : d ? "32-bit" : "16-bit");
  words.push(`DPL ${dpl}`, p ? "present" : "not present");
  if (s && (type & 1) !== 0) words.push("accessed");
  if (avl) words.push("AVL");
  if (l && !isLong) words.push("L");
  return words.join(", ");
}

/**
 * What LAR gives at CPL 3 for a selector of this descriptor, with the bits that some processors leave undefined as zero
 * (compare under LAR_DEFINED_BITS). Undefined when the instruction clears ZF. The present bit does not matter to it.
 */
export function loadAccessRights(descriptor: SegmentDescriptor, use: SelectorUse = {}): number | undefined {
  return isVisible(descriptor, LAR_SYSTEM_TYPES, use) ? highWord(descriptor) & LAR_DEFINED_BITS : undefined;
}

/**
 * What LSL with a 32-bit operand gives at CPL 3 for a selector of this descriptor: the limit in bytes, 0 to
 * 0xffffffff. Undefined when the instruction clears ZF. The present bit does not matter to it.
 */
export function loadSegmentLimit(descriptor: SegmentDescriptor, use: SelectorUse = {}): number | undefined {
  return isVisible(descriptor, LSL_SYSTEM_TYPES, use) ? scaledLimit(descriptor) : undefined;
}

/**
 * The exception that a move of such a selector into a data or stack segment register raises at CPL 3, or
 * undefined when the load succeeds. Linux turns #GP into SIGSEGV, #NP and #SS into SIGBUS.
 * `cs` cannot be moved to: it stands for a far jump or return to the selector.
 */
export function segmentLoadFault(
  descriptor: SegmentDescriptor,
  register: SegmentRegister,
  use: SelectorUse = {},
): "GP" | "NP" | "SS" | undefined {
  const { rpl = 3, longMode = false } = use;
  const { type, s, dpl, p, l, d } = descriptor;
  const isOfCode = isCode(descriptor);
  const hasBit1 = (type & 2) !== 0;
  if (!s) return "GP";
  if (register === "ss") {
    if (rpl !== 3 || dpl !== 3 || isOfCode || !hasBit1) return "GP";
    return p ? undefined : "SS";
  }
  if (!isConforming(descriptor) && dpl !== 3) return "GP";
  if (register === "cs" ? !isOfCode || rpl < 3 || (longMode && l && d) : isOfCode && !hasBit1) return "GP";
  return p ? undefined : "NP";
}

/** Bits 8 to 23 of the second 32-bit word without the limit: type, S, DPL, P, AVL, L, D/B, G. */
function accessRights(descriptor: SegmentDescriptor): number {
  const { type, s, dpl, p, avl, l, d, g } = descriptor;
  const low = (type << 8) | (Number(s) << 12) | (dpl << 13) | (Number(p) << 15);
  return low | (Number(avl) << 20) | (Number(l) << 21) | (Number(d) << 22) | (Number(g) << 23);
}

function highWord(descriptor: SegmentDescriptor): number {
  const { base, limit } = descriptor;
  return ((base & 0xff000000) | ((base >>> 16) & 0xff) | (limit & 0xf0000) | accessRights(descriptor)) >>> 0;
}

function scaledLimit({ limit, g }: SegmentDescriptor): number {
  return g ? limit * 4096 + 4095 : limit;
}

/** The offsets that may be used, both inclusive; undefined when there is none. */
export function validOffsets(
  descriptor: SegmentDescriptor,
): { readonly first: number; readonly last: number } | undefined {
  const limit = scaledLimit(descriptor);
  if (isEmptyDescriptor(descriptor)) return undefined;
  if (!isExpandDown(descriptor)) return { first: 0, last: limit };
  const top = descriptor.d ? 0xffffffff : 0xffff;
  return limit < top ? { first: limit + 1, last: top } : undefined;
}

function isCode({ s, type }: SegmentDescriptor): boolean {
  return s && (type & 8) !== 0;
}

function isConforming({ s, type }: SegmentDescriptor): boolean {
  return s && (type & 0xc) === 0xc;
}

function isExpandDown({ s, type }: SegmentDescriptor): boolean {
  return s && (type & 0xc) === 4;
}

function typeName({ s, type }: SegmentDescriptor): string {
  if (!s) return `system: ${SYSTEM_TYPES[type]}`;
  const [bit1, bit2] = [(type & 2) !== 0, (type & 4) !== 0];
  if ((type & 8) === 0) return `data ${bit1 ? "read-write" : "read-only"}${bit2 ? " expand-down" : ""}`;
  return `code ${bit1 ? "readable" : "execute-only"}${bit2 ? " conforming" : ""}`;
}

/** The checks that LAR and LSL make before they look at what is asked. */
function isVisible(
  descriptor: SegmentDescriptor,
  systemTypes: Record<"legacy" | "long", readonly number[]>,
  { rpl = 3, longMode = false }: SelectorUse,
): boolean {
  const { s, type, dpl } = descriptor;
  if (!s && !systemTypes[longMode ? "long" : "legacy"].includes(type)) return false;
  // CPL is 3 here, so that the requested privilege level can never raise the demand.
  return isConforming(descriptor) || dpl >= Math.max(3, rpl);
}

/** The entries of a table that are not empty: the number and {@linkcode describeDescriptor} of each. */
export function usedDescriptors(table: Uint8Array): [number, string][] {
  return Array.from(
    { length: Math.floor(table.length / DESCRIPTOR_SIZE) },
    (_, slot): [number, string] => [slot, describeDescriptor(table, slot * DESCRIPTOR_SIZE)],
  ).filter(([, text]) => text !== "empty");
}
