// SPDX-License-Identifier: MIT

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import type { Scenario } from "../../lib/model/scenario.ts";
import { ExpectedError } from "../../vm/host/errors.ts";
import { filterByName, readCatalogue, readScenario } from "./catalogue.ts";
import { compileCatalogue } from "./compile_catalogue.ts";
import { PLATFORMS } from "./platform.ts";
import { RECORDED } from "./testing/fake_guest.ts";

const REQUEST = { platform: PLATFORMS[0]!, target: RECORDED.compileTarget, self: false };
const STOP = { op: "stop", label: "x" } as const;

/** A scenario that changes an area that nobody mapped. */
function wrong(name: string): Scenario {
  return { name, about: "Wrong.", steps: [{ op: "mprotect", area: "none", pages: "all", prot: "r" }, STOP] };
}

Deno.test("compileCatalogue() compiles what fits the platform, and leaves out programs and what does not", () => {
  const good: Scenario = { name: "good", about: "Good.", steps: [STOP] };
  const program: Scenario = { name: "program", about: "One.", program: { argv: ["/bin/sh"] } };
  const other: Scenario = { ...wrong("other"), needs: { kernel: ["i386"] } };
  const compiled = compileCatalogue([good, program, other], REQUEST);
  assertEquals([...compiled.keys()], [good]);
  assertEquals(compiled.get(good)?.stops.length, 1);
});

Deno.test("compileCatalogue() makes every stop the target's own where tasks only checkpoint themselves", () => {
  const good: Scenario = { name: "good", about: "Good.", steps: [STOP] };
  const traced: Scenario = { ...good, judge: "gcore" };
  const compiled = compileCatalogue([good, traced], { ...REQUEST, self: true });
  assertEquals([...compiled.values()].map(({ stops }) => stops[0]?.self), [true]);
});

Deno.test("compileCatalogue() names every mistake at once: file, step and what is wrong", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/mine.json`;
    await Deno.writeTextFile(
      path,
      JSON.stringify({ ...wrong(""), about: "A scenario with a mistake.", name: undefined }),
    );
    const { message } = assertThrows(
      () => compileCatalogue([wrong("first")], REQUEST),
      ExpectedError,
      "1 scenario cannot be compiled for x86_64:\n  first: $.steps[0] (mprotect): ",
    );
    assertStringIncludes(message, "none");
    const mine = await readScenario(path);
    const many = [mine, ...Array.from({ length: 24 }, (_, index) => wrong(`wrong${index}`))];
    const all = assertThrows(() => compileCatalogue(many, REQUEST), ExpectedError);
    const [first, second, ...more] = all.message.split("\n");
    assertEquals(first, "25 scenarios cannot be compiled for x86_64:");
    assertStringIncludes(second!, `  ${path}: $.steps[0] (mprotect): `);
    assertEquals([more.length, more.at(-1)], [20, "  ... and 5 more"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("compileCatalogue() lets an error of the model's own out: it is no mistake of the scenario", () => {
  const odd: Scenario = { name: "odd", about: "Odd.", steps: [STOP] };
  const target = new Proxy(REQUEST.target, {
    get: () => {
      throw new TypeError("a bug");
    },
  });
  assertThrows(() => compileCatalogue([odd], { ...REQUEST, target }), TypeError, "a bug");
});

Deno.test("compileCatalogue() takes the project's own scenarios", async () => {
  const some = filterByName(await readCatalogue(), ["minimal", "ldt_far"]);
  assertEquals(compileCatalogue(some, REQUEST).size, some.length);
});
