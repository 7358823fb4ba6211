// SPDX-License-Identifier: MIT

import type { CallFields } from "../call_words.ts";
import type { PageCount, PageSet } from "../state/page_set.ts";
import type { TracerWords } from "../tracer_words.ts";

/** Bits of a user_desc in words: 32bit, readonly, pages (limit in pages), not_present, useable, long. */
export type SegmentFlag = "32bit" | "readonly" | "pages" | "not_present" | "useable" | "long";

/** The `contents` field of a user_desc. */
export type SegmentContents = "data" | "expand_down" | "code" | "conforming";

/** The fields of a user_desc in words. A base or limit is a number, "0x...", "entry" or "area:NAME". */
export interface SegmentWords {
  /** Base address; 0 when not given. */
  base?: number | string;
  /** Limit; 0 when not given. */
  limit?: number | string;
  /** Kind of segment; data when not given. */
  contents?: SegmentContents;
  /** Bits that are set. */
  flags?: SegmentFlag[];
}

/**
 * Something that the harness waits for before it looks at the stopped target: a file of the guest whose text
 * matches a regular expression, or does not (`lacks`). `{pid}` in the path is the target's pid.
 */
export interface UntilCheck {
  /** Path in the guest. */
  readonly file: string;
  /** What the text must match. */
  readonly match?: string;
  /** What it must not match. */
  readonly lacks?: string;
}

/** What a stop can say, whether another task or the target itself makes the image. */
export interface StopWords {
  /** Name of the stop. */
  label: string;
  /** "ok", or the errno that the call must give. */
  expect?: string;
  /** What must be so before the target is looked at, waited for within bounds. */
  until?: UntilCheck[];
  /** Waits for the scans of ksmd: mergeable pages of equal content are one page from then on. */
  merged?: "pages" | "zeros too";
}

/**
 * What a step does to the target; one object a system call or a group of stores. Pages count within the named
 * area.
 */
export type Step =
  | {
    op: "mmap";
    area: string;
    pages: PageCount;
    prot?: string;
    flags?: string[];
    /** A file of a "file" or "memfd" step, or "/dev/zero", or "/dev/mem". */
    file?: string;
    offset?: number;
    /** Maps right behind that area instead of with a gap. */
    after?: string;
    /** Aligns the start to so many pages. */
    align?: number;
    /** Leaves so many pages free below. */
    gap?: number;
  }
  | { op: "munmap"; area: string; pages: PageSet }
  | { op: "mprotect"; area: string; pages: PageSet; prot: string }
  | { op: "madvise"; area: string; pages: PageSet; advice: string; expect?: string }
  | { op: "mlock"; area: string; pages: PageSet; flags?: string[] }
  | { op: "munlock"; area: string; pages: PageSet }
  | { op: "mlockall"; flags: string[] }
  | { op: "munlockall" }
  /** Pages that were read back from swap go there again, and the device cannot be read any more. */
  | { op: "break_swap"; area: string; pages: PageSet }
  | { op: "mremap"; area: string; pages: PageSet; to?: string; size?: PageCount; flags?: string[] }
  | { op: "grow_down"; area: string; pages: PageCount; as: string; seed?: number }
  | { op: "write"; area: string; pages: PageSet; seed?: number }
  | { op: "read"; area: string; pages: PageSet }
  | { op: "zero"; area: string; pages: PageSet }
  | { op: "poke"; area: string; page: PageCount; offset?: number; size?: number; value: number }
  | { op: "check"; area: string; pages: PageSet }
  | { op: "uffd"; area: string; pages: PageSet; mode: "missing" | "wp" }
  | { op: "uffd_place"; area: string; pages: PageSet; from: string }
  | { op: "uffd_protect"; area: string; pages: PageSet }
  | { op: "file"; file: string; pages: PageCount; seed?: number }
  | { op: "write_file"; file: string; pages: PageSet; seed?: number }
  | { op: "truncate"; file: string; pages: PageCount }
  | { op: "unlink"; file: string }
  | { op: "rename"; file: string; to: string }
  | { op: "link"; file: string; to: string }
  | { op: "memfd"; file: string; pages: PageCount }
  | { op: "chdir"; directory: string; times?: number }
  | { op: "chroot"; directory: string; bind?: "/" }
  | { op: "shm"; area: string; pages: PageCount }
  | { op: "brk"; area: string; pages: PageCount }
  | { op: "stack"; area: string; pages: PageCount; seed?: number }
  | { op: "munmap_vdso" }
  | { op: "munmap_vvar" }
  | { op: "fork"; subject: "child" | "parent" }
  | { op: "in_child"; steps: Step[] }
  | { op: "exec" }
  | { op: "unshare"; namespace: "mount" | "pid" | "uts" }
  | { op: "thread"; kind: "thread" | "process" }
  | (
    & {
      op: "modify_ldt";
      entries: PageSet;
      func?: number;
      /** Flags that vary from entry to entry of a range: bit k of the place in it decides on word k. */
      vary?: SegmentFlag[];
    }
    & SegmentWords
  )
  | { op: "read_ldt"; func?: number; bytes: number }
  | ({ op: "set_thread_area"; entry: number } & SegmentWords)
  | { op: "get_thread_area"; entry: number }
  | { op: "load_segment"; register: SegmentRegisterName; selector: number | string; read?: number | string }
  /** Of one selector, or of a range such as "ldt:0..31". */
  | { op: "selector"; selector: number | string }
  | { op: "syscall"; name: string; args?: (number | string)[]; expect?: number | string }
  | { op: "registers"; values: Record<string, string> }
  /** Takes these ids for good; root alone can. */
  | { op: "become"; uid: number; gid?: number }
  /** prctl(PR_SET_DUMPABLE): with 0 nobody but root may look into the target. */
  | { op: "dumpable"; value: number }
  | ({ op: "stop" } & StopWords & TracerWords & CallFields)
  /** `zero`: by the pid 0 in place of its own. */
  | ({ op: "self"; zero?: number } & StopWords);

