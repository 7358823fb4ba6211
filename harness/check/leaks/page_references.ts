// SPDX-License-Identifier: MIT

/** One change of a page's reference count, with the way to it. */
export interface PageReferenceEvent {
  readonly frame: number;
  /** By how much the count changed. */
  readonly change: number;
  /** Functions with offsets, innermost first. */
  readonly stack: readonly string[];
}

const EVENT =
  /: page_ref_(?:mod|mod_and_test|mod_unless|mod_and_return): pfn=(?:0x)?([0-9a-f]+) .*\bval=(-?\d+)/;
const FRAME = /^ => (\S+)/;

/**
 * Reads the events `page_ref` of a trace with the option `stacktrace` (include/trace/events/page_ref.h).
 *
 * @param trace text of /sys/kernel/debug/tracing/trace
 */
export function parsePageReferences(trace: string): PageReferenceEvent[] {
  const events: (PageReferenceEvent & { stack: string[] })[] = [];
  for (const line of trace.split("\n")) {
    const [, frame, change] = EVENT.exec(line) ?? [];
    if (frame !== undefined) {
      events.push({ frame: parseInt(frame, 16), change: Number(change), stack: [] });
      continue;
    }
    const [, step] = FRAME.exec(line) ?? [];
    if (step !== undefined) events.at(-1)?.stack.push(step);
  }
  return events;
}

/**
 * Which function of ours took references to pages and did not give them back, judged by the events of those
 * pages alone.
 *
 * @param frames the pages that leaked
 * @param isOurs tells functions of the patch
 * @returns the innermost function of ours of the first reference too many; undefined where all were given
 * back
 */
export function leakingFunction(
  events: readonly PageReferenceEvent[],
  frames: readonly number[],
  isOurs: (name: string) => boolean,
): string | undefined {
  for (const frame of frames) {
    const ours = events.filter((event) => event.frame === frame && event.stack.some(isOurs));
    const balance = ours.reduce((sum, { change }) => sum + change, 0);
    const taking = ours.find(({ change }) => change > 0);
    if (balance > 0 && taking) return taking.stack.find(isOurs);
  }
  return undefined;
}
