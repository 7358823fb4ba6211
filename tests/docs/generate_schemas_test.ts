// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import { walk } from "@std/fs";
import { fromFileUrl, normalize } from "@std/path";
import { Ajv } from "ajv";
import { parseJsonc } from "../../harness/nightly/plan/matrix.ts";
import { generateSchemas, schemaPath } from "./generate_schemas.ts";

const FIXTURES = fromFileUrl(new URL("../../fixtures/", import.meta.url));
/** A file of each schema but that of scenarios. */
const FILES: Readonly<Record<string, string>> = {
  nightly: "nightly.json",
  splat_allowlist: "splat_allowlist.json",
  unreachable_lines: "unreachable_lines.json",
  results: "results/run/results.json",
  nightly_results: "results/nightly/nightly.json",
};
const ajv = new Ajv({ allowUnionTypes: true });

Deno.test("the JSON schemas in fixtures are what `deno task schemas` writes", async () => {
  for (const [name, text] of Object.entries(generateSchemas())) {
    assert(await Deno.readTextFile(schemaPath(name)) === text, `${name} is old: run deno task schemas`);
  }
});

Deno.test("every scenario file names its schema, and is as that says", async () => {
  const validate = ajv.compile(JSON.parse(generateSchemas().scenario!));
  for await (const { path } of walk(`${FIXTURES}scenarios`, { exts: [".json"] })) {
    const scenario = JSON.parse(await Deno.readTextFile(path));
    assertEquals(normalize(`${path}/../${scenario.$schema}`), schemaPath("scenario"), path);
    assert(validate(scenario), `${path}: ${ajv.errorsText(validate.errors)}`);
  }
});

Deno.test("the other files of fixtures are as their schemas say", async () => {
  const schemas = generateSchemas();
  for (const [name, file] of Object.entries(FILES)) {
    const validate = ajv.compile(JSON.parse(schemas[name]!));
    const value = parseJsonc(await Deno.readTextFile(`${FIXTURES}${file}`));
    assert(validate(value), `${file}: ${ajv.errorsText(validate.errors)}`);
    assert(!validate({ ...value as object, surplus: 1 }), `${file} may say anything`);
  }
});

Deno.test("the schema of scenarios refuses unknown keys and words", () => {
  const validate = ajv.compile(JSON.parse(generateSchemas().scenario!));
  const about = "a scenario of a test";
  const stop = { op: "stop", label: "s" };
  const good = {
    about,
    needs: { kernel: ["i386"] },
    steps: [{ op: "registers", values: { dx: "1" } }, stop],
  };
  assert(validate(good), ajv.errorsText(validate.errors));
  const bad = [
    { ...good, step: [] },
    { ...good, needs: { kernel: ["x86-64"] } },
    { ...good, steps: [{ ...stop, merged: "pagess" }] },
    { ...good, steps: [{ ...stop, waitFor: [{ fil: "/x" }] }] },
    { ...good, steps: [{ ...stop, label: "a/../../b" }] },
    { ...good, steps: [{ op: "registers", values: { cx: "1" } }, stop] },
    { ...good, steps: [{ op: "chdir", directory: "d", times: -5 }, stop] },
    { ...good, steps: [{ op: "in_child", steps: [{ op: "read", area: "a" }] }, stop] },
  ];
  for (const scenario of bad) assertEquals(validate(scenario), false, JSON.stringify(scenario));
});
