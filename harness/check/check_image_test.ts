// SPDX-License-Identifier: MIT
/**
 * The verdict on images that real kernels wrote (see `tests/record_case.ts`), after changes that leave every
 * record right in itself: the comparison, the rules of the format and the encoder together must notice each.
 */
import { assert, assertEquals } from "@std/assert";
import type { Finding } from "../../lib/image/finding.ts";
import type { PagesNode } from "../../lib/image/nodes.ts";
import { ImageSurgery } from "../../lib/compare/testing/image_surgery.ts";
import { compareOptionsOf, unpackRecordedCase } from "../../lib/compare/testing/recorded_case.ts";
import { checkImage } from "./check_image.ts";

const NAMES = ["x86_64-mixed", "compat-mixed_tls", "i386-mixed_tls"];

for (const name of NAMES) {
  const file = new URL(`../../fixtures/recorded/${name}.json.gz`, import.meta.url);
  const recorded = await unpackRecordedCase(await Deno.readFile(file));
  const options = compareOptionsOf(recorded);
  const operate = (change: (surgery: ImageSurgery) => void): readonly Finding[] => {
    const surgery = new ImageSurgery(recorded.image);
    change(surgery);
    return checkImage(surgery.join(), options).findings;
  };
  const { parts } = new ImageSurgery(recorded.image);

  Deno.test(`checkImage() finds nothing in ${name}`, () => {
    assertEquals(operate(() => {}), []);
  });

  for (const [index, { node }] of parts.entries()) {
    Deno.test(`checkImage() notices that ${node.path} of ${name} is missing, or there twice`, () => {
      assert(operate((surgery) => surgery.parts.splice(index, 1)).length > 0, "missing");
      assert(operate((surgery) => surgery.parts.splice(index, 0, parts[index]!)).length > 0, "twice");
    });
  }

  Deno.test(`checkImage() notices each two neighbours of ${name} in the wrong order`, () => {
    for (const [index, first] of parts.slice(0, -1).entries()) {
      const second = parts[index + 1]!;
      const all = operate((surgery) => surgery.parts.splice(index, 2, second, first));
      assert(all.length > 0, `${second.node.path} before ${first.node.path}`);
    }
  });
}

Deno.test("checkImage() names counts that go on from chunk to chunk", async () => {
  const file = new URL(`../../fixtures/recorded/${NAMES[0]}.json.gz`, import.meta.url);
  const recorded = await unpackRecordedCase(await Deno.readFile(file));
  const surgery = new ImageSurgery(recorded.image);
  const chunk = surgery.find((node) => node.kind === "pages" && node.count === 2);
  const [first, second] = surgery.pagesOf(chunk);
  surgery.parts.splice(chunk + 1, 0, ...new ImageSurgery(recorded.image).parts.slice(chunk - 1, chunk + 1));
  surgery.setPages(chunk, [first!]);
  surgery.setPages(chunk + 2, [second!]);
  surgery.set(chunk + 1, "nr_pages", 2);
  const { findings } = checkImage(surgery.join(), compareOptionsOf(recorded));
  const path = (surgery.parts[chunk]!.node as PagesNode).path.replace("pgarr[0]/pages", "pgarr[1].nr_pages");
  assert(
    findings.some((finding) => finding.id === "E_CHUNK_COUNT" && finding.path === path),
    JSON.stringify(findings),
  );
});

Deno.test("checkImage() does not let a refusal excuse an image that is malformed", async () => {
  const file = new URL(`../../fixtures/recorded/${NAMES[0]}.json.gz`, import.meta.url);
  const recorded = await unpackRecordedCase(await Deno.readFile(file));
  const options = compareOptionsOf(recorded);
  const b = options.prediction!.areas.find(({ label }) => label === "b")!;
  const refusal = { name: "ENOSYS", errno: 38, atPage: b.start, why: "a test says so" };
  const refused = { ...options, prediction: { ...options.prediction!, refusal } };
  const surgery = new ImageSurgery(recorded.image);
  const end = surgery.parts[surgery.vma(BigInt(b.start) * 4096n)]!.node.offset;
  assertEquals(checkImage(recorded.image.subarray(0, end), refused).findings, []);
  const cut = checkImage(recorded.image.subarray(0, end - 1), refused).findings;
  assertEquals(cut.map(({ id }) => id).filter((id) => id === "E_TRUNCATED"), ["E_TRUNCATED"]);
});
