// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { readElf } from "../host/elf_file.ts";
import { expandPath, programClosure } from "./program_closure.ts";
import { exists } from "@std/fs";
import { ExpectedError } from "../host/errors.ts";

/** Runs a compiler or another tool; it must succeed. */
async function run(cwd: string, ...argv: [string, ...string[]]): Promise<string> {
  const [program, ...args] = argv;
  const { success, stdout, stderr } = await new Deno.Command(program, { args, cwd }).output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test("programClosure() finds the dynamic linker and libraries that ldd finds", async () => {
  const closure = await programClosure("sh");
  const paths = closure.map(({ path }) => path);
  assert(paths[0]!.endsWith("/sh"));
  const listed = await run("/", "sh", "-c", 'ldd "$0"', paths[0]!);
  const expected = listed.matchAll(/(\/\S+) \(0x/g).map((match) => match[1]!).toArray();
  assert(expected.length >= 2, listed);
  assertEquals(paths.slice(1).toSorted(), expected.toSorted());
});

Deno.test("programClosure() follows RUNPATH with $ORIGIN and libraries of libraries", async () => {
  const dir = await Deno.realPath(await Deno.makeTempDir());
  try {
    await Deno.mkdir(`${dir}/lib`);
    await Deno.writeTextFile(`${dir}/b.c`, "int b(void) { return 1; }\n");
    await Deno.writeTextFile(`${dir}/a.c`, "int b(void); int a(void) { return b(); }\n");
    await Deno.writeTextFile(`${dir}/main.c`, "int a(void); int main(void) { return a(); }\n");
    const shared = ["-shared", "-fPIC", "-nostdlib"];
    await run(dir, "gcc", ...shared, "-o", "lib/libb.so", "b.c");
    await run(dir, "gcc", ...shared, "-Wl,-rpath,$ORIGIN", "-o", "lib/liba.so", "a.c", "-Llib", "-lb");
    const link = ["-Wl,-rpath,$ORIGIN/lib", "-Wl,-rpath-link,lib", "-Llib", "-la"];
    await run(dir, "gcc", "-o", "main", "main.c", ...link);
    const paths = (await programClosure(`${dir}/main`)).map(({ path }) => path);
    assertEquals(paths[0], `${dir}/main`);
    for (const expected of [`${dir}/lib/liba.so`, `${dir}/lib/libb.so`]) {
      assert(paths.includes(expected), expected);
    }
    // By a symbolic link from elsewhere the libraries are those beside the file; in the guest there is no link.
    await Deno.mkdir(`${dir}/bin`);
    await Deno.symlink("../main", `${dir}/bin/main`);
    const linked = await programClosure(`${dir}/bin/main`);
    assertEquals(linked[0], { path: `${dir}/bin/main`, source: `${dir}/bin/main` });
    const guestPaths = new Map(linked.map(({ path, source }) => [source, path]));
    assertEquals(guestPaths.get(`${dir}/lib/liba.so`), "/lib/liba.so");
    assertEquals(guestPaths.get(`${dir}/lib/libb.so`), "/lib/libb.so");
    await Deno.remove(`${dir}/lib/libb.so`);
    await assertRejects(() => programClosure(`${dir}/main`), ExpectedError, "main: needs libb.so");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("programClosure() takes a static program alone, and a script with its interpreter", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/start.c`, "void _start(void) { for (;;); }\n");
    await run(dir, "gcc", "-static", "-nostdlib", "-o", "alone", "start.c");
    assertEquals((await programClosure(`${dir}/alone`)).map(({ path }) => path), [`${dir}/alone`]);
    await Deno.writeTextFile(`${dir}/script`, `#! ${dir}/alone -x\n`, { mode: 0o755 });
    const closure = await programClosure(`${dir}/script`);
    assertEquals(closure.map(({ source }) => source), [`${dir}/script`, `${dir}/alone`]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("programClosure() runs no dynamic linker that came with the program", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/linker`, `#!/bin/sh\ntouch ${dir}/ran\n`, { mode: 0o755 });
    await Deno.writeTextFile(`${dir}/main.c`, "int main(void) { return 0; }\n");
    await run(dir, "gcc", `-Wl,--dynamic-linker=${dir}/linker`, "-o", "main", "main.c");
    const problem = `its dynamic linker ${dir}/linker is not in a directory of the system's libraries`;
    await assertRejects(() => programClosure(`${dir}/main`), ExpectedError, problem);
    assertEquals(await exists(`${dir}/ran`), false);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("programClosure() names a program that is not there or no program", async () => {
  await assertRejects(() => programClosure("no-such-program"), ExpectedError, "no-such-program");
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, "just some text");
    await Deno.chmod(file, 0o755);
    await assertRejects(() => programClosure(file), ExpectedError, "not an ELF file");
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("readElf() refuses a file that is cut short", async () => {
  const bytes = await Deno.readFile(await Deno.realPath("/bin/sh"));
  const whole = readElf(bytes, "sh");
  assert(whole.interpreter?.includes("/ld-"), whole.interpreter);
  for (const length of [30, 64, 200]) {
    assertThrows(() => readElf(bytes.subarray(0, length), "cut"), ExpectedError, "cut");
  }
});

Deno.test("programClosure() takes programs and libraries from another root alone", async () => {
  const root = await Deno.realPath(await Deno.makeTempDir());
  try {
    const own = await programClosure("/bin/sh");
    for (const { path, source } of own) {
      await Deno.mkdir(`${root}${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
      await Deno.copyFile(source, `${root}${path}`);
    }
    const moved = await programClosure("/bin/sh", { root });
    assertEquals(moved.map(({ path }) => path).toSorted(), own.map(({ path }) => path).toSorted());
    for (const { path, source } of moved) assertEquals(source, `${root}${path}`);
    const library = own.find(({ path }) => path.includes("libc.so"));
    await Deno.remove(`${root}${library!.path}`);
    await assertRejects(() => programClosure("/bin/sh", { root }), ExpectedError, "libc.so");
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});

Deno.test("expandPath() takes * for any part of a name, in any component", async () => {
  const root = await Deno.makeTempDir();
  try {
    for (const directory of ["py3.9", "py3.11/sub", "other"]) {
      await Deno.mkdir(`${root}/${directory}`, { recursive: true });
    }
    const files = ["py3.9/os.py", "py3.11/os.py", "py3.11/sub/a.py", "other/os.py"];
    for (const file of files) await Deno.writeTextFile(`${root}/${file}`, file);
    const expand = async (pattern: string): Promise<string[]> =>
      (await expandPath(`${root}/${pattern}`)).map((path) => path.slice(root.length + 1));
    assertEquals(await expand("py3.*/os.py"), ["py3.11/os.py", "py3.9/os.py"]);
    assertEquals(await expand("py3*11/*/a.py"), ["py3.11/sub/a.py"]);
    assertEquals(await expand("other/os.py"), ["other/os.py"]);
    assertEquals(await expand("py4.*/os.py"), []);
    // A dot is a dot.
    assertEquals(await expand("py3?9/*"), []);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
