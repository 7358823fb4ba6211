// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import type { Coverage } from "./coverage.ts";

/** A line that no test can make run, and why it is there all the same. */
export interface UnreachableLine {
  /** Path in the kernel tree. */
  readonly file: string;
  /** The line's text, without blanks around it. */
  readonly text: string;
  /** The lines before it, as many as it takes where the text alone occurs more than once. */
  readonly after?: string;
  readonly reason: string;
}

const PATH = join(import.meta.dirname ?? ".", "..", "..", "fixtures", "unreachable_lines.json");

/** Reads the explained lines of the fixtures. */
export async function readUnreachableLines(path: string = PATH): Promise<UnreachableLine[]> {
  return JSON.parse(await Deno.readTextFile(path)) as UnreachableLine[];
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
