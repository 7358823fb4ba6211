// SPDX-License-Identifier: MIT

import { LDT_ENTRIES, TLS_ENTRIES } from "../abi/arch.ts";
import type { LdtNode, RecordNodeOf, TlsNode, XstateNode } from "../image/nodes.ts";
import { DESCRIPTOR_SIZE, encodeDescriptor, fillLdt } from "../x86/descriptor.ts";
import { decodeUserRegs } from "../x86/registers.ts";
import { decodeUserDesc, isLdtEmpty, isLdtZero } from "../x86/user_desc.ts";
import { FSAVE_POINTERS, FXSAVE_SIZE, XSAVE_HEADER } from "../x86/xstate.ts";
import type { Source } from "./byte_coverage.ts";
import type { ComparisonContext } from "./comparison_context.ts";
import { type Expectation, expected, type FieldExpectation } from "./finding_collector.ts";
import { hexBytes } from "../bytes.ts";

/** The LDT that the image must hold: the steps', else what modify_ldt(0) read; undefined where nothing tells. */
function expectedLdt(
  { prediction, target }: ComparisonContext,
): { bytes: Uint8Array; by: Source } | undefined {
  if (prediction) return { bytes: prediction.ldt, by: "steps" };
  return target.ldt && { bytes: target.ldt, by: "calls" };
}

const UNTOLD_LDT = {
  name: "the LDT of a process that could not be asked",
  reason: "modify_ldt(2) alone tells it, and that could not be called without a trace",
};

/** MM_CONTEXT: the number of entries that the running kernel keeps. */
export function compareMmContext(node: RecordNodeOf<"MM_CONTEXT">, context: ComparisonContext): void {
  const { collector, prediction, target } = context;
  if (prediction && target.ldt) {
    const message = "modify_ldt(0) reads another LDT than the steps imply";
    const said = { expected: describeLdt(prediction.ldt), actual: describeLdt(target.ldt) };
    collector.agree("modify_ldt(0)", message, said);
  }
  collector.header(node, 0);
  collector.fields(node, {
    ldt_entry_size: expected(DESCRIPTOR_SIZE, "format"),
    nldt: expectedEntries(context),
  });
}

function expectedEntries(context: ComparisonContext): Expectation {
  const known = expectedLdt(context);
  const entries = (known?.bytes.length ?? 0) / DESCRIPTOR_SIZE;
  if (known && (known.by === "steps" || entries === 0)) return expected(entries, known.by);
  return {
    ...known ? TRAILING_ENTRIES : UNTOLD_LDT,
    accept: (value) => value >= entries && value <= LDT_ENTRIES,
    wrong: `not from ${entries} to ${LDT_ENTRIES}`,
  };
}

const TRAILING_ENTRIES = {
  name: "mm_context.nldt of a program",
  reason: "modify_ldt does not tell how many empty entries follow the last one that is set",
};

/** Empty entries at the end are not told. */
function describeLdt(ldt: Uint8Array): string {
  if (ldt.length === 0) return "no LDT";
  const used = Math.ceil((ldt.findLastIndex((byte) => byte !== 0) + 1) / DESCRIPTOR_SIZE);
  return used === 0 ? "empty entries alone" : hexBytes(ldt.subarray(0, used * DESCRIPTOR_SIZE));
}

/** The raw LDT, entry by entry. */
export function compareLdt(node: LdtNode, context: ComparisonContext): void {
  const { collector } = context;
  const known = expectedLdt(context);
  if (!known) return collector.coverage.claimVolatile(node.offset, node.bytes.length, UNTOLD_LDT);
  const { by } = known;
  const bytes = new Uint8Array(
    by === "steps" ? known.bytes.length : Math.max(known.bytes.length, node.bytes.length),
  );
  bytes.set(known.bytes);
  const options = { id: "E_LDT_ENTRY", what: "the LDT", unit: DESCRIPTOR_SIZE };
  collector.bytes(node, node.offset, node.bytes, { bytes, by, ...options });
}

/** The TLS array as PTRACE_GET_THREAD_AREA shows it, made into descriptors again. */
function observedTls({ target, dialect }: ComparisonContext): Uint8Array {
  const array = new Uint8Array(TLS_ENTRIES * DESCRIPTOR_SIZE);
  for (let slot = 0; slot < TLS_ENTRIES; slot++) {
    const desc = decodeUserDesc(target.tls.subarray(slot * 16, slot * 16 + 16));
    // 2.6.28 takes a user_desc of zeros for a segment.
    const isZero = dialect === "port" && isLdtZero({ ...desc, entryNumber: 0 });
    if (isLdtEmpty(desc) || isZero) continue;
    array.set(encodeDescriptor(fillLdt(desc, { dialect })), slot * DESCRIPTOR_SIZE);
  }
  return array;
}

