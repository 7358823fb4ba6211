// SPDX-License-Identifier: MIT
/** restart(2) and `image check` read the same spoilt images, and must agree. */
import { assertEquals } from "@std/assert";
import { readCatalogue } from "../../harness/run/catalogue.ts";
import { prepareGuest } from "../../harness/run/guest/prepare_guest.ts";
import { parsePlatforms } from "../../harness/run/platform.ts";
import { Terminal } from "../../harness/report/terminal.ts";
import { parseSplats } from "../../harness/triage/parse_splats.ts";
import { decodeBytes } from "../../lib/image/decoder.ts";
import { RESTART_CHANGED } from "../../vm/agent/agent_types.ts";
import { cuts, disagreement, imageOf, metadataFlips, readBoth } from "./two_readers.ts";

Deno.test("each bit of an image's metadata, and each early end: both readers say the same", async () => {
  const scenario = (await readCatalogue()).find(({ name }) => name === "mixed_tls")!;
  const [platform] = parsePlatforms({ arch: "x86_64", fallback: "x86_64" });
  const prepared = await prepareGuest(platform!, { terminal: new Terminal(), scenarios: [scenario] });
  await using guest = await prepared.startGuest();
  const image = await imageOf(prepared, guest, scenario);
  const inputs = [...metadataFlips(decodeBytes(image)), ...cuts(image.length, 61)];
  const { disagreements, counts } = await readBoth(guest, image, inputs);
  console.error(JSON.stringify(counts));
  assertEquals(parseSplats(guest.console.text()).map(({ title }) => title), []);
  assertEquals(disagreements, []);
});

Deno.test("a disagreement names both sides", () => {
  const finding = { id: "E_PADDING", verdict: "invalid", path: "vma", message: "" } as const;
  const say = (result: number, ...findings: typeof finding[]) =>
    disagreement({ path: "vma", result, findings });
  assertEquals(say(0), undefined);
  assertEquals(say(-22, finding), undefined);
  assertEquals(say(0, finding), "the kernel takes it, image check says E_PADDING");
  assertEquals(say(-22), "the kernel says EINVAL, image check nothing");
  assertEquals(say(RESTART_CHANGED, finding), "the caller was changed though the call failed");
});
