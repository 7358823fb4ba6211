// SPDX-License-Identifier: MIT
import { AVX_COMPONENT, FXSAVE_FIELDS, FXSAVE_SIZE, XSAVE_HEADER } from "../../x86/xstate.ts";
import type { RecordNodeOf, XstateNode } from "../nodes.ts";
import type { RuleId } from "../rule_ids.ts";
import type { RuleContext } from "./rule_context.ts";
import { PAGE_SIZE_BIG, TLS_ENTRIES } from "../../abi/arch.ts";
import { DebugRegisters, DR6_AT_REST } from "../../x86/debug_registers.ts";
import { dataView, hex } from "../../bytes.ts";

// EFLAGS: always set are bit 1 and, in a program, IF.
const FLAGS_SET = 0x202n;
// CF PF AF ZF SF TF DF OF NT RF AC ID: what a program can have set.
const FLAGS_FREE = 0x25_4dd5n;
/** iopl() of old kernels changes them; since 5.5 it is emulated. */
const FLAGS_IOPL = 0x3000n;

/** Bits of DR6 that events set: B0 to B3, BD, BS, BT. */
const DR6_EVENTS = 0xe00fn;
const DR7_ENABLE = 0xffn;

/** Code and stack selectors that the kernel gives programs (arch/x86/include/asm/segment.h). */
const SELECTORS = {
  8: { cs: [0x33n, 0x23n], ss: [0x2bn] },
  4: { cs: [0x73n], ss: [0x7bn] },
} as const;
/** GDT entries beside TLS that a program may load into data segment registers, by word size; the null one is 0. */
const DATA_ENTRIES = { 8: [0, 4, 5, 6, 15], 4: [0, 14, 15, 27, 28] } as const;
const TABLE_LDT = 4n;
/** The page that stands in no VMA and is emulated (arch/x86/entry/vsyscall). */
const VSYSCALL = 0xffff_ffff_ff60_0000n;

const GENERAL = ["bp", "bx", "ax", "cx", "dx", "si", "di", "orig_ax", "ip", "sp"] as const;
const HIGH_GENERAL = ["r15", "r14", "r13", "r12", "r11", "r10", "r9", "r8"] as const;
const SEGMENTS = ["cs", "ss", "ds", "es", "fs", "gs"] as const;
const BREAKPOINTS = ["debugreg0", "debugreg1", "debugreg2", "debugreg3"] as const;

type Cpu = RecordNodeOf<"CPU">;

/** CPU: widths, selectors, flags, addresses, debug registers. */
export function checkCpu(node: Cpu, context: RuleContext): void {
  checkWidths(node, context);
  checkSelectors(node, context);
  checkFlags(node, context);
  checkAddresses(node, context);
  checkSelf(node, context);
  checkDebug(node, context);
  const { used_math } = node.fields;
  if (context.isPort ? used_math === 1 : used_math <= 1) return;
  context.reportField("E_USED_MATH", node, "used_math", { expected: context.isPort ? "1" : "0 or 1" });
}

function checkWidths(node: Cpu, context: RuleContext): void {
  const wide = (names: readonly (keyof Cpu["fields"])[], limit: bigint): void => {
    for (const name of names) {
      if (BigInt(node.fields[name]) <= limit) continue;
      const expected = limit === 0n ? "0" : `at most ${hex(limit)}`;
      context.reportField("E_CPU_WIDTH", node, name, { expected });
    }
  };
  if (context.format.wordSize === 4) {
    wide([...GENERAL, ...BREAKPOINTS], 0xffff_ffffn);
    // v11 leaves stale bytes in these: see as_posted_rules.ts.
    if (context.isPort) wide(HIGH_GENERAL, 0n);
  }
  // v11 reads fs and gs of the task itself into 16 of the 64 bits.
  wide(context.isPort ? SEGMENTS : SEGMENTS.slice(0, 4), 0xffffn);
  wide(["debugreg6", "debugreg7"], 0xffff_ffffn);
}

