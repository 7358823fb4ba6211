// SPDX-License-Identifier: MIT
/**
 * Sessions of the kernel of 2008 out of the model: what its interfaces would show, and the image that the code as
 * posted would write. They test the judge where no recorded session is at hand; that the model is right, only the
 * recorded ones prove.
 */
import { PAGE_SIZE } from "../../../../lib/abi/arch.ts";
import { pageProt } from "../../../../lib/abi/page_prot.ts";
import { permissionText } from "../../../../lib/abi/vm_flags.ts";
import { blockHash } from "../../../../lib/abi/block_hash.ts";
import { chunkCounts } from "../../../../lib/compare/compare_pages.ts";
import { HEAD_MAGIC, TAIL_MAGIC } from "../../../../lib/image/structs.ts";
import { VMA_TYPE } from "../../../../lib/image/structs.ts";
import { xstateAtRest } from "../../../../lib/image/build_image.ts";
import { writeFiles } from "../../../../lib/image/testing/synthetic_image.ts";
import { ImageWriter } from "../../../../lib/image/image_writer.ts";
import { type CompiledStop, compileScenario } from "../../../../lib/model/compile_scenario.ts";
import { predictedBytes } from "../../../../lib/model/predict_stop.ts";
import type { Scenario } from "../../../../lib/model/scenario.ts";
import { nameBytes } from "../../../../lib/model/state/file_model.ts";
import type { CompileTarget } from "../../../../lib/model/state/model_state.ts";
import type { Session, SessionKernel, SessionStop } from "./session.ts";

const PID = 11;
const SECONDS = 1_228_500_000n;
const STACK = { start: 0xbffeb, end: 0xc0000, pointer: 0xbffffe3cn, begin: 0xbfffff30n };
const VDSO = 0xb7fff;
const BLOCK_END = 0xbffffff4n;
const [RW, ACCOUNT, MAY] = [3n, 0x100000n, 0x70n];
const encoder = new TextEncoder();

/** The target of these sessions: an ELF file with a system call in it, a page of code and one of variables. */
export function syntheticTarget(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(256);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 3, true);
  view.setUint32(28, 52, true);
  view.setUint16(42, 32, true);
  view.setUint16(44, 2, true);
  const segment = (at: number, words: readonly number[]): void =>
    words.forEach((word, i) => view.setUint32(at + 4 * i, word, true));
  // Type, offset, address twice, bytes in the file and in memory, flags.
  segment(52, [1, 0, 0x8048000, 0x8048000, 256, 256, 5]);
  segment(84, [1, 0, 0x8049000, 0x8049000, 0, 0x44000, 6]);
  bytes.set([0xcd, 0x80], 0xc0);
  return bytes;
}

/** A mapping of the synthetic process. */
interface Mapping {
  readonly start: number;
  readonly end: number;
  readonly flags: bigint;
  readonly pgoff: number;
  readonly name: string;
  readonly isFile: boolean;
  readonly pages: ReadonlyMap<number, Uint8Array>;
}

/** Makes a session; the scenario's stops must be checkpoints of the target by itself. */
export function synthesizeSession(scenario: Scenario, kernel: SessionKernel, target: CompileTarget): Session {
  const compiled = compileScenario(scenario, target);
  let calls = 0n;
  const results = compiled.results.map(({ what, expected, bytes, role }) => {
    if (bytes) return { what, bytes };
    const told = role === "break" ? target.heapStart : role === "pid" ? BigInt(PID) : 0n;
    return { what, value: expected ?? (role === "checkpoint" ? ++calls : told) };
  });
  const stops = compiled.stops.map((stop): SessionStop => {
    const brk = results.slice(0, stop.resultsBefore)
      .findLast((_, index) => compiled.results[index]?.role === "break")?.value ?? target.heapStart;
    const maps = mappings(stop, target);
    const gpr = registers(stop);
    const xstate = fpuState(stop);
    return {
      ...{ label: stop.label, pid: PID, scratch: SCRATCH, resumeAddress: 0n, seconds: SECONDS + 1n },
      results: stop.resultsBefore,
      image: imageOf(stop, { maps, gpr, xstate, brk, kernel, target }),
      files: filesOf(stop, { maps, gpr, xstate }),
    };
  });
  return { scenario, kernel, stops, results, end: { kind: "exit", pid: PID, code: 0 } };
}

const SCRATCH = 0x804a000n;
/** The page behind it. */
const VARIABLES = 0x808a;

/** Pages of the program's own, in which nothing is known but that mem shows the same. */
function ownPage(page: number): Uint8Array {
  return Uint8Array.from({ length: PAGE_SIZE }, (_, i) => (page * 31 + (i >> 6)) & 0xff);
}

