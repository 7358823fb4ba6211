// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { findSplats } from "./kernel_log.ts";

Deno.test("findSplats() finds each complaint once, with its time stamp cut off", () => {
  const log = [
    "[    0.100000] Linux version 6.1.0",
    "[    1.000000] BUG: kernel NULL pointer dereference, address: 0000000000000010",
    "[    1.000001] Oops: 0002 [#1] PREEMPT",
    "[    1.100000] WARNING: CPU: 0 PID: 7 at fs/read_write.c:504 __kernel_write_iter+0x1b0/0x230",
    "[    1.200000] WARNING: CPU: 0 PID: 7 at fs/read_write.c:504 __kernel_write_iter+0x1b0/0x230",
  ].join("\r\n");
  assertEquals(findSplats(log), [
    "BUG: kernel NULL pointer dereference, address: 0000000000000010",
    "Oops: 0002 [#1] PREEMPT",
    "WARNING: CPU: 0 PID: 7 at fs/read_write.c:504 __kernel_write_iter+0x1b0/0x230",
  ]);
});

Deno.test("findSplats() sees through NUL bytes and finds nothing in a quiet log", () => {
  assertEquals(findSplats("\0\0[ 1.0] Kernel \0panic - not syncing: Fatal\n"), [
    "Kernel panic - not syncing: Fatal",
  ]);
  assertEquals(findSplats("[    0.1] smp: Brought up 1 node, 1 CPU\nFreeing unused kernel memory\n"), []);
});
