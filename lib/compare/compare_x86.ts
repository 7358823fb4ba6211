// SPDX-License-Identifier: MIT

import type { LdtNode, RecordNodeOf, TlsNode, XstateNode } from "../image/nodes.ts";
import { encodeDescriptor } from "../x86/descriptor.ts";
import { fillLdt } from "../x86/fill_ldt.ts";
import { CPU_DEBUG_FIELDS, CPU_REGISTER_FIELDS, cpuFieldsOf, decodeUserRegs } from "../x86/registers.ts";
import { decodeUserDesc, isLdtEmpty, isLdtZero } from "../x86/user_desc.ts";
import type { ComparisonContext } from "./comparison_context.ts";
import { type FieldExpectation, observed, predicted, type VolatileField } from "./judge.ts";

const DESCRIPTOR_SIZE = 8;
const TLS_ENTRIES = 3;

/** The LDT that the image must hold. Without steps there is none: exec starts without an LDT. */
function expectedLdt({ prediction }: ComparisonContext): Uint8Array {
  return prediction?.ldt ?? new Uint8Array(0);
}

/** MM_CONTEXT: the number of entries that the running kernel keeps. */
export function compareMmContext(node: RecordNodeOf<"MM_CONTEXT">, context: ComparisonContext): void {
  context.judge.header(node, 0);
  context.judge.fields(node, {
    ldt_entry_size: predicted(DESCRIPTOR_SIZE),
    nldt: predicted(expectedLdt(context).length / DESCRIPTOR_SIZE),
  });
}

/** The raw LDT, entry by entry. */
export function compareLdt(node: LdtNode, context: ComparisonContext): void {
  context.judge.bytes(node, node.offset, node.bytes, {
    bytes: expectedLdt(context),
    by: "predicted",
    id: "E_LDT_ENTRY",
    what: "the LDT",
    unit: DESCRIPTOR_SIZE,
  });
}

/** The TLS array as PTRACE_GET_THREAD_AREA shows it, made into descriptors again. */
function observedTls({ target }: ComparisonContext): Uint8Array {
  const array = new Uint8Array(TLS_ENTRIES * DESCRIPTOR_SIZE);
  for (let slot = 0; slot < TLS_ENTRIES; slot++) {
    const desc = decodeUserDesc(target.tls.subarray(slot * 16, slot * 16 + 16));
    if (isLdtEmpty(desc) || isLdtZero({ ...desc, entryNumber: 0 })) continue;
    array.set(encodeDescriptor(fillLdt(desc, { dialect: "port" })), slot * DESCRIPTOR_SIZE);
  }
  return array;
}

function expectedTls(context: ComparisonContext): { bytes: Uint8Array; by: "predicted" | "observed" } {
  return context.prediction
    ? { bytes: context.prediction.tls, by: "predicted" }
    : { bytes: observedTls(context), by: "observed" };
}

/** THREAD: how many TLS slots are in use. */
export function compareThread(node: RecordNodeOf<"THREAD">, context: ComparisonContext): void {
  const { bytes, by } = expectedTls(context);
  let used = 0;
  for (let at = 0; at < bytes.length; at += DESCRIPTOR_SIZE) {
    if (bytes.subarray(at, at + DESCRIPTOR_SIZE).some((byte) => byte !== 0)) used++;
  }
  context.judge.header(node, context.target.pid);
  context.judge.fields(node, {
    gdt_entry_tls_entries: predicted(TLS_ENTRIES),
    sizeof_tls_array: predicted(TLS_ENTRIES * DESCRIPTOR_SIZE),
    ntls: { value: used, by },
  });
}

/** The raw TLS array: what the steps imply, and what ptrace shows. */
export function compareTls(node: TlsNode, context: ComparisonContext): void {
  const { bytes, by } = expectedTls(context);
  const options = { id: "E_TLS_ENTRY", what: "the TLS array", unit: DESCRIPTOR_SIZE };
  context.judge.bytes(node, node.offset, node.bytes, { bytes, by, ...options });
  if (by === "predicted") {
    context.judge.bytes(node, node.offset, node.bytes, {
      bytes: observedTls(context),
      by: "observed",
      ...options,
    });
  }
}

