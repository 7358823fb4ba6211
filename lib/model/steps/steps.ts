// SPDX-License-Identifier: MIT

import * as v from "valibot";
import { PAGE_SIZE } from "../../abi/arch.ts";
import {
  described,
  either,
  integer,
  keysOf,
  list,
  object,
  oneOf,
  optional,
  record,
  text,
  variant,
  wordSet,
} from "../../schema.ts";
import { CALL_FIELDS } from "../call.ts";
import { MADV, MAP_FLAGS, MCL, PROTECTIONS } from "../state/mmap_flags.ts";
import { SYSCALL_NAMES } from "../syscall_numbers.ts";
import { TRACER_FIELDS } from "../tracer.ts";
import {
  ERRNO_NAME,
  FILE_NAME,
  ID,
  NAME,
  NUMBER,
  OUTCOME,
  PAGE_COUNT,
  PAGE_SET,
  SEED,
  WORD,
} from "./fields.ts";
import { REGISTER_NAMES } from "./register.ts";

/**
 * Words among an area's flags that are none of mmap's: the file is opened for reading, the address is below 4
 * GiB.
 */
export const OWN_MMAP_WORDS = ["readonly_file", "low"] as const;

/** Files that no step makes: devices. */
const DEVICES = ["/dev/zero", "/dev/mem"] as const;

/** Bits of a user_desc in words; `pages`: the limit is in pages. */
export const SEGMENT_FLAGS = ["32bit", "readonly", "pages", "not_present", "useable", "long"] as const;

/** The `contents` field of a user_desc. */
export const SEGMENT_CONTENTS = ["data", "expand_down", "code", "conforming"] as const;

const MAX_LDT_BYTES = 0x10000;

const HEXADECIMAL = String.raw`0x[\da-fA-F]{1,8}`;
const SEGMENT_NUMBER = either(
  `32 bits such as 4096 or "0x1000", "entry" for the entry's number, or "area:NAME" for its address`,
  WORD,
  text(
    new RegExp(String.raw`^(?:${HEXADECIMAL}|entry|area:.+)$`),
    `32 bits such as 4096 or "0x1000", "entry" for the entry's number, or "area:NAME" for its address`,
  ),
);

/** The fields of a user_desc. */
const SEGMENT = {
  base: optional(described("Base address; 0 when not given.", SEGMENT_NUMBER)),
  limit: optional(described("Limit; 0 when not given.", SEGMENT_NUMBER)),
  contents: optional(described("Kind of segment; data when not given.", oneOf(SEGMENT_CONTENTS))),
  flags: optional(described("Bits that are set.", wordSet(SEGMENT_FLAGS))),
};

const SELECTOR = String.raw`0x[\da-fA-F]{1,4}|(?:ldt|tls):\d{1,4}`;
const SELECTOR_WORDS = `a selector: 16 bits, "ldt:ENTRY" or "tls:ENTRY"`;
const ONE_SELECTOR = either(
  SELECTOR_WORDS,
  integer(0, 0xffff),
  text(new RegExp(`^(?:${SELECTOR})$`), SELECTOR_WORDS),
);

const UNTIL = v.pipe(
  object({
    file: text(/^\/[^\0]+$/, "an absolute path; {pid} in it is the target's pid"),
    match: optional(described("What the text must match.", regularExpression())),
    lacks: optional(described("What it must not match.", regularExpression())),
  }),
  v.check(({ match, lacks }) => match !== undefined || lacks !== undefined, `"match", "lacks" or both`),
);

function regularExpression(): v.GenericSchema<string> {
  return v.pipe(v.string("a regular expression"), v.check(isRegularExpression, "a regular expression"));
}

function isRegularExpression(pattern: string): boolean {
  try {
    return new RegExp(pattern, "m").source.length > 0;
  } catch {
    return false;
  }
}

const AREA_PAGES = { area: NAME, pages: PAGE_SET };

/** What a stop can say, whether another task or the target itself makes the image. */
const STOP = {
  label: described("Name of the stop.", NAME),
  expect: optional(described(`"ok", or how the call must fail.`, OUTCOME)),
  until: optional(described("What must be so before the target is looked at.", list(UNTIL, 1))),
  merged: optional(described("Waits for the scans of ksmd.", oneOf(["pages", "zeros too"]))),
};

