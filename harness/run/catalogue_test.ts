// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import {
  compileCatalogue,
  filterByName,
  isFilter,
  readCatalogue,
  readScenario,
  unmetNeed,
} from "./catalogue.ts";
import { ExpectedError, UsageError } from "../../vm/host/errors.ts";
import { parsePlatforms, PLATFORMS } from "./platform.ts";
import type { Scenario } from "../../lib/model/scenario.ts";
import { RECORDED } from "./testing/fake_guest.ts";

async function withFile(text: string, use: (path: string) => Promise<unknown>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/mine.json`, text);
    await use(`${dir}/mine.json`);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("readCatalogue() reads every scenario, in the order of their names", async () => {
  const names = (await readCatalogue()).map(({ name }) => name);
  assert(names.includes("minimal") && names.length > 30);
  assertEquals(names, names.toSorted());
});

Deno.test("readScenario() names the scenario after its file", async () => {
  const text = `{ "about": "A scenario of a test.", "steps": [{ "op": "stop", "label": "x" }] }`;
  await withFile(text, async (path) => assertEquals((await readScenario(path)).name, "mine"));
});

Deno.test("readScenario() names a file that is missing, no JSON, or no scenario", async () => {
  await assertRejects(
    () => readScenario("/nowhere/x.json"),
    ExpectedError,
    "/nowhere/x.json: no such scenario file",
  );
  await withFile(
    "{",
    (path) => assertRejects(() => readScenario(path), ExpectedError, `${path} is not JSON`),
  );
  await withFile(
    "{}",
    (path) => assertRejects(() => readScenario(path), ExpectedError, `${path}: $.about: expected a sentence`),
  );
});

Deno.test("filterByName() takes a name, a text, or a regular expression; all when there is none", async () => {
  const all = await readCatalogue();
  assertEquals(filterByName(all, []).length, all.length);
  const some = (...filters: string[]) => filterByName(all, filters).map(({ name }) => name);
  assertEquals(some("adjacent", "pages_20"), ["adjacent_areas", "pages_2048", "pages_2049"]);
  assertEquals(some("/^pages_204[89]$/", "minimal"), ["minimal", "pages_2048", "pages_2049"]);
});

Deno.test("filterByName() takes the scenario alone whose name is given, though others contain it", async () => {
  const all = await readCatalogue();
  const names = all.map(({ name }) => name);
  const parts = names.filter((name) => names.some((other) => other !== name && other.includes(name)));
  assert(parts.length > 10, "many names are part of another one");
  for (const name of parts) assertEquals(filterByName(all, [name]).map((one) => one.name), [name]);
});

Deno.test("filterByName() names a filter that means none, also beside others, and names like it", async () => {
  const all = await readCatalogue();
  const refused = (text: string, ...filters: string[]) =>
    assertThrows(() => filterByName(all, filters), UsageError, text);
  refused('no scenario is called "minimall": did you mean minimal?', "ldt_one", "minimall");
  refused('no scenario is called "/^x$/"', "/^x$/");
  assertEquals(["minimal", "/a+/", "/", "/(/"].map(isFilter), ["minimal", "/a+/", "/", undefined]);
});

Deno.test("parsePlatforms() takes a flavour for all, or one by one", () => {
  const names = (arch: string | undefined, flavour?: string) =>
    parsePlatforms({ arch, fallback: "x86_64,i386", flavour }).map(({ name, flavour }) =>
      `${name}:${flavour}`
    );
  assertEquals(names(undefined, "debug"), ["x86_64-debug:debug", "i386-debug:debug"]);
  assertEquals(names("x86_64-fault,i386", "debug"), ["x86_64-fault:fault", "i386-debug:debug"]);
  assertEquals(names("compat-debug"), ["compat-debug:debug"]);
  assertThrows(
    () => names("x86_64", "fast"),
    ExpectedError,
    `plain, debug, fault, smp, kcsan, distro: found "fast"`,
  );
});

Deno.test("parsePlatforms() leaves out what has no KCSAN, unless it is asked for", () => {
  const names = (arch?: string) =>
    parsePlatforms({ arch, fallback: "x86_64,i386", flavour: "kcsan" }).map(({ name }) => name);
  assertEquals(names(), ["x86_64-kcsan"]);
  assertEquals(names("all"), ["x86_64-kcsan", "compat-kcsan"]);
  assertThrows(() => names("i386-pae"), UsageError, "kcsan is for kernels of x86_64: found i386-pae-kcsan");
});

Deno.test("parsePlatforms() takes kernel series for all, or one by one", () => {
  const names = (arch: string, series?: string, flavour?: string) =>
    parsePlatforms({ arch, fallback: "", series, flavour }).map(({ name, series }) => `${name} ${series}`);
  assertEquals(names("x86_64"), ["x86_64 6.1"]);
  assertEquals(names("x86_64", "5.10,6.1"), ["x86_64@5.10 5.10", "x86_64 6.1"]);
  assertEquals(names("i386-debug@6.12"), ["i386-debug@6.12 6.12"]);
  assertEquals(names("x86_64@6.12,i386", "5.10,6.1", "debug"), [
    "x86_64-debug@6.12 6.12",
    "i386-debug@5.10 5.10",
    "i386-debug 6.1",
  ]);
  assertEquals(names("x86_64@6.1"), ["x86_64 6.1"]);
  assertEquals(names("all", "6.12").length, PLATFORMS.length);
  assertThrows(() => names("x86_64", "6.2"), ExpectedError, `--series takes 5.10, 6.1, 6.12: found "6.2"`);
  assertThrows(() => names("x86_64@2.6.28"), ExpectedError, `found "2.6.28"`);
});

Deno.test("parsePlatforms() knows every kernel, and names one that it does not know", () => {
  assertEquals(parsePlatforms({ arch: "all", fallback: "x86_64" }), PLATFORMS);
  assertEquals(parsePlatforms({ arch: undefined, fallback: "x86_64" }).map(({ name }) => name), ["x86_64"]);
  const targets = parsePlatforms({ arch: "compat,i386", fallback: "" }).map(({ target }) => target);
  assertEquals(targets, ["i386", "i386"]);
  for (const wrong of ["arm64", "", "x86_64,"]) {
    let message = "";
    try {
      parsePlatforms({ arch: wrong, fallback: "x86_64" });
    } catch (error) {
      assert(error instanceof ExpectedError);
      message = error.message;
    }
    assert(message.includes("x86_64, i386, i386-pae, compat"), `"${wrong}": ${message}`);
  }
});

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

const platform = PLATFORMS.find(({ name }) => name === "compat")!;
const config = new Map([["CONFIG_KSM", "y"], ["CONFIG_ZRAM", "m"]]);

function scenario(parts: Partial<Scenario>): Scenario {
  return { name: "made", about: "", ...parts };
}

Deno.test("what the project's scenarios predict is the same when another thread was sent it", async () => {
  for (const [{ name }, { stops }] of compileCatalogue(await readCatalogue(), REQUEST)) {
    for (const { prediction, call } of stops) {
      const sent = { name, stops: [prediction, call?.after] };
      assertEquals(structuredClone(sent), sent);
    }
  }
});

Deno.test("unmetNeed() names what kernel, target or configuration lack", () => {
  const reason = (needs: Parameters<typeof unmetNeed>[0]["needs"]) =>
    unmetNeed(scenario({ ...needs && { needs } }), { platform, config, release: "6.1.9" });
  assertEquals(reason(undefined), undefined);
  assertEquals(reason({ kernel: ["x86_64"], target: ["i386"], config: ["CONFIG_KSM"] }), undefined);
  assertEquals(reason({ kernel: ["i386", "i386-pae"] }), "needs a kernel of i386 or i386-pae");
  assertEquals(reason({ target: ["x86_64"] }), "needs a target of x86_64");
  assertEquals(
    reason({ config: ["CONFIG_KSM", "CONFIG_SWAP"] }),
    "needs CONFIG_SWAP, which this kernel has not",
  );
  assertEquals(reason({ series: ["6.1"] }), undefined);
  assertEquals(reason({ series: ["5.10", "6.12"] }), "needs Linux 5.10 or 6.12");
  assertEquals(reason({ config: ["!CONFIG_SWAP"] }), undefined);
  assertEquals(reason({ config: ["!CONFIG_KSM"] }), "needs a kernel without CONFIG_KSM");
  // A module would have to be loaded.
  assertEquals(reason({ config: ["CONFIG_ZRAM"] }), "needs CONFIG_ZRAM, which this kernel has not");
});

Deno.test("unmetNeed() names what the processor of a platform lacks", () => {
  const reason = (arch: string, cpu: NonNullable<Scenario["needs"]>["cpu"] = ["sse", "xsave"]) => {
    const [platform] = parsePlatforms({ arch, fallback: arch });
    const needs = { cpu };
    return unmetNeed(scenario({ needs }), { platform: platform!, config, release: "6.1.9" });
  };
  assertEquals(reason("x86_64"), undefined);
  assertEquals(reason("x86_64-pti"), undefined);
  assertEquals(reason("x86_64-noxsave-smp@5.10"), "needs a processor with xsave");
  assertEquals(reason("i386-nofxsr"), "needs a processor with sse");
  assertEquals(reason("x86_64-nofsgsbase", ["!fsgsbase"]), undefined);
  assertEquals(reason("x86_64", ["!fsgsbase"]), "needs a processor without fsgsbase");
});

Deno.test("unmetNeed() does not guess what an unknown configuration holds", () => {
  const needs = { config: ["CONFIG_KSM"] };
  const reason = (release?: string) =>
    unmetNeed(scenario({ needs }), { platform, config: undefined, release });
  assertEquals(reason("6.1.9"), "needs CONFIG_KSM, and the kernel came without its .config");
  assertEquals(reason(), undefined);
});

Deno.test("unmetNeed() does not ask an old kernel for an option that did not exist yet", () => {
  const needs = { config: ["CONFIG_MODIFY_LDT_SYSCALL"] };
  const reason = (release: string) => unmetNeed(scenario({ needs }), { platform, config, release });
  assertEquals(reason("2.6.28-rc7"), undefined);
  assertEquals(reason("4.3.0"), "needs CONFIG_MODIFY_LDT_SYSCALL, which this kernel has not");
});

Deno.test("unmetNeed() names what an old kernel has not, and the release that brought it", () => {
  const steps: Scenario["steps"] = [{ op: "madvise", area: "a", pages: "all", advice: "dontdump" }];
  const reason = (release: string) => unmetNeed(scenario({ steps }), { platform, config, release });
  assertEquals(reason("2.6.28-rc7"), "needs Linux 3.4: madvise dontdump");
  assertEquals(reason("3.4"), undefined);
});

Deno.test("unmetNeed() leaves out what 2.6.28-rc7 was seen to lack, and nothing that ran there", async () => {
  const i386 = PLATFORMS.find(({ name }) => name === "i386")!;
  const needs = { platform: i386, config: undefined, release: "2.6.28-rc7" };
  const skipped = (await readCatalogue()).filter((one) => unmetNeed(one, needs)).map(({ name }) => name);
  const lacking = ["refuse_hugetlb", "refuse_shm", "namespace_pid", "vmas_flags_differ"];
  const killed = ["growsdown", "growsdown_split", "stack", "fork_heap_and_stack"];
  for (const name of [...lacking, ...killed]) assert(skipped.includes(name), name);
  const ran = [
    "growsdown_untouched",
    "ldt_loaded",
    "file_unlinked",
    "mlock_file",
    "refuse_dev_mem",
    "brk_grow",
  ];
  for (const name of ran) assert(!skipped.includes(name), name);
});
