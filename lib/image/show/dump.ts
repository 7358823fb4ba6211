// SPDX-License-Identifier: MIT
import { abiOf, PAGE_SIZE, PAGE_SIZE_BIG } from "../../abi/arch.ts";
import { errnoName, MAX_ERRNO } from "../../abi/errno.ts";
import { kernelSeries } from "../../abi/series.ts";
import { permissionText, vmFlagNames, type VmFlagTable, vmFlagTable } from "../../abi/vm_flags.ts";
import { describeDescriptor } from "../../x86/descriptor.ts";
import { describeEflags, describeSelector } from "../../x86/registers.ts";
import { decodeXstate, describeXstate } from "../../x86/xstate.ts";
import { type CheckpointImage, type TaskImage, type VmaImage, vmaPageTotal } from "../image.ts";
import { VMA_TYPE } from "../structs.ts";
import { hex, showTime } from "./show_field.ts";
import { displayText } from "../struct_codec.ts";
import { type Column, columnsOf, type TextStyle, textStyle, textTable } from "./text_table.ts";

/** How to show an image. */
export interface DumpOptions {
  /** Use escape sequences for a terminal. */
  readonly color?: boolean;
  /** Characters of a line; 110 when left out. */
  readonly width?: number;
  /** Descriptors of a table that are listed at most; 64 when left out. */
  readonly descriptors?: number;
}

interface Settings {
  readonly style: TextStyle;
  readonly width: number;
  readonly descriptors: number;
  readonly flags: VmFlagTable | undefined;
}

/** The vm_flags table of the kernel that wrote an image, or undefined when there is none. */
export function flagsOfImage(image: CheckpointImage): VmFlagTable | undefined {
  const { major, minor, patch } = image.head.fields;
  const series = kernelSeries(major, minor, patch);
  return series && vmFlagTable(series, image.wordSize);
}

/**
 * Shows a person what is in an image: who wrote it, the address space as a table with page counts, the
 * areas of MM, LDT and TLS entries, registers, FPU state.
 */
export function dumpImage(image: CheckpointImage, options: DumpOptions = {}): string {
  const settings: Settings = {
    style: textStyle(options.color ?? false),
    width: options.width ?? 110,
    descriptors: options.descriptors ?? 64,
    flags: flagsOfImage(image),
  };
  const lines = headLines(image, settings);
  for (const [index, task] of image.tasks.entries()) {
    lines.push("", ...taskLines(index, task, image, settings));
  }
  if (image.unknown.length > 0) {
    lines.push(
      "",
      `${image.unknown.length} records of unknown types: ${
        image.unknown.map((n) => n.header.type).join(", ")
      }`,
    );
  }
  if (image.trailing.length > 0) lines.push("", `${image.trailing.length} bytes after the image`);
  return lines.join("\n") + "\n";
}

function headLines(image: CheckpointImage, { style }: Settings): string[] {
  const { head, headArch } = image;
  const { major, minor, patch, rev, time, release, version, machine } = head.fields;
  const { has_fxsr, has_xsave, xstate_size } = headArch.fields;
  const pages = image.tasks.flatMap((task) => task.vmas).reduce((sum, vma) => sum + vmaPageTotal(vma), 0);
  const fpu = has_xsave ? "XSAVE" : has_fxsr ? "FXSAVE" : "no FXSAVE";
  return [
    style.heading(`Checkpoint image, dialect ${image.dialect}, revision ${rev}`),
    `  kernel   ${displayText(release)} (${major}.${minor}.${patch}) ${displayText(machine)}`,
    `           ${displayText(version)}`,
    `  taken    ${showTime(time)}`,
    `  machine  ${image.wordSize}-byte page addresses, ${fpu}, ${xstate_size} bytes of FPU state`,
    `  size     ${image.end - image.start} bytes, ${image.nodes.length} parts, ${pages} pages (${
      size(pages)
    })`,
  ];
}

function size(pages: number): string {
  const kib = pages * PAGE_SIZE / 1024;
  return kib < 10240 ? `${kib} KiB` : `${(kib / 1024).toFixed(1)} MiB`;
}

