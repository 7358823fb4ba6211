// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { byteText } from "../printable.ts";
import { parseMaps, parseSmaps } from "./proc_maps.ts";

const encoder = new TextEncoder();

const nameOf = byteText;

Deno.test("parseMaps() takes each kind of line apart", () => {
  const entries = parseMaps(encoder.encode(
    "00400000-00403000 r-xp 00001000 00:02 1234                               /target\n" +
      "1000014000-1000018000 rw-s 00000000 00:00 0 \n" +
      "7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0                          [stack]\n",
  ));
  assertEquals(entries.map(({ name, ...rest }) => ({ ...rest, name: nameOf(name) })), [
    {
      start: 0x400000n,
      end: 0x403000n,
      perms: "r-xp",
      offset: 0x1000n,
      device: "00:02",
      inode: 1234n,
      name: "/target",
    },
    {
      start: 0x1000014000n,
      end: 0x1000018000n,
      perms: "rw-s",
      offset: 0n,
      device: "00:00",
      inode: 0n,
      name: "",
    },
    {
      start: 0x7ffffffde000n,
      end: 0x7ffffffff000n,
      perms: "rw-p",
      offset: 0n,
      device: "00:00",
      inode: 0n,
      name: "[stack]",
    },
  ]);
});

Deno.test("parseMaps() keeps spaces and odd bytes of a name, and undoes the escaped newline alone", () => {
  const line = (name: string): Uint8Array =>
    Uint8Array.from(`1000-2000 r--p 00000000 00:02 7 ${name}\n`, (char) => char.charCodeAt(0));
  const names = [
    "/a b  c ",
    "/one\\012two",
    "/back\\slash",
    "/\xff\x01",
    "/gone (deleted)",
    "/\\0128",
    "/\x80\x9c\r\x9f",
    "/a\\101",
  ];
  assertEquals(names.map((name) => nameOf(parseMaps(line(name))[0]!.name)), [
    "/a b  c ",
    "/one\ntwo",
    "/back\\slash",
    "/\xff\x01",
    "/gone (deleted)",
    "/\n8",
    "/\x80\x9c\r\x9f",
    "/a\\101",
  ]);
});

Deno.test("parseMaps() names a line that is none", () => {
  for (const line of ["", "hello", "1000-2000 rwx 0 00:00 0", "1000-20g0 r--p 0 00:00 0"]) {
    if (line === "") assertEquals(parseMaps(encoder.encode("\n")), []);
    else assertThrows(() => parseMaps(encoder.encode(`${line}\n`)), SyntaxError, `found "${line}"`);
  }
});

Deno.test("parseSmaps() puts sizes and flags to the mapping before them", () => {
  const [a, b, ...more] = parseSmaps(encoder.encode(
    "1000-2000 rw-p 00000000 00:00 0 \nSize:                  4 kB\nRss:                   0 kB\n" +
      "VmFlags: rd wr mr mw me ac \n2000-3000 r--p 00000000 00:00 0 [vvar]\nSize: 8 kB\nVmFlags: \n",
  ));
  assertEquals([a?.sizes.get("Size"), a?.sizes.get("Rss"), a?.sizes.get("Pss")], [4, 0, undefined]);
  assertEquals(a?.vmFlags, ["rd", "wr", "mr", "mw", "me", "ac"]);
  assertEquals([b?.sizes.get("Size"), b?.vmFlags, nameOf(b!.name), more], [8, [], "[vvar]", []]);
});

Deno.test("parseSmaps() refuses a size before the first mapping", () => {
  assertThrows(() => parseSmaps(encoder.encode("Size: 4 kB\n")), SyntaxError, `found "Size: 4 kB"`);
});
