// SPDX-License-Identifier: MIT
import {
  PAGE_SIZE,
  PAGE_SIZE_BIG,
  pagesPerChunk,
  TASK_COMM_LENGTH,
  TLS_ENTRIES,
  type WordSize,
} from "../abi/arch.ts";
import { AT_NULL, AT_PAGESZ } from "../abi/auxv.ts";
import { type Dialect, kernelSeries } from "../abi/series.ts";
import { pageProt } from "../abi/page_prot.ts";
import { SIGNALS, SS } from "../abi/signals.ts";
import { AVX_COMPONENT, FXSAVE_FIELDS, FXSAVE_SIZE, XSAVE_HEADER } from "../x86/xstate.ts";
import { TLS_ARRAY_SIZE } from "./counted_block.ts";
import { FIRST_PORT_REVISION, type ImageFormat } from "./dialect.ts";
import { ImageWriter, type WrittenFields } from "./image_writer.ts";
import { HEAD_MAGIC, TAIL_MAGIC, VMA_TYPE } from "./structs.ts";
import { dataView } from "../bytes.ts";

/** A mapping to be built. */
export interface VmaSpec {
  /** First address. */
  readonly start: bigint;
  /** First address after it. */
  readonly end: bigint;
  /** vm_flags, from which vm_page_prot follows; {@linkcode RW_FLAGS} when left out. */
  readonly flags?: bigint;
  /** vma_type; that of a file when it has a name, else anonymous. */
  readonly type?: number;
  /** Name of the file that it maps. */
  readonly name?: string;
  /** vm_pgoff; of anonymous memory the number of its first page when left out, else 0. */
  readonly pgoff?: bigint;
  /** The pages that it has, ascending. */
  readonly pages?: Iterable<readonly [address: bigint, contents: Uint8Array]>;
  /** Chunks as (nr_pages, pages that follow) instead of what the dialect makes of `pages`: of broken images. */
  readonly chunks?: readonly (readonly [nrPages: bigint, count: number])[];
  /** Leave out the PGARR of 0 pages that ends it: of broken images. */
  readonly open?: boolean;
}

/** A task to be built. */
export interface TaskSpec {
  /** Its pid; 321 when left out. */
  readonly pid?: number;
  /** Its name; "target" when left out. */
  readonly comm?: string;
  /** Fields of TASK: stopped when left out. */
  readonly task?: WrittenFields<"TASK">;
  /** Fields of MM: what follows from the mappings when left out. */
  readonly mm?: WrittenFields<"MM">;
  /** Its mappings, ascending; a small program when left out. */
  readonly vmas?: readonly VmaSpec[];
  /** Descriptors of the LDT, each 8 bytes. */
  readonly ldt?: Uint8Array;
  /** The three TLS descriptors, 24 bytes. */
  readonly tls?: Uint8Array;
  /** Registers: what runs the first code that is mapped, with the stack that is mapped, when left out. */
  readonly registers?: WrittenFields<"CPU">;
  /** FPU state; at rest when left out. */
  readonly xstate?: Uint8Array;
  /** Bases of fs and gs, on an x86-64 kernel. */
  readonly fsgsbase?: WrittenFields<"X86_FSGSBASE">;
  /** The port's auxiliary vector: words of the kernel, up to and with AT_NULL; page size alone when left out. */
  readonly auxv?: readonly bigint[];
  /** The port's mask of signals and stack for them; nothing blocked and no stack when left out. */
  readonly signals?: WrittenFields<"SIGNALS">;
  /** What signals do, ascending; all as by default when left out. */
  readonly actions?: readonly WrittenFields<"SIGACTION">[];
}

/** An image to be built. */
export interface ImageSpec extends TaskSpec {
  /** port when left out. */
  readonly dialect?: Dialect;
  /** Bytes of a page address: 8 for the port, 4 for v11 when left out. */
  readonly wordSize?: WordSize;
  /** Fields of HEAD: a kernel of the dialect when left out. */
  readonly head?: WrittenFields<"HEAD">;
  /** The CPU has XSAVE: so in the port when left out. */
  readonly hasXsave?: boolean;
}

/** Flags of an ordinary private mapping: READ WRITE MAYREAD MAYWRITE MAYEXEC ACCOUNT. */
export const RW_FLAGS = 0x10_0073n;
const WRITE = 2n;
const EXEC = 4n;

/** What all records depend on. */
interface Format extends ImageFormat {
  readonly head: WrittenFields<"HEAD">;
}

function text64(text: string): Uint8Array {
  const bytes = new Uint8Array(64);
  new TextEncoder().encodeInto(text, bytes);
  return bytes;
}

