// SPDX-License-Identifier: MIT

import { parseSplats } from "./parse_splats.ts";
import type { Splat } from "./splat.ts";

/** So many lines are looked at together; a report that such a cut goes through is found in two parts. */
const LINES_AT_ONCE = 50_000;

/** What programs put before the kernel's words: of `journalctl -k` and syslog, `dmesg -x`, `dmesg -T`. */
const PREFIXES = [
  /^(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\d[T ]\S+) \S+ kernel: ?/,
  /^(?:kern|user|daemon|syslog) {0,6}:(?:emerg|alert|crit|err|warn|notice|info|debug) {0,6}: /,
  /^\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\] ?/,
];

/** A line of a log as the console would have it. */
function consoleLine(line: string): string {
  return PREFIXES.reduce((rest, prefix) => rest.replace(prefix, ""), line);
}

/** More of a line says nothing: a file without newlines is none that we hold. */
const MAX_LENGTH = 4096;

/**
 * The complaints in a kernel log of any length, from whatever program wrote it down: a console, dmesg, the journal.
 *
 * @param log text in pieces of any size
 */
export async function triageLog(log: AsyncIterable<string>): Promise<Splat[]> {
  const splats: Splat[] = [];
  let lines: string[] = [];
  let last = "";
  const parse = (): void => {
    for (const splat of parseSplats(lines.join("\n"))) splats.push(splat);
    lines = [];
  };
  for await (const text of log) {
    const [first = "", ...more] = text.split("\n");
    last = (last + first).slice(0, MAX_LENGTH);
    for (const line of more) {
      lines.push(consoleLine(last));
      last = line.slice(0, MAX_LENGTH);
      if (lines.length === LINES_AT_ONCE) parse();
    }
  }
  lines.push(consoleLine(last));
  parse();
  return splats;
}
