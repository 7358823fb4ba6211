// SPDX-License-Identifier: MIT

import type * as v from "valibot";
import { parseJsonText } from "../../lib/schema.ts";
import { ExpectedError } from "./errors.ts";

/**
 * Reads a JSON file and checks it.
 *
 * @throws {ExpectedError} when it cannot be read, or naming file, JSON path, what was expected and what was found
 */
export async function readJson<const Schema extends v.GenericSchema>(
  path: string,
  schema: Schema,
): Promise<v.InferOutput<Schema>> {
  const text = await Deno.readTextFile(path).catch((error: Error) => {
    throw new ExpectedError(`${path} cannot be read: ${error.message}`);
  });
  return parseJsonText(schema, text, { file: path, error: ExpectedError });
}
