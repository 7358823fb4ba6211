// SPDX-License-Identifier: MIT
/** Fresh guests that go on from where one had booted: on each kind of kernel, by themselves. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Guest } from "../../harness/run/guest/guest.ts";
import { prepareGuest } from "../../harness/run/guest/prepare_guest.ts";
import { PLATFORMS } from "../../harness/run/platform.ts";
import { Terminal } from "../../harness/report/terminal.ts";
import { AgentError } from "../../vm/agent/agent_session.ts";
import { ERRNO } from "../../lib/abi/errno.ts";

const FILE = "/work/only-here";
/** From QEMU's start on. A boot takes ten times as long as going on, which noise may double. */
const TIMES_FASTER = 3;

async function hasFile({ agent }: Guest): Promise<boolean> {
  try {
    await agent.readFile(FILE);
    return true;
  } catch (error) {
    if (error instanceof AgentError && error.errno === ERRNO.ENOENT) return false;
    throw error;
  }
}

for (const kernel of ["x86_64", "i386"] as const) {
  Deno.test(`guests of ${kernel} go on from a snapshot, each by itself`, async () => {
    const platform = PLATFORMS.find(({ name }) => name === kernel)!;
    const prepared = await prepareGuest(platform, { terminal: new Terminal() });
    await using snapshots = prepared.snapshots!;
    await using booted = await prepared.startGuest();
    await using first = await snapshots.start();
    await using second = await snapshots.start();
    await first.agent.writeFile(FILE, "x");
    await using third = await snapshots.start();
    const guests = [first, second, third];
    assertEquals(await Promise.all(guests.map(hasFile)), [true, false, false]);
    assert(third.bootMilliseconds < booted.bootMilliseconds / TIMES_FASTER);
    for (const guest of guests) {
      assertEquals(guest.agent.info, booted.agent.info);
      // Its clock goes on, its kernel log has a boot in it and grows.
      const { monotonicNs } = await guest.agent.time();
      await new Promise((resolve) => setTimeout(resolve, 10));
      assert((await guest.agent.time()).monotonicNs > monotonicNs);
      const { offset } = guest.console;
      assertEquals(guest.console.text(0, offset).length > 0, booted.console.text().length > 0);
      const { grown } = guest.console;
      await guest.agent.writeFile("/dev/kmsg", "<4>it goes on\n");
      await grown;
      assertStringIncludes(guest.console.text(offset), "it goes on");
      assert(!guest.command.includes("incoming") && !guest.command.includes("memory-backend"));
    }
  });
}
