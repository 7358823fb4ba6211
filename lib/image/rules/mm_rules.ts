// SPDX-License-Identifier: MIT
import { PAGE_SIZE_BIG } from "../../abi/arch.ts";
import { describePageProt, pageProt, type PageProtOptions } from "../../abi/page_prot.ts";
import { vmFlagNames, type VmFlagTable } from "../../abi/vm_flags.ts";
import { VMA_TYPE } from "../structs.ts";
import type { RecordNodeOf } from "../nodes.ts";
import { displayText } from "../struct_codec.ts";
import { hex, type RuleContext } from "./rule_context.ts";

/** vm_flags of the vdso in 2.6.28: READ EXEC MAYREAD MAYWRITE MAYEXEC DONTEXPAND ALWAYSDUMP. */
const VDSO_FLAGS_2_6_28 = 0x0404_0075n;

const MM_AREAS = [
  ["start_code", "end_code"],
  ["start_data", "end_data"],
  ["start_brk", "brk"],
  ["arg_start", "arg_end"],
  ["env_start", "env_end"],
] as const;

/** MM: references and areas. */
export function checkMm(node: RecordNodeOf<"MM">, context: RuleContext): void {
  const { fields } = node;
  context.task.mm = node;
  context.expectField("E_MM_OBJREF", node, "objref", fields.objref, 0);
  const limit = context.abi.userLimit;
  for (const [start, end] of MM_AREAS) {
    if (fields[start] > fields[end]) {
      context.reportField("E_MM_RANGE", node, end, {
        message: `${end} lies below ${start}`,
        expected: `at least ${hex(fields[start])}`,
        actual: hex(fields[end]),
      });
    }
  }
  for (const name of [...MM_AREAS.flat(), "start_stack"] as const) {
    if (fields[name] <= limit) continue;
    context.reportField("E_MM_RANGE", node, name, {
      message: "outside user space",
      expected: `at most ${hex(limit)}`,
      actual: hex(fields[name]),
    });
  }
}

/** After the last VMA: were there as many as MM said? */
export function checkMapCount(context: RuleContext): void {
  const { mm, vmas } = context.task;
  if (mm === undefined || mm.fields.map_count === vmas) return;
  context.reportField("E_MAP_COUNT", mm, "map_count", {
    message: "not the number of VMA records",
    expected: String(vmas),
    actual: String(mm.fields.map_count),
  });
}

/** The kinds of page table that the VMAs seen so far allow: with or without NX, PAE or not. */
export class VmaRules {
  #models: readonly PageProtOptions[] | undefined;

  /** VMA: bounds, type, flags, protection. */
  visit(node: RecordNodeOf<"VMA">, context: RuleContext): void {
    checkBounds(node, context);
    checkType(node, context);
    checkOffset(node, context);
    if (context.flags !== undefined) {
      checkFlags(node, context.flags, context);
      this.#checkProt(node, context.flags, context);
    }
    context.task.vmas++;
    context.task.vma = node;
    if (node.fields.vm_end > context.task.lastEnd) context.task.lastEnd = node.fields.vm_end;
  }

