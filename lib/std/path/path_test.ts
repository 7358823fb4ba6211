// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import { basename, dirname, fromFileUrl, isAbsolute, join, normalize, relative, resolve } from "@std/path";

Deno.test("join() puts parts together and resolves dots", () => {
  assertEquals(join("a", "..", "b", "./c"), "b/c");
  assertEquals(normalize("/a//b/../c/"), "/a/c/");
});

Deno.test("basename() and dirname() take a path apart", () => {
  assertEquals([basename("/a/b.c"), basename("/a/b.c", ".c"), dirname("/a/b.c")], ["b.c", "b", "/a"]);
});

Deno.test("relative(), resolve() and isAbsolute() agree on where a path is", () => {
  assertEquals(relative("/a/b", "/a/c/d"), "../c/d");
  assertEquals(resolve("/a", "b", "../c"), "/a/c");
  assertEquals([isAbsolute("/a"), isAbsolute("a")], [true, false]);
});

Deno.test("fromFileUrl() decodes, and refuses other URLs", () => {
  assertEquals(fromFileUrl("file:///a%20b/%25c"), "/a b/%c");
  assertThrows(() => fromFileUrl("http://a/b"), TypeError);
});
