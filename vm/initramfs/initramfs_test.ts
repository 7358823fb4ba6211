// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { cachedInitramfs, type InitramfsEntry, withParents, writeCpio } from "./initramfs.ts";

const ENTRIES: InitramfsEntry[] = [
  { kind: "directory", path: "/dev" },
  { kind: "device", path: "/dev/console", type: "char", major: 5, minor: 1 },
  { kind: "file", path: "/init", data: new TextEncoder().encode("hello") },
  { kind: "file", path: "/secret", data: new Uint8Array(4096).fill(7), mode: 0o640 },
  { kind: "symlink", path: "/link", target: "init" },
];

/** Has the real cpio list or unpack an archive. */
async function cpio(args: string[], archive: Uint8Array, cwd: string): Promise<string> {
  await Deno.writeFile(`${cwd}/archive`, archive);
  const command = new Deno.Command("cpio", { args: [...args, "-F", "archive"], cwd, stderr: "piped" });
  const { success, stdout, stderr } = await command.output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test("writeCpio() writes what cpio lists, with types, modes, sizes and device numbers", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const listing = await cpio(["-itv"], writeCpio(ENTRIES), dir);
    const lines = listing.trim().split("\n").map((line) => line.split(/\s+/));
    assertEquals(lines.map((words) => words[0]), [
      "drwxr-xr-x",
      "crw-------",
      "-rwxr-xr-x",
      "-rw-r-----",
      "lrwxrwxrwx",
    ]);
    assertEquals(lines.map((words) => words.at(-1)), ["dev", "dev/console", "init", "secret", "init"]);
    assert(listing.includes("5,   1"), listing);
    assert(lines.every((words) => words[2] === "root" && words[3] === "root"), listing);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("writeCpio() gives file contents back through cpio", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const files = ENTRIES.filter(({ kind }) => kind !== "device");
    await cpio(["-id", "--no-preserve-owner"], writeCpio(files), dir);
    assertEquals(await Deno.readTextFile(`${dir}/init`), "hello");
    assertEquals(await Deno.readLink(`${dir}/link`), "init");
    assertEquals(await Deno.readFile(`${dir}/secret`), new Uint8Array(4096).fill(7));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("writeCpio() gives the same bytes every time, and other bytes for other entries", () => {
  assertEquals(writeCpio(ENTRIES), writeCpio(ENTRIES));
  assertNotEquals(writeCpio(ENTRIES), writeCpio(ENTRIES.slice(1, 1).concat(ENTRIES.slice(2))));
});

Deno.test("writeCpio() refuses paths that the kernel would unpack wrongly", () => {
  const file = (path: string): InitramfsEntry => ({ kind: "file", path, data: new Uint8Array() });
  for (const path of ["", "/", "a/../b", "./a", "a\0b", "TRAILER!!!", "a//b"]) {
    assertThrows(() => writeCpio([file(path)]), TypeError, "not a usable path", JSON.stringify(path));
  }
  assertThrows(() => writeCpio([file("a"), file("/a")]), TypeError, "twice");
  assertThrows(() => writeCpio([file("a/b")]), TypeError, "before its directory a");
  assertThrows(() => writeCpio([file("a"), file("a/b")]), TypeError, "before its directory a");
});

Deno.test("withParents() adds each missing directory once, before its first use", () => {
  const file = (path: string): InitramfsEntry => ({ kind: "file", path, data: new Uint8Array() });
  const all = withParents([file("/a/b/c"), file("/a/b/d"), { kind: "directory", path: "/x" }, file("x/y")]);
  assertEquals(all.map(({ path }) => path), ["a", "a/b", "/a/b/c", "/a/b/d", "/x", "x/y"]);
  writeCpio(all);
});

Deno.test("cachedInitramfs() writes an archive once and repairs a cut one", async () => {
  const cacheDir = await Deno.makeTempDir();
  try {
    const path = await cachedInitramfs(ENTRIES, { cacheDir });
    assertEquals(await Deno.readFile(path), writeCpio(ENTRIES));
    await Deno.truncate(path, 10);
    assertEquals(await cachedInitramfs(ENTRIES, { cacheDir }), path);
    assertEquals(await Deno.readFile(path), writeCpio(ENTRIES));
    const names = [...Deno.readDirSync(`${cacheDir}/initramfs`)].map(({ name }) => name);
    assertEquals(names.length, 1, names.join(" "));
  } finally {
    await Deno.remove(cacheDir, { recursive: true });
  }
});
