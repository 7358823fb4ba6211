// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import fc from "fast-check";
import { parseSplats } from "./parse_splats.ts";
import type { Splat } from "./splat.ts";

const DIRECTORY = join(import.meta.dirname ?? ".", "..", "..", "fixtures", "kernel_logs");
const EXPECTED = JSON.parse(await Deno.readTextFile(join(DIRECTORY, "expected.json"))) as Record<
  string,
  { kind: string; title: string }[]
>;

async function read(name: string): Promise<string> {
  return await Deno.readTextFile(join(DIRECTORY, `${name}.log`));
}

function named(splats: readonly Splat[]): unknown[] {
  return splats.map(({ kind, title }) => ({ kind, title }));
}

async function only(name: string): Promise<Splat> {
  const [splat, ...more] = parseSplats(await read(name));
  assert(splat && more.length === 0, name);
  return splat;
}

for (const [name, expected] of Object.entries(EXPECTED)) {
  Deno.test(`parseSplats() finds ${expected.length} splats in the log ${name}`, async () => {
    assertEquals(named(parseSplats(await read(name))), expected);
  });
}

Deno.test("each recorded log has its expectation", async () => {
  const logs = [];
  for await (const { name } of Deno.readDir(DIRECTORY)) {
    if (name.endsWith(".log")) logs.push(name.replace(/\.log$/, ""));
  }
  assertEquals(logs.toSorted(), Object.keys(EXPECTED).toSorted());
});

Deno.test("parseSplats() gives the report from its first line to its last", async () => {
  const { lines } = await only("warn");
  assertEquals([lines[0]?.slice(15), lines.at(-1)?.slice(15)], [
    "------------[ cut here ]------------",
    "---[ end trace 0000000000000000 ]---",
  ]);
  const kasan = await only("kasan_use_after_free");
  assert([kasan.lines[0]!, kasan.lines.at(-1)!].every((line) => line.endsWith("=======")));
});

Deno.test("parseSplats() keeps reports of two printers apart", async () => {
  const [kasan, warn] = parseSplats(await read("interleaved_callers"));
  assert(kasan?.lines.every((line) => line.includes("[  T12]")));
  assert(warn?.lines.every((line) => line.includes("[  T87]")));
});

Deno.test("a fingerprint is the same with other addresses, offsets, pids and times, and on i386", async () => {
  const { fingerprint } = await only("warn");
  for (const name of ["warn_untimed", "warn_message"]) {
    assertEquals((await only(name)).fingerprint, fingerprint, name);
  }
  const [first, second] = parseSplats(await read("two_same"));
  assertEquals([first?.fingerprint, second?.fingerprint], [fingerprint, fingerprint]);
  assertEquals(
    (await only("null_dereference_i386")).fingerprint,
    (await only("null_dereference")).fingerprint,
  );
  assert((await only("bug")).fingerprint !== fingerprint);
});

Deno.test("parseSplats() knows whether a report has ended", async () => {
  assertEquals((await only("warn")).isComplete, true);
  assertEquals((await only("cut_in_stack")).isComplete, false);
  assertEquals((await only("cut_in_header")).isComplete, false);
});

Deno.test("parseSplats() takes the stack of what happened, not that of the allocation", async () => {
  const names = (await only("kasan_use_after_free")).frames.map((frame) => frame.function);
  assert(names.includes("cr_write_task") && !names.includes("cr_ctx_free"), names.join(" "));
  const stall = (await only("rcu_stall")).frames.map((frame) => frame.function);
  assert(!stall.includes("rcu_gp_kthread") && !stall.includes("update_process_times"), stall.join(" "));
});

Deno.test("parseSplats() loses no splat when a log is cut anywhere after its header", async () => {
  for (const name of ["warn", "kasan_use_after_free", "lockdep_circular", "oom_kill", "null_dereference"]) {
    const log = await read(name);
    const header = /WARNING|BUG: |invoked oom/.exec(log)!.index + 30;
    for (let end = header; end < log.length; end += 7) {
      assertEquals(parseSplats(log.slice(0, end)).length, 1, `${name} cut at ${end}`);
    }
  }
});

Deno.test("parseSplats() survives any text, in little time", () => {
  const parts = fc.constantFrom(
    ...[
      "[    1.000000] ",
      "BUG: ",
      "KASAN: ",
      "WARNING: CPU: 0 PID: 1 at ",
      "f+0x1/0x2",
      "\n",
      "\r\n",
      "\0",
      "=",
    ],
    ...[
      "====================",
      "Call Trace:",
      "------------[ cut here ]------------",
      "[  T12]",
      " ",
      "refcount_t: ",
    ],
    ...[
      "unreferenced object 0xff (size 8)",
      "---[ end trace 0 ]---",
      "Kernel panic - not syncing: ",
      "\x1b[0m",
      "(",
    ],
  );
  const text = fc.array(fc.oneof(parts, fc.string()), { maxLength: 200 }).map((list) => list.join(""));
  fc.assert(fc.property(text, (log) => {
    for (const splat of parseSplats(log)) assert(splat.lines.length > 0 && splat.title !== "");
  }));
  const begin = performance.now();
  parseSplats(`WARNING: ${"a b ".repeat(500_000)}\n`.repeat(2) + "BUG: x\n".repeat(20_000));
  assert(performance.now() - begin < 5_000);
});
