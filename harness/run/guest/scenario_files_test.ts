// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import type { Scenario } from "../../../lib/model/scenario.ts";
import { PLATFORMS } from "../platform.ts";
import { scenarioFiles } from "./scenario_files.ts";

const ABOUT = "A scenario of this test.";

Deno.test("scenarioFiles() finds the files of programs, and says what is missing", async () => {
  const scenarios: Scenario[] = [
    { name: "steps", about: ABOUT, steps: [{ op: "stop", label: "x" }] },
    { name: "sh", about: ABOUT, program: { argv: ["/bin/sh"] } },
    { name: "absent", about: ABOUT, program: { argv: ["/bin/no-such"], package: "nothing" } },
  ];
  const { filesOf, missing } = await scenarioFiles(scenarios, PLATFORMS[0]!);
  assertEquals([...filesOf.keys()], ["sh"]);
  assert(filesOf.get("sh")!.some(({ path }) => path === "/bin/sh"));
  assertEquals([...missing], [
    ["absent", "/bin/no-such: no such program on this host (Debian package nothing; see ./setup)"],
  ]);
});

Deno.test("scenarioFiles() packs the debugger for gcore, or says that it is missing", async () => {
  const scenario: Scenario = {
    name: "judged",
    about: ABOUT,
    judge: "gcore",
    steps: [{ op: "stop", label: "x" }],
  };
  const { filesOf, missing } = await scenarioFiles([scenario], PLATFORMS[0]!);
  const files = filesOf.get("judged");
  if (files) assert(files.some(({ path }) => path === "/usr/bin/gdb"));
  else assert(missing.get("judged")?.includes("Debian package gdb"));
});
