// SPDX-License-Identifier: MIT
import { LDT_ENTRIES, LDT_ENTRY_SIZE, TLS_ENTRIES } from "../../abi/arch.ts";
import { decodeDescriptor, isEmptyDescriptor, type SegmentDescriptor } from "../../x86/descriptor.ts";
import { TLS_ARRAY_SIZE } from "../counted_block.ts";
import type { LdtNode, RecordNodeOf, TlsNode } from "../nodes.ts";
import type { RuleContext } from "./rule_context.ts";
import { hexBytes } from "../../bytes.ts";

/** Entries of the LDT that 2.6.28 allocates at a time. */
const LDT_STEP = 512;
// Type bits of code and data.
const ACCESSED = 1;
const CONFORMING = 4;
const CODE = 8;

/** What no user_desc can give any descriptor (fill_ldt), or undefined. */
function descriptorFault({ s, dpl, l, type }: SegmentDescriptor, isPort: boolean): string | undefined {
  if (!s) return "a system descriptor";
  if (dpl !== 3) return "its privilege level is not 3";
  if (l) return "a 64-bit code segment";
  // Set beforehand since Linux 4.15, so that the table can be mapped read-only.
  return isPort && (type & ACCESSED) === 0 ? "its accessed bit is clear" : undefined;
}

/** What tls_desc_okay refuses (arch/x86/kernel/tls.c, since 3.19). */
function tlsFault({ p, type, d }: SegmentDescriptor): string | undefined {
  if (!p) return "not present";
  if ((type & CODE) !== 0) return "a code segment";
  return d ? undefined : "a 16-bit segment";
}

/** What write_ldt refuses: contents 3 that are present. */
function ldtFault({ p, type }: SegmentDescriptor): string | undefined {
  const isConforming = (type & (CODE | CONFORMING)) === (CODE | CONFORMING);
  return isConforming && p ? "a conforming code segment that is present" : undefined;
}

/** Reports each entry with a fault; gives the number of those that are not empty. */
function checkEntries(
  node: LdtNode | TlsNode,
  context: RuleContext,
  faultOf: (descriptor: SegmentDescriptor) => string | undefined,
): number {
  let used = 0;
  for (let at = 0; at < node.bytes.length; at += LDT_ENTRY_SIZE) {
    const descriptor = decodeDescriptor(node.bytes, at);
    if (isEmptyDescriptor(descriptor)) continue;
    used++;
    const fault = descriptorFault(descriptor, context.isPort) ?? faultOf(descriptor);
    if (fault === undefined) continue;
    const actual = hexBytes(node.bytes.subarray(at, at + LDT_ENTRY_SIZE));
    const message = `entry ${at / LDT_ENTRY_SIZE}: ${fault}`;
    context.report(node.kind === "ldt" ? "E_LDT_ENTRY" : "E_TLS_DESC", node, { message, actual, at });
  }
  return used;
}

/** MM_CONTEXT: size and number of LDT entries. */
export function checkMmContext(node: RecordNodeOf<"MM_CONTEXT">, context: RuleContext): void {
  const { nldt } = node.fields;
  context.expectField("E_LDT_SIZE", node, "ldt_entry_size", LDT_ENTRY_SIZE);
  if (context.isPort || nldt === 0) return;
  if (nldt % LDT_STEP !== 0 || nldt > LDT_ENTRIES) {
    context.reportField("E_LDT_COUNT", node, "nldt", { expected: `a multiple of ${LDT_STEP}` });
  } else {
    context.reportField("N_LDT_ALLOCATED", node, "nldt");
  }
}

/** The raw LDT: each entry is one that modify_ldt can make. */
export function checkLdt(node: LdtNode, context: RuleContext): void {
  context.task.ldt = node.bytes;
  checkEntries(node, context, ldtFault);
}

/** THREAD: the constants of the TLS array. */
export function checkThread(node: RecordNodeOf<"THREAD">, context: RuleContext): void {
  context.task.thread = node;
  context.expectField("E_TLS_ENTRIES", node, "gdt_entry_tls_entries", TLS_ENTRIES);
  context.expectField("E_TLS_SIZE", node, "sizeof_tls_array", TLS_ARRAY_SIZE);
}

/** The raw TLS array: as many entries as THREAD says, each one that set_thread_area can make. */
export function checkTls(node: TlsNode, context: RuleContext): void {
  const used = checkEntries(node, context, (entry) => context.isPort ? tlsFault(entry) : undefined);
  const { thread } = context.task;
  if (thread === undefined || thread.fields.ntls === used) return;
  context.reportField("E_TLS_COUNT", thread, "ntls", { expected: String(used) });
}
