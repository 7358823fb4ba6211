// SPDX-License-Identifier: MIT
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { BuildError } from "../build/build_error.ts";
import { readOverlay } from "../source/kernel_overlay.ts";
import { readSeriesPlan, type SeriesPlan, type SeriesRegion } from "./series_plan.ts";
import { stageFiles } from "./stage_files.ts";

const HERE = import.meta.dirname ?? ".";
const FINISHED = new Map([["a.c", "one\ntwo\nthree\nfour\n"], ["b.c", "other\n"]]);

function planOf(...regions: SeriesRegion[]): SeriesPlan {
  const message = { subject: "subject", body: ["body"] };
  const patches = [["first", "a.c"], ["second", "b.c"], ["third"]].map(([name = "", ...files]) => {
    return { ...message, name, files };
  });
  return { cover: message, patches, regions };
}

function assertRefused(plan: SeriesPlan, finished: ReadonlyMap<string, string>, ...says: string[]): void {
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
  assertRefused(planOf(), new Map([["a.c", ""]]), "the port does not touch b.c");
  assertRefused(planOf(), new Map([...FINISHED, ["c.c", ""]]), "no patch brings c.c");
  const twice = planOf();
  const patches = twice.patches.map((patch, index) => index === 2 ? { ...patch, files: ["a.c"] } : patch);
  assertRefused({ ...twice, patches }, FINISHED, "a.c is named twice");
});

Deno.test("stageFiles() refuses a region that is not found once, not in order, or not of use", () => {
  const region = (rest: Partial<SeriesRegion>) => planOf({ file: "a.c", patch: "third", ...rest });
  assertRefused(region({ text: "five\n" }), FINISHED, "region of a.c: found 0 times", '"five\\n"');
  assertRefused(region({ text: "o" }), FINISHED, "found 3 times");
  assertRefused(region({ from: "three\n", to: "one\n" }), FINISHED, '"one\\n" does not follow "three\\n"');
  assertRefused(region({ patch: "first", text: "two\n" }), FINISHED, `patch "first" does not come after`);
  const overlapping = planOf(
    { file: "a.c", patch: "third", text: "two\nthree\n" },
    { file: "a.c", patch: "second", text: "three\n" },
  );
  assertRefused(overlapping, FINISHED, "regions of a.c overlap");
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
