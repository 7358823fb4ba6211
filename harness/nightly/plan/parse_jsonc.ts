// SPDX-License-Identifier: MIT

import { printParseErrorCode, stripComments, visit } from "jsonc-parser";

/**
 * Parses JSON with comments, `//` to the end of the line and those that C has. A comma before a closing bracket is a
 * mistake, as in JSON, and so is a name that comes twice.
 *
 * @throws {SyntaxError} with line and column, what was expected and what was found
 */
export function parseJsonc(text: string): unknown {
  const objects: Set<string>[] = [];
  visit(text, {
    onObjectBegin: () => void objects.push(new Set()),
    onObjectEnd: () => void objects.pop(),
    onObjectProperty(name, offset) {
      const names = objects.at(-1)!;
      if (names.has(name)) throw mistake(text, offset, `the name "${name}" is there twice`);
      names.add(name);
    },
    onError(error, offset, length) {
      // Such as PropertyNameExpected.
      const words = printParseErrorCode(error).replaceAll(/\B[A-Z]/g, " $&").toLowerCase();
      throw mistake(text, offset, `${words}, found ${text.slice(offset, offset + length) || "the end"}`);
    },
  });
  return JSON.parse(stripComments(text));
}

function mistake(text: string, offset: number, what: string): SyntaxError {
  const before = text.slice(0, offset).split("\n");
  return new SyntaxError(`line ${before.length}, column ${before.at(-1)!.length + 1}: ${what}`);
}