/** A register that a selector can be loaded into. */
export type SegmentRegisterName = "es" | "ss" | "ds" | "fs" | "gs";

/** The step of one kind. */
export type StepOf<Op extends Step["op"]> = Extract<Step, { op: Op }>;

/** What a field of a step holds. */
export type FieldType =
  | "string"
  | "number"
  | "count"
  | "pages"
  | "strings"
  | "array"
  | "value"
  | "map"
  | "steps";

/** The fields of a step by name; those whose type ends in `?` may be left out. */
export type FieldTable = Readonly<Record<string, FieldType | `${FieldType}?`>>;

const SEGMENT: FieldTable = { base: "value?", limit: "value?", contents: "string?", flags: "strings?" };
const STOP: FieldTable = { label: "string", expect: "string?", until: "array?", merged: "string?" };
const TRACER: FieldTable = { debug: "array?", poke: "array?", hold: "string?", whom: "string?" };
const AREA_PAGES: FieldTable = { area: "string", pages: "pages" };

/** Every step's fields: what a scenario file is checked against. */
export const STEP_FIELDS: Readonly<Record<Step["op"], FieldTable>> = {
  mmap: {
    area: "string",
    pages: "count",
    prot: "string?",
    flags: "strings?",
    file: "string?",
    offset: "number?",
    after: "string?",
    align: "number?",
    gap: "number?",
  },
  munmap: AREA_PAGES,
  mprotect: { ...AREA_PAGES, prot: "string" },
  madvise: { ...AREA_PAGES, advice: "string", expect: "string?" },
  mlock: { ...AREA_PAGES, flags: "strings?" },
  munlock: AREA_PAGES,
  mlockall: { flags: "strings" },
  munlockall: {},
  break_swap: AREA_PAGES,
  mremap: { ...AREA_PAGES, to: "string?", size: "count?", flags: "strings?" },
  grow_down: { area: "string", pages: "count", as: "string", seed: "number?" },
  write: { ...AREA_PAGES, seed: "number?" },
  read: AREA_PAGES,
  zero: AREA_PAGES,
  poke: { area: "string", page: "count", offset: "number?", size: "number?", value: "number" },
  check: AREA_PAGES,
  uffd: { ...AREA_PAGES, mode: "string" },
  uffd_place: { ...AREA_PAGES, from: "string" },
  uffd_protect: AREA_PAGES,
  file: { file: "string", pages: "count", seed: "number?" },
  write_file: { file: "string", pages: "pages", seed: "number?" },
  truncate: { file: "string", pages: "count" },
  unlink: { file: "string" },
  rename: { file: "string", to: "string" },
  link: { file: "string", to: "string" },
  memfd: { file: "string", pages: "count" },
  chdir: { directory: "string", times: "number?" },
  chroot: { directory: "string", bind: "string?" },
  shm: { area: "string", pages: "count" },
  brk: { area: "string", pages: "count" },
  stack: { area: "string", pages: "count", seed: "number?" },
  munmap_vdso: {},
  munmap_vvar: {},
  fork: { subject: "string" },
  in_child: { steps: "steps" },
  exec: {},
  unshare: { namespace: "string" },
  thread: { kind: "string" },
  modify_ldt: { entries: "pages", func: "number?", vary: "strings?", ...SEGMENT },
  read_ldt: { func: "number?", bytes: "number" },
  set_thread_area: { entry: "number", ...SEGMENT },
  get_thread_area: { entry: "number" },
  load_segment: { register: "string", selector: "value", read: "value?" },
  selector: { selector: "value" },
  syscall: { name: "string", args: "array?", expect: "value?" },
  registers: { values: "map" },
  become: { uid: "number", gid: "number?" },
  dumpable: { value: "number" },
  stop: { ...STOP, ...TRACER, call: "map?", to: "map?", during: "array?" },
  self: { ...STOP, zero: "number?" },
};
