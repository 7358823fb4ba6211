// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import {
  basename,
  dirname,
  extname,
  fromFileUrl,
  globToRegExp,
  isAbsolute,
  join,
  normalize,
  parse,
  relative,
  resolve,
  toFileUrl,
} from "@std/path";

Deno.test("join() puts parts together and resolves dots", () => {
  assertEquals(join("a", "..", "b", "./c"), "b/c");
  assertEquals(normalize("/a//b/../c/"), "/a/c/");
});

Deno.test("basename(), dirname(), extname() and parse() take a path apart", () => {
  assertEquals(
    [basename("/a/b.c"), basename("/a/b.c", ".c"), dirname("/a/b.c"), extname("b.c")],
    ["b.c", "b", "/a", ".c"],
  );
  assertEquals(parse("/a/b.c"), { root: "/", dir: "/a", base: "b.c", ext: ".c", name: "b" });
});

Deno.test("relative(), resolve() and isAbsolute() agree on where a path is", () => {
  assertEquals(relative("/a/b", "/a/c/d"), "../c/d");
  assertEquals(resolve("/a", "b", "../c"), "/a/c");
  assertEquals([isAbsolute("/a"), isAbsolute("a")], [true, false]);
});

Deno.test("fromFileUrl() undoes toFileUrl() and refuses other URLs", () => {
  assertEquals(fromFileUrl(toFileUrl("/a b/%c")), "/a b/%c");
  assertThrows(() => fromFileUrl("http://a/b"), TypeError);
});

Deno.test("globToRegExp() matches within a folder only, unless by **", () => {
  assertEquals([globToRegExp("*.ts").test("a.ts"), globToRegExp("*.ts").test("a/b.ts")], [true, false]);
  assertEquals(globToRegExp("**/*.ts").test("a/b.ts"), true);
});
