// SPDX-License-Identifier: MIT

import { walk } from "@std/fs";
import { basename, join } from "@std/path";
import { parseScenario, type Scenario, ScenarioError } from "../../lib/model/scenario.ts";
import { ExpectedError } from "../../vm/host/errors.ts";

/** Where the project's own scenarios lie. */
export const SCENARIO_DIRECTORY: string = join(
  import.meta.dirname ?? ".",
  "..",
  "..",
  "fixtures",
  "scenarios",
);

const FILES = new WeakMap<Scenario, string>();

/** The file that a scenario was read from. */
export function scenarioFile(scenario: Scenario): string | undefined {
  return FILES.get(scenario);
}

/**
 * Reads one scenario; its name is the file's.
 *
 * @throws {ExpectedError} when the file cannot be read or does not say what a scenario must
 */
export async function readScenario(path: string): Promise<Scenario> {
  try {
    const scenario = parseScenario(JSON.parse(await Deno.readTextFile(path)), path);
    FILES.set(scenario, path);
    return scenario;
  } catch (error) {
    if (error instanceof ScenarioError) throw new ExpectedError(error.message);
    if (error instanceof SyntaxError) throw new ExpectedError(`${path} is not JSON: ${error.message}`);
    if (error instanceof Deno.errors.NotFound) throw new ExpectedError(`${path}: no such scenario file`);
    throw error;
  }
}

/** Reads every scenario below a directory, in the order of their names. */
export async function readCatalogue(directory = SCENARIO_DIRECTORY): Promise<Scenario[]> {
  const paths: string[] = [];
  for await (const entry of walk(directory, { includeDirs: false, exts: [".json"] })) paths.push(entry.path);
  const byName = (a: string, b: string): number => basename(a) < basename(b) ? -1 : 1;
  return await Promise.all(paths.sort(byName).map((path) => readScenario(path)));
}

/** The scenarios whose name contains one of the texts; all of them when there is no text. */
export function filterScenarios(scenarios: readonly Scenario[], texts: readonly string[]): Scenario[] {
  if (texts.length === 0) return [...scenarios];
  return scenarios.filter((scenario) => texts.some((text) => scenario.name.includes(text)));
}