function expectedTls(context: ComparisonContext): { bytes: Uint8Array; by: Source } {
  return context.prediction
    ? { bytes: context.prediction.tls, by: "steps" }
    : { bytes: observedTls(context), by: "ptrace" };
}

/** THREAD: how many TLS slots are in use. */
export function compareThread(node: RecordNodeOf<"THREAD">, context: ComparisonContext): void {
  const { bytes, by } = expectedTls(context);
  let used = 0;
  for (let at = 0; at < bytes.length; at += DESCRIPTOR_SIZE) {
    if (bytes.subarray(at, at + DESCRIPTOR_SIZE).some((byte) => byte !== 0)) used++;
  }
  context.collector.header(node, context.target.pid);
  context.collector.fields(node, {
    gdt_entry_tls_entries: expected(TLS_ENTRIES, "format"),
    sizeof_tls_array: expected(TLS_ENTRIES * DESCRIPTOR_SIZE, "format"),
    ntls: { value: used, by },
  });
}

/** The raw TLS array: what the steps imply, and what ptrace shows. */
export function compareTls(node: TlsNode, context: ComparisonContext): void {
  const { bytes, by } = expectedTls(context);
  const options = { id: "E_TLS_ENTRY", what: "the TLS array", unit: DESCRIPTOR_SIZE };
  const check = (bytes: Uint8Array, by: Source): void =>
    context.collector.bytes(node, node.offset, node.bytes, { bytes, by, ...options });
  check(bytes, by);
  if (by === "steps") check(observedTls(context), "ptrace");
}

/** The raw FPU state: the register set that ptrace shows. */
export function compareXstate(
  node: XstateNode,
  { collector, target, prediction, self }: ComparisonContext,
): void {
  for (const { name, offset, bytes } of prediction?.registers.xstate ?? []) {
    const part = node.bytes.subarray(offset, offset + bytes.length);
    const options = { by: "steps", id: "E_XSTATE", what: `the FPU state, ${name}` } as const;
    collector.bytes(node, node.offset + offset, part, { bytes, ...options });
  }
  const shown = { by: "ptrace", id: "E_XSTATE", what: "the FPU state" } as const;
  if (target.xstate) {
    const bytes = target.xstate.slice();
    if (self && bytes.length < FXSAVE_SIZE) keepPointers(node, { bytes, collector });
    return collector.bytes(node, node.offset, node.bytes, { bytes, ...shown });
  }
  if (!target.fpxregs) return;
  const fxsave = node.bytes.subarray(0, FXSAVE_SIZE);
  collector.bytes(node, node.offset, fxsave, { bytes: target.fpxregs, ...shown });
  if (node.bytes.length > XSAVE_HEADER.offset) compareXsaveHeader(node, collector);
}

function keepPointers(
  node: XstateNode,
  { bytes, collector }: { bytes: Uint8Array } & Pick<ComparisonContext, "collector">,
): void {
  const { start, end } = FSAVE_POINTERS;
  collector.coverage.claimVolatile(node.offset + start, end - start, {
    name: "fsave_pointers",
    reason: "QEMU's FRSTOR does not load them: whoever looks later does not see what a task saved of itself",
  });
  bytes.set(node.bytes.subarray(start, end), start);
}

/** What an old kernel's XSAVE writes behind the part that ptrace shows. */
function compareXsaveHeader(node: XstateNode, collector: ComparisonContext["collector"]): void {
  const { offset } = XSAVE_HEADER;
  const X87_AND_SSE = 3;
  collector.coverage.claimVolatile(node.offset + offset, 1, {
    name: "xstate_bv",
    reason: "which of x87 and SSE are in their initial state is the processor's business",
  });
  const bytes = new Uint8Array(node.bytes.length - offset);
  bytes[0] = (node.bytes[offset] ?? 0) & X87_AND_SSE;
  const options = { by: "rules", id: "E_XSTATE", what: "the header of the XSAVE area" } as const;
  collector.bytes(node, node.offset + offset, node.bytes.subarray(offset), { bytes, ...options });
}

/** X86_FSGSBASE: the segment bases that ptrace shows on x86-64. */
export function compareFsGsBase(
  node: RecordNodeOf<"X86_FSGSBASE">,
  { collector, target, prediction }: ComparisonContext,
): void {
  const registers = decodeUserRegs(target.gpr, "x86_64");
  const base = (name: "fsbase" | "gsbase", shown: bigint = 0n): FieldExpectation => {
    const steps = prediction?.registers.bases?.get(name);
    return steps === undefined ? expected(shown, "ptrace") : expected(steps, "steps");
  };
  collector.header(node, target.pid);
  collector.fields(node, {
    fsbase: base("fsbase", registers.get("fs_base")),
    gsbase: base("gsbase", registers.get("gs_base")),
  });
}
