// SPDX-License-Identifier: MIT

import fc from "fast-check";
import { PAGE_SIZE } from "../../lib/abi/arch.ts";
import { compileScenario } from "../../lib/model/compile_scenario.ts";
import type { CompileTarget } from "../../lib/model/state/model_state.ts";
import { parseScenario, ScenarioError, type SetupStep, type Step } from "../../lib/model/scenario.ts";

/**
 * Numbers from which one step is made. Whatever they are, they make a step or none, so that shrinking just
 * works.
 */
interface Choice {
  readonly kind: number;
  readonly area: number;
  readonly first: number;
  readonly count: number;
  readonly extra: number;
}

/** What random programs may use beyond memory that every kernel has. */
interface DrawOptions {
  readonly target: CompileTarget;
  /** Whether a swap device is there, so that pages can be paged out. */
  readonly swap: boolean;
  /** Whether tracers and other holders have their hands on the program at stops in between. */
  readonly tracers?: boolean;
}

/** The set-up of programs that page out: a device with a swap cache, in which pages can be lost. */
export const SWAP_SETUP: readonly SetupStep[] = [{ swap: "loop" }];

/**
 * What has been drawn so far: just enough to name areas and files; the model judges whether a step is
 * possible.
 */
class Draft {
  readonly steps: Step[] = [];
  readonly areas: { name: string; pages: number }[] = [];
  readonly files: string[] = [];
}

/** Most steps of a program. */
const MAX_STEPS = 16;

type StepMaker = (choice: Choice, draft: Draft) => Step | undefined;

const PROTS = ["rw", "r", "rwx", "none", "rx", "rw"] as const;
const ADVICE = [
  "dontneed",
  "sequential",
  "random",
  "normal",
  "dontdump",
  "dontfork",
  "wipeonfork",
  "cold",
  "free",
  "populate_read",
  "populate_write",
] as const;
const SEGMENT_FLAGS = ["32bit", "pages", "readonly", "useable", "not_present"] as const;
const CONTENTS = ["data", "expand_down", "code"] as const;
const LDT_ENTRIES = [0, 1, 5, 63, 511, 512, 8191];

function pick<Item>(list: readonly Item[], number: number): Item | undefined {
  return list.length === 0 ? undefined : list[number % list.length];
}

/** A step on a run of pages of an area that was drawn before. */
function onPages(make: (area: string, pages: string, choice: Choice) => Step): StepMaker {
  return (choice, draft) => {
    const area = pick(draft.areas, choice.area);
    if (!area) return undefined;
    const first = choice.first % area.pages;
    const last = Math.min(area.pages - 1, first + choice.count % 8);
    return make(area.name, first === last ? `${first}` : `${first}..${last}`, choice);
  };
}

function drawMmap(choice: Choice, draft: Draft): Step {
  const name = `a${draft.areas.length}`;
  const pages = 1 + choice.count % 20;
  const prot = PROTS[choice.extra % PROTS.length]!;
  const before = choice.first % 3 === 0 ? draft.areas.at(-1)?.name : undefined;
  draft.areas.push({ name, pages });
  const file = choice.kind % 2 === 0 ? pick(draft.files, choice.area) : undefined;
  return {
    op: "mmap",
    area: name,
    pages,
    prot,
    ...(file === undefined ? {} : { file, offset: choice.first % 4 }),
    ...(before === undefined || file !== undefined ? {} : { after: before }),
  };
}

function drawFile(choice: Choice, draft: Draft): Step {
  const file = `f${draft.files.length}`;
  draft.files.push(file);
  return { op: "file", file, pages: 1 + choice.count % 12 };
}

