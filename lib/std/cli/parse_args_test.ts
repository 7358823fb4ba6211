// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { parseArgs as parseArgsOfMod } from "@std/cli";
import { parseArgs } from "@std/cli/parse-args";

Deno.test("parseArgs() gives flags their declared types", () => {
  const args = parseArgs(["--json", "--filter", "3", "x", "--with", "a", "--with=b"], {
    boolean: ["json", "quiet"],
    string: ["filter", "with", "out"],
    collect: ["with"],
    default: { out: "here" },
  });
  const json: boolean = args.json;
  const filter: string | undefined = args.filter;
  const withs: string[] = args.with;
  const out: string = args.out;
  assertEquals({ json, filter, withs, out }, { json: true, filter: "3", withs: ["a", "b"], out: "here" });
  assertEquals(args.quiet, false);
  assertEquals(args._, ["x"]);
});

Deno.test("parseArgs() keeps what follows -- apart when asked", () => {
  const args = parseArgs(["run", "--", "sh", "-c"], { "--": true });
  const rest: string[] = args["--"];
  assertEquals([args._, rest], [["run"], ["sh", "-c"]]);
});

Deno.test("parseArgs() stops at the first word that is no flag when asked", () => {
  const args = parseArgs(["--json", "sh", "--json=no"], { boolean: ["json"], stopEarly: true });
  assertEquals(args._, ["sh", "--json=no"]);
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
