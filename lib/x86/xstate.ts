// SPDX-License-Identifier: MIT
import { hex, numberAt } from "../bytes.ts";

/** Bytes of the FSAVE image, which a processor without FXSR has. */
export const FSAVE_SIZE = 112;
/** Bytes of a state without FXSAVE: that, and those of the kernel's software FPU. */
export const SOFT_STATE_SIZES: readonly number[] = [108, FSAVE_SIZE, 136];
/** Bytes of the FXSAVE area, with which each longer state begins. */
export const FXSAVE_SIZE = 512;
/** Where the XSAVE header stands, and its size. */
export const XSAVE_HEADER = { offset: 512, size: 64 } as const;
/** Where the high halves of ymm0 to ymm15 stand. Later components stand where CPUID leaf 13 says. */
export const AVX_COMPONENT = { offset: 576, size: 256 } as const;

/** Whether an FPU state can have a size: FXSAVE, XSAVE, FSAVE or the kernel's software FPU. */
export function isStateSize(size: number): boolean {
  return SOFT_STATE_SIZES.includes(size) || size === FXSAVE_SIZE ||
    (size >= AVX_COMPONENT.offset && size % 8 === 0);
}

/** Fields of the FXSAVE area: offset and size in bytes (Intel SDM, FXSAVE). */
export const FXSAVE_FIELDS = {
  fcw: { offset: 0, size: 2 },
  fsw: { offset: 2, size: 2 },
  /** One bit for each x87 register that is not empty. */
  ftw: { offset: 4, size: 1 },
  fop: { offset: 6, size: 2 },
  /** 64-bit form; the 32-bit form has a 32-bit offset and a 16-bit selector here and in fdp. */
  fip: { offset: 8, size: 8 },
  fdp: { offset: 16, size: 8 },
  mxcsr: { offset: 24, size: 4 },
  mxcsrMask: { offset: 28, size: 4 },
  /** st0 to st7, 16 bytes each, of which 10 are used. */
  st: { offset: 32, size: 128 },
  /** xmm0 to xmm15, or xmm7 in the 32-bit form. */
  xmm: { offset: 160, size: 256 },
  /** For software: the kernel's register set has the mask of enabled components in the first 8 bytes. */
  software: { offset: 464, size: 48 },
} as const;

/**
 * Where an FSAVE image has the last instruction and its operand, which QEMU's FRSTOR does not load; st0 comes behind.
 */
export const FSAVE_POINTERS = { start: 12, end: 28 } as const;

/** The same in an FSAVE image: the 32-bit protected-mode form, whose tag word has 16 bits. */
const FSAVE_FIELDS = {
  fcw: { offset: 0, size: 2 },
  fsw: { offset: 4, size: 2 },
  ftw: { offset: 8, size: 2 },
  fop: { offset: 18, size: 2 },
  fip: { offset: 12, size: 4 },
  fdp: { offset: 20, size: 4 },
  /** st0 to st7, 10 bytes each. */
  st: { offset: 28, size: 80 },
} as const;

/** What is shown of them first, in how many digits. */
const CONTROL_WORDS = [["fcw", 4], ["fsw", 4], ["ftw", 2], ["fop", 4], ["fip", 1], ["fdp", 1]] as const;

/** Components of XSTATE_BV and XCR0 by bit. */
const XSTATE_COMPONENTS = [
  "x87",
  "SSE",
  "AVX",
  "BNDREGS",
  "BNDCSR",
  "opmask",
  "ZMM_Hi256",
  "Hi16_ZMM",
  "PT",
  "PKRU",
  "PASID",
  "CET_U",
  "CET_S",
  "HDC",
  "UINTR",
  "LBR",
  "HWP",
  "AMX_CFG",
  "AMX_DATA",
  "APX",
] as const;

/** How many vector registers a program of each architecture has. */
const VECTOR_REGISTERS = { x86_64: 16, i386: 8 } as const;

/**
 * Lines about the state that follows a CPU record, or that the register sets NT_X86_XSTATE and NT_PRFPREG have:
 * control words, component masks, then each register that is not zero. `arch` is the program's: it tells 16 from 8
 * vector registers.
 * @throws {RangeError} when the length is none of an FSAVE, FXSAVE or XSAVE state.
 */
