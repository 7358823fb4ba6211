// SPDX-License-Identifier: MIT
import { assertRejects, assertStringIncludes } from "@std/assert";
import { BuildError } from "../build/build_error.ts";
import { readSeriesPlan } from "./series_plan.ts";

async function assertRefused(plan: unknown, ...says: string[]): Promise<void> {
  const path = await Deno.makeTempFile({ suffix: ".json" });
  try {
    await Deno.writeTextFile(path, JSON.stringify(plan));
    const { message } = await assertRejects(() => readSeriesPlan(path), BuildError);
    for (const text of [path, ...says]) assertStringIncludes(message, text);
  } finally {
    await Deno.remove(path);
  }
}

const COVER = { subject: "s", body: ["b"] };
const PATCH = { ...COVER, name: "first", files: [] };

Deno.test("readSeriesPlan() names what is wrong with a plan", async () => {
  const region = (rest: object) => ({ cover: COVER, patches: [PATCH], regions: [{ file: "a.c", ...rest }] });
  await assertRefused(
    region({ patch: "none", text: "x" }),
    "$.regions: expected regions of patches that there are",
  );
  await assertRefused(
    region({ patch: "first", text: "x", from: "y" }),
    `$.regions[0]: expected "text", or "from" and "to"`,
  );
  await assertRefused(region({ patch: "first", from: "y" }), `expected "text", or "from" and "to"`);
  await assertRefused(
    { cover: COVER, patches: [PATCH, PATCH], regions: [] },
    "$.patches: expected patches whose names differ",
  );
  const long = { ...PATCH, body: ["x".repeat(76)] };
  await assertRefused(
    { cover: COVER, patches: [long], regions: [] },
    "$.patches[0].body[0]: expected a line of at most 75 columns",
  );
  const silent = { ...COVER, body: [] };
  await assertRefused(
    { cover: silent, patches: [], regions: [] },
    "$.cover.body: expected a list of at least 1",
  );
});

Deno.test("readSeriesPlan() says that a kernel has no series", async () => {
  const { message } = await assertRejects(() => readSeriesPlan("no/2.6.json"), BuildError);
  assertStringIncludes(message, "there is no patch series for this kernel: no no/2.6.json");
});
