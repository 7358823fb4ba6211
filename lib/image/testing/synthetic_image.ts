// SPDX-License-Identifier: MIT
import { PAGE_SIZE, type WordSize } from "../../abi/arch.ts";
import { pageProt } from "../../abi/page_prot.ts";
import type { Dialect } from "../../abi/dialect.ts";
import { encodeNode } from "../encoder.ts";
import { HEAD_MAGIC, PIDS, TAIL_MAGIC, VMA_TYPE } from "../structs.ts";
import {
  isStruct,
  type Numbering,
  type RecordDesc,
  type RecordName,
  RECORDS,
  recordType,
} from "../records.ts";
import type { RecordNode } from "../nodes.ts";
import { dataView, writeStruct } from "../struct_codec.ts";
import type { AnyFields, StructDesc } from "../struct_desc.ts";

/** One mapping of a synthetic image. */
export interface SyntheticVma {
  /** First address. */
  readonly start: bigint;
  /** First address after it. */
  readonly end: bigint;
  /** vm_flags; vm_page_prot follows from it. */
  readonly flags: bigint;
  /** vma_type, anonymous when left out. */
  readonly type?: number;
  /** For file mappings. */
  readonly name?: string;
  /** vm_pgoff, 0 when left out. */
  readonly pgoff?: bigint;
  /** Addresses of the pages that it has, ascending. */
  readonly pages?: readonly bigint[];
  /** Chunks as (nr_pages, pages that follow) instead of what the dialect makes of `pages`. */
  readonly chunks?: readonly (readonly [nrPages: bigint, count: number])[];
  /** Leave out the PGARR of 0 pages. */
  readonly open?: boolean;
}

/** What a synthetic image is to hold; all has a default. */
export interface SyntheticOptions {
  /** port when left out. */
  readonly dialect?: Dialect;
  /** 8 for the port, 4 for v11 when left out. */
  readonly wordSize?: WordSize;
  /** 100 or 1 when left out. */
  readonly revision?: number;
  /** Mappings, ascending. */
  readonly vmas?: readonly SyntheticVma[];
  /** Descriptors of the LDT, each 8 bytes. */
  readonly ldt?: Uint8Array;
  /** Three TLS descriptors, 24 bytes. */
  readonly tls?: Uint8Array;
  /** true for the port, false for v11 when left out. */
  readonly hasXsave?: boolean;
  /** FPU state; see syntheticXstate. */
  readonly xstate?: Uint8Array;
  /** v11, revision 2 and up: tasks below a TREE. */
  readonly tasks?: number;
  /** v11, revision 2 and up: descriptors. */
  readonly files?: boolean;
  /** A record of this unknown type before TAIL. */
  readonly unknownType?: number;
}

const PID = 321;
const MM_FIELDS = {
  start_code: 0x400000n,
  end_code: 0x401500n,
  start_data: 0x402000n,
  end_data: 0x402345n,
  start_brk: 0x403000n,
  brk: 0x405000n,
  start_stack: 0xb000_1230n,
  arg_start: 0xb000_1400n,
  arg_end: 0xb000_1410n,
  env_start: 0xb000_1410n,
  env_end: 0xb000_1480n,
};

/** A flat 32-bit data segment, read-write, accessed, as modify_ldt or set_thread_area make it. */
export const DATA_DESCRIPTOR: Uint8Array<ArrayBuffer> = Uint8Array.of(0xff, 0xff, 0, 0, 0, 0xf3, 0xcf, 0);

/** Flags of an ordinary private mapping: READ WRITE MAYREAD MAYWRITE MAYEXEC ACCOUNT. */
export const RW_FLAGS = 0x10_0073n;

/** Contents of a synthetic page: every word holds the address's low bits and its index. */
export function syntheticPage(vaddr: bigint): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(PAGE_SIZE / 4);
  const low = Number(BigInt.asUintN(32, vaddr));
  for (let i = 0; i < words.length; i++) words[i] = (low + i) ^ 0x5a5a_5a5a;
  return new Uint8Array(words.buffer);
}

