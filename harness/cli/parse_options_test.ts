// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../vm/host/errors.ts";
import { type ArgumentSpecs, optionsHelp, parseOptions } from "./parse_options.ts";

const NAMES: ArgumentSpecs = {
  options: {
    out: ["DIR", ""],
    count: ["N", ""],
    filter: ["TEXT...", ""],
    json: "",
  },
  words: {},
  rest: true,
};

Deno.test("parseOptions() takes words, options and what follows -- apart", () => {
  const options = parseOptions(
    ["show", "--out", "a.ckpt", "--json", "--filter=x", "--filter", "y", "file", "--", "sh", "--out"],
    NAMES,
  );
  assertEquals(options.words, ["show", "file"]);
  assertEquals(options.rest, ["sh", "--out"]);
  assertEquals([options.string("out"), options.flag("json"), options.list("filter")], ["a.ckpt", true, [
    "x",
    "y",
  ]]);
});

Deno.test("parseOptions() leaves out what was not given", () => {
  const options = parseOptions([], NAMES);
  assertEquals([options.string("out"), options.flag("json"), options.list("filter")], [undefined, false, []]);
  assertEquals([options.words, options.rest, options.number("count", { min: 0, max: 9 })], [
    [],
    [],
    undefined,
  ]);
});

Deno.test("parseOptions() names an option that the command does not have", () => {
  for (const [arg, name] of [["--ouch", "--ouch"], ["--ouch=1", "--ouch"], ["-x", "-x"]] as const) {
    assertThrows(() => parseOptions([arg], NAMES), UsageError, `unknown option ${name}`);
  }
});

Deno.test("parseOptions() names an option that lacks its value, or came too often", () => {
  assertThrows(() => parseOptions(["--out"], NAMES), UsageError, "--out needs a value");
  assertThrows(() => parseOptions(["--filter="], NAMES), UsageError, "--filter needs a value");
  assertThrows(
    () => parseOptions(["--out", "a", "--out", "b"], NAMES),
    UsageError,
    "--out may be given once",
  );
});

Deno.test("parseOptions() keeps words that look like numbers as they are", () => {
  assertEquals(parseOptions(["007", "--out", "010"], NAMES).words, ["007"]);
  assertEquals(parseOptions(["--out", "010"], NAMES).string("out"), "010");
});

Deno.test("number() takes whole numbers in range alone", () => {
  const count = (text: string) =>
    parseOptions([`--count=${text}`], NAMES).number("count", { min: 1, max: 10 });
  assertEquals([count("1"), count("10")], [1, 10]);
  for (const wrong of ["0", "11", "1.5", "1e1", "0x5", "-1", "five"]) {
    assertThrows(() => count(wrong), UsageError, `from 1 to 10: found "${wrong}"`);
  }
});

Deno.test("parseOptions() names a word where a command takes none", () => {
  assertThrows(
    () => parseOptions(["--json", "x"], { options: NAMES.options!, rest: true }),
    UsageError,
    `unexpected word "x"`,
  );
  assertEquals(parseOptions(["--", "x"], { options: NAMES.options!, rest: true }).rest, ["x"]);
});

Deno.test("choice() takes one of a few words", () => {
  const out = (...args: string[]) => parseOptions(args, NAMES).choice("out", ["here", "there"]);
  assertEquals([out(), out("--out", "there")], [undefined, "there"]);
  assertThrows(() => out("--out=up"), UsageError, `option --out takes here, there: found "up"`);
});

Deno.test("optionsHelp() has a line for each word and option, in columns", () => {
  const options = { out: ["DIR", "where"], x: "why" } as const;
  assertEquals(optionsHelp({ words: { "FILE": "what" }, options }), [
    "FILE       what",
    "--out DIR  where",
    "--x        why",
  ]);
  assertEquals(optionsHelp(NAMES)[2], "--filter TEXT...  ");
});

Deno.test("required() and parsed() name an option that is missing, and what it takes", () => {
  const options = parseOptions(["--out", "3 m"], NAMES);
  assertEquals([options.required("out"), options.parsed("out", (text) => text.length, "a time")], ["3 m", 3]);
  assertThrows(() => options.required("count"), UsageError, "option --count is missing");
  const none = (): undefined => undefined;
  assertThrows(
    () => options.parsed("out", none, "a time"),
    UsageError,
    'option --out takes a time: found "3 m"',
  );
  assertEquals(options.parsed("count", none, "a time"), undefined);
});
