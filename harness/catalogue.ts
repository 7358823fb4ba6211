// SPDX-License-Identifier: MIT

import { basename, join } from "@std/path";
import { parseScenario, type Scenario, ScenarioError } from "../lib/model/scenario.ts";
import { UsageError } from "./exit_status.ts";

/** Where the project's own scenarios lie. */
export const SCENARIO_DIRECTORY: string = join(import.meta.dirname ?? ".", "..", "fixtures", "scenarios");

/**
 * Reads one scenario; its name is the file's.
 *
 * @throws {UsageError} when the file cannot be read or does not say what a scenario must
 */
export async function readScenario(path: string): Promise<Scenario> {
  try {
    return parseScenario(JSON.parse(await Deno.readTextFile(path)), basename(path, ".json"));
  } catch (error) {
    if (error instanceof ScenarioError) throw new UsageError(`${path}: ${error.message}`);
    if (error instanceof SyntaxError) throw new UsageError(`${path} is not JSON: ${error.message}`);
    if (error instanceof Deno.errors.NotFound) throw new UsageError(`${path}: no such scenario file`);
    throw error;
  }
}

/** Reads every scenario of a directory, in the order of their names. */
export async function readCatalogue(directory = SCENARIO_DIRECTORY): Promise<Scenario[]> {
  const names: string[] = [];
  for await (const entry of Deno.readDir(directory)) if (entry.name.endsWith(".json")) names.push(entry.name);
  return await Promise.all(names.sort().map((name) => readScenario(join(directory, name))));
}

/** The scenarios whose name contains one of the texts; all of them when there is no text. */
export function filterScenarios(scenarios: readonly Scenario[], texts: readonly string[]): Scenario[] {
  if (texts.length === 0) return [...scenarios];
  return scenarios.filter((scenario) => texts.some((text) => scenario.name.includes(text)));
}
