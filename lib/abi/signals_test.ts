// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { maskText, signalName, SIGNALS, UNBLOCKABLE } from "./signals.ts";

Deno.test("SIGNALS has every number below the real-time signals once, as POSIX fixes some of them", () => {
  assertEquals(Object.values(SIGNALS), Array.from({ length: 31 }, (_, i) => i + 1));
  const { SIGKILL, SIGALRM, SIGTERM, SIGCHLD, SIGSTOP, SIGSYS } = SIGNALS;
  assertEquals([SIGKILL, SIGALRM, SIGTERM, SIGCHLD, SIGSTOP, SIGSYS], [9, 14, 15, 17, 19, 31]);
});

Deno.test("signalName() names signals and numbers the others", () => {
  assertEquals([11, 40].map(signalName), ["SIGSEGV", "signal 40"]);
});

Deno.test("maskText() names signals, or those that are lacking where that is shorter", () => {
  const [ALL, REALTIME] = [(1n << 64n) - 1n & ~UNBLOCKABLE, 1n << 33n];
  assertEquals([0n, 1n, REALTIME | 2n].map(maskText), ["none", "SIGHUP", "SIGINT signal 34"]);
  assertEquals([ALL, ALL & ~REALTIME & ~1n].map(maskText), ["all", "all but SIGHUP signal 34"]);
});
