// SPDX-License-Identifier: MIT

import { PAGE_SIZE_BIG, pagesPerChunk } from "../../abi/arch.ts";
import { type Dialect, type KernelSeries, POSTED_SERIES } from "../../abi/series.ts";
import { DebugRegisters } from "../../x86/debug_registers.ts";
import { LdtModel } from "../../x86/ldt_model.ts";
import { TlsModel } from "../../x86/tls_model.ts";
import type { Merged } from "../../schema.ts";
import type { SetupStep } from "../fields.ts";
import type { Area } from "./area.ts";
import { AddressSpace } from "./address_space.ts";
import { DEVICES, FileModel } from "./file_model.ts";
import { PROT, PROTECTION_KEY_SHIFT, vmFlagsOfMmap } from "./vm_flag_rules.ts";
import { type AreaRun, type PageCount, pageCount, type PageRun, pageRuns, type PageSet } from "./page_set.ts";
import type { RegisterPrediction, XstatePart } from "./register_block.ts";
import { SignalState } from "./signal_state.ts";

/** What the file of the target program tells of a process that runs it (load_elf_binary, fs/binfmt_elf.c). */
export interface ProgramFacts {
  /** Start of the last loaded segment: mm->start_data. */
  readonly startData: bigint;
  /** End of its bytes in the file: mm->end_data. */
  readonly endData: bigint;
  /** End of all that is loaded, .bss included, page aligned: mm->start_brk where addresses are not randomised. */
  readonly startBrk: bigint;
  /** Where its first instruction lies in the file. */
  readonly entryOffset: number;
  /** Addresses right behind the instructions that make system calls. */
  readonly syscallReturns: ReadonlySet<bigint>;
}

/** What steps are compiled for. */
export interface CompileTarget {
  /** Word size of the kernel: size of a page address in an image. */
  readonly kernelWordSize: 4 | 8;
  /** Word size of the target program. */
  readonly targetWordSize: 4 | 8;
  /** Where the target's heap starts: the end of its .bss, page aligned. */
  readonly heapStart: bigint;
  /** First address above the target's stack. */
  readonly stackTop: bigint;
  /** Number of the checkpoint system call. */
  readonly checkpointNr: number;
  /** Which kernel runs it; 6.1 when not given. */
  readonly series?: KernelSeries;
  /** Whether its memory gets huge pages unless a scenario's setup says otherwise. */
  readonly hasHugePages?: boolean;
  /** Whose kernel code answers the call; `port` when not given. */
  readonly dialect?: Dialect;
  /** What the file of the target program tells; nothing where it is not known. */
  readonly program?: ProgramFacts;
}

/** Who a target is for those who want to look into it (ptrace_may_access, kernel/ptrace.c). */
interface Credentials {
  /** The only user and group it has. */
  readonly uid: number;
  readonly gid: number;
  /** Whether its owner may look. */
  readonly dumpable: boolean;
}

/** A named range of pages; its pages are numbered from `start` whatever becomes of them. */
interface NamedRange {
  readonly start: number;
  readonly pages: number;
}

const GAP_PAGES = 16;
const HUGE_PAGE_SWITCH = "/sys/kernel/mm/transparent_hugepage/enabled";
const PTRACE_SCOPE = "/proc/sys/kernel/yama/ptrace_scope";

