// SPDX-License-Identifier: MIT

import type { ReportedSplat } from "../scenario_result.ts";
import { isGenericFunction } from "./is_generic_function.ts";
import type { StackFrame } from "./splat.ts";

const FRAMES_SHOWN = 8;
const LINES_SHOWN = 12;

/**
 * A splat for a person: its stack with lines of the source, and the beginning of the report. The title stands
 * above it already.
 */
export function splatText({ splat, decoded }: ReportedSplat): string[] {
  const reliable = splat.frames.map((frame, index) => ({
    frame,
    places: decoded?.frames[index]?.places ?? [],
  }))
    .filter(({ frame }) => frame.reliable);
  // What reported it stands on top, and says nothing.
  const own = reliable.findIndex(({ frame }) => !isGenericFunction(frame.function));
  reliable.splice(0, Math.max(own, 0));
  const width = Math.max(0, ...reliable.slice(0, FRAMES_SHOWN).map(({ frame }) => frameText(frame).length));
  const lines = [`${splat.kind}: ${splat.title} [${splat.fingerprint}]`];
  for (const { frame, places } of reliable.slice(0, FRAMES_SHOWN)) {
    const where = places.join(", inlined by ");
    lines.push(`  ${where ? `${frameText(frame).padEnd(width)}  ${where}` : frameText(frame)}`);
  }
  if (reliable.length > FRAMES_SHOWN) lines.push(`  ... and ${reliable.length - FRAMES_SHOWN} more entries`);
  if (decoded?.note) lines.push(`  ${decoded.note}`);
  for (const line of splat.lines.slice(0, LINES_SHOWN)) lines.push(`  | ${line}`);
  const more = splat.lines.length - LINES_SHOWN;
  if (more > 0) lines.push(`  | ... ${more} more lines`);
  return lines;
}

function frameText({ function: name, offset, size, module }: StackFrame): string {
  return `${name}+0x${offset.toString(16)}/0x${size.toString(16)}${module ? ` [${module}]` : ""}`;
}
