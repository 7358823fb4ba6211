// SPDX-License-Identifier: MIT

import { PAGE_SIZE } from "../../abi/arch.ts";
import { vmFlagTable } from "../../abi/vm_flags.ts";
import { hexField, type ManifestStep } from "./manifest.ts";
import { contentBytes, type PageContent, pokedContent, ZERO_CONTENT } from "./page_content.ts";

const FLAGS = vmFlagTable("2.6.28", 4).bits as Readonly<Record<string, bigint>>;
const MAY = FLAGS.MAYREAD! | FLAGS.MAYWRITE! | FLAGS.MAYEXEC!;
/** mprotect takes memory into account unless one of these says that it is, or need not be (mm/mprotect.c). */
const ACCOUNTED = FLAGS.ACCOUNT! | FLAGS.WRITE! | FLAGS.SHARED! | FLAGS.NORESERVE!;

const MAP_SHARED = 0x1;
const MAP_ANONYMOUS = 0x20;
const MAP_GROWSDOWN = 0x100;
const MAP_LOCKED = 0x2000;
const MAP_NORESERVE = 0x4000;
const MAP_POPULATE = 0x8000;
/** Results from here up are -errno. */
const FIRST_ERROR = 0xffff_f000;

const MADV_DONTNEED = 4;
/** The flags that the other kinds of madvise set, and those that they clear. */
const ADVICE: Readonly<Record<number, readonly [set: bigint, clear: bigint]>> = {
  0: [0n, FLAGS.RAND_READ! | FLAGS.SEQ_READ!],
  1: [FLAGS.RAND_READ!, FLAGS.SEQ_READ!],
  2: [FLAGS.SEQ_READ!, FLAGS.RAND_READ!],
  10: [FLAGS.DONTCOPY!, 0n],
  11: [0n, FLAGS.DONTCOPY!],
};

/** A range of addresses that the steps mapped, all of one kind. */
export interface StepArea {
  readonly start: number;
  readonly end: number;
  readonly flags: bigint;
  /** It maps a file. */
  readonly isFile: boolean;
  /** First page in the file. */
  readonly pgoff: number;
  /** A step that the model does not know names an address in it: its pages and its advice are uncertain. */
  readonly isUncertain: boolean;
  /**
   * The note of its mmap tells in words of things done to it: its permissions need not be those of the
   * steps.
   */
  readonly isDescribed: boolean;
}

/** A change of flags by a step, which memory of the program itself has gone through as well. */
interface FlagChange {
  readonly start: number;
  readonly end: number;
  readonly change: (flags: bigint) => bigint;
}

/** A page that the steps touched. */
interface StepPage {
  readonly isWritten: boolean;
  /** Undefined when it is the page of a file whose contents are not known. */
  readonly content: PageContent | undefined;
}

/** A step whose result is not what the steps before imply. */
interface StepContradiction {
  readonly index: number;
  readonly message: string;
  readonly expected: string;
  readonly actual: string;
}

interface FileContent {
  readonly seed: number;
  readonly size: number;
}

/** Steps that do nothing to memory. */
const WITHOUT_MEMORY: ReadonlySet<string> = new Set(
  ("case time_before image_fd prefix suffix file_pos_after chroot unlink modify_ldt ldt_readback " +
    "set_thread_area").split(" "),
);

/**
 * The memory that the steps of a manifest make, after mm/ of Linux 2.6.28. What the program itself has is
 * not in it.
 */
export class StepMemory {
  readonly contradictions: StepContradiction[] = [];
  /** Pages by number. */
  readonly pages = new Map<number, StepPage>();
  areas: StepArea[] = [];
  /** In the order of time. */
  readonly changes: FlagChange[] = [];
  readonly #unknownWords: string[] = [];
  readonly #files = new Map<string, FileContent>();
  readonly #pathAt: (address: number) => string | undefined;
  #lockFuture = false;

