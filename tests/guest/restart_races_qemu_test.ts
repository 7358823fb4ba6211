// SPDX-License-Identifier: MIT
/** Callers of restart(2) on several processors, while others send signals, change the image, or restart from it. */
import { assert, assertEquals } from "@std/assert";
import { readCatalogue } from "../../harness/run/catalogue.ts";
import { prepareGuest } from "../../harness/run/guest/prepare_guest.ts";
import { parsePlatforms } from "../../harness/run/platform.ts";
import { Terminal } from "../../harness/report/terminal.ts";
import { parseSplats } from "../../harness/triage/parse_splats.ts";
import { ERRNO } from "../../lib/abi/errno.ts";
import { SIGNALS } from "../../lib/abi/signals.ts";
import { RESTART_CHANGED, RESTART_DIED, type RestartTry } from "../../vm/agent/agent_types.ts";
import { imageOf } from "./two_readers.ts";

const IMAGE = "/run/ckptest/raced";
const TRIES = 300;
/** Turns of a loop before somebody does something, at most: longer than the call takes, and more often short. */
const MAX_TURNS = 999_999;

/** How the tries of a race may end, and which ends must come. */
const RACES: readonly {
  readonly how: RestartTry["how"];
  readonly must: readonly number[];
  readonly may: (result: number) => boolean;
}[] = [
  // A signal that comes when the handler is gone, or is not there yet, ends the process.
  {
    how: "signalled",
    must: [0, -ERRNO.EINTR],
    may: (result) => result === RESTART_DIED + SIGNALS.SIGUSR1,
  },
  { how: "killed", must: [0, RESTART_DIED + SIGNALS.SIGKILL], may: () => false },
  // Any errno will do; that the caller changed though it was refused, or died, will not.
  { how: "written", must: [0], may: (result) => result < 0 },
  { how: "twice", must: [0], may: () => false },
];

Deno.test("a caller that others change while it calls is not as it was where it is refused", async () => {
  const scenario = (await readCatalogue()).find(({ name }) => name === "minimal")!;
  const [platform] = parsePlatforms({ arch: "x86_64", fallback: "x86_64" });
  const prepared = await prepareGuest(platform!, { terminal: new Terminal(), scenarios: [scenario] });
  await using guest = await prepared.startGuest();
  await guest.agent.writeFile(IMAGE, await imageOf(prepared, guest, scenario));
  const waiting = "pipe,alarm:200000";
  const ends = [waiting, `mapper,${waiting}`].map(async (what) => {
    const { result, changed } = await guest.agent.restart({ image: IMAGE, what });
    return [Number(result), changed];
  });
  assertEquals(await Promise.all(ends), [[-ERRNO.EINTR, 0], [-ERRNO.EINTR, 1]]);
});

Deno.test("signals, kills, a changing file, a second caller: restarted, refused or dead, no complaint", async () => {
  const scenario = (await readCatalogue()).find(({ name }) => name === "mixed_tls")!;
  const [platform] = parsePlatforms({ arch: "x86_64", flavour: "smp", fallback: "x86_64" });
  const prepared = await prepareGuest(platform!, { terminal: new Terminal(), scenarios: [scenario] });
  await using guest = await prepared.startGuest();
  const image = await imageOf(prepared, guest, scenario);
  for (const { how, must, may } of RACES) {
    await guest.agent.writeFile(IMAGE, image);
    const tries = Array.from({ length: TRIES }, (_, i) => (
      { offset: Math.round((i / TRIES) ** 2 * MAX_TURNS), mask: 0, how }
    ));
    const results = await guest.agent.restarts(IMAGE, tries, { deadlineMs: 600_000 });
    const counts = new Map<number, number>();
    for (const result of results) counts.set(result, (counts.get(result) ?? 0) + 1);
    console.error(how, JSON.stringify([...counts]));
    assert(must.every((result) => counts.has(result)), `${how}: ${JSON.stringify([...counts])}`);
    assertEquals([...counts.keys()].filter((result) => !must.includes(result) && !may(result)), [], how);
    assert(!counts.has(RESTART_CHANGED), how);
    // What changed the file has changed it back.
    assertEquals(await guest.agent.readFile(IMAGE), image, how);
  }
  assertEquals(parseSplats(guest.console.text()).map(({ title }) => title), []);
});
