// SPDX-License-Identifier: MIT

import fc from "fast-check";
import { PAGE_SIZE } from "../../lib/abi/arch.ts";
import { DEFAULT_SERIES, isOlder } from "../../lib/abi/series.ts";
import { compileScenario } from "../../lib/model/compile_scenario.ts";
import type { CompileTarget } from "../../lib/model/state/model_state.ts";
import { parseScenario, ScenarioError, type SetupStep, type Step } from "../../lib/model/scenario.ts";
import { oldestRelease } from "../../lib/model/steps/steps.ts";

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
  /** Whether the program goes on in other processes, restarted from its images, behind stops in between. */
  readonly restarts?: boolean;
}

/** The set-up of programs that page out: a device with a swap cache, in which pages can be lost. */
export const SWAP_SETUP: readonly SetupStep[] = [{ swap: "loop" }];

interface DrawnArea {
  readonly name: string;
  pages: number;
}

/**
 * What has been drawn so far: just enough to name areas and files; the model judges whether a step is
 * possible.
 */
interface Draft {
  readonly steps: Step[];
  readonly areas: DrawnArea[];
  readonly files: string[];
}

const MAX_STEPS = 16;

type StepMaker = (choice: Choice, draft: Draft) => Step | undefined;
/** Makes a step on a run of pages of an area that was drawn before, such as `3..5`. */
type PagesStepMaker = (on: { area: string; pages: string }, choice: Choice, drawn: DrawnArea) => Step;

const PROTS = ["rw", "r", "rwx", "none", "rx", "rw"] as const;
const ADVICE = [
  ...["dontneed", "sequential", "random", "normal", "dontdump", "dontfork", "wipeonfork"] as const,
  ...["cold", "free", "populate_read", "populate_write"] as const,
];
const SEGMENT_FLAGS = ["32bit", "pages", "readonly", "useable", "not_present"] as const;
const CONTENTS = ["data", "expand_down", "code"] as const;
const LDT_ENTRIES = [0, 1, 5, 63, 511, 512, 8191];
const MLOCKALL_FLAGS = [["current"], ["future"], ["current", "future"], ["future", "onfault"]] as const;
const STOPPERS = ["signal", "seize", "attach", "freezer", "freezer and signal"] as const;

/** One of a list, whatever the number; undefined where it is empty. */
function pick<const List extends readonly unknown[]>(list: List, number: number): List[number] {
  return list[number % list.length];
}

function onPages(make: PagesStepMaker): StepMaker {
  return (choice, { areas }) => {
    const drawn = pick(areas, choice.area);
    if (!drawn) return undefined;
    const first = choice.first % drawn.pages;
    const last = Math.min(drawn.pages - 1, first + choice.count % 8);
    const pages = first === last ? `${first}` : `${first}..${last}`;
    return make({ area: drawn.name, pages }, choice, drawn);
  };
}

const write = onPages((on) => ({ op: "write", ...on }));
const mprotect = onPages((on, { extra }) => ({ op: "mprotect", ...on, prot: pick(PROTS, extra) }));

function drawMmap({ kind, area, first, count, extra }: Choice, { areas, files }: Draft): Step {
  const name = `a${areas.length}`;
  const file = kind % 2 === 0 ? pick(files, area) : undefined;
  const after = first % 3 === 0 && file === undefined ? areas.at(-1)?.name : undefined;
  const pages = 1 + count % 20;
  areas.push({ name, pages });
  return {
    ...{ op: "mmap", area: name, pages, prot: pick(PROTS, extra) },
    ...file !== undefined && { file, offset: first % 4 },
    ...after !== undefined && { after },
  };
}

function drawLdt({ area, first, count, extra }: Choice): Step {
  return {
    op: "modify_ldt",
    entries: pick(LDT_ENTRIES, area)!,
    base: `0x${(Math.imul(first + 1, 0x9e3779b1) >>> 0).toString(16)}`,
    limit: `0x${(Math.imul(count + 1, 0x85ebca6b) >>> 12).toString(16)}`,
    contents: pick(CONTENTS, extra),
    ...extra % 7 === 0 && { func: 1 },
    flags: SEGMENT_FLAGS.filter((_, bit) => (extra >> bit & 1) === 1),
  };
}

function drawMremap(
  { kind, area: number, first, count: most, extra }: Choice,
  { areas }: Draft,
): Step | undefined {
  const area = pick(areas, number);
  if (!area) return undefined;
  const start = first % area.pages;
  const count = Math.min(area.pages - start, 1 + most % 8);
  const size = extra % 3 === 0 ? 1 + extra % 20 : count;
  const step = { op: "mremap", area: area.name, pages: `${start}..${start + count - 1}`, size } as const;
  if (kind % 3 === 0) {
    area.pages = start + size;
    return step;
  }
  const to = `a${areas.length}`;
  areas.push({ name: to, pages: size });
  return { ...step, to, ...extra % 4 === 1 && size === count && { flags: ["dontunmap"] } };
}

function drawBrk({ count }: Choice, { areas }: Draft): Step {
  const pages = count % 24;
  const heap = areas.find(({ name }) => name === "heap");
  if (heap) heap.pages = Math.max(1, pages);
  else areas.push({ name: "heap", pages: Math.max(1, pages) });
  return { op: "brk", area: "heap", pages };
}

