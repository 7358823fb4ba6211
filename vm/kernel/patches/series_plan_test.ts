// SPDX-License-Identifier: MIT
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { BuildError } from "../build/build_error.ts";
import { readOverlay } from "../source/kernel_overlay.ts";
import { readSeriesPlan, type SeriesPlan, type SeriesRegion, stageFiles } from "./series_plan.ts";

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

const HERE = import.meta.dirname ?? ".";
const FINISHED = new Map([["a.c", "one\ntwo\nthree\nfour\n"], ["b.c", "other\n"]]);

function planOf(...regions: SeriesRegion[]): SeriesPlan {
  const message = { subject: "subject", body: ["body"] };
  const patches = [["first", "a.c"], ["second", "b.c"], ["third"]].map(([name = "", ...files]) => {
    return { ...message, name, files };
  });
  return { cover: message, patches, regions };
}

function assertUnfit(plan: SeriesPlan, finished: ReadonlyMap<string, string>, ...says: string[]): void {
  const { message } = assertThrows(() => stageFiles(plan, finished), BuildError);
  for (const text of says) assertStringIncludes(message, text);
}

Deno.test("stageFiles() lets files and regions come with their patches", () => {
  const plan = planOf(
    { file: "a.c", patch: "second", text: "two\n" },
    { file: "a.c", patch: "third", from: "three\n", to: "four\n", instead: "less\n" },
  );
  assertEquals(stageFiles(plan, FINISHED).map((stage) => [...stage]), [
    [["a.c", "one\nless\nfour\n"]],
    [["a.c", "one\ntwo\nless\nfour\n"], ["b.c", "other\n"]],
    [...FINISHED],
  ]);
});

Deno.test("stageFiles() refuses a plan that does not fit the files", () => {
  assertUnfit(planOf(), new Map([["a.c", ""]]), "the port does not touch b.c");
  assertUnfit(planOf(), new Map([...FINISHED, ["c.c", ""]]), "no patch brings c.c");
  const twice = planOf();
  const patches = twice.patches.map((patch, index) => index === 2 ? { ...patch, files: ["a.c"] } : patch);
  assertUnfit({ ...twice, patches }, FINISHED, "a.c is named twice");
});

Deno.test("stageFiles() refuses a region that is not found once, not in order, or not of use", () => {
  const region = (rest: Partial<SeriesRegion>) => planOf({ file: "a.c", patch: "third", ...rest });
  assertUnfit(region({ text: "five\n" }), FINISHED, "region of a.c: found 0 times", '"five\\n"');
  assertUnfit(region({ text: "o" }), FINISHED, "found 3 times");
  assertUnfit(region({ from: "three\n", to: "one\n" }), FINISHED, '"one\\n" does not follow "three\\n"');
  assertUnfit(region({ patch: "first", text: "two\n" }), FINISHED, `patch "first" does not come after`);
  const overlapping = planOf(
    { file: "a.c", patch: "third", text: "two\nthree\n" },
    { file: "a.c", patch: "second", text: "three\n" },
  );
  assertUnfit(overlapping, FINISHED, "regions of a.c overlap");
});

/** The files that a patch changes, as far as it shows them. */
function shownFiles(patch: string): Map<string, string> {
  return new Map(
    patch.split(/^--- a\//m).slice(1).map((part) => {
      const [name = "", , ...lines] = part.split("\n");
      return [name, lines.filter((line) => /^[ +]/.test(line)).map((line) => `${line.slice(1)}\n`).join("")];
    }),
  );
}

Deno.test("the plan of the project's series fits overlay and hooks", async () => {
  const plan = await readSeriesPlan(join(HERE, "6.1.json"));
  const overlay = await readOverlay(join(HERE, "..", "overlay"));
  const hooks = shownFiles(await Deno.readTextFile(join(HERE, "..", "hooks", "6.1.patch")));
  const finished = new Map([...hooks]);
  for (const [file, bytes] of overlay) finished.set(file, new TextDecoder().decode(bytes));
  const stages = stageFiles(plan, finished);
  assertEquals(stages.at(-1), finished);
  for (const [index, stage] of stages.entries()) {
    // A region that leaves two empty lines or the edge of a block behind would show in review.
    for (const [file, text] of stage) {
      if (!overlay.has(file)) continue;
      assertEquals(/\n\n\n|\{\n\n|\n\n\}/.exec(text), null, `${file} after patch ${index + 1}`);
    }
  }
});