/** The subject task as the steps so far have made it. */
export class ModelState {
  space: AddressSpace;
  ldt: LdtModel;
  tls: TlsModel;
  readonly files = new Map<string, FileModel>();
  /** Second names of files. */
  readonly links = new Set<string>();
  names = new Map<string, NamedRange>();
  readonly target: CompileTarget;
  readonly pagesPerChunk: number;
  /** Set when the subject is multi-threaded or shares its memory, which the kernel code refuses. */
  sharedWith: "thread" | "process" | undefined;
  /** Set while the ring of an AIO context is mapped. */
  hasAioRing = false;
  /** Set once the thread that leads the target has ended: another one carries out the steps. */
  hasNoLeader = false;
  /** Set once the subject is a child of the target. */
  isForked = false;
  /** Flags that every new area gets (mm->def_flags), and whether it is then populated: mlockall(MCL_FUTURE). */
  defaultFlags = 0n;
  /** Whether mlockall(MCL_CURRENT) has locked what no step made: program, stack and heap. */
  locksOwnMemory = false;
  /** Whether the LDT is that of a program before exec, as Linux 2.6.28 keeps it. */
  keepsLdt = false;
  /** How many protection keys the target has taken; a child has them too, a new program does not. */
  protectionKeys = 0;
  /** Those that it may not use the memory of. */
  forbiddenKeys = new Set<bigint>();
  /** What the FPU holds, once a stop has loaded registers; undefined while the target has not used it. */
  fpu: readonly XstatePart[] | undefined;
  /** Pages from the start of the heap to the program break. */
  heapPages = 0;
  /** Set once the root directory is another than that of the target's own program. */
  hasOtherRoot = false;
  /** What mounts have hidden, by the path that they are at; the last one of a path is on top. */
  readonly mounts: { readonly path: string; readonly hidden: readonly FileModel[] }[] = [];
  /** Set once the target has a mount namespace of its own. */
  hasOwnMounts = false;
  /** The root directory's path as the agent sees it; empty for the agent's own. */
  root = "";
  /** The working directory's path. */
  workingDirectory = "/work";
  /** What the registers hold at the next stop, where a step set them, and the block that the target loads. */
  registers: (RegisterPrediction & { readonly block: Uint8Array }) | undefined;
  /** Selectors that were loaded and stay. */
  selectors = new Map<"fs" | "gs" | "ds" | "es", number>();
  /** The debug registers as tracers have left them. */
  debug: DebugRegisters;
  /** Pages outside of all areas that a debugger wrote to, by place and page. */
  copied = new Map<string, { readonly place: "vdso" | "text"; readonly offset: number }>();
  /** The swap device, if there is one for MADV_PAGEOUT to write to. */
  readonly swap: "ram" | "loop" | undefined;
  /** Whether a uprobe stands where the target's program starts. */
  readonly isProbed: boolean;
  /** Whether Yama (security/yama/yama_lsm.c) lets nobody attach who is neither privileged nor an ancestor. */
  readonly isPtraceRestricted: boolean;
  /** What it does about signals. */
  signals = new SignalState();
  /** Who the target is. */
  credentials: Credentials = { uid: 0, gid: 0, dumpable: true };
  #next: number;
  readonly #end: number;
  #nextLow = 0x20000;

  constructor(target: CompileTarget, setup: readonly SetupStep[] = []) {
    this.target = target;
    const { swap, uid, gid }: Merged<SetupStep> = Object.assign({}, ...setup);
    this.swap = swap;
    if (uid !== undefined && gid !== undefined) this.credentials = { uid, gid, dumpable: true };
    const settings = new Map(setup.flatMap((step) => "write" in step ? [[step.write, step.value]] : []));
    const policy = settings.get(HUGE_PAGE_SWITCH) ?? (target.hasHugePages ? "always" : "never");
    const huge = (["madvise", "always"] as const).find((word) => policy === word);
    this.isPtraceRestricted = Number(settings.get(PTRACE_SCOPE) ?? 0) > 0;
    this.space = new AddressSpace({ huge, readsMakePages: target.series === POSTED_SERIES });
    this.space.bss = this.#bss();
    this.pagesPerChunk = pagesPerChunk(target.kernelWordSize);
    const wide = target.targetWordSize === 8;
    this.#next = wide ? 0x1000000 : 0x20000;
    this.#end = wide ? 0x7000000 : 0xa0000;
    const { kernelWordSize: wordSize } = target;
    const { dialect = "port" } = target;
    this.ldt = new LdtModel({ dialect, wordSize, compat: wordSize !== target.targetWordSize });
    this.isProbed = setup.some((step) => "write" in step && step.value.includes("{entry}"));
    this.debug = this.#debugAtEntry(new DebugRegisters(wordSize));
    this.tls = new TlsModel({ firstSlot: wordSize === 8 ? 12 : 6, wordSize, dialect });
  }

  /** Runs something on a copy of what fork copies, and forgets what it did to the copy. */
  inCopy(run: () => void): void {
    const before = { ...this };
    this.space = this.space.clone();
    this.ldt = this.ldt.fork();
    this.tls = this.tls.fork();
    this.copied = new Map(this.copied);
    this.names = new Map(this.names);
    this.selectors = new Map(this.selectors);
    this.forbiddenKeys = new Set(this.forbiddenKeys);
    this.signals = this.signals.clone();
    run();
    Object.assign(this, before);
  }