const SELF_REGISTERS: VolatileField = {
  name: "cpu registers of a self checkpoint",
  reason: "no other interface shows the registers at the call",
  accept: () => undefined,
};

/** CPU: every register as ptrace shows it of the stopped target. */
export function compareCpu(node: RecordNodeOf<"CPU">, context: ComparisonContext): void {
  const { judge, target, self, arch } = context;
  const layout = arch === "x86_64" ? "x86_64" : "i386";
  const expectations: Record<string, FieldExpectation | VolatileField> = {};
  const registers = cpuFieldsOf(decodeUserRegs(target.gpr, layout));
  for (const name of CPU_REGISTER_FIELDS) {
    const segment = name.length === 2 && name.endsWith("s");
    const steps = context.prediction?.registers.general.get(name);
    expectations[name] = self && !segment
      ? SELF_REGISTERS
      : steps === undefined
      ? observed(registers.get(name)!)
      : predicted(steps);
    if (!self && steps !== undefined && steps !== registers.get(name)) {
      reportRegister(context, name, { steps, ptrace: registers.get(name)! });
    }
  }
  if (self) {
    expectations.ax = predicted(0n);
    expectations.orig_ax = predicted(context.checkpointNr);
  }
  Object.assign(expectations, expectedDebug(context));
  expectations.used_math = predicted(1);
  judge.header(node, target.pid);
  judge.fields(node, expectations);
}

/** Debug registers: what tracers have set by the steps, else what ptrace shows of a program. */
function expectedDebug(context: ComparisonContext): Record<string, FieldExpectation> {
  const shown = words(context.target.debugRegisters, context.arch === "x86_64" ? 8 : 4);
  const steps = context.prediction?.debug;
  const expectations: Record<string, FieldExpectation> = {};
  CPU_DEBUG_FIELDS.forEach((name, index) => {
    const ptrace = shown[index] ?? 0n;
    const by = index === 4 || index === 5 ? 0n : steps?.[index];
    expectations[name] = by === undefined ? observed(ptrace) : predicted(by);
    if (by !== undefined && by !== ptrace) reportRegister(context, name, { steps: by, ptrace });
  });
  const usesDebug = (steps ?? shown)[7] ? 1 : 0;
  expectations.uses_debug = steps ? predicted(usesDebug) : observed(usesDebug);
  return expectations;
}

function reportRegister(
  { judge }: ComparisonContext,
  name: string,
  { steps, ptrace }: { steps: bigint; ptrace: bigint },
): void {
  judge.report({
    id: "E_ORACLES_DISAGREE",
    path: `register ${name}`,
    message: "ptrace shows another value than the steps imply",
    expected: `0x${steps.toString(16)}`,
    actual: `0x${ptrace.toString(16)}`,
  });
}

function words(bytes: Uint8Array, size: 4 | 8): bigint[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from(
    { length: bytes.length / size },
    (_, i) => size === 8 ? view.getBigUint64(i * 8, true) : BigInt(view.getUint32(i * 4, true)),
  );
}

/** The raw FPU state: the register set that ptrace shows. */
export function compareXstate(node: XstateNode, { judge, target, prediction }: ComparisonContext): void {
  for (const { name, offset, bytes } of prediction?.registers.xstate ?? []) {
    judge.bytes(node, node.offset + offset, node.bytes.subarray(offset, offset + bytes.length), {
      bytes,
      by: "predicted",
      id: "E_XSTATE",
      what: `the FPU state, ${name}`,
    });
  }
  if (!target.xstate) return;
  judge.bytes(node, node.offset, node.bytes, {
    bytes: target.xstate,
    by: "observed",
    id: "E_XSTATE",
    what: "the FPU state",
  });
}

/** X86_FSGSBASE: the segment bases that ptrace shows on x86-64. */
export function compareFsGsBase(
  node: RecordNodeOf<"X86_FSGSBASE">,
  { judge, target }: ComparisonContext,
): void {
  const registers = decodeUserRegs(target.gpr, "x86_64");
  judge.header(node, target.pid);
  judge.fields(node, {
    fsbase: observed(registers.get("fs_base") ?? 0n),
    gsbase: observed(registers.get("gs_base") ?? 0n),
  });
}