function taskLines(index: number, task: TaskImage, image: CheckpointImage, settings: Settings): string[] {
  const { heading } = settings.style;
  const { state, exit_state, exit_code, exit_signal } = task.task.fields;
  const comm = JSON.stringify(displayText(task.comm.payload));
  return [
    heading(`Task ${index}: ${comm}, pid ${task.mm.header.parent}`),
    `  state ${
      stateName(state)
    }, exit state ${exit_state}, exit code ${exit_code}, exit signal ${exit_signal}`,
    "",
    heading(`Address space: ${task.vmas.length} mappings`),
    ...addressSpace(task, image, settings),
    "",
    heading("Areas"),
    ...areaLines(task),
    ...fileLines(task, settings),
    "",
    heading(`LDT: ${task.mmContext.fields.nldt} entries`),
    ...descriptorLines(task.ldt?.bytes, 0, settings),
    "",
    heading(`TLS: ${task.thread.fields.ntls} of 3 entries in use`),
    ...descriptorLines(
      task.tls?.bytes,
      abiOf(image.wordSize === 8 ? "x86_64" : "i386").firstTlsSlot,
      settings,
    ),
    "",
    heading("Registers"),
    ...registerLines(task, image, settings),
    "",
    heading("FPU"),
    ...fpuLines(task),
  ];
}

function stateName(state: number): string {
  const names: Record<number, string> = {
    0: "running (itself)",
    1: "interruptible",
    2: "uninterruptible",
    0x8: "traced",
    0x84: "stopped",
    0x88: "traced",
    0x104: "stopped",
    0x108: "traced",
    0x2001: "frozen (cgroup v2)",
    0x8000: "frozen",
  };
  return `${hex(state)} ${names[state] ?? ""}`.trimEnd();
}

const VMA_COLUMNS: readonly Column[] = [
  { title: "range", align: "left" },
  { title: "perm" },
  { title: "type" },
  { title: "pages", align: "right" },
  { title: "saved", align: "right" },
  { title: "pgoff", align: "right" },
  { title: "name" },
];

function addressSpace(task: TaskImage, image: CheckpointImage, settings: Settings): string[] {
  const digits = image.wordSize === 8 ? 12 : 8;
  const rows = task.vmas.map((vma) => {
    const { vm_start, vm_end, vm_flags, vm_pgoff, vma_type } = vma.record.fields;
    return [
      `${vm_start.toString(16).padStart(digits, "0")}-${vm_end.toString(16).padStart(digits, "0")}`,
      permissionText(vm_flags),
      typeName(vma_type),
      String((vm_end - vm_start) / PAGE_SIZE_BIG),
      String(vmaPageTotal(vma)),
      hex(vm_pgoff),
      vmaName(vma, task),
    ];
  });
  const [titles = "", ...lines] = textTable(VMA_COLUMNS, rows, {
    width: settings.width - 2,
    style: settings.style,
  });
  return [`  ${titles}`, ...lines.flatMap((line, i) => withFlags(line, task.vmas[i], settings))];
}

/** Flags beside a line of the table, or below it where there is no room. */
function withFlags(line: string, vma: VmaImage | undefined, settings: Settings): string[] {
  const bits = vma?.record.fields.vm_flags ?? 0n;
  const flags = settings.flags === undefined ? hex(bits) : extraFlags(bits, settings.flags);
  if (flags === "") return [`  ${line}`];
  const room = settings.width - line.length - 6;
  return flags.length <= room ? [`  ${line}  {${flags}}`] : [`  ${line}`, `      {${flags}}`];
}

/** Flags beyond the permissions, which have their own column, and MAY bits that are missing. */
function extraFlags(flags: bigint, table: VmFlagTable): string {
  const missing = ["MAYREAD", "MAYWRITE", "MAYEXEC"].filter((name) =>
    (flags & (table.bits[name] ?? 0n)) === 0n
  );
  const extra = vmFlagNames(flags & ~0x77n, table);
  return [...extra, ...missing.map((name) => `no ${name}`)].join(" ");
}

function typeName(type: number): string {
  switch (type) {
    case VMA_TYPE.ANON:
      return "anon";
    case VMA_TYPE.FILE:
      return "file";
    case VMA_TYPE.SPECIAL:
      return "special";
    default:
      return `type ${type}`;
  }
}

const VDSO_FLAGS_2_6_28 = 0x0404_0075n;
const EXEC = 4n;

/** The name of a mapping: its file, or what /proc/PID/maps would call it as far as the image tells. */
export function vmaName(vma: VmaImage, task: TaskImage): string {
  if (vma.fname !== undefined) return displayText(vma.fname.payload);
  const { vma_type, vm_start, vm_end, vm_flags } = vma.record.fields;
  if (vma_type === VMA_TYPE.SPECIAL) return (vm_flags & EXEC) !== 0n ? "[vdso]" : "[vvar]";
  if (vm_flags === VDSO_FLAGS_2_6_28) return "[vdso]";
  const { start_brk, brk, start_stack } = task.mm.fields;
  if (vm_start <= start_stack && start_stack < vm_end) return "[stack]";
  return vm_start < brk && vm_end > start_brk ? "[heap]" : "";
}

