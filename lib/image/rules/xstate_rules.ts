// SPDX-License-Identifier: MIT
import { AVX_COMPONENT, FXSAVE_FIELDS, FXSAVE_SIZE, XSAVE_HEADER } from "../../x86/xstate.ts";
import type { XstateNode } from "../nodes.ts";
import type { RuleId } from "../rule_ids.ts";
import { dataView } from "../struct_codec.ts";
import { hex, type RuleContext } from "./rule_context.ts";

// Offsets in the FXSAVE and XSAVE areas (arch/x86/include/asm/fpu/types.h).
const LEGACY_PADDING = 416;
/** In the regset: XCR0, then zeros (include/uapi/asm/ptrace-abi.h, "software usable bytes"). */
const SOFTWARE_BYTES = FXSAVE_FIELDS.software.offset;
const XCOMP_BV = XSAVE_HEADER.offset + 8;
const HEADER_RESERVED = XSAVE_HEADER.offset + 16;
const EXTENDED = AVX_COMPONENT.offset;
const AVX_END = EXTENDED + AVX_COMPONENT.size;

const FP = 1n;
const SSE = 2n;
const AVX = 4n;
const DEFAULT_MXCSR_MASK = 0xffbf;
/** Bytes of the state where no component but these is enabled: others stand where CPUID says. */
const SIZES: ReadonlyMap<bigint, number> = new Map([[FP | SSE, EXTENDED], [FP | SSE | AVX, AVX_END]]);

/** The raw FPU state: an FXSAVE or an uncompacted XSAVE area. */
export function checkXstate(node: XstateNode, context: RuleContext): void {
  const { bytes } = node;
  const arch = context.headArch?.fields;
  if (arch === undefined || arch.has_fxsr === 0 || bytes.length < FXSAVE_SIZE) return;
  const view = dataView(bytes);
  const mask = view.getUint32(FXSAVE_FIELDS.mxcsrMask.offset, true) || DEFAULT_MXCSR_MASK;
  const at = FXSAVE_FIELDS.mxcsr.offset;
  const mxcsr = view.getUint32(at, true);
  if ((mxcsr & ~mask) !== 0) {
    const values = { expected: `only bits of ${hex(mask)}`, actual: hex(mxcsr), at };
    context.report("E_XSTATE_MXCSR", node, { message: "reserved bits of MXCSR", ...values });
  }
  if (arch.has_xsave === 0 || bytes.length < EXTENDED) return;
  const compaction = view.getBigUint64(XCOMP_BV, true);
  if (compaction !== 0n) {
    const values = { expected: "0", actual: hex(compaction), at: XCOMP_BV };
    context.report("E_XSTATE_COMPACTED", node, { message: "xcomp_bv is set", ...values });
  }
  const expectZero = (id: RuleId, from: number, to: number, what: string): void => {
    const bad = bytes.subarray(from, to).findIndex((byte) => byte !== 0);
    if (bad < 0) return;
    const values = { expected: "0x0", actual: hex(bytes[from + bad] ?? 0), at: from + bad };
    context.report(id, node, { message: `${what}: byte ${from + bad}`, ...values });
  };
  expectZero("E_XSTATE_RESERVED", HEADER_RESERVED, EXTENDED, "reserved bytes of the XSAVE header");
  // v11 saves the raw area; the regset, which the port saves, is stricter.
  if (!context.isPort) return;
  expectZero("E_XSTATE_RESERVED", LEGACY_PADDING, SOFTWARE_BYTES, "padding of the FXSAVE area");
  expectZero("E_XSTATE_RESERVED", SOFTWARE_BYTES + 8, FXSAVE_SIZE, "unused software bytes");
  const enabled = view.getBigUint64(SOFTWARE_BYTES, true);
  const [actual, size] = [hex(enabled), SIZES.get(enabled)];
  if ((enabled & (FP | SSE)) !== (FP | SSE) || ((enabled & AVX) !== 0n && bytes.length < AVX_END)) {
    const values = { expected: "x87 and SSE, and room for the rest", actual, at: SOFTWARE_BYTES };
    context.report("E_XSTATE_FEATURES", node, { message: "impossible XCR0", ...values });
  } else if (size !== undefined && size !== bytes.length) {
    const values = { expected: `${size} bytes`, actual: `${bytes.length} bytes` };
    context.report("E_XSTATE_SIZE", node, { message: `not the size of XCR0 ${actual}`, ...values });
  }
  const present = view.getBigUint64(XSAVE_HEADER.offset, true);
  if ((present & ~enabled) !== 0n) {
    const values = { expected: `only bits of XCR0 ${actual}`, actual: hex(present), at: XSAVE_HEADER.offset };
    context.report("E_XSTATE_FEATURES", node, { message: "components that are not enabled", ...values });
  }
  const { st, xmm } = FXSAVE_FIELDS;
  const initial = "initial state of a component that xfeatures has not";
  if ((present & FP) === 0n) expectZero("E_XSTATE_INIT", st.offset, xmm.offset, initial);
  if ((present & SSE) === 0n) expectZero("E_XSTATE_INIT", xmm.offset, LEGACY_PADDING, initial);
  if ((enabled & ~present & AVX) !== 0n) expectZero("E_XSTATE_INIT", EXTENDED, AVX_END, initial);
}
