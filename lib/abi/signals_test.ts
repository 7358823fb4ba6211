// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { signalNumber, SIGNALS } from "./signals.ts";

Deno.test("SIGNALS has every number below the real-time signals once, as POSIX fixes some of them", () => {
  assertEquals(Object.values(SIGNALS), Array.from({ length: 31 }, (_, i) => i + 1));
  const { SIGKILL, SIGALRM, SIGTERM, SIGCHLD, SIGSTOP, SIGSYS } = SIGNALS;
  assertEquals([SIGKILL, SIGALRM, SIGTERM, SIGCHLD, SIGSTOP, SIGSYS], [9, 14, 15, 17, 19, 31]);
});

Deno.test("signalNumber() knows signals and nothing else", () => {
  assertEquals(["SIGSEGV", "SEGV", "toString"].map(signalNumber), [11, undefined, undefined]);
});
