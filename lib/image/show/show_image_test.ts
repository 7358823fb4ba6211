// SPDX-License-Identifier: MIT
import { assert, assertEquals } from "@std/assert";
import { showImage } from "./show_image.ts";
import { TreePrinter } from "./show_tree.ts";
import { buildImage } from "../build_image.ts";
import { readNodes } from "../image.ts";
import { type ImageNode, isRecord } from "../nodes.ts";
import {
  DATA_DESCRIPTOR,
  RW_FLAGS,
  syntheticImage,
  type SyntheticOptions,
} from "../testing/synthetic_image.ts";

const TLS = new Uint8Array(24);
TLS.set(DATA_DESCRIPTOR, 8);

function show(options: SyntheticOptions): string {
  return showImage(readNodes(syntheticImage(options)).nodes);
}

function treeOf(nodes: readonly ImageNode[], fields = false): string[] {
  const printer = new TreePrinter({ fields });
  return nodes.flatMap((node) => printer.visit(node));
}

/** The lines after a heading, up to an empty one. */
function section(text: string, heading: string): string[] {
  const lines = text.split("\n");
  const start = lines.findIndex((line) => line.startsWith(heading));
  assert(start >= 0, `no "${heading}" in:\n${text}`);
  const end = lines.indexOf("", start);
  return lines.slice(start + 1, end);
}

Deno.test("showImage() shows the address space as a table", () => {
  assertEquals(section(show({}), "Address space: 7 mappings"), [
    "  range                      perm  type       pages    saved        pgoff  name",
    "  000000400000-000000402000  r-xp  file           2        0          0x0  /bin/target",
    "  000000402000-000000403000  rw-p  file           1        1          0x2  /bin/target  {ACCOUNT}",
    "  000000403000-000000406000  rw-p  anon           3        2        0x403  [heap]  {ACCOUNT}",
    "  000000500000-000000501000  ---p  anon           1        0        0x500",
    "  0000b0000000-0000b0002000  rw-p  anon           2        0      0xb0000  [stack]  {GROWSDOWN ACCOUNT}",
    "  7ffff7ffa000-7ffff7ffe000  r--p  special        4        0          0x0  [vvar]",
    "      {PFNMAP IO DONTEXPAND DONTDUMP no MAYWRITE no MAYEXEC}",
    "  7ffff7ffe000-7ffff8000000  r-xp  special        2        0          0x0  [vdso]  {DONTEXPAND}",
  ]);
});

Deno.test("showImage() decodes descriptors of LDT and TLS by their slots", () => {
  const ldt = new Uint8Array(24);
  ldt.set(DATA_DESCRIPTOR, 16);
  const text = show({ tls: TLS, ldt });
  const words = "data read-write, base 0x00000000, limit 0xffffffff (page), 32-bit, DPL 3, present, accessed";
  assertEquals(section(text, "LDT: 3 entries"), [`  2: ${words}`, "  2 empty"]);
  assertEquals(section(text, "TLS: 1 of 3"), [`  13: ${words}`, "  2 empty"]);
  assertEquals(section(show({ tls: TLS, wordSize: 4 }), "TLS: 1 of 3")[0], `  7: ${words}`);
});

Deno.test("showImage() lists 64 descriptors of a table", () => {
  const ldt = new Uint8Array(8 * 70);
  for (let at = 0; at < ldt.length; at += 8) ldt.set(DATA_DESCRIPTOR, at);
  const lines = section(show({ ldt }), "LDT: 70 entries");
  assertEquals([lines.length, lines[64]], [65, "  and 6 more"]);
});

Deno.test("showImage() shows registers, the system call and segment bases", () => {
  const lines = section(show({}), "Registers");
  assert(lines.includes("  ip  0x0000000000400123  flags 0x246 (PF ZF IF)"), lines.join("\n"));
  assert(lines.includes("  orig_ax 62: in system call 62, result so far 0"));
  assert(lines.includes("  fsbase 0x405010  gsbase 0x0"));
  const narrow = section(show({ wordSize: 4 }), "Registers");
  assert(
    narrow.some((line) => line.includes("ax  0x00000000 ")) && !narrow.some((line) => line.includes("r15")),
  );
});

