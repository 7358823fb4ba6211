// SPDX-License-Identifier: MIT
import type * as v from "valibot";
import { fromFileUrl } from "@std/path";
import { described, list, object, optional, text } from "../../lib/schema.ts";
import { UsageError } from "../../vm/host/errors.ts";
import { readJson } from "../../vm/host/read_json.ts";
import type { ChangedLines } from "./changed_lines.ts";

/** How often the lines of one source file ran. */
export interface FileCoverage {
  /** By line number from 1. A line that is not there has no code. */
  readonly lines: Map<number, LineCoverage>;
}

/** How often one line ran, and which way its conditions went. */
export interface LineCoverage {
  count: number;
  /** How often each branch of the line was taken, in the compiler's order. */
  branches: number[];
}

/** Coverage of some files, by their path in the kernel tree. */
export type Coverage = Map<string, FileCoverage>;

interface Share {
  readonly total: number;
  readonly reached: number;
}

/** Adds `more` to `sum`. */
export function addCoverage(sum: Coverage, more: Coverage): void {
  for (const [path, file] of more) {
    const into = sum.get(path) ?? { lines: new Map<number, LineCoverage>() };
    sum.set(path, into);
    for (const [number, { count, branches }] of file.lines) {
      const line = into.lines.get(number) ?? { count: 0, branches: [] };
      into.lines.set(number, line);
      line.count += count;
      // Architectures compile a line to branches of their own: what cannot be matched is kept side by side.
      line.branches = line.branches.length === branches.length
        ? line.branches.map((taken, index) => taken + (branches[index] ?? 0))
        : [...line.branches, ...branches];
    }
  }
}

/** Lines with code, and those of them that ran. */
export function lineShare(files: Iterable<FileCoverage>): Share {
  return shareOf([...files].flatMap(({ lines }) => [...lines.values()].map(({ count }) => count)));
}

/** Branches, and those of them that were taken. */
export function branchShare(files: Iterable<FileCoverage>): Share {
  return shareOf([...files].flatMap(({ lines }) => [...lines.values()].flatMap(({ branches }) => branches)));
}

function shareOf(counts: readonly number[]): Share {
  return { total: counts.length, reached: counts.filter((count) => count > 0).length };
}

/** A share in words, such as `98.5 % (197 of 200)`. Only a whole one is 100 %. */
export function formatShare({ total, reached }: Share): string {
  const percent = total === 0 ? 100 : Math.floor(1000 * reached / total) / 10;
  return `${percent} % (${reached} of ${total})`;
}

/**
 * Coverage as a trace file of lcov (geninfo(1)), which genhtml and editors read.
 *
 * @param prefix the directory of the sources, before each path
 */
export function coverageLcov(coverage: Coverage, prefix: string): string {
  const records = [...coverage].map(([path, file]) => {
    const lines = [...file.lines].toSorted(([a], [b]) => a - b);
    const [all, branches] = [lineShare([file]), branchShare([file])];
    return [
      "TN:",
      `SF:${prefix}${path}`,
      ...lines.flatMap(([number, { count, branches }]) =>
        // Of a line that never ran nobody knows which way it would have gone.
        branches.map((taken, index) => `BRDA:${number},0,${index},${count > 0 ? taken : "-"}`)
      ),
      `BRF:${branches.total}`,
      `BRH:${branches.reached}`,
      ...lines.map(([number, { count }]) => `DA:${number},${count}`),
      `LF:${all.total}`,
      `LH:${all.reached}`,
      "end_of_record",
    ];
  });
  return `${records.flat().join("\n")}\n`;
}

/** The list of lines that no test can make run, and why they are there all the same. */
export const UNREACHABLE_LINES = list(object({
  file: described("Path in the kernel tree.", text(/^[\w./-]+$/, "a path in the kernel tree")),
  text: described(
    "The line's text, without blanks around it.",
    text(/^\S(.*\S)?$/, "a line without blanks around it"),
  ),
  after: optional(
    text(/\S/, "lines"),
    "The lines before it, as many as it takes where the text alone occurs more than once.",
  ),
  reason: text(/\S/, "a reason"),
}));

type UnreachableLine = v.InferOutput<typeof UNREACHABLE_LINES>[number];

const PATH = fromFileUrl(new URL("../../fixtures/unreachable_lines.json", import.meta.url));

/** Reads the explained lines of the fixtures. @throws {ExpectedError} naming file, place and mistake */
export async function readUnreachableLines(path: string = PATH): Promise<readonly UnreachableLine[]> {
  return await readJson(path, UNREACHABLE_LINES);
}

/**
 * Where the explained lines are: by file, the reasons by line number.
 *
 * @throws {UsageError} when an explanation does not name exactly one line, or one that ran: it has become
 * wrong
 */
export function explainLines(
  explanations: readonly UnreachableLine[],
  sources: ReadonlyMap<string, readonly string[]>,
  coverage: Coverage,
): Map<string, Map<number, string>> {
  const explained = new Map<string, Map<number, string>>();
  for (const { file, text, after, reason } of explanations) {
    const lines = sources.get(file) ?? [];
    const before = after?.split("\n") ?? [];
    const numbers = lines.flatMap((line, index) => {
      const above = lines.slice(Math.max(0, index - before.length), index).map((line) => line.trim());
      return line.trim() === text && above.join("\n") === before.join("\n") ? [index + 1] : [];
    });
    const [number] = numbers;
    if (number === undefined || numbers.length > 1) {
      throw new UsageError(
        `fixtures/unreachable_lines.json: ${file} has ${numbers.length} lines "${text}": expected 1`,
      );
    }
    if ((coverage.get(file)?.lines.get(number)?.count ?? 0) > 0) {
      throw new UsageError(`fixtures/unreachable_lines.json: ${file}:${number} "${text}" ran: take it off`);
    }
    explained.set(file, (explained.get(file) ?? new Map<number, string>()).set(number, reason));
  }
  return explained;
}

/** Lines with code that count, how many of all never ran for a reason that is told, and which never ran for none. */
interface JudgedLines {
  readonly judged: number;
  readonly excused: number;
  readonly unreached: readonly { readonly path: string; readonly line: number }[];
}

/**
 * Judges lines by whether they ran.
 *
 * @param changed those that are judged, by file; all where it is undefined
 */
export function judgeLines({ coverage, explained, changed }: {
  coverage: Coverage;
  explained: ReadonlyMap<string, ReadonlyMap<number, string>>;
  changed: ChangedLines | undefined;
}): JudgedLines {
  const unreached: { path: string; line: number }[] = [];
  let [judged, excused] = [0, 0];
  for (const [path, { lines }] of coverage) {
    for (const [line, { count }] of lines) {
      const isJudged = changed === undefined || changed.get(path)?.has(line) === true;
      if (isJudged) judged++;
      if (count > 0) continue;
      if (explained.get(path)?.has(line)) excused++;
      else if (isJudged) unreached.push({ path, line });
    }
  }
  return { judged, excused, unreached };
}
