// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { parseArgs as parseArgsOfMod } from "@std/cli";
import { parseArgs } from "@std/cli/parse-args";

Deno.test("parseArgs() takes flags and their values", () => {
  const args = parseArgs(["--json", "--filter", "3", "x", "--with", "a", "--with=b"], {
    boolean: ["json", "quiet"],
    string: ["filter", "with", "out"],
    collect: ["with"],
  });
  const expected = { json: true, quiet: false, filter: "3", with: ["a", "b"], _: ["x"] };
  assertEquals<unknown>({ ...args }, expected);
});

Deno.test("parseArgs() keeps what follows -- apart when asked", () => {
  const args = parseArgs(["run", "--", "sh", "-c"], { "--": true });
  assertEquals([args._, args["--"]], [["run"], ["sh", "-c"]]);
});

Deno.test("parseArgs() reports flags that no option names", () => {
  const unknown: string[] = [];
  parseArgs(["--flter", "x"], {
    string: ["filter"],
    unknown: (arg) => {
      if (arg.startsWith("-")) unknown.push(arg);
    },
  });
  assertEquals(unknown, ["--flter"]);
});

Deno.test("the package and its parse-args module export one function", () => {
  assertEquals(parseArgsOfMod, parseArgs);
});