function mappings({ prediction }: CompiledStop, { heapStart }: CompileTarget): Mapping[] {
  const heap = Number(heapStart) / PAGE_SIZE;
  const own = (page: number): ReadonlyMap<number, Uint8Array> => new Map([[page, ownPage(page)]]);
  const text = { start: 0x8048, end: 0x8049, flags: 0x8001875n, pgoff: 0, name: "/target", isFile: true };
  const areas = prediction.areas.map((area): Mapping => {
    const isFile = area.path !== undefined;
    const pages = new Map<number, Uint8Array>();
    for (let page = area.start; page < area.end; page++) {
      const written = prediction.pages.get(page);
      if (written) pages.set(page, predictedBytes(written));
      // Every seventh page was read, which makes one of zeros.
      else if (!isFile && page % 7 === 0) pages.set(page, new Uint8Array(PAGE_SIZE));
    }
    const { start, end, flags, pgoff, path = "" } = area;
    return { start, end, flags, pgoff, name: path, isFile, pages };
  });
  const locked = prediction.locksOwnMemory ? 0x2000n : 0n;
  const flags = RW | MAY | ACCOUNT | locked;
  const bss = { start: 0x8049, end: heap, flags, pgoff: 0x8049, name: "[heap]", isFile: false };
  // What brk adds becomes one with .bss while it is alike.
  const merged = areas.slice(
    0,
    areas.findIndex((area, i) => area.flags !== flags || area.start !== (areas[i - 1]?.end ?? heap)),
  );
  const others = areas.filter((area) => !merged.includes(area));
  const end = merged.at(-1)?.end ?? heap;
  return [
    { ...text, flags: text.flags | locked, pages: new Map() },
    {
      ...bss,
      end,
      pages: new Map([...own(0x804a), ...own(VARIABLES), ...merged.flatMap(({ pages }) => [...pages])]),
    },
    ...others,
    {
      start: VDSO,
      end: VDSO + 1,
      flags: 0x4040075n,
      pgoff: VDSO,
      name: "[vdso]",
      isFile: false,
      pages: new Map(),
    },
    {
      ...{ start: STACK.start, end: STACK.end, flags: flags | 0x100n, pgoff: STACK.start },
      ...{ name: "[stack]", isFile: false, pages: own(STACK.end - 1) },
    },
  ];
}

/** struct user_regs_struct of i386 at the stop. */
function registers({ prediction }: CompiledStop): Uint8Array {
  const selector = (name: "fs" | "gs"): number => Number(prediction.registers.general.get(name) ?? 0n);
  const words = [
    PID,
    19,
    0,
    0,
    0,
    0,
    0,
    0x7b,
    0x7b,
    selector("fs"),
    selector("gs"),
    37,
    0x80480c2,
    0x73,
    0x296,
  ];
  return new Uint8Array(Uint32Array.from([...words, Number(STACK.pointer) - 32, 0x7b]).buffer);
}

function fpuState({ prediction }: CompiledStop): Uint8Array | undefined {
  if (!prediction.usedFpu) return undefined;
  const bytes = xstateAtRest(false);
  for (const part of prediction.registers.xstate) bytes.set(part.bytes, part.offset);
  return bytes;
}

interface Parts {
  readonly maps: readonly Mapping[];
  readonly gpr: Uint8Array;
  readonly xstate: Uint8Array | undefined;
}

function filesOf({ prediction }: CompiledStop, { maps, gpr, xstate }: Parts): Map<string, Uint8Array> {
  const lines = maps.map(mapsLine);
  const smaps = maps.map((mapping, index) => lines[index]! + sizes(mapping));
  const zeros = (count: number): string => "0 ".repeat(count);
  const stat = `${PID} (target) T 1 ${zeros(21)}134512640 134512896 ${STACK.begin} ${zeros(9)}17 ${zeros(6)}`;
  const files = new Map<string, Uint8Array>();
  const put = (name: string, content: string | Uint8Array): void => {
    files.set(name, typeof content === "string" ? encoder.encode(content) : content);
  };
  put("maps", byteText(lines.join("")));
  put("smaps", byteText(smaps.join("")));
  put("stat", `${stat.trimEnd()}\n`);
  put("status", "State:\tT (stopped)\n");
  put("auxv", new Uint8Array(Uint32Array.of(6, PAGE_SIZE, 31, Number(BLOCK_END), 0, 0).buffer));
  put("cmdline", "/target\0");
  put("environ", "");
  put("pagemap", pagemapOf(maps));
  put("pages", digestsOf(maps));
  put("ptrace.gpr", gpr);
  put("ptrace.debugreg", new Uint8Array(32));
  put("ptrace.tls", tlsOf(prediction.tls));
  if (xstate) put("ptrace.fpxregs", xstate);
  return files;
}