export function describeXstate(bytes: Uint8Array, arch: "x86_64" | "i386"): string[] {
  const isFsave = bytes.length === FSAVE_SIZE;
  const isXsave = bytes.length >= AVX_COMPONENT.offset;
  if (!isFsave && !isXsave && bytes.length !== FXSAVE_SIZE) {
    throw new RangeError(
      `xstate: expected ${FSAVE_SIZE}, ${FXSAVE_SIZE} or at least 576 bytes, found ${bytes.length}`,
    );
  }
  const fields = isFsave ? FSAVE_FIELDS : FXSAVE_FIELDS;
  const kind = isFsave ? "fsave" : isXsave ? "xsave" : "fxsave";
  const control = CONTROL_WORDS.map(([name, digits]) =>
    `${name} ${hex(numberAt(bytes, fields[name]), digits)}`
  );
  const lines = [`${kind}: ${control.join(" ")}`];
  const st = registersAt(bytes, { offset: fields.st.offset, count: 8, stride: isFsave ? 10 : 16, size: 10 })
    .flatMap((value, i) => value === 0n ? [] : [`st${i} ${hex(value, 20)} (${x87ToNumber(value)})`]);
  if (isFsave) return [...lines, ...st];
  const mask = numberAt(bytes, FXSAVE_FIELDS.mxcsrMask);
  lines.push(`mxcsr ${hex(numberAt(bytes, FXSAVE_FIELDS.mxcsr), 8)} mask ${hex(mask, 8)}`);
  if (isXsave) {
    const present = numberAt(bytes, { offset: XSAVE_HEADER.offset, size: 8 });
    lines.push(`xstate_bv ${hex(present, 1)} (${describeComponents(present)})`);
    lines.push(`xcomp_bv ${hex(numberAt(bytes, { offset: XSAVE_HEADER.offset + 8, size: 8 }), 1)}`);
  }
  return [...lines, ...st, ...vectorLines(bytes, VECTOR_REGISTERS[arch])];
}

function vectorLines(bytes: Uint8Array, count: number): string[] {
  // AVX and each component after it can be missing from a longer state, so the kernel's mask decides.
  const enabled = numberAt(bytes, { offset: FXSAVE_FIELDS.software.offset, size: 8 });
  const isWide = bytes.length >= AVX_COMPONENT.offset + AVX_COMPONENT.size && (enabled & 4n) !== 0n;
  const low = registersAt(bytes, { offset: FXSAVE_FIELDS.xmm.offset, count, stride: 16, size: 16 });
  const high = isWide
    ? registersAt(bytes, { offset: AVX_COMPONENT.offset, count, stride: 16, size: 16 })
    : low.map(() => 0n);
  return low.map((value, i) => high[i]! << 128n | value).flatMap((value, i) =>
    value === 0n ? [] : [`${isWide ? "ymm" : "xmm"}${i} ${hex(value, isWide ? 64 : 32)}`]
  );
}

/** The names of the components in a mask, for instance `x87 SSE AVX`; unknown ones as `bit N`. */
function describeComponents(mask: bigint): string {
  const names: string[] = [];
  for (let bit = 0n; mask >> bit !== 0n; bit++) {
    if ((mask >> bit & 1n) === 1n) names.push(XSTATE_COMPONENTS[Number(bit)] ?? `bit ${bit}`);
  }
  return names.length === 0 ? "none" : names.join(" ");
}

/** The value of an 80-bit x87 register, rounded to a double. */
function x87ToNumber(value: bigint): number {
  const sign = (value >> 79n & 1n) === 1n ? -1 : 1;
  const exponent = Number(value >> 64n & 0x7fffn);
  const mantissa = value & 0xffffffffffffffffn;
  if (exponent === 0x7fff) return (mantissa << 1n & 0xffffffffffffffffn) === 0n ? sign * Infinity : NaN;
  // Two steps, for a scale below the smallest double would lose a mantissa that is large.
  const scale = Math.max(exponent, 1) - 16383 - 63;
  const half = Math.trunc(scale / 2);
  return sign * Number(mantissa) * 2 ** half * 2 ** (scale - half);
}

/** Little-endian integers, `stride` bytes apart. */
function registersAt(
  bytes: Uint8Array,
  { offset, count, stride, size }: { offset: number; count: number; stride: number; size: number },
): bigint[] {
  return Array.from({ length: count }, (_, i) => numberAt(bytes, { offset: offset + i * stride, size }));
}
