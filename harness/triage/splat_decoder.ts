// SPDX-License-Identifier: MIT

import { type DecodedFrames, decodeFrames } from "./decode_frames.ts";
import type { Splat } from "./splat.ts";

/** Frames that are decoded of a stack: the report shows fewer. */
const MOST_FRAMES = 32;

/**
 * Makes the function that finds the source lines of splats of one kernel. A stack that was decoded once is
 * not decoded again: a splat may come with every scenario.
 */
export function splatDecoder(vmlinux: string): (splat: Splat) => Promise<DecodedFrames> {
  const known = new Map<string, Promise<DecodedFrames>>();
  return (splat) => {
    const frames = splat.frames.slice(0, MOST_FRAMES);
    const key = frames.map(({ function: name, offset, exact }) => `${name}+${offset}${exact}`).join(" ");
    const decoded = known.get(key) ?? decodeFrames(vmlinux, frames);
    known.set(key, decoded);
    return decoded;
  };
}