function step<const Op extends string, const Entries extends v.ObjectEntries>(
  op: Op,
  entries: Entries,
): v.StrictObjectSchema<{ op: v.LiteralSchema<Op, string> } & Entries, v.ErrorMessage<v.StrictObjectIssue>> {
  return object({ op: v.literal(op, op), ...entries });
}

/** Every step that a child may do which ends thereafter. */
const PLAIN_STEPS = {
  mmap: step("mmap", {
    area: NAME,
    pages: PAGE_COUNT,
    prot: optional(oneOf(PROTECTIONS)),
    flags: optional(wordSet([...keysOf(MAP_FLAGS), ...OWN_MMAP_WORDS])),
    file: optional(described(
      `A file of a "file" or "memfd" step, or a device.`,
      either(
        `a plain file name, or one of ${DEVICES.join(", ")}`,
        oneOf(DEVICES),
        FILE_NAME,
      ),
    )),
    offset: optional(described("Pages of the file that are left out.", integer(0, 2 ** 31))),
    after: optional(described("Maps right behind that area instead of with a gap.", NAME)),
    align: optional(described("Aligns the start to so many pages.", integer(1, 2 ** 20))),
    gap: optional(described("Leaves so many pages free below.", integer(0, 2 ** 20))),
  }),
  munmap: step("munmap", AREA_PAGES),
  mprotect: step("mprotect", { ...AREA_PAGES, prot: oneOf(PROTECTIONS) }),
  madvise: step("madvise", { ...AREA_PAGES, advice: oneOf(keysOf(MADV)), expect: optional(OUTCOME) }),
  mlock: step("mlock", { ...AREA_PAGES, flags: optional(wordSet(["onfault"])) }),
  munlock: step("munlock", AREA_PAGES),
  mlockall: step("mlockall", { flags: wordSet(keysOf(MCL)) }),
  munlockall: step("munlockall", {}),
  break_swap: step("break_swap", AREA_PAGES),
  mremap: step("mremap", {
    ...AREA_PAGES,
    to: optional(NAME),
    size: optional(PAGE_COUNT),
    flags: optional(wordSet(["dontunmap"])),
  }),
  grow_down: step("grow_down", { area: NAME, pages: PAGE_COUNT, as: NAME, seed: optional(SEED) }),
  write: step("write", { ...AREA_PAGES, seed: optional(SEED) }),
  read: step("read", AREA_PAGES),
  zero: step("zero", AREA_PAGES),
  poke: step("poke", {
    area: NAME,
    page: PAGE_COUNT,
    offset: optional(integer(0, PAGE_SIZE - 1)),
    size: optional(oneOf([1, 2, 4, 8])),
    value: NUMBER,
  }),
  check: step("check", AREA_PAGES),
  uffd: step("uffd", { ...AREA_PAGES, mode: oneOf(["missing", "wp"]) }),
  uffd_place: step("uffd_place", { ...AREA_PAGES, from: NAME }),
  uffd_protect: step("uffd_protect", AREA_PAGES),
  file: step("file", { file: FILE_NAME, pages: PAGE_COUNT, seed: optional(SEED) }),
  write_file: step("write_file", { file: FILE_NAME, pages: PAGE_SET, seed: optional(SEED) }),
  truncate: step("truncate", { file: FILE_NAME, pages: PAGE_COUNT }),
  unlink: step("unlink", { file: FILE_NAME }),
  rename: step("rename", { file: FILE_NAME, to: FILE_NAME }),
  link: step("link", { file: FILE_NAME, to: FILE_NAME }),
  memfd: step("memfd", { file: FILE_NAME, pages: PAGE_COUNT }),
  chdir: step("chdir", { directory: FILE_NAME, times: optional(integer(1, 100)) }),
  chroot: step("chroot", { directory: FILE_NAME, bind: optional(oneOf(["/"])) }),
  shm: step("shm", { area: NAME, pages: PAGE_COUNT }),
  brk: step("brk", { area: NAME, pages: PAGE_COUNT }),
  stack: step("stack", { area: NAME, pages: PAGE_COUNT, seed: optional(SEED) }),
  munmap_vdso: step("munmap_vdso", {}),
  munmap_vvar: step("munmap_vvar", {}),
  fork: step("fork", { subject: oneOf(["child", "parent"]) }),
  in_child: step("in_child", { steps: v.lazy((): v.GenericSchema<InnerSteps> => INNER_STEPS) }),
  exec: step("exec", {}),
  unshare: step("unshare", { namespace: oneOf(["mount", "pid", "uts"]) }),
  thread: step("thread", { kind: oneOf(["thread", "process"]) }),
  modify_ldt: step("modify_ldt", {
    entries: PAGE_SET,
    func: optional(WORD),
    vary: optional(described(
      "Flags that vary from entry to entry of a range: bit k of the place in it decides on word k.",
      wordSet(SEGMENT_FLAGS),
    )),
    ...SEGMENT,
  }),
  read_ldt: step("read_ldt", { func: optional(WORD), bytes: integer(0, MAX_LDT_BYTES) }),
  set_thread_area: step("set_thread_area", {
    entry: described("From 0; -1 lets the kernel choose, -2 is below the first.", integer(-2, 8191)),
    ...SEGMENT,
  }),
  get_thread_area: step("get_thread_area", { entry: integer(-2, 8191) }),
  load_segment: step("load_segment", {
    register: oneOf(["es", "ss", "ds", "fs", "gs"]),
    selector: ONE_SELECTOR,
    read: optional(described(
      "Reads the byte at this offset through it.",
      either(
        `an offset such as 4096 or "0x1000"`,
        WORD,
        text(new RegExp(`^${HEXADECIMAL}$`), `an offset such as 4096 or "0x1000"`),
      ),
    )),
  }),
  selector: step("selector", {
    selector: either(
      `${SELECTOR_WORDS}, or a range such as "ldt:0..31"`,
      integer(0, 0xffff),
      text(
        new RegExp(String.raw`^(?:${SELECTOR}(?:\.\.\d{1,4})?)$`),
        `${SELECTOR_WORDS}, or a range such as "ldt:0..31"`,
      ),
    ),
  }),
  syscall: step("syscall", {
    name: oneOf(SYSCALL_NAMES),
    args: optional(v.pipe(
      list(
        either(
          "a number or a string",
          NUMBER,
          text(/^[^\0]{0,4095}$/, "a string of at most 4095 characters"),
        ),
      ),
      v.maxLength(6, "at most 6 arguments"),
    )),
    expect: optional(either("a number or the name of an errno", NUMBER, ERRNO_NAME)),
  }),
  registers: step("registers", {
    values: record(
      oneOf(REGISTER_NAMES),
      text(/^(?:0x[\da-fA-F]{1,64}|\d+|(?:ldt|tls):\d{1,4})$/, `a number such as "0x1f80", or "ldt:ENTRY"`),
    ),
  }),
  become: step("become", { uid: ID, gid: optional(ID) }),
  dumpable: step("dumpable", { value: oneOf([0, 1]) }),
};

