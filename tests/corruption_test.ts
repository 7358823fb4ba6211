// SPDX-License-Identifier: MIT
/**
 * Broken images, each made from a good one by one change, and the finding that must name it: id, place, and
 * how bad it is. The numbers are those of the list that the rules were started from.
 */
import { assert, assertEquals } from "@std/assert";
import { pages, START, VMA } from "../fixtures/corruptions/corruption.ts";
import { CORRUPTIONS } from "../fixtures/corruptions/corruptions.ts";
import { type Finding, findingText } from "../lib/image/finding.ts";
import { type RuleId, RULES } from "../lib/image/rule_ids.ts";
import { checkImage } from "../lib/image/rules.ts";
import { DATA_DESCRIPTOR, syntheticImage } from "../lib/image/testing/synthetic_image.ts";
import { ImageEditor } from "../lib/model/image_editor.ts";

function faults(bytes: Uint8Array): Finding[] {
  return checkImage(bytes).filter(({ verdict }) => verdict !== "note");
}

for (const { no, what, options, damage, id, verdict, path, says, isFirst, isOnly } of CORRUPTIONS) {
  Deno.test(`corruption ${no}, ${what}: ${id}`, () => {
    const image = new ImageEditor(syntheticImage(options));
    const offset = damage(image);
    const all = isOnly ? checkImage(image.bytes) : faults(image.bytes);
    const finding = all.find((candidate) => candidate.id === id && candidate.path === path);
    assert(finding !== undefined, `no ${id} in ${path}, but:\n${all.map(findingText).join("\n")}`);
    assertEquals(finding.verdict, verdict);
    if (isOnly) assertEquals(all.length, 1, all.map(findingText).join("\n"));
    if (isFirst) assertEquals(all.indexOf(finding), 0, all.map(findingText).join("\n"));
    if (typeof offset === "number") assertEquals(finding.offset, offset);
    const text = findingText(finding);
    if (says !== undefined) assert(text.includes(says), `"${says}" is not in: ${text}`);
  });
}

/** Cut images: lib/image/decoder_test.ts cuts at every byte. Notes of the others: lib/image/rules_test.ts. */
const ELSEWHERE = ["E_TRUNCATED", "N_UNKNOWN_RECORD", "N_HEAD_NO_NUL"];

Deno.test("every fault that the rules know is caused by a corruption of the list", () => {
  const caused = new Set<string>(CORRUPTIONS.map(({ id }) => id));
  const missing = Object.keys(RULES).filter((id) =>
    RULES[id as RuleId][1] !== RULES.N_STALE_PADDING[1] && !ELSEWHERE.includes(id) && !caused.has(id)
  );
  assertEquals(missing, []);
});

Deno.test("one broken rule does not hide another", () => {
  const image = new ImageEditor(syntheticImage());
  image.set("HEAD", "flags", 0n);
  image.set("VMA", "vm_page_prot", 0n, 1);
  image.set("CPU", "debugreg5", 1n);
  image.set("TAIL", "magic", 0n);
  const ids = faults(image.bytes).map(({ id }) => id);
  assertEquals(ids, ["E_HEAD_FLAGS", "E_PAGE_PROT", "E_CPU_DEBUG", "E_MAGIC_TAIL"]);
});

Deno.test("a fault that comes many times is reported so often at most, with a count", () => {
  const bad = { ...VMA, pages: pages(100).map((vaddr) => vaddr + 1n) };
  const all = checkImage(syntheticImage({ vmas: [bad] }), { limit: 5 }).filter(({ verdict }) =>
    verdict !== "note"
  );
  assertEquals(all.map(({ id }) => id), Array(5).fill("E_PAGE_ALIGN"));
  assert(all[4]?.message.endsWith("(and 95 more of this kind)"), all[4]?.message);
});

Deno.test("an image as posted, judged as the port's, has each of its differences named", () => {
  const ldt = new Uint8Array(512 * 8);
  ldt.set(DATA_DESCRIPTOR);
  const many = { ...VMA, end: START + 5000n * 4096n, pages: pages(5000) };
  const vdso = { start: 0xb7ff_f000n, end: 0xb800_0000n, flags: 0x404_0075n, pgoff: 0xb7fffn };
  const bytes = syntheticImage({ dialect: "v11", ldt, vmas: [many, vdso] });
  assertEquals(faults(bytes), []);
  const asPort = checkImage(bytes, { dialect: "port" });
  const ids = new Set(asPort.map(({ id }) => id));
  for (const id of ["E_VERSION", "E_PADDING", "E_CHUNK_SIZE", "E_CPU_WIDTH"]) assert(ids.has(id), `no ${id}`);
  const places = asPort.filter(({ id }) => id === "E_PADDING" || id === "E_CHUNK_SIZE").map(({ path }) =>
    path
  );
  assertEquals(places, ["head_arch._padding", "task[0]/vma[0]._padding", "task[0]/vma[0]/pgarr[1].nr_pages"]);
});
