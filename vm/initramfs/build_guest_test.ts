// SPDX-License-Identifier: MIT
import { readElf } from "../host/elf_file.ts";
import { assert, assertEquals, assertNotEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { walk } from "@std/fs";
import { dirname, join, relative } from "@std/path";
import {
  buildGuest,
  buildGuestProgram,
  GUEST_SOURCES,
  GuestBuildError,
  guestCompileCommand,
} from "./build_guest.ts";

/** Source files of the same names, nearly empty: compiling the real ones takes seconds. */
async function withSmallSources(work: (sources: string, cache: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "ckptest-guest-" });
  try {
    const sources = join(directory, "sources");
    for (const program of ["agent", "target"] as const) {
      for (const own of guestCompileCommand(program, "x86_64", GUEST_SOURCES)) {
        if (!own.endsWith(".c")) continue;
        const path = join(sources, relative(GUEST_SOURCES, own));
        await Deno.mkdir(dirname(path), { recursive: true });
        const isMain = path.endsWith(`/${program}.c`);
        await Deno.writeTextFile(path, isMain ? "void _start(void);\nvoid _start(void) { for (;;); }\n" : "");
      }
    }
    await work(sources, join(directory, "cache"));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Class, machine and type of an ELF file. */
async function elfKind(path: string): Promise<string> {
  const bytes = await Deno.readFile(path);
  const view = new DataView(bytes.buffer);
  return [bytes[4], view.getUint16(18, true), view.getUint16(16, true)].join(",");
}

Deno.test("buildGuest() builds static programs of the right architecture", async () => {
  // The real programs, in the cache of all who use them.
  const programs = await buildGuest("x86_64");
  assertEquals(await elfKind(programs.agent), "2,62,2");
  assertEquals(await elfKind(programs.target), "2,62,2");
  assertEquals(await elfKind(programs.target32 ?? ""), "1,3,2");
  const small = await buildGuest("i386-pae");
  assertEquals(await elfKind(small.agent), "1,3,2");
  assertEquals(small.target, programs.target32);
  assertEquals(small.target32, undefined);
});

Deno.test("buildGuestProgram() builds once for the same sources, and anew for others", async () => {
  await withSmallSources(async (sourceDirectory, cache) => {
    const options = { sourceDirectory, cache };
    const first = await buildGuestProgram("target", "x86_64", options);
    const { mtime, ino } = await Deno.stat(first);
    const again = await buildGuestProgram("target", "x86_64", options);
    assertEquals(again, first);
    const found = await Deno.stat(again);
    assertEquals([found.mtime, found.ino], [mtime, ino]);
    await Deno.writeTextFile(join(sourceDirectory, "common", "text.c"), "\n// a change\n", { append: true });
    assertNotEquals(await buildGuestProgram("target", "x86_64", options), first);
  });
});

Deno.test("buildGuestProgram() names the file and line that do not compile, and keeps nothing", async () => {
  await withSmallSources(async (sourceDirectory, cache) => {
    await Deno.writeTextFile(
      join(sourceDirectory, "common", "hash.c"),
      "\nint broken(void) { return x; }\n",
      {
        append: true,
      },
    );
    const error = await assertRejects(
      () => buildGuestProgram("agent", "x86_64", { sourceDirectory, cache }),
      GuestBuildError,
      "cannot build the guest's agent for x86_64",
    );
    assert(/hash\.c:\d+:\d+: error: .*x.* undeclared/.test(error.message), error.message);
    assertStringIncludes(error.message, "command: gcc");
    for await (const { name } of Deno.readDir(cache)) {
      for await (const left of Deno.readDir(join(cache, name))) assertEquals(left.name, "nothing");
    }
  });
});

Deno.test("guestCompileCommand() names every source file of the tree in some program", async () => {
  const commands = (["agent-host", "agent-hostile", "target"] as const).flatMap((p) =>
    guestCompileCommand(p, "x86_64", GUEST_SOURCES)
  );
  for await (const { path } of walk(GUEST_SOURCES, { exts: [".c"] })) {
    const name = relative(GUEST_SOURCES, path);
    assert(commands.includes(`${GUEST_SOURCES}/${name}`), `${name} is compiled`);
  }
});

Deno.test("the target for gdb is the one that runs, with its symbols", async () => {
  for (const arch of ["x86_64", "i386"] as const) {
    const [plain, symbols] = await Promise.all((["target", "target-symbols"] as const).map(async (name) => {
      const bytes = await Deno.readFile(await buildGuestProgram(name, arch));
      return { length: bytes.length, loaded: readElf(bytes, name).loaded.filter((one) => one.isExecutable) };
    }));
    assert(symbols!.length > plain!.length);
    assertEquals(symbols!.loaded.map(({ address }) => address), plain!.loaded.map(({ address }) => address));
    // What is behind the ELF header, which tells where the symbols are.
    const codeOf = ({ loaded }: typeof plain & object) => loaded.map(({ bytes }) => bytes.slice(64));
    assertEquals(codeOf(symbols!), codeOf(plain!));
  }
});
