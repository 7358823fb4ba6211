// SPDX-License-Identifier: MIT

import { basename, dirname, join, resolve } from "@std/path";
import { type CompiledStop, compileScenario } from "../../lib/model/compile_scenario.ts";
import { ScenarioError } from "../../lib/model/scenario.ts";
import { UsageError } from "../../vm/host/errors.ts";
import { readCatalogue } from "./catalogue.ts";
import { compileTargetOf } from "./guest/guest_programs.ts";
import { parsePlatforms, type Platform } from "./platform.ts";

/** The stop of a scenario at which an image was made. */
interface ImageOrigin {
  readonly platform: Platform;
  readonly scenario: string;
  readonly stop: CompiledStop;
}

/**
 * What made an image that lies where a run keeps those of failures: `PLATFORM/SCENARIO/STOP.ckpt`.
 *
 * @returns why that is not known, or undefined where the image lies elsewhere
 */
export async function imageOrigin(path: string): Promise<ImageOrigin | string | undefined> {
  const file = resolve(path);
  const name = basename(dirname(file));
  const platform = platformOf(basename(dirname(dirname(file))));
  const isKept = await Deno.stat(join(dirname(file), "findings.json")).catch(() => undefined);
  if (!platform || !isKept || !file.endsWith(".ckpt")) return undefined;
  const scenario = (await readCatalogue()).find((scenario) => scenario.name === name);
  if (!scenario) return `no scenario of the catalogue is called ${name}`;
  if (!scenario.steps) return `${name} has no steps: it is judged by observation alone`;
  try {
    const { stops } = compileScenario(scenario, await compileTargetOf(platform));
    const label = basename(file, ".ckpt");
    const stop = stops.find((stop) => stop.label === label);
    return stop ? { platform, scenario: name, stop } : `${name} has no stop called ${label}`;
  } catch (error) {
    if (error instanceof ScenarioError) return error.message;
    throw error;
  }
}

function platformOf(name: string): Platform | undefined {
  try {
    const [platform, ...more] = parsePlatforms({ arch: name, fallback: name });
    return more.length > 0 ? undefined : platform;
  } catch (error) {
    if (error instanceof UsageError) return undefined;
    throw error;
  }
}
