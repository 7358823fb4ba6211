// SPDX-License-Identifier: MIT
/** restart(2) and `image check` on very many images; debug kernels, and allocations that fail. */
import { assertEquals, assertGreater } from "@std/assert";
import { finalLeakCheck } from "../../harness/check/leaks/page_leaks.ts";
import { readCatalogue } from "../../harness/run/catalogue.ts";
import { newFaultTally, sweepRestartFaults } from "../../harness/faults/sweep_faults.ts";
import { prepareGuest } from "../../harness/run/guest/prepare_guest.ts";
import { parsePlatforms } from "../../harness/run/platform.ts";
import { Terminal } from "../../harness/report/terminal.ts";
import { parseSplats } from "../../harness/triage/parse_splats.ts";
import { imageOf, readEverything } from "../guest/two_readers.ts";

for (const arch of ["x86_64", "i386"] as const) {
  Deno.test(`${arch}: restart(2) and image check say the same of more than 50,000 images`, async () => {
    const { verdicts, splats } = await readEverything({ arch, step: 3, count: 1000 });
    assertEquals(splats, []);
    assertEquals(Object.fromEntries(verdicts.disagreements), {});
    assertGreater(verdicts.inputs, 50_000);
  });
}

Deno.test("a debug kernel has nothing to say of broken images", async () => {
  // A kernel with KASAN is slow.
  const { verdicts, splats, leaks } = await readEverything({
    ...{ arch: "x86_64", flavour: "debug", step: 41, count: 200 },
  });
  assertEquals(splats, []);
  assertEquals(leaks, "");
  assertEquals(Object.fromEntries(verdicts.disagreements), {});
});

Deno.test("a debug kernel has nothing to say of allocations that fail in restart(2)", async () => {
  const scenario = (await readCatalogue()).find(({ name }) => name === "mixed_tls")!;
  const [platform] = parsePlatforms({ arch: "x86_64", flavour: "debug", fallback: "x86_64" });
  const prepared = await prepareGuest(platform!, { terminal: new Terminal(), scenarios: [scenario] });
  await using guest = await prepared.startGuest();
  const image = await imageOf(prepared, guest, scenario);
  const tally = newFaultTally();
  const { findings, notes } = await sweepRestartFaults(guest, { image }, { tally, isForeign: false });
  console.error(notes);
  assertEquals(findings, []);
  assertGreater(tally.faults, 50);
  assertEquals(await finalLeakCheck(guest), "");
  assertEquals(parseSplats(guest.console.text()).map(({ title }) => title), []);
});
