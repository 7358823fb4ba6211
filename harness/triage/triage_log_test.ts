// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { triageLog } from "./triage_log.ts";

const WARNING = [
  "------------[ cut here ]------------",
  "WARNING: CPU: 0 PID: 87 at checkpoint/sys.c:1 cr_write_mm+0x5c/0x210",
  "RIP: 0010:cr_write_mm+0x5c/0x210",
  "Call Trace:",
  " <TASK>",
  " cr_write_task+0x8d/0x1c0",
  " </TASK>",
  "---[ end trace 0000000000000000 ]---",
];

async function* inPieces(text: string, size: number): AsyncGenerator<string> {
  for (let at = 0; at < text.length; at += size) yield await Promise.resolve(text.slice(at, at + size));
}

async function titlesOf(lines: readonly string[], size = 7): Promise<string[]> {
  const splats = await triageLog(inPieces(lines.join("\n"), size));
  return splats.map(({ title, frames }) => `${title}, ${frames.length}`);
}

Deno.test("triageLog() finds a splat whatever program wrote the log down", async () => {
  const expected = await titlesOf(WARNING);
  assertEquals(expected.length, 1);
  for (
    const prefix of [
      "[    0.228487] ",
      "[    0.228487][   T12] ",
      "<4>[    0.228487] ",
      "Nov 30 08:00:01 host kernel: ",
      "Nov  3 08:00:01 my-host kernel: [    0.228487] ",
      "2026-11-30T08:00:01.123456+00:00 host kernel: ",
      "kern  :warn  : [    0.228487] ",
      "[Mon Nov 30 08:00:01 2026] ",
      "kern  :err   : [Mon Nov  3 08:00:01 2026] ",
    ]
  ) assertEquals(await titlesOf(WARNING.map((line) => prefix + line)), expected, prefix);
});

Deno.test("triageLog() finds splats anywhere in a log of any length, and holds no endless line", async () => {
  const much = new Array<string>(120_000).fill("[    1.000000] nothing");
  const lines = [...WARNING, ...much, ...WARNING, ...much, ...WARNING];
  assertEquals((await titlesOf(lines, 65_536)).length, 3);
  assertEquals((await titlesOf([...WARNING, "x".repeat(40_000_000), ...WARNING], 65_536)).length, 2);
});
