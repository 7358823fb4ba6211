// SPDX-License-Identifier: MIT

import { walk } from "@std/fs";
import { basename, fromFileUrl } from "@std/path";
import {
  parseScenario,
  type Scenario,
  ScenarioError,
  selfScenario,
  selfSkipReason,
} from "../../lib/model/scenario.ts";
import { ExpectedError, isSystemError, UsageError } from "../../vm/host/errors.ts";
import { didYouMean } from "../../vm/host/did_you_mean.ts";
import { type CompiledScenario, compileScenario } from "../../lib/model/compile_scenario.ts";
import type { CompileTarget } from "../../lib/model/state/model_state.ts";
import type { Platform } from "./platform.ts";
import { isOlder } from "../../lib/abi/series.ts";
import { oldestRelease } from "../../lib/model/steps/steps.ts";
import { type KernelConfig, parseKernelConfig } from "../../vm/kernel/config/kernel_config.ts";
import { optionOf } from "../../vm/kernel/config/needed_options.ts";

/** Where the project's own scenarios lie. */
export const SCENARIO_DIRECTORY: string = fromFileUrl(new URL("../../fixtures/scenarios", import.meta.url));

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
    if (isSystemError(error)) {
      throw new ExpectedError(`${path}: the scenario cannot be read: ${error.message}`);
    }
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

/** The scenario of that name, or in that file. @throws {ExpectedError} where there is none, or it cannot be read */
export async function findScenario(name: string): Promise<Scenario> {
  if (name.endsWith(".json")) return await readScenario(name);
  const scenarios = await readCatalogue();
  const names = scenarios.map((scenario) => scenario.name);
  const found = scenarios.find((scenario) => scenario.name === name);
  if (found) return found;
  throw new UsageError(`no scenario "${name}" in ${SCENARIO_DIRECTORY}${didYouMean(name, names)}`);
}

const REGEXP_FILTER = /^\/(.+)\/$/;

/** A filter as it is, when it can be one: a text, or a regular expression between slashes. */
export function isFilter(text: string): string | undefined {
  try {
    new RegExp(REGEXP_FILTER.exec(text)?.[1] ?? "");
    return text;
  } catch {
    return undefined;
  }
}

/**
 * The scenarios (or what else they are) that one of the filters means: the one of that name, else those whose names
 * contain the text or match the regular expression. All of them when there is no filter.
 *
 * @throws {UsageError} naming a filter that means none
 */
export function filterByName<T extends { readonly name: string }>(
  all: readonly T[],
  filters: readonly string[],
  what = "scenario",
): T[] {
  if (filters.length === 0) return [...all];
  const names = all.map(({ name }) => name);
  const wanted = new Set(filters.flatMap((filter) => {
    const [, pattern] = REGEXP_FILTER.exec(filter) ?? [];
    const regexp = pattern === undefined ? undefined : new RegExp(pattern);
    const found = names.includes(filter)
      ? [filter]
      : names.filter((name) => regexp?.test(name) ?? name.includes(filter));
    if (found.length > 0) return found;
    const hint = didYouMean(filter, names) || (what === "scenario" ? ": ckptest list shows them" : "");
    throw new UsageError(`option --filter: no ${what} is called "${filter}"${hint}`);
  }));
  return all.filter(({ name }) => wanted.has(name));
}

/** Scenarios made ready for one target. */
export type CompiledCatalogue = ReadonlyMap<Scenario, CompiledScenario>;

/** Mistakes that are shown: the rest may follow from the first. */
const MAX_SHOWN = 20;

/**
 * Compiles the scenarios that fit a platform. Those without steps, or that the platform does not fit, are left out.
 *
 * @throws {ExpectedError} naming the file and the step of each mistake
 */
export function compileCatalogue(
  scenarios: readonly Scenario[],
  { platform, target, self }: { platform: Platform; target: CompileTarget; self: boolean },
): CompiledCatalogue {
  const compiled = new Map<Scenario, CompiledScenario>();
  const mistakes: string[] = [];
  for (const scenario of scenarios) {
    const isLeftOut = scenario.steps === undefined ||
      unmetNeed(scenario, { platform, config: undefined, release: undefined }) !== undefined ||
      (self && selfSkipReason(scenario) !== undefined);
    if (isLeftOut) continue;
    try {
      compiled.set(scenario, compileScenario(self ? selfScenario(scenario) : scenario, target));
    } catch (error) {
      if (!(error instanceof ScenarioError)) throw error;
      // The message begins with the scenario's name.
      mistakes.push(error.message.replace(scenario.name, () => scenarioFile(scenario) ?? scenario.name));
    }
  }
  if (mistakes.length === 0) return compiled;
  const more = mistakes.length > MAX_SHOWN ? [`... and ${mistakes.length - MAX_SHOWN} more`] : [];
  const count = mistakes.length === 1 ? "1 scenario" : `${mistakes.length} scenarios`;
  throw new ExpectedError(
    [`${count} cannot be compiled for ${platform.name}:`, ...mistakes.slice(0, MAX_SHOWN), ...more].join(
      "\n  ",
    ),
  );
}

/** The configuration in a file; undefined where there is none. */
export async function configAt(path: string): Promise<KernelConfig | undefined> {
  try {
    return parseKernelConfig(await Deno.readTextFile(path), path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.IsADirectory) return undefined;
    throw error;
  }
}

interface NeedsContext {
  readonly platform: Platform;
  /** Undefined where nobody knows it. */
  readonly config: KernelConfig | undefined;
  /** `uname -r`; undefined before the kernel is known, which then lacks nothing. */
  readonly release: string | undefined;
}

/** Why a scenario cannot be run with this kernel and this kind of target; undefined when it can. */
export function unmetNeed(
  scenario: Scenario,
  { platform, config, release }: NeedsContext,
): string | undefined {
  const { kernel, target, series, cpu = [], config: options = [] } = scenario.needs ?? {};
  if (kernel && !kernel.includes(platform.kernel)) return `needs a kernel of ${kernel.join(" or ")}`;
  if (target && !target.includes(platform.target)) return `needs a target of ${target.join(" or ")}`;
  if (series && !series.includes(platform.series)) return `needs Linux ${series.join(" or ")}`;
  const removed = platform.cpu?.split(",") ?? [];
  for (const need of cpu) {
    const feature = need.replace("!", "");
    if ((need === feature) !== removed.includes(`-${feature}`)) continue;
    return `needs a processor ${need === feature ? "with" : "without"} ${feature}`;
  }
  if (release === undefined) return undefined;
  const oldest = oldestRelease(scenario.steps ?? [], platform.target);
  if (oldest && isOlder(release, oldest.release)) return `needs Linux ${oldest.release}: ${oldest.what}`;
  for (const need of options) {
    const option = need.replace("!", "");
    const found = optionOf(option, { config, release });
    if (found === undefined) return `needs ${need}, and the kernel came without its .config`;
    if (need !== option && found === "y") return `needs a kernel without ${option}`;
    if (need === option && found !== "y") return `needs ${option}, which this kernel has not`;
  }
  return undefined;
}
