// SPDX-License-Identifier: MIT
/** A guest that hangs says who waits for what before it is given up. */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { TargetOp } from "../../lib/model/target_op.ts";
import { prepareGuest } from "../../harness/run/guest/prepare_guest.ts";
import type { VirtualGuest } from "../../harness/run/guest/virtual_guest.ts";
import { parsePlatforms } from "../../harness/run/platform.ts";
import { Terminal } from "../../harness/report/terminal.ts";
import { encodeProgram } from "../../vm/agent/target_program.ts";
import { GuestLostError } from "../../vm/qemu/guest_lost_error.ts";

Deno.test("a guest that does not answer in time says which task waits where", async () => {
  const [platform] = parsePlatforms({ arch: "x86_64", flavour: "smp", fallback: "x86_64" });
  const prepared = await prepareGuest(platform!, { terminal: new Terminal() });
  await using guest = await prepared.startGuest();
  const vfork: TargetOp = { op: "stop", label: 0, killNr: 62, busy: "vfork" };
  await guest.agent.program(encodeProgram([vfork]));
  const pid = await guest.agent.spawn();
  await guest.agent.event();
  // Nothing more comes of the target until somebody lets it go on.
  const error = await assertRejects(() => guest.agent.event({ deadlineMs: 200 }), GuestLostError);
  assertMatch(error.detail, /^nothing came within/);
  assertMatch(
    error.detail,
    new RegExp(`^target \\(pid ${pid}\\) waits in .*kernel_clone`, "m"),
  );
  // Of all tasks; the end of the console has those that no signal reaches.
  assertMatch(error.detail, /^init \(pid 1\) \w+ in .*poll/m);
  assertMatch(error.consoleTail, /Show Blocked State/);
  assertEquals(error.detail.match(/^processor \d (is idle|runs) in \w+\+0x/gm)?.length, 4);
});

Deno.test("a guest that does nothing any more says where its processor is", async () => {
  const [platform] = parsePlatforms({ arch: "x86_64", fallback: "x86_64" });
  const prepared = await prepareGuest(platform!, { terminal: new Terminal() });
  await using guest = await prepared.startGuest() as VirtualGuest;
  await guest.machine.monitor.monitor("stop");
  const error = await assertRejects(() => guest.agent.observe(1, ["stat"]), GuestLostError);
  // The kernel has nothing to say.
  assertMatch(
    error.detail,
    /^nothing came within 10 s\nprocessor 0 (?:is idle in|runs in|runs a program at) \w+\S*$/,
  );
});
