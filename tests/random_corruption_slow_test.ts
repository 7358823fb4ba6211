// SPDX-License-Identifier: MIT
/**
 * Images of real kernels and of a synthetic one of 2008, damaged at random: the rules reject each, or the comparison
 * sees it, or the byte is declared volatile; and what is told first names the place.
 */
import { assert, assertEquals } from "@std/assert";
import type { Session } from "../harness/run/case/testing/session.ts";
import { compareImage } from "../lib/compare/compare_image.ts";
import { compareOptionsOf, unpackFixture, unpackRecordedCase } from "../lib/compare/testing/recorded_case.ts";
import { decodeBytes } from "../lib/image/decoder.ts";
import { type Finding, findingText } from "../lib/image/finding.ts";
import { checkImage } from "../lib/image/rules.ts";
import { compileScenario } from "../lib/model/compile_scenario.ts";
import { type Corruption, drawCorruption, seededRandom } from "./draw_corruption.ts";
import { compileTargetOf, replay } from "./v11_sessions.ts";

const FIXTURES = new URL("../fixtures/", import.meta.url);
const SEED = 2008;
/** How many of each image. */
const COUNT = 300;

/** An image with what it is compared with, and the paths of what that declares volatile. */
interface Sample {
  readonly name: string;
  readonly image: Uint8Array;
  readonly compare: (bytes: Uint8Array<ArrayBuffer>) => Promise<readonly Finding[]>;
  readonly volatile: RegExp;
}

async function recordedSample(name: string): Promise<Sample> {
  const file = await Deno.readFile(new URL(`recorded/${name}.json.gz`, FIXTURES));
  const recorded = await unpackRecordedCase(file);
  const options = compareOptionsOf(recorded);
  const compare = (bytes: Uint8Array) =>
    Promise.resolve(compareImage(decodeBytes(bytes), bytes.length, options).findings);
  return { name, image: recorded.image, compare, volatile: /^head\.time$/ };
}

/** The target of a v11 image saves itself: what it does after that shows in its own pages. */
async function v11Sample(name: string): Promise<Sample> {
  const file = await Deno.readFile(new URL(`sessions/${name}.json.gz`, FIXTURES));
  const session = await unpackFixture(file) as Session;
  const compiled = compileScenario(session.scenario, compileTargetOf(session.kernel));
  const [first, ...others] = session.stops;
  return {
    name: `v11 ${name}`,
    image: first!.image,
    compare: async (bytes) => {
      const { findings, stops } = await replay({
        ...session,
        stops: [{ ...first!, image: bytes }, ...others],
      }, compiled);
      return [...findings, ...stops.flatMap((stop) => stop.findings)];
    },
    volatile: /^head\.time$|\/pages$/,
  };
}

function isFault({ verdict }: Finding): boolean {
  return verdict !== "note";
}

/** The end of a path as texts have it: `mm.map_count`, `cpu/xstate`. */
function shortName(path: string): string {
  const parts = path.split("/");
  return parts.slice(/[.[]/.test(parts.at(-1)!) ? -1 : -2).join("/");
}

/** Whether a finding leads to the place: by its path, its offset, or by what it says. */
function namesPlace(finding: Finding, corruption: Corruption): boolean {
  const { path, other, offset } = corruption;
  if (other !== undefined && namesPlace(finding, { ...corruption, path: other, other: undefined })) {
    return true;
  }
  const part = path.replace(/\.\w+$/, "");
  const found = finding.path.replace(/\.\w+$/, "");
  const isRelated = found === part || found.startsWith(`${part}/`) || part.startsWith(`${found}/`);
  const isNear = Math.abs((finding.offset ?? Infinity) - offset) <= 48;
  return isRelated || isNear || findingText(finding).includes(shortName(path));
}

/** Damages that have two places, or none of their own. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  moved: "it is missing in one place, and too much in the other",
  lostMapping: "in v11 the count of mappings, which is told, stands in unused bytes, too",
};

for (
  const sample of [
    ...await Promise.all(["x86_64-mixed", "compat-mixed_tls", "i386-mixed_tls"].map(recordedSample)),
    ...await Promise.all(["mixed", "mixed_tls"].map(v11Sample)),
  ]
) {
  const { name, image, compare, volatile } = sample;

  Deno.test(`random damage to ${name} is rejected or seen, and its place is named first`, async () => {
    assertEquals(checkImage(image).filter(isFault), []);
    const random = seededRandom(SEED);
    const counts = { check: 0, comparison: 0, volatile: 0 };
    for (let drawn = 0; drawn < COUNT;) {
      const corruption = drawCorruption(image, random);
      if (corruption === undefined) continue;
      drawn++;
      const text = `seed ${SEED}, ${drawn}: ${corruption.kind}, ${corruption.path} ${corruption.what}`;
      const broken = checkImage(corruption.bytes).find(isFault);
      const first = broken ?? (await compare(corruption.bytes)).find(isFault);
      counts[broken ? "check" : first ? "comparison" : "volatile"]++;
      if (first === undefined) assert(volatile.test(corruption.path), `not noticed: ${text}`);
      else if (ELSEWHERE[corruption.kind] === undefined) {
        assert(namesPlace(first, corruption), `${text}: told of ${findingText(first)}`);
      }
    }
    assert(counts.check > COUNT / 2 && counts.comparison > COUNT / 20, JSON.stringify(counts));
  });
}

Deno.test("a damage that nothing notices, or whose place is not named, would fail", () => {
  const corruption = {
    what: "",
    bytes: new Uint8Array(0),
    path: "task[0]/vma[3]/pgarr[1].nr_pages",
    offset: 5000,
  };
  const finding = {
    id: "E_FIELD",
    verdict: "mismatch",
    message: "no",
    path: "task[0]/cpu.ip",
    offset: 9000,
  } as const;
  assert(!namesPlace(finding, corruption));
  assert(namesPlace({ ...finding, offset: 5040 }, corruption));
  assert(namesPlace({ ...finding, path: "task[0]/vma[3]" }, corruption));
  assert(namesPlace({ ...finding, message: "pgarr[1].nr_pages" }, corruption));
});
