// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { checkpointReply } from "../../../vm/agent/testing/checkpoint_reply.ts";
import type { GuestAgent } from "../guest/guest.ts";
import { resolvePid } from "./call_pid.ts";

Deno.test("resolvePid() gives the pid that a word stands for", async () => {
  const agent = {
    zombie: () => Promise.resolve(80),
    checkpoint: () => Promise.resolve(checkpointReply({ caller: 81 })),
  } as Partial<GuestAgent> as GuestAgent;
  const context = { checkpointNr: 390, pid: 70, thread: 71 };
  const words = ["target", "self", "init", "kthread", "thread", "zombie", "reaped", "none", -5] as const;
  const pids = [];
  for (const word of words) pids.push(await resolvePid(agent, word, context));
  assertEquals(pids, [70, 0, 1, 2, 71, 80, 81, 4_194_304, -5]);
  await assertRejects(
    () => resolvePid(agent, "thread", { ...context, thread: undefined }),
    RangeError,
    "no id of a thread",
  );
});