function text64(text: string): Uint8Array {
  const bytes = new Uint8Array(64);
  new TextEncoder().encodeInto(text, bytes);
  return bytes;
}

function zeroFields(struct: StructDesc): Record<string, number | bigint | Uint8Array> {
  return Object.fromEntries(struct.fields.map((field) => {
    const zero = field.type === "u64" ? 0n : field.type.startsWith("char") ? new Uint8Array(field.size) : 0;
    return [field.name, zero];
  }));
}

/** Writes records and raw bytes one after the other. */
class ImageWriter {
  readonly #parts: Uint8Array[] = [];
  readonly #numbering: Numbering;

  constructor(numbering: Numbering) {
    this.#numbering = numbering;
  }

  record(name: RecordName, fields: AnyFields, parent = 0): void {
    const { payload }: RecordDesc = RECORDS[name];
    if (!isStruct(payload)) throw new TypeError(`${name} has no fields`);
    const type = recordType(name, this.#numbering) ?? -1;
    const header = { type, len: payload.size, parent };
    const whole = { ...zeroFields(payload), ...fields };
    const out = new Uint8Array(8 + payload.size);
    const node = {
      kind: "record",
      name,
      type,
      header,
      fields: whole,
      offset: 0,
      length: out.length,
      path: name,
    };
    encodeNode({ ...node, payload: out.subarray(8) } as unknown as RecordNode, out);
    this.#parts.push(out);
  }

  bytes(type: number, payload: Uint8Array): void {
    const out = new Uint8Array(8 + payload.length);
    dataView(out).setInt16(0, type, true);
    dataView(out).setInt16(2, payload.length, true);
    out.set(payload, 8);
    this.#parts.push(out);
  }

  raw(bytes: Uint8Array): void {
    this.#parts.push(bytes);
  }

