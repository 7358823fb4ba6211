// SPDX-License-Identifier: MIT
/**
 * Images that real kernels wrote, recorded with everything that they were judged by (`tests/record_case.ts`): a
 * change of any byte must be noticed.
 */
import { assert, assertEquals } from "@std/assert";
import { decodeBytes } from "../image/decoder.ts";
import { compareImage } from "./compare_image.ts";
import type { CompareOptions } from "./comparison_context.ts";
import { fieldOf } from "../image/records.ts";
import { compareOptionsOf, type RecordedCase, unpackRecordedCase } from "./testing/recorded_case.ts";
import { random } from "../image/testing/random.ts";

const PAGE = 4096;

interface LoadedCase extends RecordedCase {
  readonly name: string;
  readonly options: CompareOptions;
}

async function load(name: string): Promise<LoadedCase> {
  const file = new URL(`../../fixtures/recorded/${name}.json.gz`, import.meta.url);
  const recorded = await unpackRecordedCase(await Deno.readFile(file));
  return { ...recorded, name, options: compareOptionsOf(recorded) };
}

/** Every byte outside of pages, and of each page its ends and some places between. */
function placesToFlip(image: Uint8Array): number[] {
  const places: number[] = [];
  const next = random(2008);
  for (const node of decodeBytes(image)) {
    const end = node.kind === "pages" ? node.pagesOffset : node.offset + node.length;
    for (let at = node.offset; at < end; at++) places.push(at);
    for (let page = end; page < node.offset + node.length; page += PAGE) {
      places.push(page, page + PAGE - 1, ...Array.from({ length: 6 }, () => page + next(PAGE)));
    }
  }
  return places;
}

/** The bit of a byte that is flipped: another one in each byte. */
function bitAt(place: number): number {
  return 1 << place % 8;
}

/**
 * Bytes of the time of the checkpoint that may hold another value: it would still lie within the call, or in
 * the second before, to which the kernel's own clock may lag.
 */
function timesWithinTheCall({ image, options: { target } }: LoadedCase): number[] {
  const [head] = decodeBytes(image);
  assert(head?.kind === "record" && head.name === "HEAD");
  const { offset, size } = fieldOf("HEAD", "time")!;
  const start = head.offset + 8 + offset;
  return Array.from({ length: size }, (_, i) => start + i).filter((place) => {
    const changed = head.fields.time ^ (BigInt(bitAt(place)) << BigInt(8 * (place - start)));
    return changed >= target.t0 - 1n && changed <= target.t1;
  });
}

for (const recorded of await Promise.all(["x86_64-mixed", "compat-mixed_tls", "i386-mixed_tls"].map(load))) {
  const { name, image, options } = recorded;

  Deno.test(`compareImage() notices each byte of ${name} that changes, the time within the call apart`, () => {
    const damaged = image.slice();
    const unnoticed = placesToFlip(image).filter((place) => {
      damaged[place]! ^= bitAt(place);
      const noticed = compareImage(decodeBytes(damaged), damaged.length, options).findings.length > 0;
      damaged[place]! ^= bitAt(place);
      return !noticed;
    });
    assertEquals(unnoticed, timesWithinTheCall(recorded));
  });
}
