// SPDX-License-Identifier: MIT
import { PAGE_SIZE_BIG } from "../../abi/arch.ts";
import { describePageProt, pageProt, type PageProtOptions } from "../../abi/page_prot.ts";
import { vmFlagNames, type VmFlagTable } from "../../abi/vm_flags.ts";
import type { RecordNodeOf } from "../nodes.ts";
import type { RuleId } from "../rule_ids.ts";
import { displayText } from "../struct_codec.ts";
import { VMA_TYPE } from "../structs.ts";
import type { RuleContext } from "./rule_context.ts";
import { hex } from "../../bytes.ts";

/** vm_flags of the vdso in 2.6.28: READ EXEC MAYREAD MAYWRITE MAYEXEC DONTEXPAND ALWAYSDUMP. */
export const VDSO_FLAGS_2_6_28 = 0x0404_0075n;
const EXEC = 4n;

const MM_AREAS = [
  ["start_code", "end_code"],
  ["start_data", "end_data"],
  ["start_brk", "brk"],
  ["arg_start", "arg_end"],
  ["env_start", "env_end"],
] as const;

type Mm = RecordNodeOf<"MM">;
type Vma = RecordNodeOf<"VMA">;

/** MM: references and areas. */
export function checkMm(node: Mm, context: RuleContext): void {
  const { fields } = node;
  context.task.mm = node;
  context.expectField("E_MM_OBJREF", node, "objref", 0);
  const limit = context.abi.userLimit;
  for (const [start, end] of MM_AREAS) {
    if (fields[start] <= fields[end]) continue;
    const expected = `at least ${hex(fields[start])}`;
    context.reportField("E_MM_RANGE", node, end, { message: `${end} lies below ${start}`, expected });
  }
  for (const name of [...MM_AREAS.flat(), "start_stack"] as const) {
    if (fields[name] <= limit) continue;
    const expected = `at most ${hex(limit)}`;
    context.reportField("E_MM_RANGE", node, name, { message: "outside user space", expected });
  }
}

/** After the last VMA: were there as many as MM said, and do its areas lie in them? */
export function checkMapCount(context: RuleContext): void {
  const { mm, vmas, areas } = context.task;
  if (mm === undefined) return;
  const { fields } = mm;
  if (fields.map_count !== vmas) {
    return context.reportField("E_MAP_COUNT", mm, "map_count", { expected: String(vmas) });
  }
  for (const [start, end] of MM_AREAS) {
    // Between two segments of a program there may be a hole; the page in which the heap starts may be of the data.
    if (start === "start_brk" || fields[start] >= fields[end]) continue;
    if (areas.lacks(fields[start])) context.reportField("N_MM_UNMAPPED", mm, start);
    else if (areas.lacks(fields[end] - 1n)) context.reportField("N_MM_UNMAPPED", mm, end);
  }
  const isHeap = fields.brk - fields.start_brk >= PAGE_SIZE_BIG;
  if (isHeap && areas.lacks(fields.brk - 1n)) context.reportField("N_MM_UNMAPPED", mm, "brk");
  if (areas.lacks(fields.start_stack)) context.reportField("N_MM_UNMAPPED", mm, "start_stack");
}

/** VMA: bounds, type, flags, protection. */
export function checkVma(node: Vma, context: RuleContext): void {
  const { vm_start, vm_end, vm_flags } = node.fields;
  const { task, flags } = context;
  checkBounds(node, context);
  checkType(node, context);
  checkOffset(node, context);
  if (flags !== undefined) {
    checkFlags(node, flags, context);
    checkProt(node, flags, context);
  }
  task.vmas++;
  task.vma = node;
  if (vm_end > (task.highest?.fields.vm_end ?? 0n)) task.highest = node;
  task.areas.add(vm_start, vm_end);
  if ((vm_flags & EXEC) !== 0n) task.code.add(vm_start, vm_end);
}