/** What a step does to the target; one object a system call or a group of stores. */
export const STEPS = {
  ...PLAIN_STEPS,
  stop: step("stop", { ...STOP, ...TRACER_FIELDS, ...CALL_FIELDS }),
  self: step("self", {
    ...STOP,
    zero: optional(described("By the pid 0 in place of its own.", oneOf([1]))),
  }),
};

/** What a step does to the target; one object a system call or a group of stores. */
export type Step = v.InferOutput<(typeof STEPS)[keyof typeof STEPS]>;

/** The step of one kind. */
export type StepOf<Op extends Step["op"]> = Extract<Step, { op: Op }>;

/** The steps of a child, which is not checkpointed. */
export interface InnerSteps extends ReadonlyArray<Exclude<Step, StepOf<"stop" | "self">>> {}

const INNER_STEPS: v.GenericSchema<InnerSteps> = list(
  variant<InnerSteps[number]>("op", Object.values(PLAIN_STEPS)),
  1,
);

/** The steps of a scenario. */
export const STEP_LIST: v.GenericSchema<readonly Step[]> = list(variant<Step>("op", Object.values(STEPS)), 1);

/** One of {@linkcode SEGMENT_FLAGS}. */
export type SegmentFlag = (typeof SEGMENT_FLAGS)[number];

/** The fields of a user_desc in words. */
export type SegmentWords = Pick<StepOf<"set_thread_area">, "base" | "limit" | "contents" | "flags">;

/** What a stop can say, whether another task or the target itself makes the image. */
export type StopWords = Pick<StepOf<"self">, "label" | "expect" | "until" | "merged">;

/** What the harness waits for before it looks at the stopped target: a file of the guest with a certain text. */
export type UntilCheck = v.InferOutput<typeof UNTIL>;

/** A register that a selector can be loaded into. */
export type SegmentRegisterName = StepOf<"load_segment">["register"];
