// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import type { GuestAgent } from "./guest.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import { findSyscall } from "./probe_kernel.ts";

/** An agent on a kernel that has the numbers given, and notes which ones were called. */
function agentWith(
  results: Record<number, number>,
  called: number[] = [],
): Pick<GuestAgent, "syscall" | "info"> {
  return {
    info: { release: "6.6.1" } as GuestAgent["info"],
    syscall: (nr) => {
      called.push(nr);
      return Promise.resolve({ result: BigInt(results[nr] ?? -38), bytes: new Uint8Array(0) });
    },
  };
}

Deno.test("findSyscall() takes the project's number first, and calls no other one then", async () => {
  const called: number[] = [];
  assertEquals(await findSyscall(agentWith({ 390: -22, 391: -22 }, called)), 390);
  assertEquals(called, [390]);
});

Deno.test("findSyscall() looks among the free numbers alone", async () => {
  const called: number[] = [];
  assertEquals(await findSyscall(agentWith({ 388: -22, 333: -22 }, called)), 388);
  assertEquals(called.toSorted(), [387, 388, 389, 390, 391, 392]);
});

Deno.test("findSyscall() says that a kernel has no such call, or more than one", async () => {
  const fails = (results: Record<number, number>, message: string, number?: number) =>
    assertRejects(() => findSyscall(agentWith(results), { number }), UsageError, message);
  await fails({}, "(Linux 6.6.1) has no checkpoint system call: 387 to 392 give ENOSYS");
  await fails({ 388: -22, 391: -22 }, "has calls 388, 391: say --syscall NR");
  await fails({ 390: -22 }, "has no checkpoint system call: number 467 gives ENOSYS", 467);
  assertEquals(await findSyscall(agentWith({ 467: -9 }), { number: 467 }), 467);
});