function checkProt(node: Vma, flags: VmFlagTable, context: RuleContext): void {
  const { vm_flags, vm_page_prot } = node.fields;
  const models = context.pageTables ?? protModels(flags, context.format.wordSize);
  const fitting = models.filter((model) => pageProt(vm_flags, model) === vm_page_prot);
  if (fitting.length > 0) {
    context.pageTables = fitting;
    return;
  }
  const values = [...new Set(models.map((model) => hex(pageProt(vm_flags, model))))];
  context.reportField("E_PAGE_PROT", node, "vm_page_prot", {
    message: `not what Linux ${flags.series} makes of ${vmFlagNames(vm_flags, flags).join(" ")}`,
    expected: values.join(" or "),
    actual: `${hex(vm_page_prot)} (${describePageProt(vm_page_prot, flags.series)})`,
  });
}

function protModels({ series }: VmFlagTable, wordSize: 4 | 8): PageProtOptions[] {
  if (wordSize === 8) return [{ series, arch: "x86_64" }, { series, arch: "x86_64", nx: false }];
  return [{ series, arch: "i386" }, { series, arch: "i386-pae" }];
}

function checkBounds(node: Vma, context: RuleContext): void {
  const { vm_start, vm_end } = node.fields;
  const limit = context.abi.userLimit;
  const { highest } = context.task;
  const wrong = (id: RuleId, field: "vm_start" | "vm_end", message: string, expected: string): void =>
    context.reportField(id, node, field, { message, expected });
  for (const name of ["vm_start", "vm_end"] as const) {
    if (node.fields[name] % PAGE_SIZE_BIG === 0n) continue;
    wrong("E_VMA_ALIGN", name, "not on a page boundary", "a multiple of 0x1000");
  }
  if (vm_start >= vm_end) {
    wrong("E_VMA_RANGE", "vm_end", "the VMA ends before it starts", `above ${hex(vm_start)}`);
  }
  if (vm_end > limit) {
    wrong("E_VMA_RANGE", "vm_end", "the VMA ends outside user space", `at most ${hex(limit)}`);
  }
  if (highest && vm_start < highest.fields.vm_end) {
    const message = `below ${highest.path.replace(/.*\//, "")}.vm_end`;
    wrong("E_VMA_ORDER", "vm_start", message, `at least ${hex(highest.fields.vm_end)}`);
  }
}

function checkType(node: Vma, context: RuleContext): void {
  const { vma_type, vm_flags } = node.fields;
  const { ANON, FILE, SPECIAL } = VMA_TYPE;
  const known: number[] = context.isPort ? [ANON, FILE, SPECIAL] : [ANON, FILE];
  if (!known.includes(vma_type)) {
    context.reportField("E_VMA_TYPE", node, "vma_type", { expected: known.join(", ") });
  }
  if (!context.isPort && vma_type === ANON && vm_flags === VDSO_FLAGS_2_6_28) {
    context.report("N_VDSO_AS_ANON", node);
  }
}

function checkOffset(node: Vma, context: RuleContext): void {
  const { vma_type, vm_pgoff, vm_start, vm_end } = node.fields;
  const isSpecial = vma_type === VMA_TYPE.SPECIAL;
  const pages = isSpecial || vm_end <= vm_start ? 0n : (vm_end - vm_start) / PAGE_SIZE_BIG;
  // Memory that grew after it was moved keeps the page number where it was made, and may end beyond user space.
  const limit = isSpecial ? 0n : 1n << (context.format.wordSize === 8 ? 52n : 32n);
  if (vm_pgoff + pages <= limit) return;
  context.reportField("E_PGOFF", node, "vm_pgoff", {
    message: "vm_pgoff is too large for this type of VMA",
    expected: limit === 0n ? "0" : `at most ${hex(limit > pages ? limit - pages : 0n)}`,
  });
}

/** Flags of mappings that are refused, and those that only mappings made by the kernel may have. */
const REFUSED = ["SHARED", "MAYSHARE", "HUGETLB", "NONLINEAR"];
const KERNELS_OWN = ["IO", "PFNMAP", "MIXEDMAP", "PAT", "SHADOW_STACK"];
/** Flags that cannot stand together. */
const EXCLUDING = [["HUGEPAGE", "NOHUGEPAGE"], ["ACCOUNT", "NORESERVE"]] as const;