function drawLdt(choice: Choice): Step {
  const flags = SEGMENT_FLAGS.filter((_, bit) => (choice.extra >> bit & 1) === 1);
  return {
    op: "modify_ldt",
    entries: LDT_ENTRIES[choice.area % LDT_ENTRIES.length]!,
    base: `0x${(Math.imul(choice.first + 1, 0x9e3779b1) >>> 0).toString(16)}`,
    limit: `0x${(Math.imul(choice.count + 1, 0x85ebca6b) >>> 12).toString(16)}`,
    contents: CONTENTS[choice.extra % CONTENTS.length]!,
    ...(choice.extra % 7 === 0 ? { func: 1 } : {}),
    flags,
  };
}

function drawMremap(choice: Choice, draft: Draft): Step | undefined {
  const area = pick(draft.areas, choice.area);
  if (!area) return undefined;
  const first = choice.first % area.pages;
  const count = Math.min(area.pages - first, 1 + choice.count % 8);
  const pages = `${first}..${first + count - 1}`;
  const size = choice.extra % 3 === 0 ? 1 + choice.extra % 20 : count;
  if (choice.kind % 3 === 0) {
    area.pages = first + size;
    return { op: "mremap", area: area.name, pages, size };
  }
  const to = `a${draft.areas.length}`;
  draft.areas.push({ name: to, pages: size });
  const keep = choice.extra % 4 === 1 && size === count ? { flags: ["dontunmap"] as const } : {};
  return { op: "mremap", area: area.name, pages, to, size, ...keep };
}

function drawBrk(choice: Choice, draft: Draft): Step {
  const pages = choice.count % 24;
  const heap = draft.areas.find(({ name }) => name === "heap");
  if (heap) heap.pages = Math.max(1, pages);
  else draft.areas.push({ name: "heap", pages: Math.max(1, pages) });
  return { op: "brk", area: "heap", pages };
}

function drawFileChange(choice: Choice, draft: Draft): Step | undefined {
  const file = pick(draft.files, choice.area);
  if (file === undefined) return undefined;
  if (choice.extra % 2 === 0) return { op: "truncate", file, pages: choice.count % 12 };
  return { op: "write_file", file, pages: choice.first % 12 };
}

const MLOCKALL_FLAGS = [["current"], ["future"], ["current", "future"], ["future", "onfault"]] as const;

function drawLock(choice: Choice, draft: Draft): Step | undefined {
  const area = pick(draft.areas, choice.area);
  if (!area || choice.extra % 8 === 0) {
    const flags = pick(MLOCKALL_FLAGS, choice.first)!;
    return choice.count % 2 === 0 ? { op: "mlockall", flags } : { op: "munlockall" };
  }
  const first = choice.first % area.pages;
  const pages = `${first}..${Math.min(area.pages - 1, first + choice.count % 8)}`;
  if (choice.extra % 3 === 0) return { op: "munlock", area: area.name, pages };
  return { op: "mlock", area: area.name, pages, ...(choice.extra % 3 === 1 ? { flags: ["onfault"] } : {}) };
}

/** Makes a child that does the step in place of the subject, and ends. */
function inChild(make: StepMaker): StepMaker {
  return (choice, draft) => {
    const step = make(choice, draft);
    return step && step.op !== "stop" ? { op: "in_child", steps: [step] } : undefined;
  };
}

const STOPPERS = ["signal", "seize", "attach", "freezer", "freezer and signal"] as const;

/**
 * A stop at which somebody writes to memory, sets a breakpoint, or holds the target in another way. Breakpoints
 * are on execution, which no program of steps does in its areas.
 */
function drawTracedStop({ area, first, count, extra }: Choice, draft: Draft): Step | undefined {
  const drawn = pick(draft.areas, area);
  if (!drawn) return undefined;
  const at = `${drawn.name}:${first % drawn.pages}+${count * 64 + extra}`;
  const label = `stop ${draft.steps.length}`;
  const what = (first + count + extra) % 3;
  if (what === 0) return { op: "stop", label, stoppedBy: STOPPERS[extra % STOPPERS.length]! };
  if (what === 1) {
    const number = extra % 4;
    const enable = 1 << (2 * number + count % 2);
    return {
      op: "stop",
      label,
      debug: [{ register: (["dr0", "dr1", "dr2", "dr3"] as const)[number]!, value: at }, {
        register: "dr7",
        value: enable,
      }],
    };
  }
  const bytes = (extra * 4 + 1).toString(16).padStart(2, "0").repeat(1 + count % 4);
  const poke = [{ at, bytes }, ...(extra % 4 === 0 ? [{ at: `vdso+${first}`, bytes: "cc" }] : [])];
  return { op: "stop", label, poke, stoppedBy: STOPPERS[extra % STOPPERS.length]! };
}

