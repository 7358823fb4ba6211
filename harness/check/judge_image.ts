// SPDX-License-Identifier: MIT

import type { Comparison } from "../../lib/compare/compare_image.ts";
import type { CompareOptions } from "../../lib/compare/comparison_context.ts";
import { parseObservation, type RawObservation } from "../../lib/compare/observation.ts";
import { checkImage } from "./check_image.ts";

/** An image with all that it is held against, as data that another thread can be sent. */
export interface ImageCase extends Omit<CompareOptions, "target"> {
  readonly image: Uint8Array;
  readonly raw: RawObservation;
}

/** Judges an image here, or has it judged elsewhere. */
export type Judging = (one: ImageCase) => Comparison | Promise<Comparison>;

/** Judges an image here and now. @throws {SyntaxError} when an answer of the guest is missing or malformed */
export function judgeImage({ image, raw, ...options }: ImageCase): Comparison {
  return checkImage(image, { ...options, target: parseObservation(raw) });
}
