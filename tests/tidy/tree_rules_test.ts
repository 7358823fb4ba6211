// SPDX-License-Identifier: MIT
import { assertEquals, assertGreater } from "@std/assert";
import { type ModuleGraph, readModules } from "./module_graph.ts";
import { projectFiles, readJson } from "./project_files.ts";
import type { ProjectConfig, ProjectFile } from "./tidy_rules.ts";
import {
  entryPoints,
  importCycles,
  type LinkConfig,
  missingPaths,
  unsetOptions,
  unusedExports,
  unusedModules,
} from "./tree_rules.ts";

const FILES = await projectFiles();
const GRAPH = readModules(
  FILES.filter(({ path }) => path.endsWith(".ts") && !path.endsWith(".d.ts"))
    .map(({ path, text = "" }) => ({ path, text })),
);
const CONFIG = await readJson<ProjectConfig>("deno.json");
const LINKS = Object.fromEntries(
  await Promise.all(
    (CONFIG.links ?? []).map(async (link) => [link, await readJson<LinkConfig>(`${link}/deno.json`)]),
  ),
);
const ENTRIES = entryPoints(CONFIG, LINKS);

function graph(sources: Record<string, string>): ModuleGraph {
  return readModules(Object.entries(sources).map(([path, text]) => ({ path, text })));
}

function page(text: string): ProjectFile {
  return { path: "docs/a.md", text, size: text.length, executable: false };
}

Deno.test("readModules() finds every form of import and export", () => {
  const modules = graph({
    "lib/a.ts": `
import { b, type C as D } from "./b.ts";
import type { E } from "./c.ts";
import * as f from "../vm/d.ts";
export { g as h } from "./b.ts";
export * from "./c.ts";
import x from "./data.json" with { type: "json" };
const text = \`
import { no } from "./b.ts";\`; // import("./b.ts")
const late = await import("./b.ts");
let type: import("./c.ts").I;
const program = import.meta.resolve("./c.ts");
const other = \`\${ROOT}vm/d.ts\`;
export const j = 1, k = 2;
export abstract class L {}
export async function m(): Promise<void> {}
export interface N { a: number }
const o = 1;
export { o as p };
`,
    "lib/b.ts": "",
    "lib/c.ts": "",
    "vm/d.ts": "",
  });
  const { imports, exports } = modules.get("lib/a.ts")!;
  assertEquals(imports.map(({ from, names }) => `${from} ${names}`), [
    ...["lib/b.ts b,C", "lib/c.ts E", "vm/d.ts *", "lib/b.ts g", "lib/c.ts *"],
    ...["vm/d.ts ", "lib/c.ts ", "lib/b.ts *", "lib/c.ts I"],
  ]);
  assertEquals(exports, ["j", "k", "L", "m", "N", "p"]);
});

Deno.test("importCycles() names the way round", () => {
  const modules = graph({
    "a.ts": `import { b } from "./b.ts";`,
    "b.ts": `import type { C } from "./c.ts";\nimport "./d.ts";`,
    "c.ts": `export * from "./a.ts";`,
    "d.ts": "",
  });
  assertEquals(importCycles(modules), ["a.ts -> b.ts -> c.ts -> a.ts is a cycle of imports"]);
});

Deno.test("unusedModules() tells what nothing needs from what tests alone need", () => {
  const modules = graph({
    "main.ts": `import "./used.ts";`,
    "used.ts": "",
    "lost.ts": `import "./used.ts";`,
    "tested.ts": "",
    "lib/testing/helper.ts": "",
    "lib/testing/lost.ts": "",
    "a_test.ts": `import "./tested.ts"; import "./lib/testing/helper.ts";`,
  });
  assertEquals(unusedModules(modules, ["main.ts"]), [
    "lost.ts is needed by nothing",
    "tested.ts is needed by tests alone",
    "lib/testing/lost.ts is needed by nothing",
  ]);
});

Deno.test("unusedExports() tells what nothing imports from what tests alone import", () => {
  const modules = graph({
    "main.ts": `import { a, type B } from "./a.ts"; import * as all from "./all.ts"; export const c = a;`,
    "a.ts": "export const a = 1;\nexport type B = 1;\nexport const lost = 2;\nexport function tested() {}\n" +
      "export function part() {}\nconst x = part();",
    "all.ts": "export const d = 1;",
    "a_test.ts": `import { part, tested } from "./a.ts"; import { helper } from "./lib/testing/helper.ts";`,
    "lib/testing/helper.ts": "export const helper = 1;\nexport const other = 1;",
  });
  assertEquals(unusedExports(modules, ["main.ts"]), [
    "a.ts exports lost, which nothing imports",
    "a.ts exports tested, which tests alone import",
    "lib/testing/helper.ts exports other, which nothing imports",
  ]);
});

Deno.test("unsetOptions() names the fields that no object has", () => {
  const modules = graph({
    "a.ts": "export interface AOptions { set?: 1; short?: 1; assigned?: 1; quoted?: 1; read?: 1 }\n" +
      "function a({ read = 1 }: AOptions) {} interface BOptions { own?: 1 }",
    "b.ts": `const short = 1; a({ set: 1, short }); options.assigned = 1; a({ "quoted": 1 });`,
  });
  assertEquals(unsetOptions(modules), ["a.ts: nothing sets AOptions.read"]);
});

Deno.test("entryPoints() gathers exports, tasks, plugins and links", () => {
  const config = {
    exports: { ".": "./mod.ts" },
    imports: {},
    permissions: {},
    lint: { plugins: ["./tests/plugin.ts"] },
    tasks: { a: "deno run harness/main.ts run", b: { command: "deno run -P=x tests/run_tests.ts --unit" } },
  };
  const links = { "./lib/std/a": { exports: { ".": "./mod.ts" } } };
  assertEquals(entryPoints(config, links), [
    ...["mod.ts", "harness/main.ts", "tests/run_tests.ts", "tests/plugin.ts", "lib/std/a/mod.ts"],
  ]);
});

Deno.test("missingPaths() finds what a page names and nobody has", () => {
  const paths = ["lib/a/b.ts", "docs/a.md", "docs/c.md", "vm/kernel/x86.config", "LICENSE"];
  const good =
    "`lib/a` [c](c.md), lib/a/b.ts, `b.ts`, lib/*/b.ts, `vm/kernel/ARCH.config`. `lib/a/`; …_test.ts /lib/x";
  assertEquals(missingPaths([page(good)], paths), []);
  const bad = ["lib/b", "[d](d.md)", "`lib/a/c.ts`", "c.ts", "lib/*/c.ts", "../README.md"];
  for (const text of bad) assertEquals(missingPaths([page(text)], paths).length, 1, text);
});

Deno.test("the project's modules were found", () => {
  assertGreater(GRAPH.size, 500);
  assertGreater(ENTRIES.length, 5);
});

Deno.test("every path that a page of the project names exists", () => {
  const pages = FILES.filter(({ path }) => path.endsWith(".md"));
  assertEquals(missingPaths(pages, FILES.map(({ path }) => path)), []);
});

Deno.test("something sets each option of the project", () => {
  assertEquals(unsetOptions(GRAPH), []);
});

Deno.test("the project has no cycle of imports", () => {
  assertEquals(importCycles(GRAPH), []);
});

Deno.test("something imports each export of the project", () => {
  assertEquals(unusedExports(GRAPH, ENTRIES), []);
});

Deno.test("something needs each module of the project", () => {
  assertEquals(unusedModules(GRAPH, ENTRIES), []);
});