function drawFileChange({ area, first, count, extra }: Choice, { files }: Draft): Step | undefined {
  const file = pick(files, area);
  if (file === undefined) return undefined;
  return extra % 2 === 0
    ? { op: "truncate", file, pages: count % 12 }
    : { op: "write_file", file, pages: first % 12 };
}

function drawLockAll({ first, count }: Choice): Step {
  return count % 2 === 0 ? { op: "mlockall", flags: pick(MLOCKALL_FLAGS, first) } : { op: "munlockall" };
}

const lockPages = onPages((on, { extra }) => {
  if (extra % 3 === 0) return { op: "munlock", ...on };
  return { op: "mlock", ...on, ...extra % 3 === 1 && { flags: ["onfault"] } };
});

/** Makes a child that does the step in place of the subject, and ends. */
function inChild(make: StepMaker): StepMaker {
  return (choice, draft) => {
    const step = make(choice, draft);
    return step && step.op !== "stop" ? { op: "in_child", steps: [step] } : undefined;
  };
}

/**
 * A stop at which somebody writes to memory, sets a breakpoint, or holds the target in another way. Breakpoints
 * are on execution, which no program of steps does in its areas.
 */
function drawTracedStop(choice: Choice, draft: Draft): Step | undefined {
  const { first, count, extra } = choice;
  return onPages((_on, _choice, drawn) => {
    const at = `${drawn.name}:${first % drawn.pages}+${count * 64 + extra}`;
    const label = `stop ${draft.steps.length}`;
    const stop = { op: "stop", label, stoppedBy: pick(STOPPERS, extra) } as const;
    const what = (first + count + extra) % 3;
    if (what === 0) return stop;
    if (what === 1) {
      const register = pick(["dr0", "dr1", "dr2", "dr3"], extra);
      const enable = 1 << (2 * (extra % 4) + count % 2);
      return { op: "stop", label, debug: [{ register, value: at }, { register: "dr7", value: enable }] };
    }
    const bytes = (extra * 4 + 1).toString(16).padStart(2, "0").repeat(1 + count % 4);
    return {
      ...stop,
      poke: [{ at, bytes }, ...extra % 4 === 0 ? [{ at: `vdso+${first}`, bytes: "cc" }] : []],
    };
  })(choice, draft);
}

const RESTART_SOURCES = ["file", "pipe", "socket"] as const;
const RESTART_CALLERS = ["vfork", "memory", "files", "child", "handler", "ldt"] as const;

/** A stop behind which the program goes on in another process, or in one that comes of several in a row. */
function drawRestart({ first, count, extra }: Choice, { steps }: Draft): Step {
  const has = RESTART_CALLERS.filter((_, bit) => (extra >> bit & 1) === 1 && first % 4 === 0);
  return {
    ...{ op: "stop", label: `stop ${steps.length}` },
    restart: {
      from: { kind: pick(RESTART_SOURCES, first) },
      ...count % 4 === 0 && { generations: 2 + count % 3 },
      ...(has.length > 0 || extra % 2 === 1) && { caller: { has, flags: extra % 2 } },
    },
  };
}

function stepMakers({ swap, tracers, restarts }: DrawOptions): StepMaker[] {
  const weighted: [weight: number, make: StepMaker][] = [
    [2, drawMmap],
    [1, ({ count }, { files }) => {
      const file = `f${files.length}`;
      files.push(file);
      return { op: "file", file, pages: 1 + count % 12 };
    }],
    [3, write],
    [2, onPages((on) => ({ op: "read", ...on }))],
    [2, mprotect],
    [1, onPages((on) => ({ op: "munmap", ...on }))],
    [1, onPages((on) => ({ op: "zero", ...on }))],
    [1, onPages((on, { extra }) => ({ op: "madvise", ...on, advice: pick(ADVICE, extra)! }))],
    [
      1,
      onPages(({ area }, { first, count, extra: value }, { pages }) => (
        { op: "poke", area, page: first % pages, offset: count * 8 % PAGE_SIZE, size: 8, value }
      )),
    ],
    [2, drawMremap],
    [1, drawBrk],
    [1, drawFileChange],
    [1, (choice, draft) => (choice.extra % 8 > 0 && lockPages(choice, draft)) || drawLockAll(choice)],
    [1, inChild(write)],
    [1, inChild(mprotect)],
    [2, drawLdt],
    [1, ({ extra }) => ({ op: "fork", subject: extra % 2 === 0 ? "child" : "parent" })],
    [swap ? 2 : 0, onPages((on) => ({ op: "madvise", ...on, advice: "pageout" }))],
    [tracers ? 8 : 0, drawTracedStop],
    [restarts ? 10 : 0, drawRestart],
  ];
  return weighted.flatMap(([weight, make]) => Array<StepMaker>(weight).fill(make));
}

/**
 * Whether the kernel has what the steps need, and the model can say what they do; a step that cannot be done is left
 * out of the program.
 */
function isPossible(steps: readonly Step[], { target, swap }: DrawOptions): boolean {
  const oldest = oldestRelease(steps, target.targetWordSize === 8 ? "x86_64" : "i386");
  if (oldest && isOlder(target.series ?? DEFAULT_SERIES, oldest.release)) return false;
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
    let draft: Draft = { steps: [], areas: [], files: [] };
    for (const one of list) {
      const next = structuredClone(draft);
      const step = pick(makers, one.kind)!(one, next);
      if (!step || !isPossible([...draft.steps, step], options)) continue;
      next.steps.push(step);
      draft = next;
    }
    return [...draft.steps, STOP];
  });
}
