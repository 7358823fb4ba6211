// SPDX-License-Identifier: MIT
import { PAGE_SIZE, PAGE_SIZE_BIG, type WordSize } from "../../abi/arch.ts";
import type { Dialect } from "../../abi/series.ts";
import { formatOf, RW_FLAGS, type VmaSpec, writeHead, writeTask, xstateAtRest } from "../build_image.ts";
import { ImageWriter, type WrittenFields } from "../image_writer.ts";
import { writeStruct } from "../struct_codec.ts";
import { PIDS, TAIL_MAGIC, VMA_TYPE } from "../structs.ts";
import { dataView } from "../../bytes.ts";

export { RW_FLAGS } from "../build_image.ts";

/** One mapping of a synthetic image: its pages are named by their addresses. */
export interface SyntheticVma extends Omit<VmaSpec, "pages"> {
  /** Addresses of the pages that it has, ascending. */
  readonly pages?: readonly bigint[];
}

/** What a synthetic image is to hold; all has a default. */
export interface SyntheticOptions {
  /** port when left out. */
  readonly dialect?: Dialect;
  /** 8 for the port, 4 for v11 when left out. */
  readonly wordSize?: WordSize;
  /** 100 or 1 when left out. */
  readonly revision?: number;
  /** Fields of HEAD. */
  readonly head?: WrittenFields<"HEAD">;
  /** Mappings, ascending. */
  readonly vmas?: readonly SyntheticVma[];
  /** Pages of the vdso of the default mappings; 2 when left out. */
  readonly vdsoPages?: number;
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

/** A flat 32-bit data segment, read-write, accessed, as modify_ldt or set_thread_area make it. */
export const DATA_DESCRIPTOR: Uint8Array<ArrayBuffer> = Uint8Array.of(0xff, 0xff, 0, 0, 0, 0xf3, 0xcf, 0);

/** Contents of a synthetic page: every word holds the address's low bits and its index. */
export function syntheticPage(vaddr: bigint): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(PAGE_SIZE / 4);
  const low = Number(BigInt.asUintN(32, vaddr));
  for (let i = 0; i < words.length; i++) words[i] = (low + i) ^ 0x5a5a_5a5a;
  return new Uint8Array(words.buffer);
}

function defaultVmas(
  { wordSize, dialect, vdsoPages = 2 }: {
    wordSize: WordSize;
    dialect: Dialect;
    vdsoPages?: number | undefined;
  },
): readonly SyntheticVma[] {
  const top = wordSize === 8 ? 0x7fff_f7ff_a000n : 0xb7ff_a000n;
  const file = { type: VMA_TYPE.FILE, name: "/bin/target" };
  const vmas: SyntheticVma[] = [
    { start: 0x400000n, end: 0x402000n, flags: 0x75n, ...file },
    { start: 0x402000n, end: 0x403000n, ...file, pgoff: 2n, pages: [0x402000n] },
    { start: 0x403000n, end: 0x406000n, pages: [0x403000n, 0x405000n] },
    { start: 0x500000n, end: 0x501000n, flags: 0x70n },
    { start: 0xb000_0000n, end: 0xb000_2000n, flags: RW_FLAGS | 0x100n },
  ];
  if (dialect === "v11") return [...vmas, { start: top, end: top + 0x1000n, flags: 0x404_0075n }];
  const vvar = { start: top, end: top + 0x4000n, flags: 0x404_4411n, type: VMA_TYPE.SPECIAL };
  const end = top + 0x4000n + BigInt(vdsoPages) * PAGE_SIZE_BIG;
  const vdso = { start: top + 0x4000n, end, flags: 0x4_0075n, type: VMA_TYPE.SPECIAL };
  return [...vmas, vvar, vdso];
}

/** Where the default mappings have the parts of a program. */
const DEFAULT_MM = { end_code: 0x401500n, start_data: 0x402000n, end_data: 0x402345n, brk: 0x405800n };

