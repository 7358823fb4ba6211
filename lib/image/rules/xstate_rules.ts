// SPDX-License-Identifier: MIT
import type { XstateNode } from "../nodes.ts";
import { dataView } from "../struct_codec.ts";
import { hex, type RuleContext } from "./rule_context.ts";

// Offsets in the FXSAVE and XSAVE areas (arch/x86/include/asm/fpu/types.h).
const MXCSR = 24;
const MXCSR_MASK = 28;
const ST_SPACE = 32;
const XMM_SPACE = 160;
const LEGACY_PADDING = 416;
/** In the regset: XCR0, then zeros (include/uapi/asm/ptrace-abi.h, "software usable bytes"). */
const SOFTWARE_BYTES = 464;
const XSAVE_HEADER = 512;
const XCOMP_BV = 520;
const HEADER_RESERVED = 528;
const EXTENDED = 576;
const AVX_SIZE = 256;

const FP = 1n;
const SSE = 2n;
const AVX = 4n;
const DEFAULT_MXCSR_MASK = 0xffbf;

/** The raw FPU state: an FXSAVE or an uncompacted XSAVE area. */
export function checkXstate(node: XstateNode, context: RuleContext): void {
  const arch = context.headArch?.fields;
  if (arch === undefined || arch.has_fxsr === 0 || node.bytes.length < XSAVE_HEADER) return;
  const view = dataView(node.bytes);
  const mask = view.getUint32(MXCSR_MASK, true) || DEFAULT_MXCSR_MASK;
  const mxcsr = view.getUint32(MXCSR, true);
  if ((mxcsr & ~mask) !== 0) {
    const values = { expected: `only bits of ${hex(mask)}`, actual: hex(mxcsr) };
    context.report("E_XSTATE_MXCSR", node, { message: "reserved bits of MXCSR", ...values, at: MXCSR });
  }
  if (arch.has_xsave === 0 || node.bytes.length < EXTENDED) return;
  checkHeader(node, view, context);
  // v11 saves the raw area; the regset, which the port saves, is stricter.
  if (context.isPort) checkRegset(node, view, context);
}

function checkHeader(node: XstateNode, view: DataView, context: RuleContext): void {
  const compaction = view.getBigUint64(XCOMP_BV, true);
  if (compaction !== 0n) {
    const values = { expected: "0", actual: hex(compaction) };
    context.report("E_XSTATE_COMPACTED", node, { message: "xcomp_bv is set", ...values, at: XCOMP_BV });
  }
  expectZero(
    "E_XSTATE_RESERVED",
    node,
    HEADER_RESERVED,
    EXTENDED,
    "reserved bytes of the XSAVE header",
    context,
  );
}

function checkRegset(node: XstateNode, view: DataView, context: RuleContext): void {
  expectZero(
    "E_XSTATE_RESERVED",
    node,
    LEGACY_PADDING,
    SOFTWARE_BYTES,
    "padding of the FXSAVE area",
    context,
  );
  const enabled = view.getBigUint64(SOFTWARE_BYTES, true);
  expectZero("E_XSTATE_RESERVED", node, SOFTWARE_BYTES + 8, XSAVE_HEADER, "unused software bytes", context);
  if (
    (enabled & (FP | SSE)) !== (FP | SSE) ||
    ((enabled & AVX) !== 0n && node.bytes.length < EXTENDED + AVX_SIZE)
  ) {
    const values = { expected: "x87 and SSE, and room for the rest", actual: hex(enabled) };
    context.report("E_XSTATE_FEATURES", node, { message: "impossible XCR0", ...values, at: SOFTWARE_BYTES });
  }
  const present = view.getBigUint64(XSAVE_HEADER, true);
  if ((present & ~enabled) !== 0n) {
    const values = { expected: `only bits of XCR0 ${hex(enabled)}`, actual: hex(present) };
    const message = "components that are not enabled";
    context.report("E_XSTATE_FEATURES", node, { message, ...values, at: XSAVE_HEADER });
  }
  const initial = "initial state of a component that xfeatures has not";
  if ((present & FP) === 0n) expectZero("E_XSTATE_INIT", node, ST_SPACE, XMM_SPACE, initial, context);
  if ((present & SSE) === 0n) expectZero("E_XSTATE_INIT", node, XMM_SPACE, LEGACY_PADDING, initial, context);
  if ((enabled & AVX) !== 0n && (present & AVX) === 0n) {
    expectZero("E_XSTATE_INIT", node, EXTENDED, EXTENDED + AVX_SIZE, initial, context);
  }
}

function expectZero(
  id: "E_XSTATE_RESERVED" | "E_XSTATE_INIT",
  node: XstateNode,
  from: number,
  to: number,
  what: string,
  context: RuleContext,
): void {
  const bad = node.bytes.subarray(from, to).findIndex((byte) => byte !== 0);
  if (bad < 0) return;
  const at = from + bad;
  context.report(id, node, {
    message: `${what}: byte ${at}`,
    expected: "0x0",
    actual: hex(node.bytes[at] ?? 0),
    at,
  });
}
