// SPDX-License-Identifier: MIT
/** What the host sees of targets in real guests, and that it notices when the guest says something else. */
import { assert, assertEquals } from "@std/assert";
import { lookFromHost, type SeenPages } from "../../harness/check/look_from_host.ts";
import { readCatalogue } from "../../harness/run/catalogue.ts";
import { scenarioRunner } from "../../harness/run/case/scenario_runner.ts";
import type { Guest, GuestAgent } from "../../harness/run/guest/guest.ts";
import { type PreparedGuest, prepareGuest } from "../../harness/run/guest/prepare_guest.ts";
import { parsePlatforms } from "../../harness/run/platform.ts";
import { Terminal } from "../../harness/report/terminal.ts";
import { withMembers } from "../../vm/host/with_members.ts";

/** Pages without access, in swap, copied by a child, a file's, merged ones, huge ones. */
const NAMES = ["prot_none_dirty", "swap_prot_none", "swap_after_fork", "swap_file_copies", "ksm_merged"];
const HUGE = ["huge_page_prot_none", "huge_page_forked"];
const SCENARIOS = (await readCatalogue()).filter(({ name }) => [...NAMES, ...HUGE].includes(name));

async function prepare(arch: string): Promise<PreparedGuest> {
  const platform = parsePlatforms({ arch, fallback: "" })[0]!;
  return await prepareGuest(platform, { terminal: new Terminal(), scenarios: SCENARIOS });
}

for (const arch of ["x86_64", "i386", "i386-pae"]) {
  Deno.test(`${arch}: the host sees each page of a target that the guest tells of, but those in swap`, async () => {
    const prepared = await prepare(arch);
    await using guest = await prepared.startGuest();
    const before: SeenPages[] = [];
    const after: SeenPages[] = [];
    const run = scenarioRunner(prepared, {
      async beforeCall({ pid }, { agent }) {
        const observed = await agent.observe(pid, ["smaps", "pages"]);
        // Nothing is hashed: that would bring pages back from swap.
        const looked = await lookFromHost(agent, {
          pid,
          observed,
          zeroFrame: undefined,
          hashPage: () => false,
        });
        assertEquals(looked.findings, []);
        before.push(looked.seen);
      },
      onCheckpoint: ({ seen }) => after.push(seen),
    });
    let ran = 0;
    for (const scenario of SCENARIOS.filter((scenario) => prepared.skipReason(scenario) === undefined)) {
      const outcome = await run(guest, scenario);
      const findings = [...outcome.findings, ...outcome.stops.flatMap((stop) => stop.findings)];
      assertEquals(findings, [], scenario.name);
      ran++;
    }
    assertEquals(ran, arch === "i386" ? NAMES.length : SCENARIOS.length);
    assert(before.some(({ guest }) => guest > 0), "pages are in swap before the call");
    assertEquals(
      after.map(({ guest }) => guest),
      after.map(() => 0),
      "and nowhere else than in memory after it",
    );
    assert(after.every(({ host }) => host > 5));
  });
}

/** The same guest, whose agent tells lies. */
function lying(guest: Guest, lies: Partial<GuestAgent>): Guest {
  const agent = withMembers(guest.agent, (name, value) => (lies as Record<string, unknown>)[name] ?? value);
  return withMembers(guest, (name, value) => name === "agent" ? agent : value);
}

Deno.test("a guest that lies about pages of a target fails with E_ORACLES_DISAGREE", async () => {
  const prepared = await prepare("x86_64");
  await using guest = await prepared.startGuest();
  const { agent } = guest;
  const scenario = SCENARIOS.find(({ name }) => name === "prot_none_dirty")!;
  const findingsWith = async (lies: Partial<GuestAgent>): Promise<string[]> => {
    const { stops } = await scenarioRunner(prepared)(lying(guest, lies), scenario);
    return stops.flatMap(({ findings }) => findings).map(({ id, message }) => `${id}: ${message}`);
  };
  assertEquals(await findingsWith({}), []);
  const digest = await findingsWith({
    pageHash: async (pid, addresses) => (await agent.pageHash(pid, addresses)).map((hash) => hash ^ 1n),
  });
  const differs = "E_ORACLES_DISAGREE: a page in the guest's memory is not what /proc/PID/mem shows";
  assert(digest.length > 0 && digest.every((finding) => finding === differs), digest.join("\n"));
  const frame = await findingsWith({
    observe: async (pid, names) => {
      const blobs = await agent.observe(pid, names);
      // The lowest bit of the frame of the third page.
      const pages = blobs.get("pages")!;
      pages[2 * 16 + 8]! ^= 1;
      return blobs;
    },
  });
  assertEquals(frame, [
    "E_ORACLES_DISAGREE: page tables in the guest's memory and /proc/PID/pagemap disagree on a page",
  ]);
});