/** FILES of a task with three descriptors and two objects behind them, which are counted on from `base`. */
export function writeFiles(writer: ImageWriter, pid: number, base = 0): void {
  writer.record("FILES", { objref: 0, nfds: 3 }, { parent: pid });
  [[0, base + 1], [1, base + 1], [5, base + 2]].forEach(([fd = 0, objref = 0], i) => {
    writer.record("FD_ENT", { fd, objref, close_on_exec: i === 2 ? 1 : 0 });
    if (i === 1) return;
    writer.record("FD_DATA", { fd_type: i === 0 ? 1 : 2, f_mode: 0x1f, f_pos: 77n }, { parent: objref });
    writer.text("FNAME", i === 0 ? "/tmp/log" : "/tmp");
  });
}

/** A stack for signals, a handler, and a signal that is ignored. */
const SIGNALS = { blocked: 0x200n, sas_ss_sp: 0x40_3000n, sas_ss_size: 0x1000n, sas_ss_flags: 0 };
const ACTIONS = [
  { signr: 10, sa_handler: 0x40_0123n, sa_flags: 0x1400_0004n, sa_restorer: 0x40_0100n, sa_mask: 0x4000n },
  { signr: 12, sa_handler: 1n },
];

/** An FPU state at rest but for one byte of xmm0. */
function syntheticXstate(hasXsave: boolean): Uint8Array<ArrayBuffer> {
  const bytes = xstateAtRest(hasXsave);
  bytes[160] = 0x42;
  return bytes;
}

/**
 * Makes an image that keeps every rule of its dialect, or breaks those that the options break. For tests:
 * there is no process behind it.
 */
export function syntheticImage(options: SyntheticOptions = {}): Uint8Array<ArrayBuffer> {
  const { dialect = "port", revision = dialect === "port" ? 100 : 1, tasks = 1, files = false } = options;
  const wordSize = options.wordSize ?? (dialect === "port" ? 8 : 4);
  const xstate = options.xstate ?? syntheticXstate(options.hasXsave ?? dialect === "port");
  const format = formatOf({ dialect, wordSize, head: { rev: revision, ...options.head } });
  const vmas = (options.vmas ?? defaultVmas({ ...options, wordSize, dialect })).map((vma): VmaSpec => {
    return { ...vma, pages: (vma.pages ?? []).map((vaddr) => [vaddr, syntheticPage(vaddr)] as const) };
  });
  const hasTree = dialect === "v11" && revision === 3;
  const writer = new ImageWriter(hasTree ? "tree" : "plain");
  writeHead(writer, format, xstate);
  if (hasTree) {
    writer.record("TREE", { tasks_nr: tasks });
    const pids = new Uint8Array(PIDS.size * tasks);
    for (let i = 0; i < tasks; i++) {
      const entry = { vpid: PID + i, vtgid: PID + i, vppid: i === 0 ? 1 : PID, _padding: 0 };
      writeStruct(PIDS, entry, dataView(pids), i * PIDS.size);
    }
    writer.raw(pids);
  }
  for (let pid = PID; pid < PID + tasks; pid++) {
    const { ldt = new Uint8Array(0), tls = new Uint8Array(24) } = options;
    const fsgsbase = { fsbase: 0x405010n };
    const afterLdt = files ? () => writeFiles(writer, pid, 2 * (pid - PID)) : undefined;
    const mm = options.vmas === undefined ? DEFAULT_MM : {};
    const signals = { signals: SIGNALS, actions: ACTIONS };
    writeTask(writer, { pid, mm, vmas, ldt, tls, xstate, fsgsbase, ...signals }, format, afterLdt);
  }
  if (options.unknownType) {
    writer.bytes(undefined, new Uint8Array(24), { type: options.unknownType, parent: PID });
  }
  writer.record("TAIL", { magic: TAIL_MAGIC });
  return writer.finish();
}
