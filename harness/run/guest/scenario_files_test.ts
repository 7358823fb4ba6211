// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Scenario } from "../../../lib/model/scenario.ts";
import { PLATFORMS } from "../platform.ts";
import { installFiles, programFiles, scenarioFiles } from "./scenario_files.ts";
import type { GuestAgent } from "./guest.ts";
import { ExpectedError } from "../../../vm/host/errors.ts";

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

async function withTree(run: (root: string) => Promise<void>): Promise<void> {
  const root = await Deno.realPath(await Deno.makeTempDir());
  try {
    for (const directory of ["py3.9", "py3.11/sub/__pycache__", "other"]) {
      await Deno.mkdir(`${root}/${directory}`, { recursive: true });
    }
    for (
      const file of [
        "py3.9/os.py",
        "py3.11/os.py",
        "py3.11/sub/a.py",
        "py3.11/sub/__pycache__/a.pyc",
        "other/os.py",
      ]
    ) {
      await Deno.writeTextFile(`${root}/${file}`, file);
    }
    await run(root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("programFiles() packs what a program opens by itself, whole directories too", async () => {
  await withTree(async (root) => {
    const files = await programFiles({ argv: ["/bin/sh"], files: [`${root}/py3.11`, `${root}/other/*`] });
    const paths = files.map(({ path }) => path);
    assertEquals(paths[0], "/bin/sh");
    const own = paths.filter((path) => path.startsWith(root)).map((path) => path.slice(root.length + 1));
    assertEquals(own.toSorted(), ["other/os.py", "py3.11/os.py", "py3.11/sub/a.py"]);
    assert(paths.some((path) => path.includes("libc.so")));
  });
});

Deno.test("programFiles() names what the host lacks, and the package to install", async () => {
  for (const [argv, files] of [[["/bin/no-such"], []], [["/bin/sh"], ["/no/such/*.py"]]] as const) {
    await assertRejects(
      () => programFiles({ argv, files, package: "nothing" }),
      ExpectedError,
      "on this host (Debian package nothing; see ./setup)",
    );
  }
});

Deno.test("installFiles() makes directories before files, and brings nothing twice", async () => {
  const record = (log: string[]): GuestAgent =>
    ({
      mkdir: (path: string) => Promise.resolve(void log.push(path)),
      writeFile: (path: string, bytes: Uint8Array) =>
        Promise.resolve(void log.push(`${path} ${bytes.length}`)),
    }) as unknown as GuestAgent;
  const read = (source: string): Promise<Uint8Array> => Promise.resolve(new Uint8Array(source.length));
  const log: string[] = [];
  const agent = record(log);
  await installFiles(agent, [{ path: "/usr/lib/a", source: "12" }, { path: "/usr/b", source: "123" }], read);
  assertEquals(log, ["/usr", "/usr/lib", "/usr/lib/a 2", "/usr/b 3"]);
  await installFiles(
    agent,
    [{ path: "/usr/lib/a", source: "12" }, { path: "/usr/lib/c", source: "1" }],
    read,
  );
  assertEquals(log.slice(4), ["/usr/lib/c 1"]);
  const other: string[] = [];
  await installFiles(record(other), [{ path: "/d", source: "1" }], read);
  assertEquals(other, ["/d 1"]);
});
