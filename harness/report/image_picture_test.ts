// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Finding } from "../../lib/image/finding.ts";
import { imagePicture } from "./image_picture.ts";

const DIRECTORY = new URL("../../fixtures/results/nightly/jobs/9f488261f4ce/x86_64/", import.meta.url);
const pages = await Deno.readFile(new URL("populate_advice/stopped.ckpt", DIRECTORY));
const ldt = await Deno.readFile(new URL("ldt_one/stopped.ckpt", DIRECTORY));

function finding(path: string, rest: Partial<Finding> = {}): Finding {
  return { id: "E_PAGE_BYTES", verdict: "mismatch", path, message: "", ...rest };
}

/** The cells of the mapping at 0x1000000000, a letter each. */
function cellsAfter(findings: readonly Finding[]): string | undefined {
  const { mappings } = imagePicture("stopped", pages, findings);
  return mappings[2]?.cells.map((cell) => cell[0]).join("");
}

Deno.test("imagePicture() shows which pages an image holds", () => {
  const { mappings, bytes, error } = imagePicture("stopped", pages, []);
  assertEquals([error, bytes], [undefined, pages.length]);
  const text = mappings.map(({ start, permissions, name, pages, saved, cells }) =>
    `${start.toString(16)} ${permissions} ${name} ${saved}/${pages} ${cells.length}`
  );
  assertEquals(text, [
    "400000 r-xp /target 0/3 3",
    "404000 rw-p  1/73 73",
    "1000000000 rw-p  3/8 8",
    "7ffff7ffa000 r--p [vvar] 0/4 4",
    "7ffff7ffe000 r-xp [vdso] 0/1 1",
    "7ffffffde000 rw-p [stack] 1/33 33",
  ]);
  assertEquals(cellsAfter([]), "nnnnsssn");
});

Deno.test("imagePicture() marks the pages that findings name, in any of their ways", () => {
  assertEquals(cellsAfter([finding("page 0x1000001000")]), "ndnnsssn");
  assertEquals(cellsAfter([finding("task[0]/vma[2]/pgarr[0]/pages/page[0x1000005000]")]), "nnnnsdsn");
  assertEquals(cellsAfter([finding("task[0]/vma[2]/pgarr[0]/pages/vaddr[2]")]), "nnnnssdn");
  assertEquals(
    cellsAfter([finding("task[0]/vma[2]", { id: "E_PAGE_MISSING", expected: "0x1000007000" })]),
    "nnnnsssd",
  );
  // The pages begin behind three addresses of 8 bytes at 4760.
  assertEquals(cellsAfter([finding("anything", { offset: 4784 })]), "nnnndssn");
  assertEquals(cellsAfter([finding("anything", { offset: 4784 + 2 * 4096 + 4095 })]), "nnnnssdn");
  assertEquals(cellsAfter([finding("anything", { offset: 4783 })]), "nnnnsssn");
  const { mappings } = imagePicture("stopped", pages, [finding("task[0]/vma[3].vm_flags")]);
  assertEquals(mappings.map(({ marked }) => marked), [false, false, false, true, false, false]);
});

Deno.test("imagePicture() shows mappings that the image lacks", () => {
  const { mappings } = imagePicture("stopped", pages, [
    finding("vma 0x500000-0x502000", { id: "E_VMA_MISSING" }),
  ]);
  const [, , lost] = mappings;
  assertEquals([lost?.start, lost?.pages, lost?.missing], [0x500000n, 2, true]);
});

Deno.test("imagePicture() decodes the LDT only when a finding is about it, with what was expected", () => {
  assertEquals(imagePicture("stopped", ldt, []).ldt, undefined);
  const expected = "ff 0f 00 50 34 f3 50 12 (8 bytes)";
  const { ldt: table } = imagePicture("stopped", ldt, [finding("task[0]/mm_context/ldt[0]", { expected })]);
  const [entry] = table?.entries ?? [];
  assertEquals([table?.total, entry?.index, entry?.differs], [1, 0, true]);
  assertEquals(entry?.bytes, "ff 0f 00 50 34 f3 40 12");
  assertMatch(entry?.expected?.text ?? "", /accessed, AVL$/);
  assertMatch(entry?.text ?? "", /accessed$/);
  const beyond = imagePicture("stopped", ldt, [finding("task[0]/mm_context/ldt[9]", { expected })]).ldt;
  assertEquals(beyond?.entries.map(({ index, text }) => `${index} ${text.slice(0, 9)}`), [
    "0 data read",
    "9 not there",
  ]);
});

Deno.test("imagePicture() says why an image cannot be taken apart, however it was damaged", () => {
  assertMatch(imagePicture("x", pages.subarray(0, 5000), []).error ?? "", /ends|truncated/i);
  assertMatch(imagePicture("x", new Uint8Array(0), []).error ?? "", /./);
  let broken = 0;
  for (let at = 0; at < 4800; at += 3) {
    const bytes = pages.slice();
    bytes[at] = bytes[at]! ^ 0x80;
    const { error, mappings } = imagePicture("x", bytes, [finding("page 0x1000001000")]);
    if (error !== undefined) broken++;
    else assert(mappings.every(({ cells }) => cells.length <= 128));
  }
  assert(broken > 0);
});
