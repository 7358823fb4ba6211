// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import plugin from "./lint_plugin.ts";

/** What the rule `id` says of `source`, if it stood at `path`: the texts of what it points at. */
function complaints(id: string, path: string, source: string): string[] {
  return Deno.lint.runPlugin(plugin, path, source)
    .filter((diagnostic) => diagnostic.id === `ckptest/${id}`)
    .map((diagnostic) => source.slice(...diagnostic.range));
}

interface RuleCase {
  rule: string;
  path: string;
  bad: string[];
  good: string[];
}

const CASES: RuleCase[] = [
  {
    rule: "layering",
    path: "lib/image/decode.ts",
    bad: [
      `import { a } from "../../vm/qemu/qmp.ts"`,
      `import type { A } from "../../harness/cli/a.ts"`,
      `export * from "../../tests/a.ts"`,
      `export { a } from "../../mod.ts"`,
      `await import("../../vm/host/a.ts")`,
      `import { a } from "../../docs/a.ts"`,
      `import { a } from "../new/a.ts"`,
      `import { a } from "../model/a.ts"`,
      `import { type A, b } from "../compare/a.ts"`,
      `import "../compare/a.ts"`,
    ],
    good: [
      `import { a } from "../abi/a.ts"`,
      `import { a } from "./a.ts"`,
      `import { a } from "@std/path"`,
      `export const a = "../../vm/qmp.ts"`,
      `import type { A } from "../model/a.ts"`,
      `import { type A, type B } from "../model/a.ts"`,
      `export type { A } from "../model/a.ts"`,
    ],
  },
  {
    rule: "layering",
    path: "lib/image/decode_test.ts",
    bad: [`import { a } from "../../vm/host/a.ts"`],
    good: [`import { a } from "../compare/a.ts"`],
  },
  {
    rule: "layering",
    path: "vm/kernel/build.ts",
    bad: [`import { a } from "../../harness/cli/a.ts"`, `import { a } from "../agent/a.ts"`],
    good: [`import { a } from "../../lib/image/decode.ts"`, `import { a } from "../host/a.ts"`],
  },
  {
    rule: "layering",
    path: "harness/nightly/a.ts",
    bad: [
      `import { a } from "../../tests/a.ts"`,
      `import { a } from "../../mod.ts"`,
      `import { a } from "../cli/a.ts"`,
    ],
    good: [
      `import { a } from "../../vm/host/a.ts"`,
      `import { a } from "../../fixtures/a.ts"`,
      `import { a } from "../run/a.ts"`,
    ],
  },
  { rule: "layering", path: "harness/new/a.ts", bad: [`import { a } from "../run/a.ts"`], good: [] },
  {
    rule: "layering",
    path: "tests/a_test.ts",
    bad: [],
    good: [`import { a } from "../harness/cli/main.ts"`, `import { a } from "../mod.ts"`],
  },
  {
    rule: "specifiers",
    path: "lib/image/decode.ts",
    bad: [
      `import "node:fs"`,
      `import { a } from "@std/fs"`,
      `import { a } from "@optique/core/suggestion"`,
      `import { a } from "npm:a"`,
      `import { a } from "jsr:@std/path"`,
      `import { a } from "https://example.org/a.ts"`,
      `import { a } from "@std/assert"`,
      `import a from "fast-check"`,
      `import { a } from "ajv"`,
    ],
    good: [
      `import { a } from "@std/path"`,
      `import { a } from "@std/streams"`,
      `import * as v from "valibot"`,
    ],
  },
  {
    rule: "specifiers",
    path: "lib/image/decode_test.ts",
    bad: [`import { a } from "npm:a"`],
    good: [`import { a } from "@std/assert"`, `import "node:fs"`, `import a from "fast-check"`],
  },
  {
    rule: "specifiers",
    path: "vm/qmp.ts",
    bad: [`import { a } from "@std/assert/equals"`],
    good: [`import { a } from "@std/fs"`, `import "node:fs"`, `import a from "fast-check"`],
  },
  {
    rule: "specifiers",
    path: "lib/std/fs/walk.ts",
    bad: [],
    good: [`import "node:fs"`, `import "npm:deno-std@1.4.0/path/mod.js"`],
  },
  {
    rule: "lib-purity",
    path: "lib/image/decode.ts",
    bad: [
      `Deno.readFileSync("a")`,
      `let entry: Deno.DirEntry`,
      `const t = Date.now()`,
      `const t = new Date()`,
      `const t = Date()`,
      `const t = performance.now()`,
      `const r = Math.random()`,
      `crypto.getRandomValues(bytes)`,
      `await fetch(url)`,
      `console.log(1)`,
      `setTimeout(f, 1)`,
      `const a = { fetch }`,
      `globalThis.Deno.exit()`,
      `const a = Temporal.Now.instant()`,
    ],
    good: [
      `const t = new Date(seconds * 1000)`,
      `const a = { console: 1, fetch: 2 }.fetch`,
      `const m = Math.imul(a, b)`,
      `class A { fetch() {} }`,
      `interface A { process: number; fetch(): void }`,
      `const self = a; if (self) f({ self })`,
      `function f(process: A, { prompt }: B) { return process.a + prompt }`,
      `for (const [console] of a) f(console)`,
    ],
  },
  {
    rule: "lib-purity",
    path: "lib/image/decode_test.ts",
    bad: [],
    good: [`Deno.test("a", () => {})`],
  },
  { rule: "lib-purity", path: "lib/std/fs/copy.ts", bad: [], good: [`throw new Deno.errors.NotFound()`] },
  {
    rule: "lib-purity",
    path: "vm/qmp.ts",
    bad: [],
    good: [`Deno.readFileSync("a"); console.log(Date.now())`],
  },
  {
    rule: "no-default-export",
    path: "vm/qmp.ts",
    bad: [`export default 1`, `export default function f() {}`, `const a = 1; export { a as default }`],
    good: [`export const a = 1`, `import a from "./a.json"`],
  },
  {
    rule: "no-private-keyword",
    path: "vm/qmp.ts",
    bad: [
      `class A { private a = 1 }`,
      `class A { private f() {} }`,
      `class A { constructor(private a: number) {} }`,
    ],
    good: [`class A { #a = 1; #f() {} }`, `class A { protected a = 1 }`],
  },
  {
    rule: "top-level-functions",
    path: "vm/qmp.ts",
    bad: [`const f = () => 1`, `export const f = function () {}`],
    good: [`function f() { const g = () => 1; return g }`, `const a = f(() => 1)`],
  },
  {
    rule: "no-ambient",
    path: "vm/qmp.ts",
    bad: [`declare global { var a: number }`, `declare module "a" {}`, `namespace A {}`],
    good: [`export type A = number`],
  },
];

for (const { rule, path, bad, good } of CASES) {
  Deno.test(`${rule} knows good from bad in ${path}`, () => {
    for (const source of bad) {
      assertEquals(complaints(rule, path, source).length, 1, `let through: ${source}`);
    }
    for (const source of good) assertEquals(complaints(rule, path, source), [], `refused: ${source}`);
  });
}

Deno.test("each rule of the plugin is tested with something that it refuses", () => {
  const refusing = new Set(CASES.filter(({ bad }) => bad.length > 0).map(({ rule }) => rule));
  assertEquals([...refusing].sort(), Object.keys(plugin.rules).sort());
});

Deno.test("paths under the project's root count as paths from there", () => {
  const path = new URL("../../lib/a.ts", import.meta.url).pathname;
  assertEquals(complaints("layering", path, `import "../vm/host/a.ts"`), [`"../vm/host/a.ts"`]);
});