/** Text of one character a byte. */
function byteText(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function mapsLine({ start, end, flags, pgoff, name, isFile }: Mapping): string {
  const hex = (page: number): string => (page * PAGE_SIZE).toString(16).padStart(8, "0");
  const shown = Array.from(nameBytes(name), (byte) => byte === 10 ? "\\012" : String.fromCharCode(byte)).join(
    "",
  );
  const place = `${hex(start)}-${hex(end)} ${permissionText(flags)} ${hex(pgoff)} 00:0${
    isFile ? "1 18" : "0 0"
  } `;
  return `${place.padEnd(49)}${shown}\n`;
}

function sizes(mapping: Mapping): string {
  const [present, own] = [presentPages(mapping).length * 4, mapping.pages.size * 4];
  return `Rss: ${present} kB\nPrivate_Clean: ${present - own} kB\nPrivate_Dirty: ${own} kB\nSwap: 0 kB\n`;
}

/** The pages that are there; of a file the first clean one, too. */
function presentPages({ start, end, pages, isFile, name }: Mapping): number[] {
  let hasClean = isFile && name !== "/dev/zero";
  const present: number[] = [];
  for (let page = start; page < end; page++) {
    if (pages.has(page)) present.push(page);
    else if (hasClean) {
      present.push(page);
      hasClean = false;
    }
  }
  return present;
}

function pagemapOf(maps: readonly Mapping[]): Uint8Array {
  const words = maps.flatMap((mapping) => {
    const present = new Set(presentPages(mapping));
    return Array.from({ length: mapping.end - mapping.start }, (_, i) => mapping.start + i)
      .flatMap((
        page,
      ) => [BigInt(page * PAGE_SIZE), present.has(page) ? BigInt(page & 0xffff | 0x10000) : 0n]);
  });
  return new Uint8Array(BigUint64Array.from(words).buffer);
}

function digestsOf(maps: readonly Mapping[]): Uint8Array {
  const words = maps.flatMap((mapping) =>
    presentPages(mapping).flatMap((page) => {
      const content = mapping.pages.get(page)?.slice() ?? new Uint8Array(PAGE_SIZE);
      // These the target changes between its call and the stop.
      if (page === VARIABLES || page === STACK.end - 1) content[0]! ^= 1;
      return [BigInt(page * PAGE_SIZE), 0n, 0n, 0n, blockHash(content)];
    })
  );
  return new Uint8Array(BigUint64Array.from(words).buffer);
}

/** What PTRACE_GET_THREAD_AREA makes of descriptors (fill_user_desc, arch/x86/kernel/tls.c). */
function tlsOf(array: Uint8Array): Uint8Array {
  const words = [0, 8, 16].flatMap((at) => {
    const [b0, b1, b2, b3, b4, b5, b6, b7] = array.subarray(at, at + 8) as unknown as number[];
    const isWritable = (b5! & 2) !== 0;
    const bits = (b6! >> 6 & 1) | (b5! >> 2 & 3) << 1 | (isWritable ? 0 : 1) << 3 | (b6! >> 7) << 4 |
      (b5! & 0x80 ? 0 : 1) << 5 | (b6! >> 4 & 1) << 6;
    return [6 + at / 8, b2! | b3! << 8 | b4! << 16 | b7! << 24, b0! | b1! << 8 | (b6! & 15) << 16, bits];
  });
  return new Uint8Array(Uint32Array.from(words).buffer);
}

interface ImageParts extends Parts {
  readonly brk: bigint;
  readonly kernel: SessionKernel;
  readonly target: CompileTarget;
}

function imageOf(stop: CompiledStop, parts: ImageParts): Uint8Array<ArrayBuffer> {
  const { prediction: { refusal, ldt, tls } } = stop;
  const { maps, kernel } = parts;
  const { revision = 1 } = kernel;
  const writer = new ImageWriter(revision === 3 ? "tree" : "plain");
  if (refusal && refusal.atPage === undefined) return writer.finish();
  writeHead(writer, kernel);
  const mm = mmFields(parts);
  writer.record("MM", { ...mm, map_count: maps.length }, { parent: PID });
  for (const [index, mapping] of maps.entries()) {
    const isRefused = refusal !== undefined && mapping.end > (refusal.atPage ?? 0) &&
      (!refusal.afterRecord || mapping.isFile);
    if (isRefused && !refusal.afterRecord) return writer.finish();
    writeVma(writer, mapping, index === 0 ? maps.length : 0);
    if (isRefused) return writer.finish();
    if (mapping.isFile) writer.bytes("FNAME", Uint8Array.from([...nameBytes(mapping.name), 0]));
    writePages(writer, mapping);
  }
  const ntls = [0, 8, 16].filter((at) => tls.subarray(at, at + 8).some((byte) => byte !== 0)).length;
  writer.record("MM_CONTEXT", { ldt_entry_size: 8, nldt: ldt.length / 8 });
  writer.raw(ldt);
  if (revision > 1) writeFiles(writer, PID);
  writer.record("THREAD", { gdt_entry_tls_entries: 3, sizeof_tls_array: 24, ntls }, { parent: PID });
  if (ntls > 0) writer.raw(tls);
  const last = maps.at(-1)!;
  writer.record("CPU", {
    ...{ r15: 3n | 24n << 16n | BigInt(ntls) << 32n, r14: BigInt(last.start * PAGE_SIZE) },
    ...{ r13: BigInt(last.end * PAGE_SIZE), r12: 0x25n, r11: mm.brk, r10: mm.start_stack },
    ...{ r9: mm.arg_start, r8: mm.arg_end, bx: stop.passesZero ? 0n : BigInt(PID), cx: 6n, orig_ax: 333n },
    ...{ ip: 0x80480c2n, cs: 0x73n, flags: 0x296n, sp: STACK.pointer, ss: 0x7bn, ds: 0x7bn, es: 0x7bn },
    ...{ fs: 0x7b00000000n, gs: 0x7b00000000n | BigInt(new DataView(parts.gpr.buffer).getUint16(40, true)) },
    ...{ debugreg6: 0xffff0ff0n, debugreg7: 0x400n, used_math: parts.xstate ? 1 : 0 },
  }, { parent: PID });
  if (parts.xstate) writer.raw(Uint8Array.from([...parts.xstate, 3, ...new Uint8Array(63)]));
  writer.record("TAIL", { magic: TAIL_MAGIC });
  return writer.finish();
}

function writeHead(
  writer: ImageWriter,
  { release, version, machine, revision = 1 }: SessionKernel,
): void {
  const field = (text: string): Uint8Array => {
    const bytes = new Uint8Array(64);
    encoder.encodeInto(text, bytes);
    return bytes;
  };
  writer.record("HEAD", {
    ...{ magic: HEAD_MAGIC, major: 2, minor: 6, patch: 28, rev: revision, time: SECONDS, flags: 1n },
    ...{ release: field(release), version: field(version), machine: field(machine) },
  });
  writer.record("HEAD_ARCH", { has_fxsr: 1, has_xsave: 1, xstate_size: 576, _padding: 0xfe });
  if (revision === 3) {
    writer.record("TREE", { tasks_nr: 1 });
    writer.raw(new Uint8Array(Uint32Array.of(PID, PID, 1, 0).buffer));
  }
  writer.record("TASK", { exit_signal: 17, task_comm_len: 16, _padding: Number(SECONDS >> 32n) });
  writer.text("STRING", "target", 16);
}

function mmFields({ brk, target: { program, heapStart } }: ImageParts) {
  return {
    ...{ start_code: 0x8048000n, end_code: 0x8048100n, start_brk: heapStart, brk },
    ...{ start_data: program!.startData, end_data: program!.endData, start_stack: STACK.begin },
    ...{ arg_start: BLOCK_END - 8n, arg_end: BLOCK_END, env_start: BLOCK_END, env_end: BLOCK_END },
  };
}

function writeVma(writer: ImageWriter, mapping: Mapping, stale: number): void {
  const { start, end, flags, pgoff, isFile } = mapping;
  writer.record("VMA", {
    ...{
      vma_type: isFile ? VMA_TYPE.FILE : VMA_TYPE.ANON,
      _padding: stale,
      vm_flags: flags,
      vm_pgoff: BigInt(pgoff),
    },
    ...{ vm_start: BigInt(start * PAGE_SIZE), vm_end: BigInt(end * PAGE_SIZE) },
    vm_page_prot: pageProt(flags, { series: "2.6.28", arch: "i386" }),
  });
}

function writePages(writer: ImageWriter, { pages, end }: Mapping): void {
  const numbers = [...pages.keys()].sort((a, b) => a - b);
  let done = 0;
  for (const count of chunkCounts(numbers, end, { dialect: "v11", arch: "i386" })) {
    const chunk = numbers.slice(done, count);
    writer.record("PGARR", { nr_pages: BigInt(count) });
    writer.raw(new Uint8Array(Uint32Array.from(chunk, (page) => page * PAGE_SIZE).buffer));
    for (const page of chunk) writer.raw(pages.get(page)!);
    done = count;
  }
  writer.record("PGARR", { nr_pages: 0n });
}
