// SPDX-License-Identifier: MIT

import * as v from "valibot";
import { parseJson, parseJsonText } from "../../lib/schema.ts";
import { UsageError } from "./errors.ts";
import { ignoreMissing } from "./ignore_missing.ts";

/** What a JSON file of ours must look like. */
export interface FileFormat<Schema extends v.GenericSchema> {
  readonly schema: Schema;
  /** What the file has as its `schema`: raised when what it says changes its meaning. */
  readonly version?: number;
}

/**
 * Reads a JSON file that ckptest wrote, here or elsewhere; undefined when there is none.
 *
 * @throws {UsageError} naming file, JSON path, what was expected and what was found
 */
export async function readVersioned<Schema extends v.GenericSchema>(
  path: string,
  format: FileFormat<Schema>,
): Promise<v.InferOutput<Schema> | undefined> {
  const text = await Deno.readTextFile(path).catch(ignoreMissing);
  return text === undefined ? undefined : parseVersioned(text, path, format);
}

/** Checks the text of such a file. The version comes first: a file of another one has many mistakes. */
export function parseVersioned<Schema extends v.GenericSchema>(
  text: string,
  file: string,
  { schema, version }: FileFormat<Schema>,
): v.InferOutput<Schema> {
  const value = parseJsonText(v.unknown(), text, { file, error: UsageError });
  const found = typeof value === "object" && value !== null
    ? (value as { schema?: unknown }).schema
    : undefined;
  if (found === version) return parseJson(schema, value, { file, error: UsageError });
  throw new UsageError(
    `${file}: $.schema: expected ${version}, found ${JSON.stringify(found) ?? "nothing"}: ` +
      "it was written by another version of ckptest",
  );
}
