// SPDX-License-Identifier: MIT
/** restart(2) on a kernel with KASAN and the like: spoilt images, and allocations that fail. */
import { assert, assertEquals } from "@std/assert";
import { finalLeakCheck } from "../../harness/check/leaks/page_leaks.ts";
import { readCatalogue } from "../../harness/run/catalogue.ts";
import { prepareGuest } from "../../harness/run/guest/prepare_guest.ts";
import { parsePlatforms } from "../../harness/run/platform.ts";
import { Terminal } from "../../harness/report/terminal.ts";
import { parseSplats } from "../../harness/triage/parse_splats.ts";
import { decodeBytes } from "../../lib/image/decoder.ts";
import { cuts, failEach, imageOf, metadataFlips, readBoth } from "../guest/two_readers.ts";

const ENOMEM = -12;
/** A kernel with KASAN is slow: every so many inputs are read, no two runs of bits alike. */
const STEP = 11;

Deno.test("a debug kernel has nothing to say of spoilt images, and of allocations that fail", async () => {
  const scenario = (await readCatalogue()).find(({ name }) => name === "mixed_tls")!;
  const [platform] = parsePlatforms({ arch: "x86_64", flavour: "debug", fallback: "x86_64" });
  const prepared = await prepareGuest(platform!, { terminal: new Terminal(), scenarios: [scenario] });
  await using guest = await prepared.startGuest();
  const image = await imageOf(prepared, guest, scenario);
  const faults = await failEach(guest, image);
  console.error(
    `${faults.length} allocations, ${faults.filter((one) => one === 0).length} of them not vital`,
  );
  assert(faults.length > 50);
  assertEquals([...new Set(faults)].toSorted((a, b) => a - b), [ENOMEM, 0]);
  const inputs = [...metadataFlips(decodeBytes(image)), ...cuts(image.length, 61)];
  const { disagreements, counts } = await readBoth(guest, image, inputs.filter((_, i) => i % STEP === 0));
  console.error(JSON.stringify(counts));
  assertEquals(disagreements, []);
  assertEquals(await finalLeakCheck(guest), "");
  assertEquals(parseSplats(guest.console.text()).map(({ title }) => title), []);
});
