// SPDX-License-Identifier: MIT
import type { RecordNodeOf } from "../nodes.ts";
import { hex, type RuleContext } from "./rule_context.ts";

// EFLAGS: always set are bit 1 and, in a program, IF.
const FLAGS_SET = 0x202n;
// CF PF AF ZF SF TF DF OF NT RF AC ID: what a program can have set.
const FLAGS_FREE = 0x1n | 0x4n | 0x10n | 0x40n | 0x80n | 0x100n | 0x400n | 0x800n | 0x4000n | 0x10000n |
  0x40000n | 0x200000n;
/** iopl() of old kernels changes them; since 5.5 it is emulated. */
const FLAGS_IOPL = 0x3000n;

/** DR6 at rest, and the bits that events set: B0 to B3, BD, BS, BT. */
const DR6_AT_REST = 0xffff_0ff0n;
const DR6_EVENTS = 0xe00fn;
const DR7_ENABLE = 0xffn;

/** Code and stack selectors that the kernel gives programs (arch/x86/include/asm/segment.h). */
const SELECTORS = {
  8: { cs: [0x33n, 0x23n], ss: [0x2bn] },
  4: { cs: [0x73n], ss: [0x7bn] },
} as const;
const TABLE_LDT = 4n;

const GENERAL = ["bp", "bx", "ax", "cx", "dx", "si", "di", "orig_ax", "ip", "sp"] as const;
const HIGH_GENERAL = ["r15", "r14", "r13", "r12", "r11", "r10", "r9", "r8"] as const;
const SEGMENTS = ["cs", "ss", "ds", "es", "fs", "gs"] as const;
const DEBUG = ["debugreg0", "debugreg1", "debugreg2", "debugreg3", "debugreg6", "debugreg7"] as const;

type Cpu = RecordNodeOf<"CPU">;

/** CPU: widths, selectors, flags, debug registers. */
export function checkCpu(node: RecordNodeOf<"CPU">, context: RuleContext): void {
  checkWidths(node, context);
  checkSelectors(node, context);
  checkFlags(node, context);
  checkDebug(node, context);
  const { used_math } = node.fields;
  const good = context.isPort ? used_math === 1 : used_math <= 1;
  if (good) return;
  const values = { expected: context.isPort ? "1" : "0 or 1", actual: hex(used_math) };
  context.reportField("E_USED_MATH", node, "used_math", { message: "impossible used_math", ...values });
}

function checkWidths(node: Cpu, context: RuleContext): void {
  const wide = (name: keyof Cpu["fields"], limit: bigint): void => {
    const value = BigInt(node.fields[name]);
    if (value <= limit) return;
    const values = { expected: limit === 0n ? "0" : `at most ${hex(limit)}`, actual: hex(value) };
    context.reportField("E_CPU_WIDTH", node, name, { message: "more bits than the register has", ...values });
  };
  if (context.format.wordSize === 4) {
    for (const name of [...GENERAL, ...DEBUG]) wide(name, 0xffff_ffffn);
    // v11 leaves stale bytes in these: see as_posted_rules.ts.
    if (context.isPort) { for (const name of HIGH_GENERAL) wide(name, 0n); }
  }
  for (const name of SEGMENTS) {
    // v11 reads fs and gs of the task itself into 16 of the 64 bits.
    if (context.isPort || (name !== "fs" && name !== "gs")) wide(name, 0xffffn);
  }
  for (const name of ["debugreg6", "debugreg7"] as const) wide(name, 0xffff_ffffn);
}

function checkSelectors(node: Cpu, context: RuleContext): void {
  const allowed = SELECTORS[context.format.wordSize];
  for (const name of ["cs", "ss"] as const) {
    const value = node.fields[name];
    const known: readonly bigint[] = allowed[name];
    const isLocal = (value & 7n) === 7n && hasLdtEntry(Number(value >> 3n), context);
    if (known.includes(value) || isLocal || isTls(name, value, context)) continue;
    context.reportField("E_CPU_SELECTOR", node, name, {
      message: `no program can run with this ${name}`,
      expected: `${known.map(hex).join(" or ")}, or an entry of the LDT that is not empty`,
      actual: hex(value),
    });
  }
}

function hasLdtEntry(index: number, context: RuleContext): boolean {
  const bytes = context.task.ldt?.subarray(8 * index, 8 * index + 8);
  return bytes !== undefined && bytes.some((byte) => byte !== 0);
}

/** A stack in a TLS segment is possible, code is not. */
function isTls(name: "cs" | "ss", value: bigint, context: RuleContext): boolean {
  const index = (value >> 3n) - BigInt(context.abi.firstTlsSlot);
  return name === "ss" && (value & 3n) === 3n && (value & TABLE_LDT) === 0n && index >= 0n &&
    index < BigInt(context.abi.tlsEntries);
}

function checkFlags(node: Cpu, context: RuleContext): void {
  const { flags } = node.fields;
  const free = context.isPort ? FLAGS_FREE : FLAGS_FREE | FLAGS_IOPL;
  if ((flags & ~free) === FLAGS_SET) return;
  const wrong = (flags & ~free) ^ FLAGS_SET;
  context.reportField("E_CPU_FLAGS", node, "flags", {
    message: `bits ${hex(wrong)} are not a program's to change`,
    expected: hex((flags & free) | FLAGS_SET),
    actual: hex(flags),
  });
}

function checkDebug(node: Cpu, context: RuleContext): void {
  const { debugreg4, debugreg5, debugreg6, debugreg7, uses_debug } = node.fields;
  context.expectField("E_CPU_DEBUG", node, "debugreg4", debugreg4, 0n);
  context.expectField("E_CPU_DEBUG", node, "debugreg5", debugreg5, 0n);
  if (uses_debug > 1) {
    const values = { expected: "0 or 1", actual: hex(uses_debug) };
    context.reportField("E_CPU_DEBUG", node, "uses_debug", { message: "neither true nor false", ...values });
  }
  // v11 saves what the hardware has, whoever set it.
  if (!context.isPort) return;
  const rest = debugreg6 & 0xffff_ffffn & ~DR6_EVENTS;
  if (rest !== 0n && rest !== DR6_AT_REST) {
    const values = { expected: hex(DR6_AT_REST), actual: hex(debugreg6) };
    context.reportField("E_CPU_DEBUG", node, "debugreg6", { message: "reserved bits of DR6", ...values });
  }
  const expected = debugreg7 === 0n ? 0 : 1;
  if (uses_debug > 1 || uses_debug === expected) return;
  context.reportField("E_CPU_DEBUG", node, "uses_debug", {
    message: `debugreg7 is ${hex(debugreg7)}`,
    expected: String(expected),
    actual: String(uses_debug),
  });
}

/** Whether DR7 enables a breakpoint. */
export function hasBreakpoint(debugreg7: bigint): boolean {
  return (debugreg7 & DR7_ENABLE) !== 0n;
}

/** X86_FSGSBASE: canonical addresses, of five-level page tables at most. */
export function checkFsGsBase(node: RecordNodeOf<"X86_FSGSBASE">, context: RuleContext): void {
  for (const name of ["fsbase", "gsbase"] as const) {
    const value = node.fields[name];
    if (BigInt.asUintN(64, BigInt.asIntN(57, value)) === value) continue;
    const values = { expected: "bits 56 to 63 all alike", actual: hex(value) };
    context.reportField("E_FSGSBASE", node, name, { message: "not a canonical address", ...values });
  }
}
