// SPDX-License-Identifier: MIT

import { abiOf, PAGE_SIZE_BIG } from "../abi/arch.ts";
import { pageProt } from "../abi/page_prot.ts";
import { VM, vmFlagNames, vmFlagTable } from "../abi/vm_flags.ts";
import type { RecordNodeOf } from "../image/nodes.ts";
import { VMA_TYPE } from "../image/structs.ts";
import type { ComparisonContext } from "./comparison_context.ts";
import { type ExpectedVma, isModelled } from "./expected_vma.ts";
import {
  type Expectation,
  expected,
  type FieldExpectation,
  type FieldExpectations,
} from "./finding_collector.ts";
import { agreesWithPermissions } from "./posted_memory.ts";
import { nameOf } from "./proc_maps.ts";

/**
 * The fields of a VMA record: range and flags from smaps, protection and offset by rule, all of it by the model
 * where steps made it.
 */
export function vmaExpectations(
  vma: ExpectedVma,
  node: RecordNodeOf<"VMA">,
  context: ComparisonContext,
): FieldExpectations {
  const { series, arch, kernel } = context;
  return {
    vma_type: expected(vmaType(vma, context), "maps"),
    vm_start: expected(vma.entry.start, "maps"),
    vm_end: expected(vma.entry.end, "maps"),
    vm_page_prot: expected(pageProt(vma.flags, { series, arch, nx: kernel.cpuFlags.has("nx") }), "rules"),
    vm_flags: flags(vma, node, context),
    vm_pgoff: context.dialect === "v11" ? shownOffset(vma, node, context) : pageOffset(vma, context),
  };
}

/** Mappings that the kernel makes by _install_special_mapping(): [uprobes] where a probe was hit. */
const SPECIAL_NAMES = ["[vdso]", "[vvar]", "[uprobes]"];

/** The code as posted takes the vdso for anonymous memory. */
function vmaType({ entry }: ExpectedVma, { dialect }: ComparisonContext): number {
  if (dialect === "port" && SPECIAL_NAMES.includes(nameOf(entry))) return VMA_TYPE.SPECIAL;
  return entry.inode !== 0n ? VMA_TYPE.FILE : VMA_TYPE.ANON;
}

function flags(vma: ExpectedVma, node: RecordNodeOf<"VMA">, context: ComparisonContext): FieldExpectation {
  const { collector, series, arch } = context;
  const table = vmFlagTable(series, abiOf(arch).wordSize);
  const names = (value: bigint): string => vmFlagNames(value, table).join(" ");
  const place = { path: `${node.path}.vm_flags`, offset: node.offset + 8 + 32 };
  const report = (message: string, wanted: bigint, actual: string): void =>
    collector.report("E_VM_FLAGS", place, message, { expected: names(wanted), actual });
  const by = vma.flagsBy === "smaps" ? "smaps shows" : "exec and maps give";
  for (const area of vma.areas) {
    if (area.flags === vma.flags) continue;
    report(`${by} other flags than the steps that made "${area.label}" imply`, area.flags, names(vma.flags));
  }
  if (vma.flagsBy !== "smaps" && !agreesWithPermissions(vma.flags, vma.entry)) {
    report("maps shows other permissions than the steps imply", vma.flags & 7n, vma.entry.perms);
  }
  return isModelled(vma) ? expected(vma.areas[0]!.flags, "steps") : expected(vma.flags, vma.flagsBy);
}

/** vm_pgoff of the start by the model; undefined where its areas do not tell. */
function modelledOffset(vma: ExpectedVma): bigint | undefined {
  const first = vma.areas[0];
  if (!first || !isModelled(vma)) return undefined;
  const atStart = first.pgoff + vma.start - first.start;
  const isLinear = vma.areas.every((area) => area.pgoff - area.start === atStart - vma.start);
  return isLinear ? BigInt(atStart) : undefined;
}

/** maps of 2.6.28 shows vm_pgoff of anonymous memory too. */
function shownOffset(
  vma: ExpectedVma,
  node: RecordNodeOf<"VMA">,
  { collector }: ComparisonContext,
): FieldExpectation {
  const shown = vma.entry.offset / PAGE_SIZE_BIG;
  const modelled = modelledOffset(vma);
  if (modelled === undefined) return expected(shown, "maps");
  const message = "maps shows another offset than the steps imply";
  collector.agree(`${node.path}.vm_pgoff`, message, { expected: modelled, actual: shown });
  return expected(modelled, "steps");
}

function pageOffset(vma: ExpectedVma, context: ComparisonContext): Expectation {
  const modelled = modelledOffset(vma);
  if (modelled !== undefined) return expected(modelled, "steps");
  if (vma.entry.inode !== 0n) return expected(vma.entry.offset / PAGE_SIZE_BIG, "maps");
  if (vmaType(vma, context) === VMA_TYPE.SPECIAL) return expected(0n, "rules");
  // The stack was made at the top of the address space and moved down: vm_pgoff plus the pages up to its end stays.
  const stackEnd = endOfStack(vma, context);
  if (stackEnd !== undefined) {
    return expected(abiOf(context.arch).stackTopPages - BigInt(stackEnd - vma.start), "rules");
  }
  if (context.prediction) return expected(BigInt(vma.start), "rules");
  return {
    name: "vma.vm_pgoff of anonymous memory",
    reason: "shown by no other interface; its first page number unless mremap moved it",
  };
}

/** The page where the stack ends that a VMA is a part of: mprotect(2) may have cut it into several. */
function endOfStack(
  { flags, entry }: ExpectedVma,
  { target: { smaps } }: ComparisonContext,
): number | undefined {
  if ((flags & VM.GROWSDOWN) === 0n) return undefined;
  let index = smaps.findIndex(({ start }) => start === entry.start);
  let isStack = false;
  for (; index < smaps.length; index++) {
    isStack ||= nameOf(smaps[index]!) === "[stack]";
    if (smaps[index + 1]?.start !== smaps[index]!.end) break;
  }
  return isStack ? Number(smaps[index]!.end / PAGE_SIZE_BIG) : undefined;
}