  /**
   * @param steps in the order of time
   * @param pathAt the file that is mapped at an address in the end
   */
  constructor(steps: readonly ManifestStep[], pathAt: (address: number) => string | undefined) {
    this.#pathAt = pathAt;
    steps.forEach((step, index) => this.#step(step, index, steps[index + 1]));
    // Words about memory may stand before the steps that make it.
    for (const words of this.#unknownWords) this.#makeUncertain(words);
  }

  /** The area at an address. */
  areaAt(address: number): StepArea | undefined {
    return this.areas.find(({ start, end }) => start <= address && address < end);
  }

  #step(step: ManifestStep, index: number, next: ManifestStep | undefined): void {
    const { fields } = step;
    if (WITHOUT_MEMORY.has(step.op) || this.#failed(step)) return;
    const va = (): number => hexField("va", fields.va ?? fields.addr);
    switch (step.op) {
      case "file":
        return this.#file(step, next);
      case "mmap":
        return this.#mmap(fields);
      case "fill":
        return this.#fill(va(), Number(fields.pages), hexField("seed", fields.seed));
      case "poke":
        return this.#poke(va(), hexField("byte", fields.byte));
      case "readtouch":
        return this.#read(va(), hexField("got", fields.got), index);
      default:
        return this.#layoutOrUnknown(step);
    }
  }

  /** A step about mappings whose fields have other names than the model knows is one told in words. */
  #layoutOrUnknown(step: ManifestStep): void {
    try {
      this.#layout(step);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      this.#unknown(step);
    }
  }

  /** Steps about mappings as a whole. */
  #layout(step: ManifestStep): void {
    const { fields } = step;
    const va = (): number => hexField("va", fields.va ?? fields.addr);
    const length = (): number => roundUp(hexField("len", fields.len));
    switch (step.op) {
      case "munmap":
        return this.#unmap(va(), va() + length());
      case "mprotect":
        return this.#protect(va(), va() + length(), BigInt(fields.prot ?? 0));
      case "madvise":
        return this.#advise(va(), va() + length(), adviceNumber(fields.advice ?? fields.adv ?? ""));
      case "mlock":
        return this.#lock(va(), va() + length(), true);
      case "munlock":
        return this.#lock(va(), va() + length(), false);
      case "mremap":
        return this.#remap(fields);
      default:
        return this.#unknown(step);
    }
  }

