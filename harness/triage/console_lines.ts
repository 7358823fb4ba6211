// SPDX-License-Identifier: MIT

/** A line of console text, or a piece of one, as the kernel meant it. */
export interface ConsoleLine {
  /** Index of the line in the text that it is from; several pieces may share it. */
  readonly index: number;
  /** What printk() was given. */
  readonly text: string;
  /** Seconds since boot; undefined where the line has no time stamp. */
  readonly time: number | undefined;
  /** The task or processor that printed it (CONFIG_PRINTK_CALLER), such as T12 or C0. */
  readonly caller: string | undefined;
}

/** Longest line that is looked at; the rest of a longer one says nothing. */
export const MAX_LENGTH = 2000;
/** `<4>[   12.345678][   T12] `: level, time and caller, the last only with CONFIG_PRINTK_CALLER. */
const STAMP = /(?:<\d{1,3}>)?\[ {0,7}(\d{1,8}\.\d{6})\](?:\[ {0,7}([TC]\d{1,8})\])? ?/g;
/** Words that stand at the start of a line, whatever was written before them. */
const STARTS = new RegExp(
  [
    "-{8,}\\[ cut here \\]",
    "BUG: (?:KASAN|KFENCE|UBSAN|kernel NULL|unable to handle|sleeping function|scheduling while)",
    "kernel BUG at ",
    "WARNING: CPU: \\d",
    "Kernel panic - not syncing",
    "general protection fault(?:, probably|: [0-9a-f]{4} )",
  ].join("|"),
  "g",
);

/**
 * The lines of a console without NUL bytes, carriage returns and escape sequences, and without the newline.
 * ConsoleLog shows NUL as U+2400: that goes too.
 */
export function rawConsoleLines(text: string): string[] {
  // deno-lint-ignore no-control-regex -- these are what a console carries besides text
  return text.replace(/[\0\r\u2400]|\x1b\[[0-9;]*[A-Za-z]/g, "").split("\n");
}

/** Lines of a text that are looked at: twice as many as a boot and a catalogue with a splat in each scenario have. */
const MAX_LINES = 100_000;

/** A text that is no longer than what is looked at: of a longer one its first and its last lines. */
export function withoutMiddle(text: string): string {
  let [first, last] = [0, text.length];
  for (let line = 0; line < MAX_LINES / 2; line++) {
    const [next, previous] = [text.indexOf("\n", first), text.lastIndexOf("\n", last - 1)];
    if (next < 0 || previous < first || next > last) return text;
    [first, last] = [next + 1, previous];
  }
  return first < last ? text.slice(0, first) + text.slice(last + 1) : text;
}

/**
 * Takes the lines apart: a time stamp, or words that only begin a line, end what stood before them on the
 * same line, be it output of a program or a message of another processor.
 *
 * @param lines as {@linkcode rawConsoleLines} gives them
 */
export function consoleLines(lines: readonly string[]): ConsoleLine[] {
  const found: ConsoleLine[] = [];
  for (const [index, whole] of lines.entries()) {
    const line = whole.slice(0, MAX_LENGTH);
    const stamps = [...line.matchAll(STAMP)];
    const first = stamps[0]?.index ?? line.length;
    if (first > 0 || line === "") pushPieces(found, { index, text: line.slice(0, first) });
    for (const [at, stamp] of stamps.entries()) {
      const text = line.slice(stamp.index + stamp[0].length, stamps[at + 1]?.index ?? line.length);
      pushPieces(found, { index, text, time: Number(stamp[1]), caller: stamp[2] });
    }
  }
  return found;
}

function pushPieces(
  found: ConsoleLine[],
  { index, text, time, caller }: { index: number; text: string; time?: number; caller?: string | undefined },
): void {
  const starts = [...text.matchAll(STARTS)].map((match) => match.index).filter((start) => start > 0);
  let from = 0;
  for (const to of [...starts, text.length]) {
    found.push({ index, text: text.slice(from, to).trimEnd(), time, caller });
    from = to;
  }
}
