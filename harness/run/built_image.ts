// SPDX-License-Identifier: MIT

import * as v from "valibot";
import { abiOf } from "../../lib/abi/arch.ts";
import { kernelSeries } from "../../lib/abi/series.ts";
import { findingText } from "../../lib/image/finding.ts";
import { type CheckpointImage, readImage } from "../../lib/image/image.ts";
import { imageFromJson } from "../../lib/image/image_json.ts";
import { MalformedImageError } from "../../lib/image/malformed_image_error.ts";
import { compileScenario } from "../../lib/model/compile_scenario.ts";
import { buildPredictedImage } from "../../lib/model/predicted_image.ts";
import { SchemaError } from "../../lib/schema.ts";
import { UsageError } from "../../vm/host/errors.ts";
import { readJson } from "../../vm/host/read_json.ts";
import { findScenario, unmetNeed } from "./catalogue.ts";
import { compileTargetOf } from "./guest/guest_programs.ts";
import { parsePlatforms, type Platform } from "./platform.ts";

const [DEFAULT] = parsePlatforms({ arch: undefined, fallback: "x86_64" });

interface BuildOptions {
  /** The stop of the scenario; its first when left out. */
  readonly stop: string | undefined;
  /** What the scenario is for; x86_64 when left out. */
  readonly platform: Platform | undefined;
  /** The path of an image of the same kernel and CPU. */
  readonly like: string | undefined;
}

/**
 * An image that no kernel wrote: of JSON, or of what the model predicts for a stop.
 *
 * @throws {ExpectedError} naming the file, the option or the scenario, what was expected and what was found
 */
export async function builtImage(name: string, options: BuildOptions): Promise<Uint8Array> {
  return await imageOfJson(name, options) ?? await imageOfScenario(name, options);
}

/** The image in a JSON file; undefined of what is none, but perhaps a scenario. */
async function imageOfJson(path: string, options: BuildOptions): Promise<Uint8Array | undefined> {
  if (!path.endsWith(".json")) return undefined;
  const json = await readJson(path, v.unknown());
  if (typeof json !== "object" || json === null || !("nodes" in json)) return undefined;
  const { stop, platform, like } = options;
  for (const [name, value] of Object.entries({ stop, arch: platform, like })) {
    if (value !== undefined) throw new UsageError(`option --${name} goes with a scenario, not with ${path}`);
  }
  try {
    return imageFromJson(json, path);
  } catch (error) {
    if (error instanceof SchemaError) throw new UsageError(error.message);
    throw error;
  }
}

async function imageOfScenario(
  name: string,
  { stop: label, platform = DEFAULT!, like }: BuildOptions,
): Promise<Uint8Array> {
  const scenario = await findScenario(name);
  const unmet = scenario.steps === undefined
    ? "has no steps: it is judged by observation alone"
    : unmetNeed(scenario, { platform, config: undefined, release: undefined });
  if (unmet !== undefined) throw new UsageError(`${name} ${unmet}`);
  const target = await compileTargetOf(platform);
  const { stops } = compileScenario(scenario, target);
  const stop = label === undefined ? stops[0] : stops.find((one) => one.label === label);
  if (stop === undefined) {
    const labels = stops.map((one) => one.label);
    throw new UsageError(`option --stop: ${name} has the stops ${labels.join(", ")}, found "${label}"`);
  }
  const { refusal } = stop.prediction;
  if (refusal) {
    throw new UsageError(`${name} has no image at "${stop.label}": ${refusal.name}, ${refusal.why}`);
  }
  const model = like === undefined ? {} : { like: await readModelImage(like, platform) };
  return buildPredictedImage(stop.prediction, { target, series: platform.series, ...model });
}

/** An image of the kernel that a platform has. */
async function readModelImage(path: string, { kernel, series, name }: Platform): Promise<CheckpointImage> {
  const bytes = await Deno.readFile(path).catch((error: Error) => {
    throw new UsageError(`option --like: ${path} cannot be read: ${error.message}`);
  });
  try {
    const image = readImage(bytes);
    const { major, minor, patch } = image.head.fields;
    const isOfPlatform = image.wordSize === abiOf(kernel).wordSize &&
      kernelSeries(major, minor, patch) === series;
    if (isOfPlatform) return image;
    throw new UsageError(
      `option --like: expected an image of ${name}, found one of Linux ${major}.${minor} of ${
        8 * image.wordSize
      } bits in ${path}`,
    );
  } catch (error) {
    if (!(error instanceof MalformedImageError)) throw error;
    throw new UsageError(`option --like: ${path} is no image: ${findingText(error.finding)}`);
  }
}
