// SPDX-License-Identifier: MIT

import { fromFileUrl } from "@std/path";
import type * as v from "valibot";
import { described, list, object, optional, text } from "../../lib/schema.ts";
import { UsageError } from "../../vm/host/errors.ts";
import { readJson } from "../../vm/host/read_json.ts";
import type { Coverage } from "./coverage.ts";

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
