// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { type CallPid, isSelf, pidProblem } from "./call.ts";

/** The errno for root, for the target's owner, and for another user. */
function errnos(pid: CallPid): (string | undefined)[] {
  const target = { uid: 1000, gid: 1000, dumpable: true };
  return [0, 1000, 5].map((uid) => pidProblem(pid, { uid, gid: uid, target })?.[0]);
}

Deno.test("pidProblem() asks whether there is a process, then whose it is, then what it is", () => {
  const expected: [CallPid, (string | undefined)[]][] = [
    ["target", [undefined, undefined, "EPERM"]],
    ["self", [undefined, undefined, undefined]],
    ["init", ["EBUSY", "EPERM", "EPERM"]],
    ["kthread", ["EINVAL", "EPERM", "EPERM"]],
    ["zombie", ["ESRCH", "EPERM", "EPERM"]],
    ...(["thread", "reaped", "none"] as const).map((
      pid,
    ): [CallPid, string[]] => [pid, Array(3).fill("ESRCH")]),
  ];
  for (const [pid, names] of expected) assertEquals(errnos(pid), names, String(pid));
});

Deno.test("pidProblem() knows some numbers, and refuses one that may be anybody's", () => {
  assertEquals([0, 1, 2].map(errnos), (["self", "init", "kthread"] as const).map(errnos));
  for (const pid of [-1, -(2 ** 31), 4_194_304, 2 ** 31 - 1]) assertEquals(errnos(pid), errnos("none"));
  for (const pid of [3, 4_194_303]) {
    assertThrows(() => errnos(pid), SyntaxError, `whose pid ${pid} is cannot be known`);
  }
});

Deno.test("pidProblem() goes by the real id, and by the effective one where that is root's", () => {
  const target = { uid: 1000, gid: 1000, dumpable: true };
  const errno = (uid: number, euid: number) => pidProblem("target", { uid, euid, gid: 1000, target })?.[0];
  assertEquals([errno(1000, 5), errno(5, 1000), errno(5, 0), errno(0, 5)], [
    undefined,
    "EPERM",
    undefined,
    "EPERM",
  ]);
});

Deno.test("isSelf() knows both ways to say it", () => {
  const pids = ["self", 0, "target", 1, undefined] as const;
  assertEquals(pids.map(isSelf), [true, true, false, false, false]);
});
