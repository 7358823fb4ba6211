// SPDX-License-Identifier: MIT

import type { PageCount, PageSet } from "./page_set.ts";

/** Bits of a user_desc in words: 32bit, readonly, pages (limit in pages), not_present, useable, long. */
export type SegmentFlag = "32bit" | "readonly" | "pages" | "not_present" | "useable" | "long";

/** The `contents` field of a user_desc. */
export type SegmentContents = "data" | "expand_down" | "code" | "conforming";

/** What a step does to the target; one object a system call or a group of stores. Pages count within the named area. */
export type Step =
  | {
    op: "mmap";
    area: string;
    pages: PageCount;
    prot?: string;
    flags?: string[];
    file?: string;
    offset?: number;
    /** Maps right behind that area instead of with a gap. */
    after?: string;
    /** Aligns the start to so many pages. */
    align?: number;
  }
  | { op: "munmap"; area: string; pages: PageSet }
  | { op: "mprotect"; area: string; pages: PageSet; prot: string }
  | { op: "madvise"; area: string; pages: PageSet; advice: string }
  | { op: "mlock"; area: string; pages: PageSet }
  | { op: "munlock"; area: string; pages: PageSet }
  | { op: "mremap"; area: string; pages: PageSet; to: string; size?: PageCount }
  | { op: "write"; area: string; pages: PageSet; seed?: number }
  | { op: "read"; area: string; pages: PageSet }
  | { op: "zero"; area: string; pages: PageSet }
  | { op: "poke"; area: string; page: PageCount; offset?: number; size?: number; value: number }
  | { op: "file"; file: string; pages: PageCount; seed?: number }
  | { op: "truncate"; file: string; pages: PageCount }
  | { op: "unlink"; file: string }
  | { op: "rename"; file: string; to: string }
  | { op: "brk"; area: string; pages: PageCount }
  | { op: "stack"; area: string; pages: PageCount; seed?: number }
  | { op: "fork"; subject: "child" | "parent" }
  | { op: "thread"; kind: "thread" | "process" }
  | {
    op: "modify_ldt";
    entries: PageSet;
    func?: number;
    base?: number | string;
    limit?: number | string;
    contents?: SegmentContents;
    flags?: SegmentFlag[];
  }
  | {
    op: "set_thread_area";
    entry: number;
    base?: number | string;
    limit?: number | string;
    contents?: SegmentContents;
    flags?: SegmentFlag[];
  }
  | { op: "load_segment"; register: "es" | "ds" | "fs" | "gs"; selector: number }
  | { op: "syscall"; name: string; args?: (number | string)[]; expect?: number | string }
  | { op: "registers"; values: Record<string, string> }
  | { op: "stop"; label: string; expect?: string }
  | { op: "self"; label: string; expect?: string };

/** What a scenario needs of the guest; a need that is not met is a named skip, never a pass. */
export interface ScenarioNeeds {
  readonly kernel?: readonly string[];
  readonly target?: readonly string[];
  readonly config?: readonly string[];
}

/** What the agent does as root before the target starts. */
export type SetupStep = { write: string; value: string } | { swapon: string };

/** One case: what it shows, what it needs, and the steps that drive target, model and description. */
export interface Scenario {
  readonly name: string;
  readonly about: string;
  readonly needs?: ScenarioNeeds;
  readonly setup?: readonly SetupStep[];
  readonly steps?: readonly Step[];
  /** A real program in place of steps, judged by observation alone. */
  readonly program?: ProgramScenario;
}

/** A real program: its arguments, and what it waits in when it is stopped. */
export interface ProgramScenario {
  readonly argv: readonly string[];
  /** The Debian package that holds it. */
  readonly package?: string;
}

type FieldType = "string" | "number" | "count" | "pages" | "strings" | "array" | "value" | "map";
type FieldTable = Record<string, FieldType | `${FieldType}?`>;

