// SPDX-License-Identifier: MIT

/** Bytes of the FSAVE image, which a processor without FXSR has. */
export const FSAVE_SIZE = 112;
/** Bytes of the FXSAVE area, with which each longer state begins. */
export const FXSAVE_SIZE = 512;
/** Where the XSAVE header stands, and its size. */
export const XSAVE_HEADER = { offset: 512, size: 64 } as const;
/** Where the high halves of ymm0 to ymm15 stand. Later components stand where CPUID leaf 13 says. */
export const AVX_COMPONENT = { offset: 576, size: 256 } as const;

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

/** The part of a saved FPU state that has a fixed place, decoded. */
export interface Xstate {
  /** `fsave` 112 bytes, `fxsave` 512 bytes, `xsave` 576 bytes and more. */
  readonly kind: "fsave" | "fxsave" | "xsave";
  /** x87 control word. */
  readonly fcw: number;
  /** x87 status word. */
  readonly fsw: number;
  /** Full 16-bit tag word in an FSAVE image, one bit a register otherwise. */
  readonly ftw: number;
  /** Opcode of the last x87 instruction. */
  readonly fop: number;
  /** Where the last x87 instruction stood. */
  readonly fip: bigint;
  /** Where its operand stood. */
  readonly fdp: bigint;
  /** Undefined in an FSAVE image, as is the mask. */
  readonly mxcsr: number | undefined;
  /** Bits of MXCSR that the processor has. */
  readonly mxcsrMask: number | undefined;
  /** st0 to st7, 80 bits each. */
  readonly st: readonly bigint[];
  /** 16 on x86-64, 8 on i386, 128 bits each; none in an FSAVE image. */
  readonly xmm: readonly bigint[];
  /** 256 bits each, when the state has the AVX component. */
  readonly ymm: readonly bigint[] | undefined;
  /** Components that are not in their initial state; XSAVE only. */
  readonly xstateBv: bigint | undefined;
  /** Bit 63 marks the compacted format, which a register set never has. */
  readonly xcompBv: bigint | undefined;
  /** The kernel's mask of enabled components, from the software bytes. */
  readonly enabledComponents: bigint | undefined;
}

/** How many vector registers a program of each architecture has. */
const VECTOR_REGISTERS = { x86_64: 16, i386: 8 } as const;

/**
 * Reads the state that follows a CPU record, or that the register sets NT_X86_XSTATE and NT_PRFPREG have.
 * `arch` is the program's: it tells 16 from 8 vector registers.
 * @throws {RangeError} when the length is none of an FSAVE, FXSAVE or XSAVE state.
 */
