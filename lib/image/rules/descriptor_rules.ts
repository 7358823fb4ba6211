// SPDX-License-Identifier: MIT
import { LDT_ENTRIES, LDT_ENTRY_SIZE, TLS_ENTRIES } from "../../abi/arch.ts";
import type { LdtNode, RecordNodeOf, TlsNode } from "../nodes.ts";
import { hex, type RuleContext } from "./rule_context.ts";

const TLS_ARRAY_SIZE = TLS_ENTRIES * LDT_ENTRY_SIZE;
/** Entries of the LDT that 2.6.28 allocates at a time. */
const LDT_STEP = 512;

// Bits of the upper half of a descriptor (arch/x86/include/asm/desc_defs.h).
const ACCESSED = 1 << 8;
const CONFORMING = 1 << 10;
const CODE = 1 << 11;
const CODE_OR_DATA = 1 << 12;
const DPL_3 = 3 << 13;
const PRESENT = 1 << 15;
const LONG = 1 << 21;
const BITS_32 = 1 << 22;

function isEmpty(bytes: Uint8Array, index: number): boolean {
  for (let i = index * LDT_ENTRY_SIZE; i < (index + 1) * LDT_ENTRY_SIZE; i++) {
    if (bytes[i] !== 0) return false;
  }
  return true;
}

function upperHalf(bytes: Uint8Array, index: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(index * LDT_ENTRY_SIZE + 4, true);
}

/** What no user_desc can give any descriptor (fill_ldt), or undefined. */
function descriptorFault(high: number, isPort: boolean): string | undefined {
  if ((high & CODE_OR_DATA) === 0) return "a system descriptor";
  if ((high & DPL_3) !== DPL_3) return "its privilege level is not 3";
  if ((high & LONG) !== 0) return "a 64-bit code segment";
  // Set beforehand since Linux 4.15, so that the table can be mapped read-only.
  if (isPort && (high & ACCESSED) === 0) return "its accessed bit is clear";
  return undefined;
}

/** MM_CONTEXT: size and number of LDT entries. */
export function checkMmContext(node: RecordNodeOf<"MM_CONTEXT">, context: RuleContext): void {
  const { ldt_entry_size, nldt } = node.fields;
  context.expectField("E_LDT_SIZE", node, "ldt_entry_size", ldt_entry_size, LDT_ENTRY_SIZE);
  if (context.isPort || nldt === 0) return;
  if (nldt % LDT_STEP !== 0 || nldt > LDT_ENTRIES) {
    const values = { expected: `a multiple of ${LDT_STEP}`, actual: String(nldt) };
    context.reportField("E_LDT_COUNT", node, "nldt", {
      message: "not a size that 2.6.28 allocates",
      ...values,
    });
  } else {
    const message = "nldt is the allocated size, not the number of entries in use: as posted";
    context.reportField("N_LDT_ALLOCATED", node, "nldt", { message, actual: String(nldt) });
  }
}

/** The raw LDT: each entry is one that modify_ldt can make. */
export function checkLdt(node: LdtNode, context: RuleContext): void {
  const { bytes, count } = node;
  context.task.ldt = bytes;
  for (let i = 0; i < count; i++) {
    if (isEmpty(bytes, i)) continue;
    const high = upperHalf(bytes, i);
    const fault = descriptorFault(high, context.isPort) ?? conformingFault(high);
    if (fault === undefined) continue;
    reportDescriptor("E_LDT_ENTRY", node, i, fault, context);
  }
}

function conformingFault(high: number): string | undefined {
  const isConforming = (high & (CODE | CONFORMING)) === (CODE | CONFORMING);
  return isConforming && (high & PRESENT) !== 0 ? "a conforming code segment that is present" : undefined;
}

function reportDescriptor(
  id: "E_LDT_ENTRY" | "E_TLS_DESC",
  node: LdtNode | TlsNode,
  index: number,
  fault: string,
  context: RuleContext,
): void {
  const at = index * LDT_ENTRY_SIZE;
  const bytes = Array.from(
    node.bytes.subarray(at, at + LDT_ENTRY_SIZE),
    (b) => b.toString(16).padStart(2, "0"),
  );
  context.report(id, node, { message: `entry ${index}: ${fault}`, actual: bytes.join(" "), at });
}

/** THREAD: the constants of the TLS array. */
export function checkThread(node: RecordNodeOf<"THREAD">, context: RuleContext): void {
  const { gdt_entry_tls_entries, sizeof_tls_array } = node.fields;
  context.task.thread = node;
  context.expectField("E_TLS_ENTRIES", node, "gdt_entry_tls_entries", gdt_entry_tls_entries, TLS_ENTRIES);
  context.expectField("E_TLS_SIZE", node, "sizeof_tls_array", sizeof_tls_array, TLS_ARRAY_SIZE);
}

/** The raw TLS array: as many entries as THREAD says, each one that set_thread_area can make. */
export function checkTls(node: TlsNode, context: RuleContext): void {
  let used = 0;
  for (let i = 0; i < TLS_ENTRIES; i++) {
    if (isEmpty(node.bytes, i)) continue;
    used++;
    const high = upperHalf(node.bytes, i);
    const fault = descriptorFault(high, context.isPort) ?? (context.isPort ? tlsFault(high) : undefined);
    if (fault !== undefined) reportDescriptor("E_TLS_DESC", node, i, fault, context);
  }
  const thread = context.task.thread;
  if (thread === undefined || thread.fields.ntls === used) return;
  context.reportField("E_TLS_COUNT", thread, "ntls", {
    message: "not the number of entries that are in use",
    expected: String(used),
    actual: hex(thread.fields.ntls),
  });
}

/** What tls_desc_okay refuses (arch/x86/kernel/tls.c, since 3.19). */
function tlsFault(high: number): string | undefined {
  if ((high & PRESENT) === 0) return "not present";
  if ((high & CODE) !== 0) return "a code segment";
  return (high & BITS_32) === 0 ? "a 16-bit segment" : undefined;
}