/** The format of an image to be built, with all defaults. */
export function formatOf({ dialect = "port", head, ...spec }: ImageSpec): Format {
  const isPort = dialect === "port";
  const wordSize = spec.wordSize ?? (isPort ? 8 : 4);
  const version = isPort ? { major: 6, minor: 1, patch: 192 } : { major: 2, minor: 6, patch: 28 };
  const { major, minor, patch } = { ...version, ...head };
  const texts = {
    release: text64(`${major}.${minor}.${patch}${isPort ? "" : "-rc7"}`),
    version: text64("#1 Fri Dec 5 12:00:00 UTC 2008"),
    machine: text64(wordSize === 8 ? "x86_64" : "i686"),
  };
  const rest = { magic: HEAD_MAGIC, rev: isPort ? FIRST_PORT_REVISION : 1, time: 1_228_478_400n, flags: 1n };
  return { dialect, wordSize, head: { ...version, ...texts, ...rest, ...head } };
}

/** An FPU state at rest: FXSAVE, or XSAVE in the form of the regset with x87, SSE and AVX enabled. */
export function xstateAtRest(hasXsave: boolean): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(hasXsave ? AVX_COMPONENT.offset + AVX_COMPONENT.size : FXSAVE_SIZE);
  const view = dataView(bytes);
  view.setUint16(FXSAVE_FIELDS.fcw.offset, 0x37f, true);
  view.setUint32(FXSAVE_FIELDS.mxcsr.offset, 0x1f80, true);
  view.setUint32(FXSAVE_FIELDS.mxcsrMask.offset, 0xffff, true);
  if (hasXsave) {
    view.setBigUint64(FXSAVE_FIELDS.software.offset, 7n, true);
    view.setBigUint64(XSAVE_HEADER.offset, 2n, true);
  }
  return bytes;
}

/** A program of one page of code and one of data, with a stack. */
function smallProgram(wordSize: WordSize): readonly VmaSpec[] {
  const top = wordSize === 8 ? 0x7fff_ffff_f000n : 0xc000_0000n;
  const data = new Uint8Array(PAGE_SIZE);
  return [
    { start: 0x400000n, end: 0x401000n, flags: 0x75n, name: "/bin/target" },
    { start: 0x401000n, end: 0x402000n, name: "/bin/target", pgoff: 1n, pages: [[0x401000n, data]] },
    { start: top - 0x2_1000n, end: top, flags: RW_FLAGS | 0x100n, pages: [[top - 0x1000n, data]] },
  ];
}

/** Where the parts of a program are, as far as its mappings tell. */
function areasOf(vmas: readonly VmaSpec[]): WrittenFields<"MM"> {
  const has = (bit: bigint) => ({ flags = RW_FLAGS }: VmaSpec): boolean => (flags & bit) !== 0n;
  const code = vmas.find(has(EXEC));
  const data = vmas.find(has(WRITE));
  const stack = vmas.findLast(has(WRITE));
  const [text, bytes] = [code ?? { start: 0n, end: 0n }, data ?? { start: 0n, end: 0n }];
  const base = stack && stack.end - PAGE_SIZE_BIG;
  return {
    ...{ start_code: text.start, end_code: text.end, start_data: bytes.start, end_data: bytes.end },
    ...{ start_brk: bytes.end, brk: bytes.end },
    ...base && {
      ...{ start_stack: base + 0x230n, arg_start: base + 0x400n, arg_end: base + 0x410n },
      ...{ env_start: base + 0x410n, env_end: base + 0x480n },
    },
  };
}

/** As posted: 4 * TOTAL pages first, then TOTAL by TOTAL, headers counting on; port: full chunks. */
function chunksOf(count: number, { wordSize, dialect }: Format): [bigint, number][] {
  const chunks: [bigint, number][] = [];
  for (let done = 0; done < count;) {
    const most = done === 0 || dialect === "port" ? pagesPerChunk(wordSize) : PAGE_SIZE / wordSize;
    const pages = Math.min(most, count - done);
    done += pages;
    chunks.push([BigInt(dialect === "v11" ? done : pages), pages]);
  }
  return chunks;
}

function protOf({ flags = RW_FLAGS }: VmaSpec, { head, wordSize }: Format): bigint {
  const series = kernelSeries(head.major ?? 0, head.minor ?? 0, head.patch ?? 0) ?? "6.1";
  return pageProt(flags, { series, arch: wordSize === 8 ? "x86_64" : "i386" });
}

function writeVma(writer: ImageWriter, vma: VmaSpec, format: Format, padding: number): void {
  const { start, end, flags = RW_FLAGS, name } = vma;
  const type = vma.type ?? (name === undefined ? VMA_TYPE.ANON : VMA_TYPE.FILE);
  const pgoff = vma.pgoff ?? (type === VMA_TYPE.ANON ? start / PAGE_SIZE_BIG : 0n);
  const prot = protOf(vma, format);
  const fields = { vm_start: start, vm_end: end, vm_flags: flags, vm_page_prot: prot, vm_pgoff: pgoff };
  writer.record("VMA", { ...fields, vma_type: type, _padding: padding });
  if (name !== undefined) writer.text("FNAME", name);
  const pages = [...vma.pages ?? []];
  let done = 0;
  for (const [nrPages, count] of vma.chunks ?? chunksOf(pages.length, format)) {
    writer.record("PGARR", { nr_pages: nrPages });
    const chunk = pages.slice(done, done + count);
    writer.pages(chunk.map(([address]) => address), chunk.map(([, contents]) => contents), format.wordSize);
    done += count;
  }
  if (vma.open !== true) writer.record("PGARR", { nr_pages: 0n });
}