  /** A uprobe at the program's first instruction carries it out by a single step. */
  #debugAtEntry(registers: DebugRegisters): DebugRegisters {
    if (this.isProbed) registers.step();
    return registers;
  }

  /** The last page of .bss as exec makes it: the target has written to it since. */
  #bss(): Area {
    const end = Number(this.target.heapStart / PAGE_SIZE_BIG);
    const flags = vmFlagsOfMmap({ prot: PROT.r | PROT.w, flags: [], readOnlyFile: false });
    return { label: ".bss", start: end - 1, end, flags, pgoff: end - 1, hasAnonVma: true };
  }

  /** execve(2): a new address space without an LDT and TLS entries; files and directories stay. */
  exec(): void {
    this.space = this.space.empty();
    this.space.bss = this.#bss();
    this.ldt = this.ldt.exec();
    this.keepsLdt = this.ldt.nrEntries > 0;
    this.tls = this.tls.exec();
    this.signals.exec();
    this.debug = this.#debugAtEntry(this.debug.exec());
    this.copied.clear();
    this.names.clear();
    this.sharedWith = undefined;
    this.hasAioRing = false;
    this.credentials = { ...this.credentials, dumpable: true };
    this.defaultFlags = 0n;
    this.locksOwnMemory = false;
    this.fpu = undefined;
    this.protectionKeys = 0;
    this.forbiddenKeys = new Set();
    this.heapPages = 0;
    this.registers = undefined;
    this.selectors.clear();
    this.hasOtherRoot = false;
  }

  /** Whether the target's protection keys let it use an area. */
  mayUse({ flags }: Area): boolean {
    return !this.forbiddenKeys.has(flags >> PROTECTION_KEY_SHIFT & 15n);
  }

  /** Pages of a new area. @throws {RangeError} when there are none: the call would fail (EINVAL) */
  areaPages(text: PageCount): number {
    const pages = this.pageCount(text);
    if (pages === 0) throw new RangeError("an area has at least one page: to map 0 pages fails (EINVAL)");
    return pages;
  }

  /** Picks the pages for a new area: after a gap, right after another area, or aligned. */
  place(
    pages: number,
    options: {
      after?: string | undefined;
      align?: number | undefined;
      gap?: number | undefined;
      flags?: readonly string[] | undefined;
      at?: string | undefined;
    } = {},
  ): number {
    if (options.at !== undefined) return Number(BigInt(options.at) / PAGE_SIZE_BIG);
    if (options.flags?.includes("low") && this.target.targetWordSize === 8) {
      const start = this.#behindGrown(this.#nextLow);
      this.#nextLow = start + pages + GAP_PAGES;
      return start;
    }
    if (options.after !== undefined) {
      const other = this.range(options.after);
      const start = other.start + other.pages;
      this.#next = Math.max(this.#next, start + pages + GAP_PAGES);
      return start;
    }
    const align = options.align ?? 1;
    const start = Math.ceil((this.#behindGrown(this.#next) + (options.gap ?? 0)) / align) * align;
    this.#next = start + pages + GAP_PAGES;
    if (this.#next > this.#end) {
      throw new RangeError(`${pages} pages do not fit into the target's address space`);
    }
    return start;
  }

  /** The next free page, if it is not in an area that was placed before it and has grown since. */
  #behindGrown(next: number): number {
    const grown = this.space.areas.find(({ start, end }) => start < next && end >= next);
    return grown ? grown.end + GAP_PAGES : next;
  }

  /** The range of a named area. */
  range(name: string): NamedRange {
    const range = this.names.get(name);
    if (!range) {
      throw new RangeError(`No area "${name}": the areas so far are ${[...this.names.keys()].join(", ")}`);
    }
    return range;
  }

  /**
   * Gives pages a name.
   *
   * @throws {RangeError} when others have it
   */
  nameArea(name: string, range: NamedRange): void {
    if (this.names.has(name)) throw new RangeError(`Area "${name}" exists already`);
    this.names.set(name, range);
  }

  /** The value of a page count. */
  pageCount(text: PageCount): number {
    return pageCount(text, this.pagesPerChunk);
  }

  /** The runs of pages that a step names, as absolute page numbers. */
  runs(area: string, set: PageSet): AreaRun[] {
    const { start, pages } = this.range(area);
    return pageRuns(set, pages, this.pagesPerChunk).map(({ first, count }) => {
      return { first: start + first, count, end: start + first + count };
    });
  }

  /** The runs of pages that a step names within a file. */
  fileRuns(file: FileModel, set: PageSet): PageRun[] {
    return pageRuns(set, file.pages, this.pagesPerChunk);
  }

  /** A file that a scenario made, or a device. */
  file(name: string): FileModel {
    const device = Object.hasOwn(DEVICES, name) ? DEVICES[name as keyof typeof DEVICES] : undefined;
    let file = this.files.get(name);
    if (!file && device) {
      file = new FileModel(device, name, Number.POSITIVE_INFINITY);
      this.files.set(name, file);
    }
    if (!file) {
      throw new RangeError(`No file "${name}": the files so far are ${[...this.files.keys()].join(", ")}`);
    }
    return file;
  }

  /** A file whose name in its directory still leads to it. */
  namedFile(name: string): FileModel {
    const file = this.file(name);
    if (file.kind !== "regular") throw new RangeError(`"${name}" is in no directory`);
    if (file.unlinked) throw new RangeError(`"${name}" has no name any more`);
    return file;
  }

  /** @throws {RangeError} when a file has the name in the working directory */
  requireNoFile(name: string): void {
    const isTaken = this.links.has(name) || this.files.get(name)?.unlinked === false;
    if (isTaken) throw new RangeError(`There is a "${name}" already`);
  }
}