function checkSelectors(node: Cpu, context: RuleContext): void {
  const { wordSize } = context.format;
  for (const name of ["cs", "ss"] as const) {
    const value = node.fields[name];
    const known: readonly bigint[] = SELECTORS[wordSize][name];
    const isLocal = (value & 7n) === 7n && hasLdtEntry(Number(value >> 3n), context);
    // A stack in a TLS segment is possible, code is not.
    const isTls = name === "ss" && (value & 7n) === 3n && isTlsEntry(value, context);
    if (known.includes(value) || isLocal || isTls) continue;
    const expected = `${known.map(hex).join(" or ")}, or an entry of the LDT that is not empty`;
    context.reportField("E_CPU_SELECTOR", node, name, { expected });
  }
  const entries: readonly number[] = DATA_ENTRIES[wordSize];
  // v11 does not save fs, and leaves bits of gs as they were.
  for (const name of context.isPort ? SEGMENTS.slice(2) : ["ds", "es"] as const) {
    const value = node.fields[name];
    // An entry of the LDT may be gone, and the selector still there: only the next load would notice.
    if (value > 0xffffn || (value & TABLE_LDT) !== 0n) continue;
    if (entries.includes(Number(value >> 3n)) || isTlsEntry(value, context)) continue;
    context.reportField("N_CPU_SELECTOR", node, name);
  }
}

function hasLdtEntry(index: number, context: RuleContext): boolean {
  const bytes = context.task.ldt?.subarray(8 * index, 8 * index + 8);
  return bytes !== undefined && bytes.some((byte) => byte !== 0);
}

function isTlsEntry(selector: bigint, { abi }: RuleContext): boolean {
  const index = Number(selector >> 3n) - abi.firstTlsSlot;
  return (selector & TABLE_LDT) === 0n && index >= 0 && index < TLS_ENTRIES;
}

function checkFlags(node: Cpu, context: RuleContext): void {
  const { flags } = node.fields;
  const free = context.isPort ? FLAGS_FREE : FLAGS_FREE | FLAGS_IOPL;
  if ((flags & ~free) === FLAGS_SET) return;
  const message = `bits ${hex((flags & ~free) ^ FLAGS_SET)} are not a program's to change`;
  context.reportField("E_CPU_FLAGS", node, "flags", { message, expected: hex((flags & free) | FLAGS_SET) });
}

/** Whether all bits from that of the sign up are alike, with five-level page tables at most. */
function isCanonical(address: bigint): boolean {
  return BigInt.asUintN(64, BigInt.asIntN(57, address)) === address;
}

/**
 * Where the program is. A wild jump and a stack that is full show in a debugger before they kill: only what no jump
 * reaches is impossible. A segment of the LDT or TLS has a base of its own, and is left alone.
 */
function checkAddresses(node: Cpu, context: RuleContext): void {
  const { ip, sp, cs, ss } = node.fields;
  const { wordSize } = context.format;
  const { areas, code } = context.task;
  const isFlatCode = (SELECTORS[wordSize].cs as readonly bigint[]).includes(cs);
  // What lies beyond 32 bits was reported as too wide.
  const isNarrow = wordSize === 4 && (ip > 0xffff_ffffn || sp > 0xffff_ffffn);
  if (isNarrow || context.task.mm === undefined) return;
  if (!isCanonical(ip) || (cs === 0x23n && ip > 0xffff_ffffn && wordSize === 8)) {
    const expected = cs === 0x23n ? "at most 32 bits" : "bits 56 to 63 all alike";
    context.reportField("E_CPU_IP", node, "ip", { expected });
  } else if (isFlatCode && code.lacks(ip) && ip - ip % PAGE_SIZE_BIG !== VSYSCALL) {
    context.reportField("N_CPU_IP", node, "ip");
  }
  // The first push of an empty stack goes below its end.
  const isFlatStack = (SELECTORS[wordSize].ss as readonly bigint[]).includes(ss);
  if (isFlatStack && areas.lacks(sp) && (sp === 0n || areas.lacks(sp - 1n))) {
    context.reportField("N_CPU_SP", node, "sp");
  }
}

