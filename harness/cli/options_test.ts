// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { resolve } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import {
  flag,
  oneOf,
  optionArgs,
  optionsParser,
  parseArguments,
  required,
  SIZE,
  TIME,
  value,
  values,
  valuesOrWords,
  wholeNumber,
  word,
  words,
} from "./options.ts";

const TABLE = {
  out: value("DIR", "where"),
  count: value(wholeNumber(1, 10), "how many"),
  filter: valuesOrWords("TEXT", "which"),
  dryRun: flag("nothing is done"),
  kind: value(oneOf(["here", "there"]), "of what kind", "--sort"),
};

function parse(...args: string[]) {
  return parseArguments(optionsParser(TABLE), args);
}

function refused(message: string, ...args: string[]): void {
  assertThrows(() => parse(...args), UsageError, message);
}

Deno.test("options come with = or a space; what may be given more than once is also taken as a word", () => {
  assertEquals(parse("a", "--out", "b", "--filter=c", "--dry-run", "--filter", "d", "--", "--count"), {
    ...{ out: resolve("b"), count: undefined, dryRun: true, kind: undefined },
    filter: ["a", "c", "d", "--count"],
  });
  const none = { out: undefined, count: undefined, filter: [], dryRun: false, kind: undefined };
  assertEquals(parse(), none);
  assertEquals(parse("--sort", "here").kind, "here");
});

Deno.test("an option that a command does not have is named, with those that are like it", () => {
  refused("unknown option --filtr: did you mean --filter?", "--filtr", "x");
  refused("unknown option --dryrun: did you mean --dry-run?", "--dryrun");
  refused("unknown option -x", "-x");
  assertThrows(
    () => parseArguments(optionsParser({ json: flag("as JSON") }), ["all"]),
    UsageError,
    'unexpected word "all"',
  );
});

Deno.test("an option that lacks its value, or came too often, is named", () => {
  refused("--out requires DIR", "--out");
  refused("option --out needs a value", "--out=");
  refused("--out cannot be used multiple times", "--out", "a", "--out", "b");
  refused("--kind cannot be used multiple times", "--sort", "here", "--kind", "here");
});

Deno.test("a wrong value is named with what the option takes", () => {
  for (const wrong of ["0", "11", "1.5", "1e1", "0x5", "-1", "five"]) {
    refused(`option --count takes a whole number from 1 to 10: found "${wrong}"`, `--count=${wrong}`);
  }
  refused('option --kind takes here, there: found "her": did you mean here?', "--kind", "her");
  const kinds = optionsParser({ time: value(TIME, "how long"), size: value(SIZE, "how much") });
  assertEquals(parseArguments(kinds, ["--time", "2h", "--size", "2K"]), { time: 7200, size: 2048 });
  for (
    const [args, message] of [
      [["--time", "0s"], 'option --time takes a time such as 90min or 2h: found "0s"'],
      [["--size", "much"], 'option --size takes a size such as 500M or 20G: found "much"'],
    ] as const
  ) assertThrows(() => parseArguments(kinds, args), UsageError, message);
});

Deno.test("what must be there is named when it is not", () => {
  const parser = optionsParser({
    action: word("ACTION", "what"),
    files: words("TEXT", "the files"),
    out: required("DIR", "where"),
    tag: values("TEXT", "any"),
  });
  const refused = (message: string, ...args: string[]): void => {
    assertThrows(() => parseArguments(parser, args), UsageError, message);
  };
  refused("missing: ACTION and TEXT and --out");
  refused("missing: TEXT", "show", "--out", "x");
  refused("missing: --out", "show", "x");
  assertEquals(parseArguments(parser, ["show", "007", "y", "--out", "/x"]), {
    ...{ action: "show", files: ["007", "y"], out: "/x", tag: [] },
  });
});

Deno.test("optionArgs() gives options for another command line, with whole paths", () => {
  const given = parse("--kind", "here", "--out", "x", "a", "b", "--dry-run", "--count", "3");
  assertEquals(optionArgs(given, TABLE), [
    ...["--out", resolve("x"), "--count", "3", "--filter", "a", "--filter", "b", "--dry-run"],
    ...["--kind", "here"],
  ]);
  assertEquals(optionArgs(parse(), TABLE), []);
});
