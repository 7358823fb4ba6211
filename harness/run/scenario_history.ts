// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import * as v from "valibot";
import { object, record } from "../../lib/schema.ts";
import { cacheDirectory } from "../../vm/host/own_directories.ts";
import { UsageError } from "../../vm/host/errors.ts";
import { type FileFormat, readVersioned } from "../../vm/host/versioned_json.ts";
import { writeJson } from "../../vm/host/write_whole.ts";
import { isBroken, NUMBER, type RunResult } from "./run_result.ts";

const VERSION = 1;
const END = object({
  /** What it took when it passed last; 0: it never did. */
  milliseconds: NUMBER,
  hasFailed: v.boolean("true or false"),
});
const HISTORY = object({
  schema: v.literal(VERSION, `${VERSION}`),
  platforms: record(v.string(), record(v.string(), END)),
});
const FORMAT: FileFormat<typeof HISTORY> = { schema: HISTORY, version: VERSION };

type ScenarioEnd = Readonly<v.InferOutput<typeof END>>;

/** How scenarios ended on this machine when they ran last, by platform and name. */
export type ScenarioHistory = ReadonlyMap<string, ReadonlyMap<string, ScenarioEnd>>;

function historyPath(): string {
  return join(cacheDirectory(), "scenarios.json");
}

/** Reads it; empty where there is none, or none that this version can read. */
export async function readScenarioHistory(path: string = historyPath()): Promise<ScenarioHistory> {
  const known = await readVersioned(path, FORMAT).catch((error) => {
    if (!(error instanceof UsageError)) throw error;
    return undefined;
  });
  const platforms = Object.entries(known?.platforms ?? {});
  return new Map(platforms.map(([name, scenarios]) => [name, new Map(Object.entries(scenarios))]));
}

/** Adds what came of a run. */
export async function rememberRun(
  { results }: Pick<RunResult, "results">,
  path: string = historyPath(),
): Promise<void> {
  const history = new Map([...await readScenarioHistory(path)].map(([name, ends]) => [name, new Map(ends)]));
  for (const { platform, scenario, phase, status, milliseconds } of results) {
    if (status === "skip" || phase === "boot") continue;
    const ends = history.get(platform) ?? new Map<string, ScenarioEnd>();
    history.set(platform, ends);
    const before = ends.get(scenario);
    // What comes afterwards can make it fail, but not pass.
    const hasFailed = isBroken({ status }) || (phase === "afterwards" && before?.hasFailed === true);
    const isTime = status === "pass" && phase === undefined;
    ends.set(scenario, { hasFailed, milliseconds: isTime ? milliseconds : before?.milliseconds ?? 0 });
  }
  const platforms = Object.fromEntries([...history].map(([name, ends]) => [name, Object.fromEntries(ends)]));
  await writeJson(path, { schema: VERSION, platforms });
}

/** What scenarios took on a platform, in milliseconds. */
export function timesOf(history: ScenarioHistory, platform: string): Map<string, number> {
  const ends = [...history.get(platform) ?? []].filter(([_, { milliseconds }]) => milliseconds > 0);
  return new Map(ends.map(([name, { milliseconds }]) => [name, milliseconds]));
}

/** The scenarios that failed on a platform when they ran last. */
export function failedOf(history: ScenarioHistory, platform: string): Set<string> {
  const ends = [...history.get(platform) ?? []].filter(([_, { hasFailed }]) => hasFailed);
  return new Set(ends.map(([name]) => name));
}