const STEP_FIELDS: Record<Step["op"], FieldTable> = {
  mmap: {
    area: "string",
    pages: "count",
    prot: "string?",
    flags: "strings?",
    file: "string?",
    offset: "number?",
    after: "string?",
    align: "number?",
  },
  munmap: { area: "string", pages: "pages" },
  mprotect: { area: "string", pages: "pages", prot: "string" },
  madvise: { area: "string", pages: "pages", advice: "string" },
  mlock: { area: "string", pages: "pages" },
  munlock: { area: "string", pages: "pages" },
  mremap: { area: "string", pages: "pages", to: "string", size: "count?" },
  write: { area: "string", pages: "pages", seed: "number?" },
  read: { area: "string", pages: "pages" },
  zero: { area: "string", pages: "pages" },
  poke: { area: "string", page: "count", offset: "number?", size: "number?", value: "number" },
  file: { file: "string", pages: "count", seed: "number?" },
  truncate: { file: "string", pages: "count" },
  unlink: { file: "string" },
  rename: { file: "string", to: "string" },
  brk: { area: "string", pages: "count" },
  stack: { area: "string", pages: "count", seed: "number?" },
  fork: { subject: "string" },
  thread: { kind: "string" },
  modify_ldt: {
    entries: "pages",
    func: "number?",
    base: "value?",
    limit: "value?",
    contents: "string?",
    flags: "strings?",
  },
  set_thread_area: {
    entry: "number",
    base: "value?",
    limit: "value?",
    contents: "string?",
    flags: "strings?",
  },
  load_segment: { register: "string", selector: "number" },
  syscall: { name: "string", args: "array?", expect: "value?" },
  registers: { values: "map" },
  stop: { label: "string", expect: "string?" },
  self: { label: "string", expect: "string?" },
};

/** A scenario file that does not say what a scenario must say; names the file and the place. */
export class ScenarioError extends SyntaxError {
  override name = "ScenarioError";
}

/**
 * Checks a parsed JSON value and returns it as a scenario.
 *
 * @param value what the file holds
 * @param name the scenario's name: the file's, without its extension
 * @throws {ScenarioError} naming the step and field, what was expected and what was found
 */
export function parseScenario(value: unknown, name: string): Scenario {
  const fail = (where: string, expected: string, found: unknown): never => {
    throw new ScenarioError(
      `Scenario "${name}": ${where} must be ${expected}: found ${JSON.stringify(found) ?? "nothing"}`,
    );
  };
  if (!isRecord(value)) return fail("the file", "a JSON object", value);
  for (const key of Object.keys(value)) {
    if (!["about", "needs", "setup", "steps", "program"].includes(key)) {
      fail(`key "${key}"`, "one of about, needs, setup, steps, program", key);
    }
  }
  if (typeof value.about !== "string" || value.about.length < 10) {
    fail(`"about"`, "a sentence that says what the scenario shows", value.about);
  }
  const { steps, program } = value;
  if ((steps === undefined) === (program === undefined)) {
    fail("it", `made of "steps" or a "program"`, undefined);
  }
  if (steps !== undefined) {
    if (!Array.isArray(steps) || steps.length === 0) fail(`"steps"`, "a list with at least one step", steps);
    (steps as unknown[]).forEach((step, index) => checkStep(step, `step ${index + 1}`, fail));
    const ops = (steps as Step[]).map((step) => step.op);
    if (!ops.includes("stop") && !ops.includes("self")) {
      fail(`"steps"`, `a list with a "stop" or "self" step (else nothing is checkpointed)`, ops);
    }
  }
  if (
    program !== undefined && (!isRecord(program) || !isStrings(program.argv) || program.argv.length === 0)
  ) {
    fail(`"program"`, `an object with "argv", a list of words`, program);
  }
  return { name, ...value } as unknown as Scenario;
}

type Fail = (where: string, expected: string, found: unknown) => never;

function checkStep(step: unknown, where: string, fail: Fail): void {
  if (!isRecord(step)) return fail(where, "an object", step);
  const op = step.op;
  if (typeof op !== "string" || !Object.hasOwn(STEP_FIELDS, op)) {
    return fail(`${where}: "op"`, `one of ${Object.keys(STEP_FIELDS).join(", ")}`, op);
  }
  const fields = STEP_FIELDS[op as Step["op"]];
  for (const key of Object.keys(step)) {
    if (key !== "op" && !Object.hasOwn(fields, key)) {
      fail(`${where} (${op}): field "${key}"`, `one of ${Object.keys(fields).join(", ")}`, step[key]);
    }
  }
  for (const [key, type] of Object.entries(fields)) {
    const found = step[key];
    if (found === undefined && type.endsWith("?")) continue;
    const kind = type.replace("?", "") as FieldType;
    if (!hasType(found, kind)) fail(`${where} (${op}): "${key}"`, EXPECTED[kind], found);
  }
}

const EXPECTED: Record<FieldType, string> = {
  string: "a string",
  number: "a number",
  count: `a page count such as 12 or "chunk+1"`,
  pages: `a page set such as 3, "0-2,7" or "all"`,
  strings: "a list of strings",
  array: "a list",
  value: "a number or a string",
  map: "an object",
};

function hasType(value: unknown, type: FieldType): boolean {
  switch (type) {
    case "string":
      return typeof value === "string";
    case "number":
      return typeof value === "number";
    case "count":
    case "pages":
    case "value":
      return typeof value === "string" || typeof value === "number";
    case "strings":
      return isStrings(value);
    case "array":
      return Array.isArray(value);
    case "map":
      return isRecord(value);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
