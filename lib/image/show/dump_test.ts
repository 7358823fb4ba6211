// SPDX-License-Identifier: MIT
import { assert, assertEquals } from "@std/assert";
import { dumpImage, dumpTree, imageToJson, type JsonValue } from "./dump.ts";
import { readImage, readNodes } from "../image.ts";
import {
  DATA_DESCRIPTOR,
  RW_FLAGS,
  syntheticImage,
  type SyntheticOptions,
} from "../testing/synthetic_image.ts";

const TLS = new Uint8Array(24);
TLS.set(DATA_DESCRIPTOR, 8);

function dump(options: SyntheticOptions, width = 110): string {
  return dumpImage(readImage(syntheticImage(options)), { width });
}

/** The lines after a heading, up to an empty one. */
function section(text: string, heading: string): string[] {
  const lines = text.split("\n");
  const start = lines.findIndex((line) => line.startsWith(heading));
  assert(start >= 0, `no "${heading}" in:\n${text}`);
  const end = lines.indexOf("", start);
  return lines.slice(start + 1, end);
}

Deno.test("dumpImage() shows the address space as a table", () => {
  assertEquals(section(dump({}), "Address space: 7 mappings"), [
    "  range                      perm  type     pages  saved    pgoff  name",
    "  000000400000-000000402000  r-xp  file         2      0      0x0  /bin/target",
    "  000000402000-000000403000  rw-p  file         1      1      0x2  /bin/target  {ACCOUNT}",
    "  000000403000-000000406000  rw-p  anon         3      2    0x403  [heap]  {ACCOUNT}",
    "  000000500000-000000501000  ---p  anon         1      0    0x500",
    "  0000b0000000-0000b0002000  rw-p  anon         2      0  0xb0000  [stack]  {GROWSDOWN ACCOUNT}",
    "  7ffff7ffa000-7ffff7ffe000  r--p  special      4      0      0x0  [vvar]",
    "      {PFNMAP IO DONTEXPAND DONTDUMP no MAYWRITE no MAYEXEC}",
    "  7ffff7ffe000-7ffff8000000  r-xp  special      2      0      0x0  [vdso]  {DONTEXPAND}",
  ]);
});

Deno.test("dumpImage() decodes descriptors of LDT and TLS by their slots", () => {
  const ldt = new Uint8Array(24);
  ldt.set(DATA_DESCRIPTOR, 16);
  const text = dump({ tls: TLS, ldt });
  const words = "data read-write, base 0x00000000, limit 0xffffffff (page), 32-bit, DPL 3, present, accessed";
  assertEquals(section(text, "LDT: 3 entries"), [`  2: ${words}`, "  2 empty"]);
  assertEquals(section(text, "TLS: 1 of 3"), [`  13: ${words}`, "  2 empty"]);
  assertEquals(section(dump({ tls: TLS, wordSize: 4 }), "TLS: 1 of 3")[0], `  7: ${words}`);
});

Deno.test("dumpImage() lists no more descriptors than asked for", () => {
  const ldt = new Uint8Array(8 * 10);
  for (let at = 0; at < ldt.length; at += 8) ldt.set(DATA_DESCRIPTOR, at);
  const text = dumpImage(readImage(syntheticImage({ ldt })), { descriptors: 3 });
  const lines = section(text, "LDT: 10 entries");
  assertEquals([lines.length, lines[3]], [4, "  and 7 more"]);
});

Deno.test("dumpImage() shows registers, the system call and segment bases", () => {
  const lines = section(dump({}), "Registers");
  assert(lines.includes("  ip  0x0000000000400123  flags 0x246 (PF ZF IF)"), lines.join("\n"));
  assert(lines.includes("  orig_ax 62: in system call 62, result so far 0"));
  assert(lines.includes("  fsbase 0x405010  gsbase 0x0"));
  const narrow = section(dump({ wordSize: 4 }), "Registers");
  assert(
    narrow.some((line) => line.includes("ax  0x00000000 ")) && !narrow.some((line) => line.includes("r15")),
  );
});

Deno.test("dumpImage() keeps lines within the width where a name is long", () => {
  const start = 0x40_0000n;
  const vma = { start, end: start + 0x1000n, flags: RW_FLAGS, type: 2, name: `/${"x".repeat(300)}` };
  const lines = section(dump({ vmas: [vma] }, 90), "Address space");
  assertEquals(lines.filter((line) => line.length > 90), []);
  assert(lines.some((line) => line.endsWith("…")) && lines.includes("      {ACCOUNT}"));
});

Deno.test("dumpImage() uses escape sequences only when asked to", () => {
  const image = readImage(syntheticImage());
  assert(!dumpImage(image).includes("\x1b"));
  assert(dumpImage(image, { color: true }).startsWith("\x1b[1mCheckpoint image"));
});

Deno.test("dumpImage() shows tasks and files of later v11 patches", () => {
  const text = dump({ dialect: "v11", revision: 3, tasks: 2, files: true });
  assert(text.includes('Task 1: "target", pid 322'));
  assertEquals(section(text, "Files: 3 descriptors"), [
    "  0: object 1 /tmp/log at 77, flags 0x0",
    "  1: object 1",
    "  5: object 2 /tmp at 77, flags 0x0, closed by exec",
  ]);
});

Deno.test("dumpTree() lists every node with its offset, and fields on demand", () => {
  const image = readImage(syntheticImage({ tls: TLS }));
  const lines = dumpTree(image).trimEnd().split("\n");
  assertEquals(lines.length, image.nodes.length);
  assertEquals(lines[0], "           0 +232       head: HEAD type=1 len=224 parent=0");
  assert(lines.some((line) => line.endsWith('vma[0]/fname: FNAME type=5 len=12 parent=0 "/bin/target"')));
  assert(lines.some((line) => line.includes("thread/tls: raw: 3 descriptors")));
  assert(dumpTree(image, { fields: true }).includes("    .map_count = 7\n"));
});

Deno.test("dumpTree() lists what there is of a broken image", () => {
  const { nodes } = readNodes(syntheticImage().subarray(0, 310));
  assertEquals(dumpTree(nodes).trimEnd().split("\n").length, 4);
  assertEquals(dumpTree([]), "");
});

Deno.test("imageToJson() gives plain data with all fields, and pages as ranges", () => {
  const json = JSON.parse(JSON.stringify(imageToJson(readImage(syntheticImage({ tls: TLS })))));
  const [task] = json.tasks as Record<string, JsonValue>[];
  assertEquals([json.dialect, json.wordSize, json.head.release, json.head.magic], [
    "port",
    8,
    "6.1.192",
    "0xfeed0cc0a2d200",
  ]);
  const [, , heap] = task?.vmas as Record<string, JsonValue>[];
  assertEquals([heap?.vm_start, heap?.pages, heap?.pageRanges], ["0x403000", 2, [["0x403000", 1], [
    "0x405000",
    1,
  ]]]);
  assertEquals(task?.tls, "0000000000000000ffff000000f3cf000000000000000000");
});
