// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { cachedInitramfs, type InitramfsEntry, writeCpio } from "./initramfs.ts";

const ENTRIES: InitramfsEntry[] = [
  { path: "/dev" },
  { path: "/init", data: new TextEncoder().encode("hello") },
  { path: "/etc/secret", data: new Uint8Array(4096).fill(7), mode: 0o640 },
];

/** Has the real cpio list or unpack an archive. */
async function cpio(args: string[], archive: Uint8Array, cwd: string): Promise<string> {
  await Deno.writeFile(`${cwd}/archive`, archive);
  const command = new Deno.Command("cpio", { args: [...args, "-F", "archive"], cwd, stderr: "piped" });
  const { success, stdout, stderr } = await command.output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test("writeCpio() writes what cpio lists, with types and modes", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const listing = await cpio(["-itv"], writeCpio(ENTRIES), dir);
    const lines = listing.trim().split("\n").map((line) => line.split(/\s+/));
    assertEquals(lines.map((words) => words[0]), [
      "drwxr-xr-x",
      "-rwxr-xr-x",
      "drwxr-xr-x",
      "-rw-r-----",
    ]);
    assertEquals(lines.map((words) => words.at(-1)), ["dev", "init", "etc", "etc/secret"]);
    assert(lines.every((words) => words[2] === "root" && words[3] === "root"), listing);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("writeCpio() gives file contents back through cpio", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await cpio(["-id", "--no-preserve-owner"], writeCpio(ENTRIES), dir);
    assertEquals(await Deno.readTextFile(`${dir}/init`), "hello");
    assertEquals(await Deno.readFile(`${dir}/etc/secret`), new Uint8Array(4096).fill(7));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("writeCpio() gives the same bytes every time, and other bytes for other entries", () => {
  assertEquals(writeCpio(ENTRIES), writeCpio(ENTRIES));
  assertNotEquals(writeCpio(ENTRIES), writeCpio(ENTRIES.slice(1)));
});

Deno.test("writeCpio() refuses paths that the kernel would unpack wrongly", () => {
  const file = (path: string): InitramfsEntry => ({ path, data: new Uint8Array() });
  for (const path of ["", "/", "a/../b", "./a", "a\0b", "TRAILER!!!", "a//b"]) {
    assertThrows(() => writeCpio([file(path)]), TypeError, "not a usable path", JSON.stringify(path));
  }
  assertThrows(() => writeCpio([file("a"), file("/a")]), TypeError, "twice");
  assertThrows(() => writeCpio([file("a"), { path: "a" }]), TypeError, "twice");
  assertThrows(() => writeCpio([file("a"), file("a/b")]), TypeError, "a/b leads through the file a");
});

Deno.test("writeCpio() adds each missing directory once, before its first use", async () => {
  const file = (path: string): InitramfsEntry => ({ path, data: new Uint8Array() });
  const dir = await Deno.makeTempDir();
  try {
    const archive = writeCpio([file("/a/b/c"), file("/a/b/d"), { path: "/x", mode: 0o700 }, file("x/y")]);
    const listed = await cpio(["-it"], archive, dir);
    assertEquals(listed.trim().split("\n"), ["a", "a/b", "a/b/c", "a/b/d", "x", "x/y"]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
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