  #checkProt(node: RecordNodeOf<"VMA">, flags: VmFlagTable, context: RuleContext): void {
    const { vm_flags, vm_page_prot } = node.fields;
    this.#models ??= protModels(flags, context.format.wordSize);
    const fitting = this.#models.filter((model) => pageProt(vm_flags, model) === vm_page_prot);
    if (fitting.length > 0) {
      this.#models = fitting;
      return;
    }
    const values = [...new Set(this.#models.map((model) => hex(pageProt(vm_flags, model))))];
    context.reportField("E_PAGE_PROT", node, "vm_page_prot", {
      message: `not what Linux ${flags.series} makes of ${vmFlagNames(vm_flags, flags).join(" ")}`,
      expected: values.join(" or "),
      actual: `${hex(vm_page_prot)} (${describePageProt(vm_page_prot, flags.series)})`,
    });
  }
}

function protModels({ series }: VmFlagTable, wordSize: 4 | 8): PageProtOptions[] {
  if (wordSize === 8) return [{ series, arch: "x86_64" }, { series, arch: "x86_64", nx: false }];
  return [{ series, arch: "i386" }, { series, arch: "i386-pae" }];
}

function checkBounds(node: RecordNodeOf<"VMA">, context: RuleContext): void {
  const { vm_start, vm_end } = node.fields;
  for (const [name, value] of [["vm_start", vm_start], ["vm_end", vm_end]] as const) {
    if (value % PAGE_SIZE_BIG === 0n) continue;
    const values = { expected: "a multiple of 0x1000", actual: hex(value) };
    context.reportField("E_VMA_ALIGN", node, name, { message: "not on a page boundary", ...values });
  }
  if (vm_start >= vm_end) {
    const values = { expected: `above ${hex(vm_start)}`, actual: hex(vm_end) };
    context.reportField("E_VMA_RANGE", node, "vm_end", {
      message: "the VMA ends before it starts",
      ...values,
    });
  }
  const limit = context.abi.userLimit;
  if (vm_end > limit) {
    const values = { expected: `at most ${hex(limit)}`, actual: hex(vm_end) };
    context.reportField("E_VMA_RANGE", node, "vm_end", {
      message: "the VMA ends outside user space",
      ...values,
    });
  }
  if (vm_start < context.task.lastEnd) {
    const values = { expected: `at least ${hex(context.task.lastEnd)}`, actual: hex(vm_start) };
    context.reportField("E_VMA_ORDER", node, "vm_start", {
      message: "below the end of the VMA before",
      ...values,
    });
  }
}

function checkType(node: RecordNodeOf<"VMA">, context: RuleContext): void {
  const { vma_type, vm_flags } = node.fields;
  const known: number[] = context.isPort
    ? [VMA_TYPE.ANON, VMA_TYPE.FILE, VMA_TYPE.SPECIAL]
    : [VMA_TYPE.ANON, VMA_TYPE.FILE];
  if (!known.includes(vma_type)) {
    const values = { expected: known.join(", "), actual: String(vma_type) };
    context.reportField("E_VMA_TYPE", node, "vma_type", { message: "unknown type of VMA", ...values });
  }
  if (!context.isPort && vma_type === VMA_TYPE.ANON && vm_flags === VDSO_FLAGS_2_6_28) {
    context.report("N_VDSO_AS_ANON", node, { message: "the vdso is saved as anonymous memory: as posted" });
  }
}

function checkOffset(node: RecordNodeOf<"VMA">, context: RuleContext): void {
  const { vma_type, vm_pgoff, vm_start, vm_end } = node.fields;
  const pages = vm_end > vm_start ? (vm_end - vm_start) / PAGE_SIZE_BIG : 0n;
  let limit: bigint;
  if (vma_type === VMA_TYPE.SPECIAL) limit = 0n;
  // An anonymous mapping has the page number that it had when it was made, wherever it was moved since.
  else if (vma_type === VMA_TYPE.ANON) limit = context.abi.userLimit / PAGE_SIZE_BIG + 1n;
  else limit = 1n << (context.format.wordSize === 8 ? 52n : 32n);
  const top = vma_type === VMA_TYPE.SPECIAL ? vm_pgoff : vm_pgoff + pages;
  if (top <= limit) return;
  context.reportField("E_PGOFF", node, "vm_pgoff", {
    message: "vm_pgoff is too large for this type of VMA",
    expected: limit === 0n ? "0" : `at most ${hex(limit > pages ? limit - pages : 0n)}`,
    actual: hex(vm_pgoff),
  });
}

/** Why these flags cannot be, or undefined. */
function flagFault(node: RecordNodeOf<"VMA">, table: VmFlagTable, isPort: boolean): string | undefined {
  const { vm_flags, vma_type } = node.fields;
  const has = (...names: string[]): boolean =>
    names.some((name) => (vm_flags & (table.bits[name] ?? 0n)) !== 0n);
  const names = (flags: bigint): string => vmFlagNames(flags, table).join(" ");
  const unknown = vm_flags & ~table.known;
  if (unknown !== 0n) return `bits ${hex(unknown)} are unknown in Linux ${table.series}`;
  for (const name of ["SHARED", "MAYSHARE", "HUGETLB", "NONLINEAR"]) {
    if (has(name)) return `a mapping with ${name} is refused, never saved`;
  }
  const isSpecial = vma_type === VMA_TYPE.SPECIAL;
  for (const name of isPort ? ["IO", "PFNMAP", "MIXEDMAP", "PAT"] : ["IO"]) {
    if (has(name) && !isSpecial) return `a mapping with ${name} is refused, never saved`;
  }
  const may = (vm_flags >> 4n) & 7n;
  if ((vm_flags & 7n & ~may) !== 0n) return `${names(vm_flags & 7n & ~may)} without the MAY bit for it`;
  if (has("SEQ_READ") && has("RAND_READ")) return "SEQ_READ and RAND_READ exclude each other";
  if (!isSpecial && (may & 1n) === 0n) return "a private mapping always has MAYREAD";
  if (!isPort) return undefined;
  if (!isSpecial && (may & 2n) === 0n) return "a private mapping always has MAYWRITE";
  if (has("SYNC")) return "SYNC is for shared mappings only";
  if (has("LOCKONFAULT") && !has("LOCKED")) return "LOCKONFAULT without LOCKED";
  if (has("HUGEPAGE") && has("NOHUGEPAGE")) return "HUGEPAGE and NOHUGEPAGE exclude each other";
  if (has("ACCOUNT") && has("NORESERVE")) return "ACCOUNT and NORESERVE exclude each other";
  if (has("UFFD_MINOR") && vma_type === VMA_TYPE.ANON) return "UFFD_MINOR is for mappings of files only";
  if (has("WIPEONFORK") && vma_type !== VMA_TYPE.ANON) return "WIPEONFORK is for anonymous mappings only";
  return undefined;
}

function checkFlags(node: RecordNodeOf<"VMA">, table: VmFlagTable, context: RuleContext): void {
  const message = flagFault(node, table, context.isPort);
  if (message === undefined) return;
  const { vm_flags } = node.fields;
  const actual = `${hex(vm_flags)} (${vmFlagNames(vm_flags, table).join(" ")})`;
  context.reportField("E_VM_FLAGS", node, "vm_flags", { message, actual });
}

/** FNAME: an absolute path and its NUL. */
export function checkFname(node: RecordNodeOf<"FNAME">, context: RuleContext): void {
  const { payload } = node;
  const end = payload.indexOf(0);
  const actual = JSON.stringify(displayText(payload));
  if (end !== payload.length - 1) {
    context.report("E_FNAME", node, {
      message: end < 0 ? "a name without NUL" : "a NUL inside the name",
      expected: `a NUL at ${payload.length - 1} only`,
      actual: end < 0 ? actual : `a NUL at ${end}`,
      at: 8 + Math.max(end, 0),
    });
  } else if (payload[0] !== 0x2f) {
    context.report("E_FNAME", node, { message: "not an absolute path", expected: "/...", actual, at: 8 });
  }
  if (!context.isPort && displayText(payload).endsWith(" (deleted)")) {
    context.report("N_DELETED_NAME", node, {
      message: "an unlinked file, or one of that very name: as posted nothing tells them apart",
      actual,
    });
  }
}