function areaLines(task: TaskImage): string[] {
  const mm = task.mm.fields;
  const area = (name: string, from: bigint, to: bigint): string => {
    return `  ${name.padEnd(12)} ${hex(from)} to ${hex(to)}, ${to - from} bytes`;
  };
  return [
    area("code", mm.start_code, mm.end_code),
    area("data", mm.start_data, mm.end_data),
    area("heap", mm.start_brk, mm.brk),
    area("arguments", mm.arg_start, mm.arg_end),
    area("environment", mm.env_start, mm.env_end),
    `  ${"stack from".padEnd(12)} ${hex(mm.start_stack)}`,
  ];
}

function fileLines(task: TaskImage, { style }: Settings): string[] {
  if (task.files === undefined) return [];
  const lines = task.files.entries.map(({ entry, data, fname }) => {
    const { fd, objref, close_on_exec } = entry.fields;
    const name = fname === undefined ? "" : ` ${displayText(fname.payload)}`;
    const place = data === undefined ? "" : ` at ${data.fields.f_pos}, flags ${hex(data.fields.f_flags)}`;
    return `  ${fd}: object ${objref}${name}${place}${close_on_exec ? ", closed by exec" : ""}`;
  });
  return ["", style.heading(`Files: ${task.files.record.fields.nfds} descriptors`), ...lines];
}

function descriptorLines(bytes: Uint8Array | undefined, first: number, settings: Settings): string[] {
  if (bytes === undefined) return ["  none"];
  const lines: string[] = [];
  let empty = 0;
  for (let at = 0; at + 8 <= bytes.length; at += 8) {
    const entry = bytes.subarray(at, at + 8);
    if (entry.every((byte) => byte === 0)) empty++;
    else if (lines.length < settings.descriptors) {
      lines.push(`  ${first + at / 8}: ${describeDescriptor(entry)}`);
    } else lines.push("");
  }
  const more = lines.length - settings.descriptors;
  const shown = more > 0 ? [...lines.slice(0, settings.descriptors), `  and ${more} more`] : lines;
  return empty === 0 ? shown : [...shown, `  ${empty} empty`];
}

const GENERAL = [
  ["ax", "bx", "cx", "dx", "si", "di", "bp", "sp"],
  ["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"],
] as const;

function registerLines(task: TaskImage, image: CheckpointImage, settings: Settings): string[] {
  const { fields } = task.cpu;
  const digits = image.wordSize === 8 ? 16 : 8;
  const cell = (name: keyof typeof fields): string => `${name.padEnd(3)} ${hex(fields[name], digits)}`;
  const names = image.wordSize === 8 ? GENERAL.flat() : GENERAL[0];
  const selectors = (["cs", "ss", "ds", "es", "fs", "gs"] as const).map((name) => {
    return `${name} ${describeSelector(Number(fields[name] & 0xffffn))}`;
  });
  const debug = ([0, 1, 2, 3, 6, 7] as const).map((i) => `dr${i} ${hex(fields[`debugreg${i}`])}`);
  const lines = [
    ...columnsOf(names.map(cell), settings.width),
    `  ip  ${hex(fields.ip, digits)}  flags ${hex(fields.flags)} (${describeEflags(fields.flags)})`,
    `  ${systemCall(fields.orig_ax, fields.ax)}`,
    ...columnsOf(selectors, settings.width),
    `  ${debug.join("  ")}, uses_debug ${fields.uses_debug}`,
  ];
  const bases = task.fsgsbase?.fields;
  if (bases !== undefined) lines.push(`  fsbase ${hex(bases.fsbase)}  gsbase ${hex(bases.gsbase)}`);
  return lines;
}

function systemCall(origAx: bigint, ax: bigint): string {
  const number = Number(BigInt.asIntN(32, origAx));
  if (number < 0) return `orig_ax ${hex(origAx)}: not in a system call`;
  const result = Number(BigInt.asIntN(32, ax));
  const words = result < 0 && result >= -MAX_ERRNO ? `${result} (${errnoName(result)})` : String(result);
  return `orig_ax ${number}: in system call ${number}, result so far ${words}`;
}

function fpuLines(task: TaskImage): string[] {
  const bytes = task.xstate?.bytes;
  if (bytes === undefined) return ["  none saved"];
  // 32-bit code has the low half of the vector registers.
  const is64 = task.cpu.fields.cs === 0x33n;
  try {
    return describeXstate(decodeXstate(bytes, is64 ? "x86_64" : "i386")).map((line) => `  ${line}`);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return [`  ${bytes.length} bytes: ${error.message}`];
  }
}

export { dumpTree, type TreeOptions } from "./dump_tree.ts";
export { imageToJson, type JsonValue } from "../image_json.ts";