/** Why these flags cannot be, or undefined. */
function flagFault(node: Vma, table: VmFlagTable, isPort: boolean): string | undefined {
  const { vm_flags, vma_type } = node.fields;
  const has = (name: string): boolean => (vm_flags & (table.bits[name] ?? 0n)) !== 0n;
  const unknown = vm_flags & ~table.known;
  if (unknown !== 0n) return `bits ${hex(unknown)} are unknown in Linux ${table.series}`;
  const isSpecial = vma_type === VMA_TYPE.SPECIAL;
  const refused = [...REFUSED, ...isSpecial ? [] : isPort ? KERNELS_OWN : ["IO"]].find(has);
  if (refused !== undefined) return `a mapping with ${refused} is refused, never saved`;
  const may = (vm_flags >> 4n) & 7n;
  const lacking = vm_flags & 7n & ~may;
  if (lacking !== 0n) return `${vmFlagNames(lacking, table).join(" ")} without the MAY bit for it`;
  if (has("SEQ_READ") && has("RAND_READ")) return "SEQ_READ and RAND_READ exclude each other";
  if (!isSpecial && (may & 1n) === 0n) return "a private mapping always has MAYREAD";
  if (!isPort) return undefined;
  if (!isSpecial && (may & 2n) === 0n) return "a private mapping always has MAYWRITE";
  if (isSpecial && !has("DONTEXPAND")) return "a mapping that the kernel made always has DONTEXPAND";
  if (has("SYNC")) return "SYNC is for shared mappings only";
  if (has("LOCKONFAULT") && !has("LOCKED")) return "LOCKONFAULT without LOCKED";
  const lost = has("DROPPABLE") && ["NORESERVE", "WIPEONFORK", "DONTDUMP"].find((name) => !has(name));
  if (lost) return `DROPPABLE without ${lost}`;
  const pair = EXCLUDING.find((names) => names.every(has));
  if (pair !== undefined) return `${pair.join(" and ")} exclude each other`;
  if (has("UFFD_MINOR") && vma_type === VMA_TYPE.ANON) return "UFFD_MINOR is for mappings of files only";
  const ofAnonymous = ["GROWSDOWN", "WIPEONFORK", "DROPPABLE"].find(has);
  if (ofAnonymous !== undefined && vma_type !== VMA_TYPE.ANON) {
    return `${ofAnonymous} is for anonymous mappings only`;
  }
  return undefined;
}

function checkFlags(node: Vma, table: VmFlagTable, context: RuleContext): void {
  const message = flagFault(node, table, context.isPort);
  if (message === undefined) return;
  const { vm_flags } = node.fields;
  const actual = `${hex(vm_flags)} (${vmFlagNames(vm_flags, table).join(" ")})`;
  context.reportField("E_VM_FLAGS", node, "vm_flags", { message, actual });
}

/** FNAME: an absolute path as d_path() makes it, and its NUL. */
export function checkFname(node: RecordNodeOf<"FNAME">, context: RuleContext): void {
  const { payload } = node;
  const end = payload.indexOf(0);
  const text = displayText(payload);
  const actual = JSON.stringify(text);
  if (end !== payload.length - 1) {
    context.report("E_FNAME", node, {
      message: end < 0 ? "a name without NUL" : "a NUL inside the name",
      expected: `a NUL at ${payload.length - 1} only`,
      actual: end < 0 ? actual : `a NUL at ${end}`,
      at: 8 + Math.max(end, 0),
    });
  } else if (payload[0] !== 0x2f) {
    context.report("E_FNAME", node, { message: "not an absolute path", expected: "/...", actual, at: 8 });
  } else if (text !== "/" && text.split("/").slice(1).some((name) => ["", ".", ".."].includes(name))) {
    const expected = "names between the slashes";
    context.report("E_FNAME", node, { message: "no file has this path", expected, actual, at: 8 });
  }
  if (!context.isPort && text.endsWith(" (deleted)")) context.report("N_DELETED_NAME", node, { actual });
}