/** A task that saves itself is in checkpoint(2), and saves what the call returns to it after a restart. */
function checkSelf(node: Cpu, context: RuleContext): void {
  if (!context.isPort || context.task.task?.fields.state !== 0) return;
  context.expectField("E_CPU_SELF", node, "ax", 0n);
  if (BigInt.asIntN(32, node.fields.orig_ax) >= 0n) return;
  const message = "a task that saves itself, and is in no system call";
  context.reportField("E_CPU_SELF", node, "orig_ax", { message, expected: "the number of a system call" });
}

function checkDebug(node: Cpu, context: RuleContext): void {
  const { debugreg6, debugreg7, uses_debug } = node.fields;
  context.expectField("E_CPU_DEBUG", node, "debugreg4", 0n);
  context.expectField("E_CPU_DEBUG", node, "debugreg5", 0n);
  if (uses_debug > 1) {
    const message = "neither true nor false";
    context.reportField("E_CPU_DEBUG", node, "uses_debug", { message, expected: "0 or 1" });
  }
  // v11 saves what the hardware has, whoever set it.
  if (!context.isPort) return;
  const rest = debugreg6 & 0xffff_ffffn & ~DR6_EVENTS;
  if (rest !== 0n && rest !== DR6_AT_REST) {
    const message = "reserved bits of DR6";
    context.reportField("E_CPU_DEBUG", node, "debugreg6", { message, expected: hex(DR6_AT_REST) });
  }
  checkBreakpoints(node, context);
  const expected = debugreg7 === 0n ? 0 : 1;
  if (uses_debug > 1 || uses_debug === expected) return;
  const message = `debugreg7 is ${hex(debugreg7)}`;
  context.reportField("E_CPU_DEBUG", node, "uses_debug", { message, expected: String(expected) });
}

/** Each breakpoint is one that ptrace() takes; where it is not enabled, its kind may be that of another time. */
function checkBreakpoints(node: Cpu, context: RuleContext): void {
  const { fields } = node;
  BREAKPOINTS.forEach((name, i) => {
    const slot = new DebugRegisters(context.format.wordSize);
    const isAddress = fields[name] === 0n || slot.set(i, fields[name]) === 0;
    const bits = fields.debugreg7 & (3n << BigInt(2 * i) | 0xfn << BigInt(16 + 4 * i));
    const isEnabled = (bits & DR7_ENABLE) !== 0n;
    if (isAddress && (!isEnabled || slot.set(7, bits) === 0)) return;
    const message = isAddress
      ? `no tracer can enable it so: debugreg7 is ${hex(fields.debugreg7)}`
      : "no tracer can set a breakpoint there";
    context.reportField("E_CPU_DEBUG", node, name, { message });
  });
}

/** X86_FSGSBASE: canonical addresses. */
export function checkFsGsBase(node: RecordNodeOf<"X86_FSGSBASE">, context: RuleContext): void {
  if (context.format.wordSize === 4) {
    return context.report("E_FSGSBASE", node, { expected: "no such record", actual: "one" });
  }
  for (const name of ["fsbase", "gsbase"] as const) {
    const value = node.fields[name];
    if (!isCanonical(value)) {
      context.reportField("E_FSGSBASE", node, name, { expected: "bits 56 to 63 all alike" });
    } else if (value >= context.abi.userLimit) {
      context.reportField("N_FSGSBASE", node, name, { expected: `below ${hex(context.abi.userLimit)}` });
    }
  }
}

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
    context.report("E_XSTATE_MXCSR", node, { expected: `only bits of ${hex(mask)}`, actual: hex(mxcsr), at });
  }
  if (arch.has_xsave === 0 || bytes.length < EXTENDED) return;
  const compaction = view.getBigUint64(XCOMP_BV, true);
  if (compaction !== 0n) {
    context.report("E_XSTATE_COMPACTED", node, { expected: "0", actual: hex(compaction), at: XCOMP_BV });
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
