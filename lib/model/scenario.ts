// SPDX-License-Identifier: MIT

import { KERNEL_SERIES } from "../abi/series.ts";
import { checkCallFields } from "./call_words.ts";
import { programProblem, type ProgramScenario } from "./program_scenario.ts";
import { type FieldType, type Step, STEP_FIELDS } from "./steps/steps.ts";

export type { ProgramScenario } from "./program_scenario.ts";
export type { SegmentContents, SegmentFlag, Step, StepOf, UntilCheck } from "./steps/steps.ts";

/** What a scenario needs of the guest; a need that is not met is a named skip, never a pass. */
export interface ScenarioNeeds {
  /** Kernel architectures. */
  readonly kernel?: readonly string[];
  /** Target architectures. */
  readonly target?: readonly string[];
  /** Kernel options that must be built in, such as "CONFIG_KSM". */
  readonly config?: readonly string[];
  /** Kernel series that have what it is about, such as "6.12". */
  readonly series?: readonly string[];
}

/**
 * What the agent does as root before the target starts, and undoes after it ended: a file written (the old
 * value is written back), or a swap device, which is either written to at once (`ram`) or by way of the swap
 * cache (`loop`).
 */
export type SetupStep =
  | { write: string; value: string }
  | { swap: "ram" | "loop" }
  /** Who the target is started as. */
  | { uid: number; gid: number };

/** One case: what it shows, what it needs, and the steps that drive target, model and description. */
export interface Scenario {
  /** The file's name, without its extension. */
  readonly name: string;
  /** What it shows, in a sentence. */
  readonly about: string;
  /** What must be there for it to run. */
  readonly needs?: ScenarioNeeds;
  /** What is done before the target starts. */
  readonly setup?: readonly SetupStep[];
  /** What the target does. */
  readonly steps?: readonly Step[];
  /** A real program in place of steps, judged by observation alone. */
  readonly program?: ProgramScenario;
  /**
   * A second judge of each image that is not the target's own: gdb dumps the same stopped process with gcore.
   */
  readonly judge?: "gcore";
}

/** A scenario file that does not say what a scenario must say; names the file and the place. */
export class ScenarioError extends SyntaxError {
  /** The name of the class. */
  override name = "ScenarioError";
}

const KEYS = ["about", "needs", "setup", "steps", "program", "judge"];
const NEEDS = ["kernel", "target", "config", "series"];

type Fail = (where: string, expected: string, found: unknown) => never;

/**
 * Checks a parsed JSON value and returns it as a scenario.
 *
 * @param value what the file holds
 * @param name the scenario's name: the file's, without its extension
 * @throws {ScenarioError} naming the step and field, what was expected and what was found
 */
export function parseScenario(value: unknown, name: string): Scenario {
  const fail: Fail = (where, expected, found) => {
    throw new ScenarioError(
      `Scenario "${name}": ${where} must be ${expected}: found ${JSON.stringify(found) ?? "nothing"}`,
    );
  };
  if (!isRecord(value)) return fail("the file", "a JSON object", value);
  for (const key of Object.keys(value)) {
    if (!KEYS.includes(key)) fail(`key "${key}"`, `one of ${KEYS.join(", ")}`, key);
  }
  if (typeof value.about !== "string" || value.about.length < 10) {
    fail(`"about"`, "a sentence that says what the scenario shows", value.about);
  }
  checkNeeds(value.needs, fail);
  checkSetup(value.setup, fail);
  if (value.judge !== undefined && value.judge !== "gcore") fail(`"judge"`, `"gcore"`, value.judge);
  const { steps, program } = value;
  if ((steps === undefined) === (program === undefined)) {
    fail("it", `made of "steps" or a "program"`, undefined);
  }
  if (steps !== undefined) {
    checkSteps(steps, "", fail);
    const ops = (steps as Step[]).map((step) => step.op);
    if (!ops.includes("stop") && !ops.includes("self")) {
      fail(`"steps"`, `a list with a "stop" or "self" step (else nothing is checkpointed)`, ops);
    }
  }
  const problem = program === undefined ? undefined : programProblem(program);
  if (problem) fail(...problem);
  return { name, ...value } as unknown as Scenario;
}

function checkNeeds(needs: unknown, fail: Fail): void {
  if (needs === undefined) return;
  if (!isRecord(needs)) return fail(`"needs"`, "an object", needs);
  for (const [key, words] of Object.entries(needs)) {
    if (!NEEDS.includes(key)) fail(`"needs"`, `made of ${NEEDS.join(", ")}`, key);
    if (!isStrings(words)) return fail(`"needs": "${key}"`, "a list of strings", words);
    if (key !== "series") continue;
    const known: readonly string[] = KERNEL_SERIES;
    const unknown = words.find((word) => !known.includes(word));
    if (unknown !== undefined) fail(`"needs": "series"`, `made of ${KERNEL_SERIES.join(", ")}`, unknown);
  }
}

function checkSetup(setup: unknown, fail: Fail): void {
  if (setup === undefined) return;
  if (!Array.isArray(setup)) return fail(`"setup"`, "a list", setup);
  setup.forEach((step: unknown, index) => {
    const isWrite = isRecord(step) && typeof step.write === "string" && typeof step.value === "string";
    const isSwap = isRecord(step) && (step.swap === "ram" || step.swap === "loop");
    const isUser = isRecord(step) && typeof step.uid === "number" && typeof step.gid === "number";
    if (!isWrite && !isSwap && !isUser) {
      fail(
        `set-up step ${index + 1}`,
        `{"write": PATH, "value": TEXT}, {"swap": "ram"}, {"swap": "loop"} or {"uid": N, "gid": N}`,
        step,
      );
    }
  });
}

function checkSteps(steps: unknown, prefix: string, fail: Fail): void {
  if (!Array.isArray(steps) || steps.length === 0) {
    return fail(prefix === "" ? `"steps"` : `${prefix}"steps"`, "a list with at least one step", steps);
  }
  steps.forEach((step: unknown, index) => checkStep(step, `${prefix}step ${index + 1}`, fail));
}

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
    if (kind === "steps") checkSteps(found, `${where}, `, fail);
  }
  if (op === "stop") {
    checkCallFields(step, (field, expected, found) => fail(`${where} (${op}): ${field}`, expected, found));
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
  steps: "a list of steps",
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
    case "steps":
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
