// SPDX-License-Identifier: MIT

import type { KernelArch } from "../../abi/arch.ts";
import type { KernelSeries } from "../../abi/series.ts";
import { compileScenario } from "../../model/compile_scenario.ts";
import type { CompileTarget } from "../../model/state/model_state.ts";
import type { Scenario } from "../../model/scenario.ts";
import type { CompareOptions } from "../comparison_context.ts";
import { type KernelObservation, parseObservation, type RawObservation } from "../observation.ts";

/** One image that a real kernel wrote, with everything that it was judged by. `tests/record_case.ts` makes them. */
export interface RecordedCase {
  readonly scenario: Scenario;
  /** Which of the scenario's stops this is. */
  readonly stop: number;
  readonly compileTarget: CompileTarget;
  readonly arch: KernelArch;
  readonly series: KernelSeries;
  readonly kernel: KernelObservation;
  /** What the agent answered, not parsed yet. */
  readonly raw: RawObservation;
  readonly image: Uint8Array<ArrayBuffer>;
}

/**
 * What a file of fixtures holds, as compressed JSON. Values that JSON lacks stand as objects with one key: bytes,
 * words, big, map, set.
 */
export async function packFixture(value: unknown): Promise<Uint8Array<ArrayBuffer>> {
  const text = new Blob([`${JSON.stringify(value, (_, inner) => pack(inner), 1)}\n`]);
  return await new Response(text.stream().pipeThrough(new CompressionStream("gzip"))).bytes();
}

/** What {@linkcode packFixture} packed. @throws {SyntaxError} when it is no JSON */
export async function unpackFixture(gzip: Uint8Array<ArrayBuffer>): Promise<unknown> {
  const text = new Blob([gzip]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(text).text(), (_, value) => unpack(value));
}

/** A case out of the compressed file that holds it. */
export async function unpackRecordedCase(gzip: Uint8Array<ArrayBuffer>): Promise<RecordedCase> {
  return await unpackFixture(gzip) as RecordedCase;
}

/** What a recorded image is compared with; the prediction is made anew from the scenario. */
export function compareOptionsOf(recorded: RecordedCase): CompareOptions {
  const stop = compileScenario(recorded.scenario, recorded.compileTarget).stops[recorded.stop];
  if (!stop) throw new RangeError(`${recorded.scenario.name} has no stop ${recorded.stop}`);
  return {
    arch: recorded.arch,
    series: recorded.series,
    dialect: recorded.compileTarget.dialect ?? "port",
    kernel: recorded.kernel,
    target: parseObservation(recorded.raw),
    prediction: stop.prediction,
    self: undefined,
  };
}

function pack(value: unknown): unknown {
  if (typeof value === "bigint") return { big: value.toString() };
  if (value instanceof Uint8Array) return { bytes: value.toBase64() };
  if (value instanceof BigUint64Array) return { words: Array.from(value, String) };
  if (value instanceof Map) return { map: [...value] };
  if (value instanceof Set) return { set: [...value] };
  return value;
}

/** Inner values come first, so that what a map or set holds is unpacked already. */
function unpack(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  const [entry, ...more] = Object.entries(value);
  if (entry === undefined || more.length > 0) return value;
  const [key, inner] = entry;
  switch (key) {
    case "big":
      return BigInt(inner as string);
    case "bytes":
      return Uint8Array.fromBase64(inner as string);
    case "words":
      return BigUint64Array.from(inner as string[], BigInt);
    case "map":
      return new Map(inner as [unknown, unknown][]);
    case "set":
      return new Set(inner as unknown[]);
    default:
      return value;
  }
}