  finish(): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(this.#parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of this.#parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }
}

function defaultVmas(wordSize: WordSize, dialect: Dialect): readonly SyntheticVma[] {
  const top = wordSize === 8 ? 0x7fff_f7ff_a000n : 0xb7ff_a000n;
  const vmas: SyntheticVma[] = [
    { start: 0x400000n, end: 0x402000n, flags: 0x75n, type: VMA_TYPE.FILE, name: "/bin/target", pgoff: 0n },
    {
      start: 0x402000n,
      end: 0x403000n,
      flags: RW_FLAGS,
      type: VMA_TYPE.FILE,
      name: "/bin/target",
      pgoff: 2n,
      pages: [0x402000n],
    },
    { start: 0x403000n, end: 0x406000n, flags: RW_FLAGS, pgoff: 0x403n, pages: [0x403000n, 0x405000n] },
    { start: 0x500000n, end: 0x501000n, flags: 0x70n, pgoff: 0x500n },
  ];
  if (dialect === "v11") {
    return [...vmas, { start: top, end: top + 0x1000n, flags: 0x404_0075n, pgoff: top >> 12n }];
  }
  const vvar = { start: top, end: top + 0x4000n, flags: 0x404_4411n, type: VMA_TYPE.SPECIAL };
  const vdso = { start: top + 0x4000n, end: top + 0x6000n, flags: 0x4_0075n, type: VMA_TYPE.SPECIAL };
  return [...vmas, vvar, vdso];
}

/** As posted: 4 * TOTAL pages first, then TOTAL by TOTAL, headers counting on; port: full chunks. */
function chunksOf(count: number, wordSize: WordSize, dialect: Dialect): [bigint, number][] {
  const array = PAGE_SIZE / wordSize;
  const chunks: [bigint, number][] = [];
  for (let done = 0; done < count;) {
    const most = done === 0 || dialect === "port" ? 4 * array : array;
    const pages = Math.min(most, count - done);
    done += pages;
    chunks.push([BigInt(dialect === "v11" ? done : pages), pages]);
  }
  return chunks;
}

function writePages(writer: ImageWriter, vaddrs: readonly bigint[], wordSize: WordSize): void {
  const addresses = new Uint8Array(vaddrs.length * wordSize);
  const view = dataView(addresses);
  vaddrs.forEach((vaddr, i) => {
    if (wordSize === 8) view.setBigUint64(8 * i, vaddr, true);
    else view.setUint32(4 * i, Number(vaddr), true);
  });
  writer.raw(addresses);
  for (const vaddr of vaddrs) writer.raw(syntheticPage(vaddr));
}

function writeVma(
  writer: ImageWriter,
  vma: SyntheticVma,
  settings: Required<SyntheticOptions>,
  stale: number,
): void {
  const { wordSize, dialect } = settings;
  const series = dialect === "v11" ? "2.6.28" : "6.1";
  writer.record("VMA", {
    vma_type: vma.type ?? VMA_TYPE.ANON,
    _padding: stale,
    vm_start: vma.start,
    vm_end: vma.end,
    vm_page_prot: pageProt(vma.flags, { series, arch: wordSize === 8 ? "x86_64" : "i386" }),
    vm_flags: vma.flags,
    vm_pgoff: vma.pgoff ?? 0n,
  });
  if (vma.name !== undefined) writer.bytes(5, new TextEncoder().encode(`${vma.name}\0`));
  const pages = vma.pages ?? [];
  let done = 0;
  for (const [nrPages, count] of vma.chunks ?? chunksOf(pages.length, wordSize, dialect)) {
    writer.record("PGARR", { nr_pages: nrPages });
    writePages(writer, pages.slice(done, done + count), wordSize);
    done += count;
  }
  if (vma.open !== true) writer.record("PGARR", { nr_pages: 0n });
}

function writeHead(writer: ImageWriter, settings: Required<SyntheticOptions>): void {
  const isPort = settings.dialect === "port";
  writer.record("HEAD", {
    magic: HEAD_MAGIC,
    major: isPort ? 6 : 2,
    minor: isPort ? 1 : 6,
    patch: isPort ? 192 : 28,
    rev: settings.revision,
    time: 1_228_478_400n,
    flags: 1n,
    release: text64(isPort ? "6.1.192" : "2.6.28-rc7"),
    version: text64("#1 Fri Dec 5 12:00:00 UTC 2008"),
    machine: text64(settings.wordSize === 8 ? "x86_64" : "i686"),
  });
  writer.record("HEAD_ARCH", {
    has_fxsr: 1,
    has_xsave: settings.hasXsave ? 1 : 0,
    xstate_size: settings.xstate.length,
    _padding: isPort || settings.revision !== 1 ? 0 : 0xfe,
  });
}

function writeFiles(writer: ImageWriter, pid: number): void {
  writer.record("FILES", { objref: 0, nfds: 3 }, pid);
  // Objects are counted through all tasks.
  const base = 2 * (pid - PID);
  [[0, base + 1], [1, base + 1], [5, base + 2]].forEach(([fd = 0, objref = 0], i) => {
    writer.record("FD_ENT", { fd, objref, close_on_exec: i === 2 ? 1 : 0 });
    if (i === 1) return;
    writer.record("FD_DATA", { fd_type: i === 0 ? 1 : 2, f_mode: 0x1f, f_pos: 77n }, objref);
    writer.bytes(5, new TextEncoder().encode(i === 0 ? "/tmp/log\0" : "/tmp\0"));
  });
}

/** What the code as posted leaves in r8 to r15: see AsPostedRules. */
function staleRegisters(settings: Required<SyntheticOptions>, ntls: number): AnyFields {
  const last = settings.vmas.at(-1);
  if (settings.dialect === "port" || settings.revision !== 1 || last === undefined) return {};
  return {
    r15: 3n | (24n << 16n) | (BigInt(ntls) << 32n),
    r14: last.start,
    r13: last.end,
    r12: pageProt(last.flags, { series: "2.6.28", arch: settings.wordSize === 8 ? "x86_64" : "i386" }),
    r11: MM_FIELDS.brk,
    r10: MM_FIELDS.start_stack,
    r9: MM_FIELDS.arg_start,
    r8: MM_FIELDS.arg_end,
  };
}

function writeTask(writer: ImageWriter, pid: number, settings: Required<SyntheticOptions>): void {
  const { dialect, revision, wordSize, vmas, ldt, tls, xstate } = settings;
  const isPort = dialect === "port";
  const isWide = wordSize === 8;
  writer.record("TASK", { state: isPort ? 0x104 : 0, exit_signal: 17, task_comm_len: 16 });
  writer.bytes(4, new TextEncoder().encode("target".padEnd(16, "\0")));
  writer.record("MM", { map_count: vmas.length, ...MM_FIELDS }, pid);
  vmas.forEach((vma, i) =>
    writeVma(writer, vma, settings, !isPort && revision === 1 && i === 0 ? vmas.length : 0)
  );
  writer.record("MM_CONTEXT", { ldt_entry_size: 8, nldt: ldt.length / 8 });
  writer.raw(ldt);
  if (settings.files) writeFiles(writer, pid);
  const ntls = [0, 8, 16].filter((at) => tls.subarray(at, at + 8).some((byte) => byte !== 0)).length;
  writer.record("THREAD", { gdt_entry_tls_entries: 3, sizeof_tls_array: 24, ntls }, pid);
  if (ntls > 0) writer.raw(tls);
  writer.record("CPU", {
    ...staleRegisters(settings, ntls),
    orig_ax: isPort ? 62n : 333n,
    ip: 0x400123n,
    cs: isWide ? 0x33n : 0x73n,
    ss: isWide ? 0x2bn : 0x7bn,
    flags: 0x246n,
    sp: MM_FIELDS.start_stack,
    debugreg6: 0xffff_0ff0n,
    used_math: 1,
  }, pid);
  writer.raw(xstate);
  if (isPort && isWide) writer.record("X86_FSGSBASE", { fsbase: 0x405010n, gsbase: 0n }, pid);
}

/** An FPU state at rest: FXSAVE, or XSAVE in the form of the regset with x87, SSE and AVX enabled. */
export function syntheticXstate(hasXsave: boolean): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(hasXsave ? 832 : 512);
  const view = dataView(bytes);
  view.setUint16(0, 0x37f, true);
  view.setUint32(24, 0x1f80, true);
  view.setUint32(28, 0xffff, true);
  if (hasXsave) {
    view.setBigUint64(464, 7n, true);
    view.setBigUint64(512, 2n, true);
  }
  bytes[160] = 0x42;
  return bytes;
}

/**
 * Makes an image that keeps every rule of its dialect, or breaks those that the options break. For tests:
 * there is no process behind it.
 */
export function syntheticImage(options: SyntheticOptions = {}): Uint8Array<ArrayBuffer> {
  const dialect = options.dialect ?? "port";
  const wordSize = options.wordSize ?? (dialect === "port" ? 8 : 4);
  const hasXsave = options.hasXsave ?? dialect === "port";
  const settings: Required<SyntheticOptions> = {
    dialect,
    wordSize,
    revision: dialect === "port" ? 100 : 1,
    vmas: defaultVmas(wordSize, dialect),
    ldt: new Uint8Array(0),
    tls: new Uint8Array(24),
    hasXsave,
    xstate: syntheticXstate(hasXsave),
    tasks: 1,
    files: false,
    unknownType: 0,
    ...options,
  };
  const hasTree = dialect === "v11" && settings.revision === 3;
  const writer = new ImageWriter(hasTree ? "tree" : "plain");
  writeHead(writer, settings);
  if (hasTree) {
    writer.record("TREE", { tasks_nr: settings.tasks });
    const pids = new Uint8Array(PIDS.size * settings.tasks);
    for (let i = 0; i < settings.tasks; i++) {
      const entry = { vpid: PID + i, vtgid: PID + i, vppid: i === 0 ? 1 : PID, _padding: 0 };
      writeStruct(PIDS, entry, dataView(pids), i * PIDS.size);
    }
    writer.raw(pids);
  }
  for (let i = 0; i < settings.tasks; i++) writeTask(writer, PID + i, settings);
  if (settings.unknownType !== 0) writer.bytes(settings.unknownType, new Uint8Array(24));
  writer.record("TAIL", { magic: TAIL_MAGIC });
  return writer.finish();
}
