// SPDX-License-Identifier: MIT

import { assertEquals, assertStringIncludes } from "@std/assert";
import { syntheticImage } from "../../lib/image/testing/synthetic_image.ts";
import {
  type CheckpointResult,
  RESTART_CHANGED,
  RESTART_DIED,
  RESTART_UNTOUCHED,
  type RestartTry,
} from "../../vm/agent/agent_types.ts";
import { checkpointReply } from "../../vm/agent/testing/checkpoint_reply.ts";
import type { Step } from "../../lib/model/scenario.ts";
import type { Guest } from "../run/guest/guest.ts";
import type { ObservedCheckpoint } from "../run/case/observe_checkpoint.ts";
import {
  faultSites,
  formatOutcomes,
  newFaultTally,
  replyFindings,
  sweepFaults,
  sweepRestartFaults,
  sweepSkipReason,
} from "./sweep_faults.ts";

const LOG = `[    2.1] FAULT_INJECTION: forcing a failure.
[    2.1] name failslab, interval 1, probability 0, space 0, times 0
[    2.1] CPU: 0 PID: 31 Comm: init Not tainted 6.1.192 #1
[    2.1] Call Trace:
[    2.1]  <TASK>
[    2.1]  dump_stack_lvl+0x33/0x46
[    2.1]  should_fail_ex.cold+0x32/0x37
[    2.1]  should_failslab+0x5/0x10
[    2.1]  ? cr_ctx_alloc+0x1/0x90
[    2.1]  __kmem_cache_alloc_node+0x40/0x200
[    2.1]  kmalloc_trace+0x21/0x90
[    2.1]  cr_checkpoint_pid+0x70/0x2f0
[    2.1]  __x64_sys_checkpoint+0x6b/0xd0
[    2.1]  </TASK>
[    2.2] FAULT_INJECTION: forcing a failure.
[    2.2] name fail_usercopy, interval 1, probability 0, space 0, times 0
[    2.2]  should_fail_ex.cold+0x32/0x37
[    2.2]  _copy_to_user+0x10/0x30
[    2.2]  ksys_read+0x10/0x30
`;

Deno.test("faultSites() tells the way from the system call to what failed, and leaves other calls out", () => {
  const sites = faultSites(LOG);
  assertEquals(sites, [
    "failslab: __kmem_cache_alloc_node+0x40 < kmalloc_trace+0x21 < cr_checkpoint_pid+0x70",
  ]);
});

function reply(errno: number, image: Uint8Array, faultCame: boolean): CheckpointResult {
  const result = errno === 0 ? 1n : BigInt(-errno);
  return checkpointReply({ result, errno, image, ...faultCame ? { faultCame } : {} });
}

const ENOMEM = 12;
const EIO = 5;
const ENOEXEC = 8;

Deno.test("replyFindings() wants ENOMEM and a beginning of the image, or the whole image", () => {
  const whole = syntheticImage();
  const ids = (result: CheckpointResult): string[] => replyFindings(result, whole, 3).map(({ id }) => id);
  assertEquals(ids(reply(ENOMEM, whole.slice(0, 40), true)), []);
  assertEquals(ids(reply(ENOMEM, new Uint8Array(0), true)), []);
  assertEquals(ids(reply(0, whole, true)), []);
  assertEquals(ids(reply(EIO, whole.slice(0, 40), true)), ["E_FAULT"]);
  assertEquals(
    ids(reply(ENOMEM, whole.slice(0, 40), false)),
    ["E_FAULT"],
    "no fault came, and yet it failed",
  );
  assertEquals(ids(reply(ENOMEM, new Uint8Array(40), true)), ["E_OTHER_IMAGE", "E_NOT_TRUNCATED"]);
  assertEquals(ids(reply(0, whole.slice(0, -1), true)), ["E_OTHER_IMAGE"], "success with half an image");
  assertEquals(ids({ ...reply(0, whole, true), signal: 9 }), ["E_FAULT"]);
});

