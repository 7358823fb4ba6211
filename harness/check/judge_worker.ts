// SPDX-License-Identifier: MIT
/**
 * A thread that judges the images that it is sent, one after another: see {@linkcode JudgePool}.
 *
 * @module
 */
import type { Comparison } from "../../lib/compare/compare_image.ts";
import { type ImageCase, judgeImage } from "./judge_image.ts";

/** What comes of an image. */
export type Judgement = { readonly comparison: Comparison } | { readonly error: unknown };

function judged(one: ImageCase): Judgement {
  try {
    return { comparison: judgeImage(one) };
  } catch (error) {
    return { error };
  }
}

/** Whoever started this thread is spoken to through its globals, of which the types know nothing. */
const port = globalThis as unknown as Pick<Worker, "onmessage" | "postMessage">;

port.onmessage = ({ data }: MessageEvent<ImageCase>) => port.postMessage(judged(data));