/** HEAD and HEAD_ARCH. */
export function writeHead(writer: ImageWriter, format: Format, xstate: Uint8Array): void {
  writer.record("HEAD", format.head);
  const has_xsave = xstate.length > FXSAVE_SIZE ? 1 : 0;
  // As posted, the upper two bytes of HEAD's magic are left there.
  const _padding = format.head.rev === 1 ? 0xfe : 0;
  writer.record("HEAD_ARCH", { has_fxsr: 1, has_xsave, xstate_size: xstate.length, _padding });
}

/**
 * All records of a task.
 *
 * @param afterLdt writes what stands between the LDT and THREAD: open files, of patch 8
 */
export function writeTask(writer: ImageWriter, spec: TaskSpec, format: Format, afterLdt?: () => void): void {
  const { pid = 321, comm = "target", vmas = smallProgram(format.wordSize), ldt, tls } = spec;
  const isPort = format.dialect === "port";
  const isWide = format.wordSize === 8;
  const parent = { parent: pid };
  writer.record("TASK", {
    ...{ state: isPort ? 0x104 : 0, exit_signal: SIGNALS.SIGCHLD, task_comm_len: TASK_COMM_LENGTH },
    ...spec.task,
  });
  writer.text("STRING", comm, TASK_COMM_LENGTH);
  const mm = { map_count: vmas.length, ...areasOf(vmas), ...spec.mm };
  writer.record("MM", mm, parent);
  // As posted, each record is made where the one before was: see rules/as_posted_rules.ts.
  const isStale = format.head.rev === 1;
  vmas.forEach((vma, i) => writeVma(writer, vma, format, isStale && i === 0 ? mm.map_count : 0));
  writer.record("MM_CONTEXT", { ldt_entry_size: 8, nldt: (ldt?.length ?? 0) / 8 });
  if (ldt !== undefined) writer.raw(ldt);
  afterLdt?.();
  const entries = Array.from({ length: TLS_ENTRIES }, (_, i) => tls?.subarray(8 * i, 8 * i + 8));
  const ntls = entries.filter((entry) => entry?.some((byte) => byte !== 0)).length;
  const thread = { gdt_entry_tls_entries: TLS_ENTRIES, sizeof_tls_array: TLS_ARRAY_SIZE, ntls };
  writer.record("THREAD", thread, parent);
  if (ntls > 0 && tls !== undefined) writer.raw(tls);
  const last = vmas.at(-1);
  const stale: WrittenFields<"CPU"> = isStale && last
    ? {
      ...{
        r15: 3n | (24n << 16n) | (BigInt(ntls) << 32n),
        r14: last.start,
        r13: last.end,
        r12: protOf(last, format),
      },
      ...{ r11: mm.brk ?? 0n, r10: mm.start_stack ?? 0n, r9: mm.arg_start ?? 0n, r8: mm.arg_end ?? 0n },
    }
    : {};
  writer.record("CPU", {
    ...stale,
    ...{
      orig_ax: isPort ? 62n : 333n,
      ip: mm.start_code ? mm.start_code + 0x123n : 0n,
      sp: mm.start_stack ?? 0n,
    },
    ...{ cs: isWide ? 0x33n : 0x73n, ss: isWide ? 0x2bn : 0x7bn, flags: 0x246n },
    ...{ debugreg6: 0xffff_0ff0n, used_math: 1 },
    ...spec.registers,
  }, parent);
  writer.raw(spec.xstate ?? xstateAtRest(isPort));
  if (isPort && isWide) writer.record("X86_FSGSBASE", spec.fsgsbase ?? {}, parent);
  if (isPort) {
    const words = spec.auxv ?? [AT_PAGESZ, PAGE_SIZE_BIG, AT_NULL, 0n];
    const { buffer } = isWide ? BigUint64Array.from(words) : Uint32Array.from(words, Number);
    writer.bytes("AUXV", new Uint8Array(buffer), parent);
    const { signals, actions = [] } = spec;
    const common = { sas_ss_flags: SS.DISABLE, nactions: actions.length };
    writer.record("SIGNALS", { ...common, ...signals }, parent);
    for (const action of actions) writer.record("SIGACTION", action, parent);
  }
}

/**
 * Builds an image that keeps every rule of its dialect, unless what is asked for breaks one.
 *
 * @throws {RangeError} {TypeError} for a value that a field cannot hold
 */
export function buildImage(spec: ImageSpec = {}): Uint8Array<ArrayBuffer> {
  const format = formatOf(spec);
  const xstate = spec.xstate ?? xstateAtRest(spec.hasXsave ?? format.dialect === "port");
  const writer = new ImageWriter();
  writeHead(writer, format, xstate);
  writeTask(writer, { ...spec, xstate }, format);
  writer.record("TAIL", { magic: TAIL_MAGIC });
  return writer.finish();
}
