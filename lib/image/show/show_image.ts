// SPDX-License-Identifier: MIT
import { abiOf, PAGE_SIZE, PAGE_SIZE_BIG } from "../../abi/arch.ts";
import { describeAuxv } from "../../abi/auxv.ts";
import { errnoName, MAX_ERRNO } from "../../abi/errno.ts";
import { permissionText, vmFlagNames, type VmFlagTable, vmFlagTableOf } from "../../abi/vm_flags.ts";
import { DESCRIPTOR_SIZE, usedDescriptors } from "../../x86/descriptor.ts";
import { describeEflags, describeSelector } from "../../x86/registers.ts";
import { describeXstate } from "../../x86/xstate.ts";
import { formatOfHead, type FormatOptions, type ImageFormat } from "../dialect.ts";
import type { ImageNode, RecordNode, RecordNodeOf } from "../nodes.ts";
import { displayText } from "../struct_codec.ts";
import { VMA_TYPE } from "../structs.ts";
import { VDSO_FLAGS_2_6_28 } from "../rules/mm_rules.ts";
import { showTime } from "./show_tree.ts";
import { signalTexts } from "./signal_text.ts";
import { hex, wordsOf } from "../../bytes.ts";

/** Characters of a line. */
const WIDTH = 110;
/** Descriptors of a table, and types of unknown records, that are listed. */
const MAX_LISTED = 64;
const EXEC = 4n;
/** `__USER32_CS` of x86-64. */
const COMPAT_CODE = 0x23n;
const TYPE_NAMES = new Map<number, string>(
  Object.entries(VMA_TYPE).map(([name, type]) => [type, name.toLowerCase()]),
);
const STATES: Readonly<Record<number, string>> = {
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
const GENERAL = ["ax", "bx", "cx", "dx", "si", "di", "bp", "sp"] as const;
const WIDE = [...GENERAL, "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"] as const;

/**
 * Shows a person what is in an image, as it is decoded: who wrote it, the address space as a table with page counts,
 * the areas of MM, LDT and TLS entries, registers, FPU state. It keeps nothing of an image's size, and shows of a
 * broken image what there is of it.
 */
export class ImagePrinter {
  readonly #options: FormatOptions;
  #format: ImageFormat = { dialect: "port", wordSize: 8 };
  #flags: VmFlagTable | undefined;
  #task: RecordNodeOf<"TASK"> | undefined;
  #tasks = 0;
  #comm = "";
  #mm: RecordNodeOf<"MM"> | undefined;
  /** The mapping whose pages are being counted. */
  #vma: { readonly node: RecordNodeOf<"VMA">; fname?: RecordNodeOf<"FNAME">; saved: bigint } | undefined;
  /** The open file whose name may follow. */
  #file: string | undefined;
  #cpu: RecordNodeOf<"CPU"> | undefined;
  /** A 32-bit program on a 64-bit kernel, by its code segment. */
  #isCompat = false;
  #xstate: Uint8Array | undefined;
  #bytes = 0;
  #parts = 0;
  #pages = 0;
  #trailing = 0;
  readonly #unknown: number[] = [];

  /** `options`: overrides of what the head says, as the decoder had them. */
  constructor(options: FormatOptions = {}) {
    this.#options = options;
  }

  /** The lines that another node completes. */
  visit(node: ImageNode): string[] {
    if (node.kind === "trailing") {
      this.#trailing += node.length;
      return this.#endOfCpu();
    }
    this.#bytes += node.length;
    this.#parts++;
    switch (node.kind) {
      case "record":
        return [...this.#endOfParts(node), ...this.#record(node)];
      case "pages":
        this.#pages += node.count;
        if (this.#vma) this.#vma.saved += BigInt(node.count);
        return [];
      case "ldt":
        return descriptorLines(node.bytes, 0);
      case "tls":
        return descriptorLines(node.bytes, abiOf(this.#arch).firstTlsSlot);
      case "xstate":
        this.#xstate = node.bytes.slice();
        return [];
      case "pids":
        return [
          "",
          "Tasks",
          ...node.entries.slice(0, MAX_LISTED).map(({ vpid, vppid }) => `  ${vpid} of ${vppid}`),
        ];
      case "unknown":
        this.#unknown.push(...this.#unknown.length < MAX_LISTED ? [node.header.type] : []);
        return this.#endOfCpu();
    }
  }

  /** What is left to say at the end, even if the image was cut. */
  finish(): string[] {
    if (this.#parts === 0) return [];
    const lines = [...this.#endOfVma(), ...this.#endOfFile(), ...this.#endOfCpu(), ""];
    if (this.#task && !this.#mm) lines.push(`Task ${this.#tasks - 1}: "${this.#comm}"`, "");
    if (this.#unknown.length > 0) lines.push(`Records of unknown types: ${this.#unknown.join(", ")}`);
    if (this.#trailing > 0) lines.push(`${this.#trailing} bytes after the image`);
    const kib = this.#pages * PAGE_SIZE / 1024;
    const size = kib < 10240 ? `${kib} KiB` : `${(kib / 1024).toFixed(1)} MiB`;
    return [...lines, `${this.#bytes} bytes, ${this.#parts} parts, ${this.#pages} pages (${size})`];
  }

  get #arch(): "x86_64" | "i386" {
    return this.#format.wordSize === 8 ? "x86_64" : "i386";
  }

  #record(node: RecordNode): string[] {
    switch (node.name) {
      case "HEAD":
        return this.#head(node);
      case "HEAD_ARCH": {
        const { has_fxsr, has_xsave, xstate_size } = node.fields;
        const fpu = has_xsave ? "XSAVE" : has_fxsr ? "FXSAVE" : "no FXSAVE";
        const words = `${this.#format.wordSize}-byte page addresses`;
        return [`  machine  ${words}, ${fpu}, ${xstate_size} bytes of FPU state`];
      }
      case "TASK":
        this.#task = node;
        this.#tasks++;
        this.#mm = undefined;
        return [];
      case "STRING":
        this.#comm = displayText(node.payload);
        return [];
      case "MM":
        return this.#address(node);
      case "VMA":
        this.#vma = { node, saved: 0n };
        return [];
      case "FNAME":
        if (this.#vma) this.#vma.fname = node;
        else if (this.#file !== undefined) this.#file += ` ${displayText(node.payload)}`;
        return [];
      case "MM_CONTEXT": {
        const { nldt } = node.fields;
        return [...this.#areas(), "", `LDT: ${nldt} entries`, ...nldt > 0 ? [] : ["  none"]];
      }
      case "FILES":
        return ["", `Files: ${node.fields.nfds} descriptors`];
      case "FD_ENT": {
        const { fd, objref, close_on_exec } = node.fields;
        this.#file = `  ${fd}: object ${objref}${close_on_exec ? ", closed by exec" : ""}`;
        return [];
      }
      case "FD_DATA":
        this.#file += ` at ${node.fields.f_pos}, flags ${hex(node.fields.f_flags)}`;
        return [];
      case "THREAD": {
        const { ntls } = node.fields;
        return ["", `TLS: ${ntls} of 3 entries in use`, ...ntls > 0 ? [] : ["  none"]];
      }
      case "CPU":
        this.#cpu = node;
        this.#isCompat = node.fields.cs === COMPAT_CODE;
        return [];
      case "AUXV": {
        const lines = describeAuxv(wordsOf(node.payload, this.#isCompat ? 4 : this.#format.wordSize));
        return ["", `Auxiliary vector: ${lines.length} entries`, ...lines.map((line) => `  ${line}`)];
      }
      case "SIGNALS":
      case "SIGACTION": {
        const lines = signalTexts(node).map(([what, text]) => `  ${what}: ${text}`);
        return node.name === "SIGNALS" ? ["", "Signals", ...lines] : lines;
      }
      default:
        return [];
    }
  }

  /** What a record ends that takes nothing more. */
  #endOfParts(node: RecordNode): string[] {
    if (node.name === "X86_FSGSBASE") {
      return this.#endOfCpu(`  fsbase ${hex(node.fields.fsbase)}  gsbase ${hex(node.fields.gsbase)}`);
    }
    const isOfVma = node.name === "FNAME" || node.name === "PGARR";
    const isOfFile = node.name === "FNAME" || node.name === "FD_DATA";
    return [...isOfVma ? [] : this.#endOfVma(), ...isOfFile ? [] : this.#endOfFile(), ...this.#endOfCpu()];
  }

  #head(node: RecordNodeOf<"HEAD">): string[] {
    const { major, minor, patch, rev, time, release, version, machine } = node.fields;
    this.#format = formatOfHead(node.fields, this.#options);
    this.#flags = vmFlagTableOf(node.fields, this.#format.wordSize);
    return [
      `Checkpoint image, dialect ${this.#format.dialect}, revision ${rev}`,
      `  kernel   ${displayText(release)} (${major}.${minor}.${patch}) ${displayText(machine)}`,
      `           ${displayText(version)}`,
      `  taken    ${showTime(time)}`,
    ];
  }

  #address(mm: RecordNodeOf<"MM">): string[] {
    this.#mm = mm;
    const { state = 0, exit_state = 0, exit_code = 0, exit_signal = 0 } = this.#task?.fields ?? {};
    const name = `${hex(state)} ${STATES[state] ?? ""}`.trimEnd();
    return [
      "",
      `Task ${this.#tasks - 1}: "${this.#comm}", pid ${mm.header.parent}`,
      `  state ${name}, exit state ${exit_state}, exit code ${exit_code}, exit signal ${exit_signal}`,
      "",
      `Address space: ${mm.fields.map_count} mappings`,
      `  ${this.#row(["range", "perm", "type", "pages", "saved", "pgoff", "name"])}`,
    ];
  }

  /** A row of the table. Its columns are as wide as a process needs them, so that no row waits for another. */
  #row([range = "", perm = "", type = "", pages = "", saved = "", pgoff = "", name = ""]: string[]): string {
    const wide = this.#format.wordSize === 8;
    const numbers = [pages.padStart(7), saved.padStart(7), pgoff.padStart(wide ? 11 : 7)];
    const text = [range.padEnd(wide ? 25 : 17), perm, type.padEnd(7), ...numbers, name].join("  ");
    return text.length > WIDTH - 2 ? `${text.slice(0, WIDTH - 3)}…` : text.trimEnd();
  }

  #endOfVma(): string[] {
    const vma = this.#vma;
    this.#vma = undefined;
    if (vma === undefined) return [];
    const { vm_start, vm_end, vm_flags, vm_pgoff, vma_type } = vma.node.fields;
    const digits = this.#format.wordSize === 8 ? 12 : 8;
    const line = this.#row([
      [vm_start, vm_end].map((address) => address.toString(16).padStart(digits, "0")).join("-"),
      permissionText(vm_flags),
      TYPE_NAMES.get(vma_type) ?? `type ${vma_type}`,
      String((vm_end - vm_start) / PAGE_SIZE_BIG),
      String(vma.saved),
      hex(vm_pgoff),
      vmaName(vma.node, { fname: vma.fname, mm: this.#mm }),
    ]);
    const flags = this.#flags === undefined ? hex(vm_flags) : extraFlags(vm_flags, this.#flags);
    if (flags === "") return [`  ${line}`];
    const isRoom = flags.length <= WIDTH - line.length - 6;
    return isRoom ? [`  ${line}  {${flags}}`] : [`  ${line}`, `      {${flags}}`];
  }

  #endOfFile(): string[] {
    const file = this.#file;
    this.#file = undefined;
    return file === undefined ? [] : [file];
  }

  #areas(): string[] {
    if (this.#mm === undefined) return [];
    const mm = this.#mm.fields;
    const area = (name: string, from: bigint, to: bigint): string =>
      `  ${name.padEnd(12)} ${hex(from)} to ${hex(to)}, ${to - from} bytes`;
    return [
      "",
      "Areas",
      area("code", mm.start_code, mm.end_code),
      area("data", mm.start_data, mm.end_data),
      area("heap", mm.start_brk, mm.brk),
      area("arguments", mm.arg_start, mm.arg_end),
      area("environment", mm.env_start, mm.env_end),
      `  ${"stack from".padEnd(12)} ${hex(mm.start_stack)}`,
    ];
  }

  /** Registers and FPU state, once it is known whether bases of fs and gs follow. */
  #endOfCpu(bases?: string): string[] {
    const cpu = this.#cpu;
    this.#cpu = undefined;
    if (cpu === undefined) return bases === undefined ? [] : ["", bases];
    const { fields } = cpu;
    const wide = this.#format.wordSize === 8;
    const digits = wide ? 16 : 8;
    const general = (wide ? WIDE : GENERAL).map((name) => `${name.padEnd(3)} ${hex(fields[name], digits)}`);
    const selectors = (["cs", "ss", "ds", "es", "fs", "gs"] as const)
      .map((name) => `${name} ${describeSelector(Number(fields[name] & 0xffffn))}`);
    const debug = ([0, 1, 2, 3, 6, 7] as const).map((i) => `dr${i} ${hex(fields[`debugreg${i}`])}`);
    const xstate = this.#xstate;
    this.#xstate = undefined;
    return [
      ...["", "Registers", ...columnsOf(general)],
      `  ip  ${hex(fields.ip, digits)}  flags ${hex(fields.flags)} (${describeEflags(fields.flags)})`,
      `  ${systemCall(fields.orig_ax, fields.ax)}`,
      ...columnsOf(selectors),
      `  ${debug.join("  ")}, uses_debug ${fields.uses_debug}`,
      ...bases === undefined ? [] : [bases],
      // 32-bit code has the low half of the vector registers.
      ...["", "FPU", ...fpuLines(xstate, fields.cs === 0x33n ? "x86_64" : "i386", fields.used_math !== 0)],
    ];
  }
}

/** Flags beyond the permissions, which have their own column, and MAY bits that are missing. */
function extraFlags(flags: bigint, table: VmFlagTable): string {
  const missing = ["MAYREAD", "MAYWRITE", "MAYEXEC"].filter((name) =>
    (flags & (table.bits[name] ?? 0n)) === 0n
  );
  return [...vmFlagNames(flags & ~0x77n, table), ...missing.map((name) => `no ${name}`)].join(" ");
}

/** The name of a mapping: its file, or what /proc/PID/maps would call it as far as the image tells. */
export function vmaName(
  { fields: { vma_type, vm_start, vm_end, vm_flags } }: RecordNodeOf<"VMA">,
  { fname, mm }: {
    readonly fname?: RecordNodeOf<"FNAME"> | undefined;
    readonly mm: RecordNodeOf<"MM"> | undefined;
  },
): string {
  if (fname !== undefined) return displayText(fname.payload);
  if (vma_type === VMA_TYPE.SPECIAL) return (vm_flags & EXEC) !== 0n ? "[vdso]" : "[vvar]";
  if (vm_flags === VDSO_FLAGS_2_6_28) return "[vdso]";
  const { start_brk = 0n, brk = 0n, start_stack = 0n } = mm?.fields ?? {};
  if (vm_start <= start_stack && start_stack < vm_end) return "[stack]";
  return vm_start < brk && vm_end > start_brk ? "[heap]" : "";
}

function descriptorLines(bytes: Uint8Array, first: number): string[] {
  const used = usedDescriptors(bytes);
  const more = used.length - MAX_LISTED;
  const empty = Math.floor(bytes.length / DESCRIPTOR_SIZE) - used.length;
  return [
    ...used.slice(0, MAX_LISTED).map(([slot, text]) => `  ${first + slot}: ${text}`),
    ...more > 0 ? [`  and ${more} more`] : [],
    ...empty > 0 ? [`  ${empty} empty`] : [],
  ];
}

function systemCall(origAx: bigint, ax: bigint): string {
  const number = Number(BigInt.asIntN(32, origAx));
  if (number < 0) return `orig_ax ${hex(origAx)}: not in a system call`;
  const result = Number(BigInt.asIntN(32, ax));
  const words = result < 0 && result >= -MAX_ERRNO ? `${result} (${errnoName(result)})` : String(result);
  return `orig_ax ${number}: in system call ${number}, result so far ${words}`;
}

function fpuLines(bytes: Uint8Array | undefined, arch: "x86_64" | "i386", isUsed: boolean): string[] {
  if (bytes === undefined) return [isUsed ? "  missing" : "  none saved"];
  try {
    return describeXstate(bytes, arch).map((line) => `  ${line}`);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return [`  ${bytes.length} bytes: ${error.message}`];
  }
}

/** Lines of cells of one width, side by side in columns, reading down. */
function columnsOf(cells: readonly string[]): string[] {
  const cell = cells.reduce((most, text) => Math.max(most, text.length), 0) + 2;
  const count = Math.ceil(cells.length / Math.floor(WIDTH / cell));
  return Array.from({ length: count }, (_, line) => {
    return `  ${cells.filter((_, i) => i % count === line).map((text) => text.padEnd(cell)).join("")}`
      .trimEnd();
  });
}

/**
 * Shows a person what is in an image: see {@linkcode ImagePrinter}.
 *
 * @param nodes the parts of an image, or as many as could be decoded
 */
export function showImage(nodes: Iterable<ImageNode>, options: FormatOptions = {}): string {
  const printer = new ImagePrinter(options);
  const lines: string[] = [];
  for (const node of nodes) for (const line of printer.visit(node)) lines.push(line);
  for (const line of printer.finish()) lines.push(line);
  return lines.join("\n") + "\n";
}