export function decodeXstate(bytes: Uint8Array, arch: "x86_64" | "i386"): Xstate {
  if (bytes.length === FSAVE_SIZE) return decodeFsave(bytes);
  const isXsave = bytes.length >= AVX_COMPONENT.offset;
  if (bytes.length !== FXSAVE_SIZE && !isXsave) {
    throw new RangeError(
      `xstate: expected ${FSAVE_SIZE}, ${FXSAVE_SIZE} or at least 576 bytes, found ${bytes.length}`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const count = VECTOR_REGISTERS[arch];
  const xmm = readMany({ bytes, offset: FXSAVE_FIELDS.xmm.offset, count, stride: 16, size: 16 });
  return {
    kind: isXsave ? "xsave" : "fxsave",
    fcw: view.getUint16(FXSAVE_FIELDS.fcw.offset, true),
    fsw: view.getUint16(FXSAVE_FIELDS.fsw.offset, true),
    ftw: view.getUint8(FXSAVE_FIELDS.ftw.offset),
    fop: view.getUint16(FXSAVE_FIELDS.fop.offset, true),
    fip: view.getBigUint64(FXSAVE_FIELDS.fip.offset, true),
    fdp: view.getBigUint64(FXSAVE_FIELDS.fdp.offset, true),
    mxcsr: view.getUint32(FXSAVE_FIELDS.mxcsr.offset, true),
    mxcsrMask: view.getUint32(FXSAVE_FIELDS.mxcsrMask.offset, true),
    st: readMany({ bytes, offset: FXSAVE_FIELDS.st.offset, count: 8, stride: 16, size: 10 }),
    xmm,
    ymm: readYmm(bytes, view, xmm),
    xstateBv: isXsave ? view.getBigUint64(XSAVE_HEADER.offset, true) : undefined,
    xcompBv: isXsave ? view.getBigUint64(XSAVE_HEADER.offset + 8, true) : undefined,
    enabledComponents: isXsave ? view.getBigUint64(FXSAVE_FIELDS.software.offset, true) : undefined,
  };
}

/** Lines about a decoded state: control words, component masks, then each register that is not zero. */
export function describeXstate(state: Xstate): string[] {
  const hex = (value: number | bigint, digits: number): string =>
    `0x${value.toString(16).padStart(digits, "0")}`;
  const lines = [
    `${state.kind}: fcw ${hex(state.fcw, 4)} fsw ${hex(state.fsw, 4)} ftw ${hex(state.ftw, 2)} ` +
    `fop ${hex(state.fop, 4)} fip ${hex(state.fip, 1)} fdp ${hex(state.fdp, 1)}`,
  ];
  if (state.mxcsr !== undefined) {
    lines.push(`mxcsr ${hex(state.mxcsr, 8)} mask ${hex(state.mxcsrMask ?? 0, 8)}`);
  }
  if (state.xstateBv !== undefined) {
    lines.push(`xstate_bv ${hex(state.xstateBv, 1)} (${describeComponents(state.xstateBv)})`);
    lines.push(`xcomp_bv ${hex(state.xcompBv ?? 0n, 1)}`);
  }
  state.st.forEach((value, index) => {
    if (value !== 0n) lines.push(`st${index} ${hex(value, 20)} (${x87ToNumber(value)})`);
  });
  const wide = state.ymm !== undefined;
  (state.ymm ?? state.xmm).forEach((value, index) => {
    if (value !== 0n) lines.push(`${wide ? "ymm" : "xmm"}${index} ${hex(value, wide ? 64 : 32)}`);
  });
  return lines;
}

/** The names of the components in a mask, for instance `x87 SSE AVX`; unknown ones as `bit N`. */
export function describeComponents(mask: bigint): string {
  const names: string[] = [];
  for (let bit = 0n; mask >> bit !== 0n; bit++) {
    if ((mask >> bit & 1n) === 1n) names.push(XSTATE_COMPONENTS[Number(bit)] ?? `bit ${bit}`);
  }
  return names.length === 0 ? "none" : names.join(" ");
}

/** The value of an 80-bit x87 register, rounded to a double. */
export function x87ToNumber(value: bigint): number {
  const sign = (value >> 79n & 1n) === 1n ? -1 : 1;
  const exponent = Number(value >> 64n & 0x7fffn);
  const mantissa = value & 0xffffffffffffffffn;
  if (exponent === 0x7fff) return (mantissa << 1n & 0xffffffffffffffffn) === 0n ? sign * Infinity : NaN;
  // Two steps, for a scale below the smallest double would lose a mantissa that is large.
  const scale = Math.max(exponent, 1) - 16383 - 63;
  const half = Math.trunc(scale / 2);
  return sign * Number(mantissa) * 2 ** half * 2 ** (scale - half);
}

function readYmm(bytes: Uint8Array, view: DataView, xmm: readonly bigint[]): bigint[] | undefined {
  if (bytes.length < AVX_COMPONENT.offset + AVX_COMPONENT.size) return undefined;
  // AVX and each component after it can be missing from a longer state, so the kernel's mask decides.
  if ((view.getBigUint64(FXSAVE_FIELDS.software.offset, true) & 4n) === 0n) return undefined;
  const high = readMany({ bytes, offset: AVX_COMPONENT.offset, count: xmm.length, stride: 16, size: 16 });
  return xmm.map((low, index) => (high[index] ?? 0n) << 128n | low);
}

/** The seven 32-bit words of the 32-bit protected-mode form, then eight 10-byte registers. */
function decodeFsave(bytes: Uint8Array): Xstate {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    kind: "fsave",
    fcw: view.getUint16(0, true),
    fsw: view.getUint16(4, true),
    ftw: view.getUint16(8, true),
    fop: view.getUint16(18, true) & 0x7ff,
    fip: BigInt(view.getUint32(12, true)),
    fdp: BigInt(view.getUint32(20, true)),
    mxcsr: undefined,
    mxcsrMask: undefined,
    st: readMany({ bytes, offset: 28, count: 8, stride: 10, size: 10 }),
    xmm: [],
    ymm: undefined,
    xstateBv: undefined,
    xcompBv: undefined,
    enabledComponents: undefined,
  };
}

interface Series {
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly count: number;
  readonly stride: number;
  readonly size: number;
}

/** Little-endian integers of `size` bytes, `stride` bytes apart. */
function readMany({ bytes, offset, count, stride, size }: Series): bigint[] {
  return Array.from({ length: count }, (_, index) => {
    const start = offset + index * stride;
    return bytes.subarray(start, start + size).reduceRight((value, byte) => value << 8n | BigInt(byte), 0n);
  });
}
