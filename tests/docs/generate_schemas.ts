// SPDX-License-Identifier: MIT
/**
 * Writes the JSON schemas of the files in fixtures, by which editors complete and check them, from the schemas that
 * the code checks them with. Run it as a program to write them; a test compares them with what it makes.
 *
 * @module
 */
import type * as v from "valibot";
import { fromFileUrl } from "@std/path";
import { type JsonSchema, toJsonSchema } from "@valibot/to-json-schema";
import { ERRNO_NAME, FILE_NAME, NAME, OUTCOME, PAGE_COUNT, PAGE_SET } from "../../lib/model/fields.ts";
import { SCENARIO } from "../../lib/model/scenario.ts";
import { STEPS } from "../../lib/model/steps/steps.ts";
import { UNREACHABLE_LINES } from "../../harness/coverage/coverage.ts";
import { NIGHTLY_RESULT } from "../../harness/nightly/nightly_result.ts";
import { MATRIX } from "../../harness/nightly/plan/matrix.ts";
import { RUN_RESULT } from "../../harness/run/run_result.ts";
import { SPLAT_ALLOWLIST } from "../../harness/triage/splat_allowlist.ts";

interface SchemaFile {
  /** What the file is about, for whoever opens it. */
  readonly title: string;
  readonly schema: v.GenericSchema;
  /** Parts that the schema has by name. */
  readonly definitions?: Readonly<Record<string, v.GenericSchema>>;
}

/** The schemas by the file's name in fixtures, without its `.schema.json`. */
const SCHEMAS: Readonly<Record<string, SchemaFile>> = {
  scenario: {
    title: "A scenario of ckptest (docs/hacking.md)",
    schema: SCENARIO,
    definitions: {
      ...{ name: NAME, fileName: FILE_NAME, pageCount: PAGE_COUNT, pageSet: PAGE_SET },
      ...{ errno: ERRNO_NAME, outcome: OUTCOME },
      ...Object.fromEntries(STEPS.map(({ op, schema }) => [`step ${op}`, schema])),
    },
  },
  nightly: { title: "What a nightly run of ckptest does (docs/nightly.md)", schema: MATRIX },
  splat_allowlist: { title: "Complaints of the kernel that fail nothing", schema: SPLAT_ALLOWLIST },
  results: { title: "results.json: what came of a run (docs/reports.md)", schema: RUN_RESULT },
  nightly_results: {
    title: "nightly.json in a run directory: what came of a nightly run (docs/reports.md)",
    schema: NIGHTLY_RESULT,
    definitions: { run: RUN_RESULT },
  },
  unreachable_lines: { title: "Lines of the kernel code that no test can run", schema: UNREACHABLE_LINES },
};

/** The path of a schema file. */
export function schemaPath(name: string): string {
  return fromFileUrl(new URL(`../../fixtures/${name}.schema.json`, import.meta.url));
}

/** All schema files by name, as text. What no JSON schema can say, such as that labels differ, is left out. */
export function generateSchemas(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(SCHEMAS).map(([name, { title, schema, definitions }]) => {
      const converted = toJsonSchema(schema, {
        definitions: definitions ?? {},
        ignoreActions: ["check", "partial_check", "finite"],
        overrideSchema: ({ valibotSchema, jsonSchema }) => recordOf(valibotSchema, jsonSchema),
      });
      const { $schema, ...rest } = converted;
      return [name, `${JSON.stringify({ $schema, title, ...rest }, null, 2)}\n`];
    }),
  );
}

/** The converter does not know records whose keys are words. */
function recordOf(schema: unknown, converted: JsonSchema): JsonSchema | undefined {
  const { type, key, value } = schema as { type: string; key?: v.GenericSchema; value?: v.GenericSchema };
  if (type !== "record" || key?.type !== "picklist" || value === undefined) return undefined;
  const convert = (part: v.GenericSchema): JsonSchema => {
    const { $schema: _, ...rest } = toJsonSchema(part);
    return rest;
  };
  return { ...converted, type: "object", propertyNames: convert(key), additionalProperties: convert(value) };
}

if (import.meta.main) {
  for (const [name, text] of Object.entries(generateSchemas())) {
    await Deno.writeTextFile(schemaPath(name), text);
  }
}