/** A guest whose calls meet so many faults, one after the other. */
function faultyGuest(image: Uint8Array, faults: number, restarts: readonly number[] = []): Guest {
  let console = "";
  const agent = {
    info: { wordSize: 8 },
    writeFile: (path: string, text: string): Promise<void> => {
      if (path === "/dev/kmsg") console += text;
      return Promise.resolve();
    },
    observe: () => Promise.resolve(new Map()),
    restarts: (_: string, tries: readonly RestartTry[]) =>
      Promise.resolve(tries.map(({ how, offset }) => {
        return how === "fault" ? restarts[offset] ?? RESTART_UNTOUCHED : restarts[0];
      })),
    checkpoint: ({ failNth = faults + 1 }) =>
      Promise.resolve(failNth > faults ? reply(0, image, false) : reply(ENOMEM, image.slice(0, 99), true)),
  };
  const never = new Promise<void>(() => {});
  return {
    agent,
    ended: never,
    console: {
      grown: never,
      start: 0,
      get offset() {
        return console.length;
      },
      text: (from = 0) => console.slice(from),
    },
  } as unknown as Guest;
}

Deno.test("sweepFaults() goes on until a call is untouched, and a sweep without a fault fails", async () => {
  const image = syntheticImage();
  const seen = { image, raw: { pid: 7, proc: new Map() } } as unknown as ObservedCheckpoint;
  const sweep = async (faults: number) => {
    const tally = newFaultTally();
    const { findings } = await sweepFaults(faultyGuest(image, faults), seen, { checkpointNr: 390, tally });
    return [tally.faults, findings.map(({ message }) => message)];
  };
  assertEquals(await sweep(3), [3, []]);
  assertEquals(await sweep(0), [0, ["no allocation could be made to fail"]]);
});

Deno.test("sweepRestartFaults() wants ENOMEM and an unchanged caller of each restart that meets a fault", async () => {
  const image = syntheticImage();
  const sweep = async (results: readonly number[], isForeign = false) => {
    const tally = newFaultTally();
    const guest = faultyGuest(image, 0, results);
    const { findings } = await sweepRestartFaults(guest, { image }, { tally, isForeign });
    return [tally.faults, findings.map(({ message, actual }) => `${message}: ${actual}`)];
  };
  const fails = (nth: number) => `the restart in which allocation ${nth} fails`;
  assertEquals(await sweep([0, -ENOMEM, 0, -ENOMEM]), [3, []]);
  assertEquals(await sweep([0, ...Array(100).fill(-ENOMEM)]), [100, []]);
  assertEquals(await sweep([0, -ENOMEM, -EIO]), [2, [`${fails(2)}: EIO`]]);
  assertEquals(await sweep([0, RESTART_CHANGED]), [1, [`${fails(1)}: a changed caller`]]);
  assertEquals(await sweep([0, RESTART_DIED + 9]), [1, [`${fails(1)}: signal 9`]]);
  assertEquals(await sweep([0]), [0, ["no allocation of restart(2) could be made to fail: none"]]);
  assertEquals(await sweep([-EIO]), [0, ["no process can be restarted from the image: EIO"]]);
  assertEquals(await sweep([-ENOEXEC], true), [0, []]);
  assertEquals((await sweep([-ENOEXEC]))[0], 0);
});

Deno.test("sweepSkipReason() leaves out what no sweep would look at", () => {
  const reason = (step: Step): string | undefined =>
    sweepSkipReason({ name: "x", about: "", steps: [{ op: "mmap", area: "a", pages: 1 }, step] });
  assertEquals(reason({ op: "stop", label: "x" }), undefined);
  assertStringIncludes(reason({ op: "stop", label: "x", call: { pid: "self" } }) ?? "", "no plain stop");
  assertStringIncludes(reason({ op: "stop", label: "x", expect: "ENOSYS" }) ?? "", "no plain stop");
});

Deno.test("formatOutcomes() counts", () => {
  assertEquals(formatOutcomes(new Map([["ENOMEM", 3], ["ok", 1]])), "3 ENOMEM, 1 ok");
  assertEquals(formatOutcomes(new Map()), "none");
});
