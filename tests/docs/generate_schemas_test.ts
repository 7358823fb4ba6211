// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import { walk } from "@std/fs";
import { fromFileUrl, normalize } from "@std/path";
import { Ajv } from "ajv";
import { generateSchemas, schemaPath } from "./generate_schemas.ts";

const FIXTURES = fromFileUrl(new URL("../../fixtures/", import.meta.url));
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
