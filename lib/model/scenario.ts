// SPDX-License-Identifier: MIT
import * as v from "valibot";
import { isSelf } from "./call.ts";
import { type Step, STEP_LIST } from "./steps/steps.ts";
import { KERNEL_ARCHES, TARGET_ARCHES } from "../abi/arch.ts";
import { KERNEL_SERIES } from "../abi/series.ts";
import {
  described,
  either,
  integer,
  list,
  object,
  oneOf,
  optional,
  parseJson,
  record,
  text,
} from "../schema.ts";
import { ABSOLUTE_PATH, ERRNO_NAME, OUTCOME, SETUP_STEP } from "./fields.ts";

export type { SetupStep, WaitCondition } from "./fields.ts";
export type { Step, StepOf } from "./steps/steps.ts";

const NEEDS = object({
  kernel: optional(list(oneOf(KERNEL_ARCHES), 1), "Kernel architectures."),
  target: optional(list(oneOf(TARGET_ARCHES), 1), "Target architectures."),
  config: optional(
    list(text(/^!?CONFIG_[A-Z0-9_]+$/, `a kernel option such as "CONFIG_KSM"`), 1),
    "Kernel options that must be built in, or, behind a !, must not.",
  ),
  series: optional(list(oneOf(KERNEL_SERIES), 1), "Kernel series that have what it is about."),
  cpu: optional(
    list(oneOf(["fxsr", "sse", "xsave", "!fsgsbase"]), 1),
    "What the processor must have, or, behind a !, must not.",
  ),
});

/** What happens to the target of a race. */
const RACE_KINDS = [
  "stopped",
  "continued",
  "killed",
  "traced",
  "inspected",
  "pagedout",
  "migrated",
  "shared",
  "frozen",
  "swapping",
  "locked",
  "executing",
  "signalled",
] as const;

const PROGRAM = object({
  argv: described(
    "The program's path on the host and in the guest, and its arguments.",
    v.pipe(
      list(text(/^[^\0]*$/, "a word"), 1),
      v.check(
        (words) => words[0]?.startsWith("/") === true,
        "a list of words, the first of them an absolute path",
      ),
    ),
  ),
  package: optional(
    text(/^[a-z0-9][a-z0-9+.-]+$/, "the name of a Debian package"),
    "The Debian package that holds it.",
  ),
  files: optional(
    list(ABSOLUTE_PATH),
    "Files and directories of the host that it opens by itself, packed at the same path; * stands for any part " +
      "of a name, so that a version need not be named.",
  ),
  env: optional(
    record(text(/^[A-Za-z_]\w*$/, "the name of a variable"), text(/^[^\0]*$/, "a string")),
    "Environment variables besides PATH and HOME.",
  ),
  refused: optional(
    either(
      "the name of an errno, or an object",
      ERRNO_NAME,
      object({ errno: ERRNO_NAME, late: v.literal(true, "true") }),
    ),
    "The errno that the call must refuse it with, before it writes a byte; with late: true behind a part of the image.",
  ),
});

const RACE = object({
  meanwhile: described(
    "What another process does to the target while the calls are made, again and again: continues, kills, traces it, " +
      `looks at its registers as its tracer, pages its memory out, moves a huge page to another node. "stopped": ` +
      "nothing; it is continued before each call, which comes as soon as its parent is told of its stop. " +
      `"shared": another caller has the same open file. "frozen": the file system of the image is, until the caller ` +
      `waits. "swapping", "locked", "executing": the caller is killed while it waits for a page from a slow device, ` +
      "for the mmap lock, for an execve(2) of another target that waits for that lock: EINTR when it ends at once. " +
      '"signalled": a handled signal comes with the last write before it would wait for the lock.',
    oneOf(RACE_KINDS),
  ),
  executes: optional(
    v.literal(true, "true"),
    "The target executes another program behind each of its stops.",
  ),
  times: described(
    "How many calls are made; where the target is killed, how many targets.",
    integer(1, 4000),
  ),
  expect: described("All ways in which the calls end; each must come.", list(OUTCOME, 1)),
});

const ABOUT = "a sentence that says what the scenario shows";

