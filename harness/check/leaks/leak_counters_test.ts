// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { AgentError } from "../../../vm/agent/agent_session.ts";
import type { GuestAgent } from "../../run/guest/guest.ts";
import { leakFindings, lostMemory, readLeakCounters } from "./leak_counters.ts";

const BEFORE = { files: 20, free: 1 << 28, objects: 1 << 22, isWatched: false, isExact: true };

Deno.test("leakFindings() finds files, pages and objects that hundreds of calls kept", () => {
  const ids = (after: Partial<typeof BEFORE>) => {
    return leakFindings(BEFORE, { ...BEFORE, ...after }, 400).map(({ id, expected }) => `${id} ${expected}`);
  };
  assertEquals(ids({}), []);
  assertEquals(ids({ free: BEFORE.free - 100 * 4096, objects: BEFORE.objects + 6 * 4096 }), []);
  assertEquals(ids({ files: 21 }), ["E_LEAK at most 0 open files more"]);
  assertEquals(ids({ free: BEFORE.free - 400 * 4096 }), ["E_LEAK at most 819200 bytes of memory more"]);
  assertEquals(ids({ objects: BEFORE.objects + 400 * 256 }), [
    "E_LEAK at most 25600 bytes of kernel objects more",
  ]);
  assertEquals(ids({ files: NaN }).length, 1);
  // On a debug kernel kmemleak looks for memory; files are files there, too.
  const watched = { ...BEFORE, isWatched: true };
  assertEquals(leakFindings(watched, { ...watched, free: 0, objects: 1 << 30 }, 400), []);
  assertEquals(leakFindings(watched, { ...watched, files: 21 }, 400).length, 1);
});

Deno.test("readLeakCounters() reads what /proc shows", async () => {
  const files: Record<string, string> = {
    "/proc/zoneinfo":
      "Node 0, zone DMA\n  pages free     70\n      nr_free_pages 70\n              count: 5\n" +
      "Node 0, zone Normal\n      nr_free_pages 100\n              count: 25\n      nr_zone_active_anon 9\n",
    "/proc/meminfo": "MemTotal:  1000 kB\nSReclaimable: 5 kB\nSUnreclaim:   30 kB\n",
    "/proc/sys/fs/file-nr": "34\t0\t1000\n",
    "/proc/stat": "cpu  1 2 3\ncpu0 1 2 3\ncpu1 0 0 0\nintr 9\n",
  };
  const agent = {
    readFile: (path: string) =>
      files[path] === undefined
        ? Promise.reject(new AgentError("readfile", 2, path))
        : Promise.resolve(new TextEncoder().encode(files[path])),
  };
  assertEquals(await readLeakCounters(agent as unknown as GuestAgent), {
    ...{ files: 34, free: 200 * 4096, objects: 30 * 1024, isWatched: false, isExact: false },
  });
});

Deno.test("lostMemory() finds a target whose memory somebody still has", () => {
  assertEquals(lostMemory(BEFORE, { ...BEFORE, free: BEFORE.free - (1 << 20) }), []);
  const [lost] = lostMemory(BEFORE, { ...BEFORE, free: BEFORE.free - (4 << 20) });
  assertEquals([lost?.id, lost?.actual], ["E_LEAK", "4194304 less"]);
});
