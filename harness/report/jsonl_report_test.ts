// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import { JSONL_SCHEMA, jsonlReport } from "./jsonl_report.ts";
import { hostileTree, recordedTree } from "./testing/sample_tree.ts";
import { textReport } from "./text_report.ts";

type Event = Record<string, unknown>;

function eventsOf(text: string): Event[] {
  assert(text.endsWith("\n"));
  return text.trimEnd().split("\n").map((line) => JSON.parse(line));
}

Deno.test("jsonlReport() begins with run, ends with end, and has a line for everything", async () => {
  const tree = await recordedTree("nightly");
  const events = eventsOf(jsonlReport(tree));
  const first = events[0] ?? {};
  assertEquals([first.event, first.schema, first.kind, first.id], [
    "run",
    JSONL_SCHEMA,
    "nightly",
    "20261124-0100",
  ]);
  const last = events.at(-1) ?? {};
  assertEquals([last.event, last.jobs], ["end", { passed: 5, failed: 4, missing: 1 }]);
  const count = (event: string) => events.filter((candidate) => candidate.event === event).length;
  const scenarios = tree.jobs.flatMap((job) => job.scenarios);
  assertEquals(count("job"), tree.jobs.length);
  assertEquals(count("scenario"), scenarios.length);
  assertEquals(count("splat"), scenarios.flatMap(({ splats }) => splats).length);
  assertEquals(count("change"), tree.changes.length);
  assertEquals(count("kernel"), 5);
});

Deno.test("jsonlReport() has findings with the label of their image, and no images", async () => {
  const events = eventsOf(jsonlReport(await recordedTree("nightly")));
  const ldt = events.find(({ event, scenario }) => event === "scenario" && scenario === "ldt_one");
  const [finding] = ldt?.findings as { path: string; id: string }[];
  assertEquals([finding?.id, finding?.path], ["E_LDT_ENTRY", "stopped: task[0]/mm_context/ldt[0]"]);
  assertEquals(ldt?.reproduced, { times: 3, of: 3 });
  assertEquals("kept" in (ldt ?? {}), false);
});

Deno.test("jsonlReport() keeps one event a line whatever the texts hold", () => {
  const events = eventsOf(jsonlReport(hostileTree()));
  assertEquals(events.map(({ event }) => event), ["run", "job", "kernel", "scenario", "splat", "end"]);
});

Deno.test("textReport() says what broke, since when, where, whether it is real, and the command", async () => {
  const text = textReport(await recordedTree("nightly"));
  const [first] = text.split("\n");
  assertEquals(first, "nightly run 20261124-0100, 2 h: 5 of 10 jobs passed, 4 failed, 1 did not run");
  const block = text.split("\n\n").find((part) => part.includes("ldt_one"));
  assertEquals(block?.split("\n"), [
    "NEW FAILURE  ldt_one: the LDT: byte 6 differs from the predicted one",
    "  on 6.1/x86_64/plain/catalogue, 6.12/x86_64/plain/catalogue",
    "  since 2026-11-24 01:00 (20261124-0100)",
    "  changed patch: 1a2b3c4 checkpoint: count the entries of the LDT once; " +
    "5d6e7f8 checkpoint: save the LDT before the pages; " +
    "in vm/kernel/overlay/checkpoint/ckpt_mem.c, vm/kernel/overlay/arch/x86/mm/checkpoint.c",
    "  real? yes: reproduced 6 of 6",
    "  deno task test:qemu --arch x86_64 --filter ldt_one",
  ]);
});

Deno.test("textReport() stays short, and lets no text steer the terminal", () => {
  const tree = hostileTree();
  const text = textReport(tree);
  // deno-lint-ignore no-control-regex
  assertEquals(/[\0-\x09\x0b-\x1f]/.test(text), false);
  const [job] = tree.jobs;
  assert(job);
  const jobs = Array.from({ length: 100 }, (_, index) => ({
    ...job,
    name: `job ${index}`,
    scenarios: job.scenarios.map((scenario) => ({
      ...scenario,
      splats: scenario.splats.map((splat) => ({ ...splat, fingerprint: String(index) })),
    })),
  }));
  const long = textReport({ ...tree, jobs });
  assert(long.split("\n").length < 120, "a hundred problems are told one by one");
  assert(long.includes("and 80 more"));
});