/** What a scenario file holds. */
export const SCENARIO = v.pipe(
  object({
    $schema: optional(v.string("the path of the JSON schema")),
    about: described("What it shows, in a sentence.", v.pipe(v.string(ABOUT), v.minLength(10, ABOUT))),
    needs: optional(
      NEEDS,
      "What must be there for it to run; a need that is not met is a named skip, never a pass.",
    ),
    setup: optional(
      list(SETUP_STEP),
      "What the agent does as root before the target starts, and undoes after it ended: a file written (the old " +
        "value is written back), a swap device, which is either written to at once (ram) or by way of the swap " +
        "cache (loop), or who the target is started as.",
    ),
    steps: optional(STEP_LIST, "What the target does."),
    program: optional(PROGRAM, "A real program in place of steps, judged by observation alone."),
    race: optional(RACE, "Calls for a target that others change at the same time, in place of steps."),
    judge: optional(
      oneOf(["gcore"]),
      "A second judge of each image that is not the target's own: gdb dumps the same stopped process.",
    ),
  }),
  v.check(
    ({ steps, program, race }) => [steps, program, race].filter((part) => part !== undefined).length === 1,
    `"steps", a "program" or a "race"`,
  ),
  v.forward(
    v.partialCheck(
      [["steps"]],
      ({ steps = [] }) => steps.length === 0 || stopsOf(steps).length > 0,
      `a list with a "stop" step (else nothing is checkpointed)`,
    ),
    ["steps"],
  ),
  v.forward(
    v.partialCheck(
      [["steps"]],
      ({ steps = [] }) => new Set(stopsOf(steps)).size === stopsOf(steps).length,
      "stops whose labels differ",
    ),
    ["steps"],
  ),
);

function stopsOf(steps: readonly Step[]): string[] {
  return steps.flatMap((step) => step.op === "stop" ? [step.label] : []);
}

/** A real program: its arguments, what it needs, and what the call must do to it. */
export type ProgramScenario = v.InferOutput<typeof PROGRAM>;

/** A race: what happens to its target, how many calls are made, and how they may end. */
export type RaceScenario = v.InferOutput<typeof RACE>;

/** One case: what it shows, what it needs, and the steps that drive target, model and description. */
export type Scenario = Omit<v.InferOutput<typeof SCENARIO>, "$schema"> & {
  /** The file's name, without its extension. */
  readonly name: string;
};

/** A scenario that does not say what a scenario must say; names the file and the place. */
export class ScenarioError extends SyntaxError {
  /** The name of the class. */
  override name = "ScenarioError";
}

/**
 * Checks a parsed JSON value and returns it as a scenario.
 *
 * @param value what the file holds
 * @param file the file's path, or the scenario's name alone
 * @throws {ScenarioError} with a line for each mistake: file, JSON path, expected, found
 */
export function parseScenario(value: unknown, file: string): Scenario {
  const { $schema: _, ...scenario } = parseJson(SCENARIO, value, { file, error: ScenarioError });
  return { name: file.replace(/^.*\//, "").replace(/\.json$/, ""), ...scenario };
}

/** What a stop can say of a target that calls for itself. */
const SELF_WORDS = ["op", "label", "expect"];

/** Why a scenario cannot be run where tasks only checkpoint themselves; undefined when it can. */
export function selfSkipReason(
  { program, judge, race, setup = [], steps = [] }: Scenario,
): string | undefined {
  const outside = "a task that is checkpointed by another one (--self)";
  if (program) return `needs ${outside}: it is a program of the system`;
  if (judge) return `needs ${outside}: gdb is to dump it, too`;
  if (race) return `needs ${outside}: others race with the call`;
  // Pages in swap come back with the call, and only after it somebody can look.
  if (setup.some((step) => "swap" in step)) {
    return `needs ${outside}: it looks at swapped pages before the call`;
  }
  // They are loaded for a stop, and the call changes them.
  if (steps.some(({ op }) => op === "registers")) {
    return `needs ${outside}: it chooses the registers of the stop`;
  }
  for (const step of steps) {
    if (step.op !== "stop" || isSelf(step.call?.pid)) continue;
    const word = Object.keys(step).find((key) => !SELF_WORDS.includes(key));
    if (word !== undefined) return `needs ${outside}: its stop says "${word}"`;
  }
  return undefined;
}

/** The same scenario with every checkpoint made by the target itself. */
export function selfScenario(scenario: Scenario): Scenario {
  const steps = scenario.steps?.map((step): Step =>
    step.op === "stop" && step.call === undefined ? { ...step, call: { pid: "self" } } : step
  );
  return steps === undefined ? scenario : { ...scenario, steps };
}