Deno.test("showImage() names what the auxiliary vector tells, in words of the program", () => {
  assertEquals(section(show({}), "Auxiliary vector: 1 entries"), ["  AT_PAGESZ: 0x1000"]);
  const words = [(0x1000n << 32n) | 6n, (7n << 32n) | 51n, 99n | (1n << 32n), 0n, 0n];
  const compat = buildImage({ registers: { cs: 0x23n }, auxv: words });
  assertEquals(section(showImage(readNodes(compat).nodes), "Auxiliary vector"), [
    ...["  AT_PAGESZ: 0x1000", "  AT_MINSIGSTKSZ: 0x7", "  type 99: 0x1"],
  ]);
});

Deno.test("showImage() tells what is blocked, where handlers run, and what each signal does", () => {
  assertEquals(section(show({}), "Signals"), [
    ...["  blocked: SIGUSR1", "  alternate stack: 0x403000, 4096 bytes"],
    "  SIGUSR1: 0x400123, flags SA_SIGINFO SA_RESTORER SA_RESTART, returns to 0x400100, blocks SIGTERM",
    "  SIGUSR2: ignored, flags 0",
  ]);
  const none = section(showImage(readNodes(buildImage()).nodes), "Signals");
  assertEquals(none, ["  blocked: none", "  alternate stack: none"]);
});

Deno.test("showImage() keeps lines within the width where a name is long", () => {
  const start = 0x40_0000n;
  const vma = { start, end: start + 0x1000n, flags: RW_FLAGS, type: 2, name: `/${"x".repeat(300)}` };
  const lines = section(show({ vmas: [vma] }), "Address space");
  assertEquals(lines.filter((line) => line.length > 110), []);
  assert(lines.some((line) => line.endsWith("…")) && lines.includes("      {ACCOUNT}"));
});

Deno.test("showImage() shows of an image that is cut what there is, wherever it is cut", () => {
  const bytes = syntheticImage({ tls: TLS, ldt: DATA_DESCRIPTOR });
  const whole = showImage(readNodes(bytes).nodes).split("\n");
  for (const { offset, path } of readNodes(bytes).nodes) {
    const { nodes } = readNodes(bytes.subarray(0, offset));
    const lines = showImage(nodes).trimEnd().split("\n").slice(0, -1);
    const rows = lines.filter((line) => /^ {2}[0-9a-f]+-[0-9a-f]+ /.test(line));
    const others = lines.filter((line) => !rows.includes(line) && !whole.includes(line));
    // The pid comes after the name, the FPU state after the registers.
    assertEquals(others.filter((line) => !line.startsWith("Task 0: ") && line !== "  missing"), [], path);
    assertEquals(rows.length, nodes.filter((node) => isRecord(node, "VMA")).length, path);
  }
});

Deno.test("showImage() shows tasks and files of later v11 patches", () => {
  const text = show({ dialect: "v11", revision: 3, tasks: 2, files: true });
  assert(text.includes('Task 1: "target", pid 322'));
  assertEquals(section(text, "Files: 3 descriptors"), [
    "  0: object 1 at 77, flags 0x0 /tmp/log",
    "  1: object 1",
    "  5: object 2, closed by exec at 77, flags 0x0 /tmp",
  ]);
});

Deno.test("TreePrinter lists every node with its offset, and fields on demand", () => {
  const { nodes } = readNodes(syntheticImage({ tls: TLS }));
  const lines = treeOf(nodes);
  assertEquals(lines.length, nodes.length);
  assertEquals(lines[0], "           0 +232       head: HEAD type=1 len=224 parent=0");
  assert(lines.some((line) => line.endsWith('vma[0]/fname: FNAME type=5 len=12 parent=0 "/bin/target"')));
  assert(lines.some((line) => line.includes("thread/tls: raw: 3 descriptors")));
  const withFields = treeOf(nodes, true);
  assert(withFields.some((line) => line.endsWith("    .map_count = 7")));
  assert(withFields.some((line) => line.endsWith(".vm_flags = 0x75 (READ EXEC MAYREAD MAYWRITE MAYEXEC)")));
  assert(withFields.some((line) => line.endsWith(".time = 1228478400 (2008-12-05T12:00:00Z)")));
});
