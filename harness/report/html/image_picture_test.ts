// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Finding } from "../../../lib/image/finding.ts";
import { imagePicture } from "./image_picture.ts";

const DIRECTORY = new URL("../../../fixtures/results/nightly/jobs/9f488261f4ce/x86_64/", import.meta.url);
const pages = await Deno.readFile(new URL("populate_advice/stopped.ckpt", DIRECTORY));
const ldt = await Deno.readFile(new URL("ldt_one/stopped.ckpt", DIRECTORY));

function finding(path: string, rest: Partial<Finding> = {}): Finding {
  return { id: "E_PAGE_BYTES", verdict: "mismatch", path, message: "", ...rest };
}

/** The rows of the mappings, as text: `!` where something is marked, the columns, and the cells, a letter each. */
function rowsOf(image: Uint8Array, findings: readonly Finding[]): string[] {
  const html = imagePicture("stopped", image, findings).toString();
  const rows = [...html.matchAll(/<details class="map( marked)?">\s*<summary>(.*?)<\/summary>/gs)];
  return rows.map(([, marked, row = ""]) => {
    const runs = [...row.matchAll(/<rect class="c-(\w)\w*" x="\d+" width="(\d+)"/g)];
    const cells = runs.map(([, letter, width]) => letter!.repeat(Number(width))).join("");
    const columns = row.replaceAll(/<[^>]*>/g, " ").split(/\s+/).filter((word) => word !== "").join(" ");
    return `${marked ? "!" : ""}${columns} ${cells}`;
  });
}

/** The cells of the mapping at 0x1000000000. */
function cellsAfter(findings: readonly Finding[]): string | undefined {
  return rowsOf(pages, findings)[2]?.split(" ").at(-1);
}

Deno.test("imagePicture() shows which pages an image holds", () => {
  assertEquals(rowsOf(pages, []), [
    "400000-403000 r-xp /target 0 of 3 pages nnn",
    `404000-44d000 rw-p 1 of 73 pages ${"n".repeat(64)}s${"n".repeat(8)}`,
    "1000000000-1000008000 rw-p 3 of 8 pages nnnnzszn",
    "7ffff7ffa000-7ffff7ffe000 r--p [vvar] 0 of 4 pages nnnn",
    "7ffff7ffe000-7ffff7fff000 r-xp [vdso] 0 of 1 pages n",
    `7ffffffde000-7ffffffff000 rw-p [stack] 1 of 33 pages ${"n".repeat(32)}s`,
  ]);
});

Deno.test("imagePicture() marks the pages that findings name, in any of their ways", () => {
  assertEquals(cellsAfter([finding("page 0x1000001000")]), "ndnnzszn");
  assertEquals(cellsAfter([finding("task[0]/vma[2]/pgarr[0]/pages/page[0x1000005000]")]), "nnnnzdzn");
  assertEquals(cellsAfter([finding("task[0]/vma[2]/pgarr[0]/pages/vaddr[2]")]), "nnnnzsdn");
  assertEquals(
    cellsAfter([finding("task[0]/vma[2]", { id: "E_PAGE_MISSING", expected: "0x1000007000" })]),
    "nnnnzszd",
  );
  // The pages begin behind three addresses of 8 bytes at 4760.
  assertEquals(cellsAfter([finding("anything", { offset: 4784 })]), "nnnndszn");
  assertEquals(cellsAfter([finding("anything", { offset: 4784 + 2 * 4096 + 4095 })]), "nnnnzsdn");
  assertEquals(cellsAfter([finding("anything", { offset: 4783 })]), "nnnnzszn");
  const marked = rowsOf(pages, [finding("task[0]/vma[3].vm_flags")]).map((row) => row.startsWith("!"));
  assertEquals(marked, [false, false, false, true, false, false]);
});

Deno.test("imagePicture() shows mappings that the image lacks", () => {
  const [, , lost] = rowsOf(pages, [finding("vma 0x500000-0x502000", { id: "E_VMA_MISSING" })]);
  assertEquals(lost, "!500000-502000 2 pages, missing from the image ");
});

Deno.test("imagePicture() decodes the LDT only when a finding is about it, with what was expected", () => {
  const html = (...findings: Finding[]) => imagePicture("stopped", ldt, findings).toString();
  assert(!html().includes("LDT of"));
  // What the image holds is there folded up.
  assertMatch(html(), /<span class="mono range">400000-403000.*<details><summary>LDT, TLS.*<h3>FPU/s);
  assertMatch(html(), /entry 0<\/th><td class="mono">data read-write, base 0x12345000/);
  const expected = "ff 0f 00 50 34 f3 50 12 (8 bytes)";
  const one = html(finding("task[0]/mm_context/ldt[0]", { expected }));
  assertMatch(one, /LDT of 1 entry.*<td class="number">0<\/td><td><span class="badge fail">differs/s);
  assertMatch(one, /expected<\/span> <code>ff 0f 00 50 34 f3 50 12<\/code><br>[^<]*accessed, AVL<\/p>/);
  assertMatch(
    one,
    /in image<\/span> <code>ff 0f 00 50 34 f3 <mark>40<\/mark> 12<\/code><br>[^<]*accessed<\/p>/,
  );
  const beyond = html(finding("task[0]/mm_context/ldt[9]", { expected }));
  assertMatch(beyond, /<td class="number">0<\/td>.*data read.*<td class="number">9<\/td>.*not there/s);
});

Deno.test("imagePicture() says why an image cannot be taken apart, however it was damaged", () => {
  const html = (bytes: Uint8Array) => imagePicture("x", bytes, [finding("page 0x1000001000")]).toString();
  const error = "The image cannot be taken apart: ";
  assertMatch(html(pages.subarray(0, 5000)), new RegExp(`${error}.*(ends|truncated)`, "i"));
  assertMatch(html(new Uint8Array(0)), new RegExp(`${error}.`));
  let broken = 0;
  for (let at = 0; at < 4800; at += 3) {
    const bytes = pages.slice();
    bytes[at] = bytes[at]! ^ 0x80;
    const text = html(bytes);
    if (text.includes(error)) broken++;
    else for (const row of text.split("<summary")) assert((row.match(/<rect/g) ?? []).length <= 160);
  }
  assert(broken > 0);
});