/** Step kinds, the frequent ones more than once. */
function stepMakers({ swap, tracers }: DrawOptions): StepMaker[] {
  const write = onPages((area, pages) => ({ op: "write", area, pages }));
  const read = onPages((area, pages) => ({ op: "read", area, pages }));
  const mprotect = onPages((area, pages, { extra }) => ({
    op: "mprotect",
    area,
    pages,
    prot: PROTS[extra % PROTS.length]!,
  }));
  const pageout = onPages((area, pages) => ({ op: "madvise", area, pages, advice: "pageout" }));
  return [
    drawMmap,
    drawMmap,
    drawFile,
    write,
    write,
    write,
    read,
    read,
    mprotect,
    mprotect,
    onPages((area, pages) => ({ op: "munmap", area, pages })),
    onPages((area, pages) => ({ op: "zero", area, pages })),
    onPages((area, pages, { extra }) => ({
      op: "madvise",
      area,
      pages,
      advice: ADVICE[extra % ADVICE.length]!,
    })),
    (choice, draft) => {
      const area = pick(draft.areas, choice.area);
      return area && {
        op: "poke",
        area: area.name,
        page: choice.first % area.pages,
        offset: choice.count * 8 % PAGE_SIZE,
        size: 8,
        value: choice.extra,
      };
    },
    drawMremap,
    drawMremap,
    drawBrk,
    drawFileChange,
    drawLock,
    inChild(write),
    inChild(mprotect),
    drawLdt,
    drawLdt,
    ({ extra }) => ({ op: "fork", subject: extra % 2 === 0 ? "child" : "parent" }),
    ...(swap ? [pageout, pageout] : []),
    ...(tracers ? Array.from({ length: 8 }, () => drawTracedStop) : []),
  ];
}

/** Whether the model can say what the steps do; a step that cannot be done is left out of the program. */
function isPossible(steps: readonly Step[], { target, swap }: DrawOptions): boolean {
  const setup = swap ? { setup: SWAP_SETUP } : {};
  const scenario = { about: "a random program", ...setup, steps: [...steps, STOP] };
  try {
    compileScenario(parseScenario(scenario, "random"), target);
    return true;
  } catch (error) {
    if (error instanceof ScenarioError) return false;
    throw error;
  }
}

const STOP: Step = { op: "stop", label: "stopped" };

/** Random programs: lists of steps that the model can follow, ending with a stop. */
export function stepsArbitrary(options: DrawOptions): fc.Arbitrary<Step[]> {
  const makers = stepMakers(options);
  const small = fc.nat({ max: 63 });
  const choice = fc.record({
    kind: fc.nat({ max: 999 }),
    area: small,
    first: small,
    count: small,
    extra: small,
  });
  const choices = fc.array(choice, { minLength: 1, maxLength: MAX_STEPS, size: "max" });
  return choices.map((list) => {
    const draft = new Draft();
    for (const one of list) {
      const areas = draft.areas.map((area) => ({ ...area }));
      const files = draft.files.length;
      const step = makers[one.kind % makers.length]!(one, draft);
      if (step && isPossible([...draft.steps, step], options)) {
        draft.steps.push(step);
      } else {
        draft.areas.splice(0, draft.areas.length, ...areas);
        draft.files.length = files;
      }
    }
    return [...draft.steps, STOP];
  });
}
