// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertRejects } from "@std/assert";
import { ProgramClosureError } from "../../../vm/initramfs/program_closure.ts";
import { expandPath, programFiles } from "./program_files.ts";

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

Deno.test("expandPath() takes * for any part of a name, in any component", async () => {
  await withTree(async (root) => {
    const expand = async (pattern: string): Promise<string[]> =>
      (await expandPath(`${root}/${pattern}`)).map((path) => path.slice(root.length + 1));
    assertEquals(await expand("py3.*/os.py"), ["py3.11/os.py", "py3.9/os.py"]);
    assertEquals(await expand("py3*11/*/a.py"), ["py3.11/sub/a.py"]);
    assertEquals(await expand("other/os.py"), ["other/os.py"]);
    assertEquals(await expand("py4.*/os.py"), []);
    // A dot is a dot.
    assertEquals(await expand("py3?9/*"), []);
  });
});

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
      ProgramClosureError,
      "on this host (Debian package nothing; see ./setup)",
    );
  }
});