  #failed({ op, fields }: ManifestStep): boolean {
    if (fields.ret === undefined) return false;
    if (fields.ret.startsWith("-")) return true;
    if (op === "mmap" || op === "mremap") return Number.parseInt(fields.ret, 16) >= FIRST_ERROR;
    return /^f{3}/.test(fields.ret);
  }

  /** A newline in the name breaks the line: the next line then has the rest. */
  #file({ fields }: ManifestStep, next: ManifestStep | undefined): void {
    const rest = fields.pages === undefined ? next?.text.match(/^(.*) pages=\d+ /)?.[1] : undefined;
    const { pages, seed, extra } = rest === undefined ? fields : next!.fields;
    if (fields.path === undefined || pages === undefined || seed === undefined) return;
    this.#files.set(rest === undefined ? fields.path : `${fields.path}\n${rest}`, {
      seed: hexField("seed", seed),
      size: Number(pages) * PAGE_SIZE + hexField("extra", extra ?? "0"),
    });
  }

  #mmap(fields: ManifestStep["fields"]): void {
    const start = hexField("ret", fields.ret);
    const end = start + roundUp(hexField("len", fields.len));
    const mode = hexField("flags", fields.flags);
    let flags = MAY | BigInt(fields.prot ?? 0) & 7n;
    if ((mode & MAP_SHARED) !== 0) flags |= FLAGS.SHARED! | FLAGS.MAYSHARE!;
    if ((mode & MAP_GROWSDOWN) !== 0) flags |= FLAGS.GROWSDOWN!;
    if ((mode & MAP_LOCKED) !== 0 || this.#lockFuture) flags |= FLAGS.LOCKED!;
    if ((mode & MAP_NORESERVE) !== 0) flags |= FLAGS.NORESERVE!;
    else if ((flags & FLAGS.WRITE!) !== 0n) flags |= FLAGS.ACCOUNT!;
    const isFile = (mode & MAP_ANONYMOUS) === 0;
    // The mmap of file systems says that remap_file_pages may be used; that of /dev/zero does not.
    if (isFile && !this.#pathAt(start)?.startsWith("/dev/")) flags |= FLAGS.CAN_NONLINEAR!;
    this.#unmap(start, end);
    const pgoff = hexField("pgoff", fields.pgoff ?? "0");
    const isDescribed = /PROT_|protect|split|every|lock|advi/i.test(fields.note ?? "");
    this.areas.push({ start, end, flags, isFile, pgoff, isUncertain: false, isDescribed });
    if ((mode & MAP_POPULATE) !== 0 || (flags & FLAGS.LOCKED!) !== 0n) this.#populate(start, end);
  }

  #unmap(start: number, end: number): void {
    this.#split(start, end);
    this.areas = this.areas.filter((area) => area.end <= start || area.start >= end);
    this.#forget(start, end);
  }

  #forget(start: number, end: number): void {
    for (const page of this.pages.keys()) {
      if (page >= start / PAGE_SIZE && page < end / PAGE_SIZE) this.pages.delete(page);
    }
  }

  #protect(start: number, end: number, prot: bigint): void {
    this.#change(start, end, (flags) => {
      const account = (prot & FLAGS.WRITE!) !== 0n && (flags & ACCOUNTED) === 0n ? FLAGS.ACCOUNT! : 0n;
      return flags & ~7n | prot & 7n | account;
    });
  }

  #advise(start: number, end: number, advice: number): void {
    if (advice === MADV_DONTNEED) return this.#forget(start, end);
    const change = ADVICE[advice];
    if (change) this.#change(start, end, (flags) => flags & ~change[1] | change[0]);
  }

  #lock(start: number, end: number, isLocked: boolean): void {
    this.#change(start, end, (flags) => isLocked ? flags | FLAGS.LOCKED! : flags & ~FLAGS.LOCKED!);
    if (isLocked) this.#populate(start, end);
  }

  /** `make_pages_present`: pages that may be written are made as if they were. */
  #populate(start: number, end: number): void {
    for (const area of this.areas) {
      const last = Math.min(end, area.end);
      for (let at = Math.max(start, area.start); at < last; at += PAGE_SIZE) {
        if ((area.flags & 7n) === 0n) continue;
        this.#touch(at, (area.flags & FLAGS.WRITE!) !== 0n);
      }
    }
  }

  /** Moves what was mapped; without a length all of what begins there and belongs together. */
  #remap(fields: ManifestStep["fields"]): void {
    const from = hexField("from", fields.from ?? fields.old ?? fields.va);
    const to = hexField("ret", fields.ret);
    const first = this.areaAt(from);
    if (!first) return;
    const oldEnd = fields.oldlen === undefined
      ? first.end
      : from + roundUp(hexField("oldlen", fields.oldlen));
    const newEnd = fields.newlen === undefined
      ? to + oldEnd - from
      : to + roundUp(hexField("newlen", fields.newlen));
    this.#split(from, oldEnd);
    const pgoff = first.pgoff + (from - first.start) / PAGE_SIZE;
    const moved = [...this.pages].filter(([page]) => page >= from / PAGE_SIZE && page < oldEnd / PAGE_SIZE);
    this.#unmap(from, oldEnd);
    this.#unmap(to, newEnd);
    this.areas.push({ ...first, start: to, end: newEnd, pgoff });
    for (const [page, state] of moved) {
      const place = page + (to - from) / PAGE_SIZE;
      if (place < newEnd / PAGE_SIZE) this.pages.set(place, state);
    }
  }

  #fill(start: number, count: number, seed: number): void {
    for (let i = 0; i < count; i++) {
      const base = start + i * PAGE_SIZE;
      const content = { base, seed, length: PAGE_SIZE, pokes: new Map<number, number>() };
      this.pages.set(base / PAGE_SIZE, { isWritten: true, content });
    }
  }

  #poke(address: number, byte: number): void {
    const page = Math.floor(address / PAGE_SIZE);
    const { content } = this.#touch(address, true);
    if (content) {
      this.pages.set(page, {
        isWritten: true,
        content: pokedContent(content, address % PAGE_SIZE, byte & 0xff),
      });
    }
  }

  #read(address: number, got: number, index: number): void {
    const { content } = this.#touch(address, false);
    const expected = content && contentBytes(content)[address % PAGE_SIZE];
    if (expected === undefined || expected === got || this.areaAt(address)?.isUncertain !== false) return;
    this.contradictions.push({
      index,
      message: `the steps before put another byte to 0x${address.toString(16)} than the program read there`,
      expected: `0x${expected.toString(16)}`,
      actual: `0x${got.toString(16)}`,
    });
  }

  #touch(address: number, isWritten: boolean): StepPage {
    const page = Math.floor(address / PAGE_SIZE);
    const before = this.pages.get(page);
    const content = before ? before.content : this.#untouched(page);
    const now = { isWritten: isWritten || before?.isWritten === true, content };
    this.pages.set(page, now);
    return now;
  }

  /** What an untouched page of a mapping holds. */
  #untouched(page: number): PageContent | undefined {
    const area = this.areaAt(page * PAGE_SIZE);
    if (!area) return undefined;
    if (!area.isFile) return ZERO_CONTENT;
    const path = this.#pathAt(page * PAGE_SIZE);
    if (path === "/dev/zero") return ZERO_CONTENT;
    const file = path === undefined ? undefined : this.#files.get(path) ??
      this.#files.get(path.replace(/ \(deleted\)$/, ""));
    if (!file) return undefined;
    const base = (area.pgoff + page - area.start / PAGE_SIZE) * PAGE_SIZE;
    const length = Math.max(0, Math.min(PAGE_SIZE, file.size - base));
    return { base, seed: file.seed, length, pokes: new Map() };
  }

  /** Words that are no step the model knows: what they name is uncertain from here on. */
  #unknown({ op, fields, text }: ManifestStep): void {
    if (op === "mlockall") {
      this.#lockFuture = true;
      return this.#lock(0, FIRST_ERROR, true);
    }
    const words = `${text} ${Object.values(fields).join(" ")}`;
    this.#unknownWords.push(words);
    this.#makeUncertain(words);
  }

  #makeUncertain(words: string): void {
    for (const [word] of words.matchAll(/\b(?:0x)?[0-9a-f]{7,8}\b/g)) {
      const address = Number.parseInt(word, 16);
      this.areas = this.areas.map((area) =>
        area.start <= address && address < area.end ? { ...area, isUncertain: true } : area
      );
    }
  }

  #change(start: number, end: number, change: (flags: bigint) => bigint): void {
    this.#split(start, end);
    this.changes.push({ start, end, change });
    this.areas = this.areas.map((area) =>
      area.start >= start && area.end <= end ? { ...area, flags: change(area.flags) } : area
    );
  }

  #split(...places: number[]): void {
    for (const at of places) {
      this.areas = this.areas.flatMap((area) => {
        if (at <= area.start || at >= area.end) return [area];
        const pgoff = area.pgoff + (at - area.start) / PAGE_SIZE;
        return [{ ...area, end: at }, { ...area, start: at, pgoff }];
      });
    }
  }
}

const ADVICE_NAMES: Readonly<Record<string, number>> = {
  NORMAL: 0,
  RANDOM: 1,
  SEQUENTIAL: 2,
  WILLNEED: 3,
  DONTNEED: 4,
  DONTFORK: 10,
  DOFORK: 11,
};

/** By number, or by name with or without `MADV_`. */
function adviceNumber(word: string): number {
  return ADVICE_NAMES[word.replace(/^MADV_/, "").toUpperCase()] ?? Number.parseInt(word);
}

function roundUp(length: number): number {
  return Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
}
