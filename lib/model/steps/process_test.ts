// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { ScenarioError, type Step } from "../scenario.ts";
import { compileSteps, pagesIn, predictSteps } from "../testing/compile_steps.ts";
import { VM } from "../../abi/vm_flags.ts";

const map: Step = { op: "mmap", area: "a", pages: 4 };
const write: Step = { op: "write", area: "a", pages: "0..1" };
const ldt: Step = { op: "modify_ldt", entries: "3", limit: 1, flags: ["32bit"] };

Deno.test("fork gives a child what fork copies", () => {
  const child: Step = { op: "fork", subject: "child" };
  const wiped: Step = { op: "madvise", area: "a", pages: "0", advice: "wipeonfork" };
  const steps: Step[] = [
    map,
    write,
    ldt,
    wiped,
    { op: "madvise", area: "a", pages: "3", advice: "dontfork" },
    {
      op: "mlock",
      area: "a",
      pages: "2",
    },
    child,
  ];
  const prediction = predictSteps(steps);
  assertEquals(pagesIn(prediction, "a"), [1, 2]);
  assertEquals(prediction.areas.map(({ start, end }) => end - start), [1, 1, 1]);
  assertEquals(prediction.areas.some(({ flags }) => (flags & VM.LOCKED) !== 0n), false);
  assertEquals(prediction.ldt.length, 32);
});

Deno.test("in_child runs steps in a child and leaves the parent as it was", () => {
  const inChild: Step = {
    op: "in_child",
    steps: [{ op: "munmap", area: "a", pages: "0" }, ldt, { op: "mmap", area: "b", pages: 1 }],
  };
  const compiled = compileSteps([map, write, inChild, { op: "mmap", area: "b", pages: 2 }]);
  const { areas, ldt: table, pages } = compiled.stops[0]!.prediction;
  assertEquals(areas.map(({ label, start, end }) => [label, end - start]), [["a", 4], ["b", 2]]);
  assertEquals([table.length, pages.size], [0, 2]);
  const fork = compiled.ops.findIndex((op) => op.op === "fork");
  const join = compiled.ops.findIndex((op) => op.op === "join");
  const inside = compiled.ops.slice(fork + 1, join).filter(({ op }) => op === "syscall");
  assertEquals(inside.length, 3);
  const after = predictSteps([map, write, inChild, { op: "write", area: "a", pages: "3" }]);
  assertEquals(pagesIn(after, "a"), [0, 1, 3]);
  // What is not forked is not there for the child.
  const hidden: Step = { op: "madvise", area: "a", pages: "all", advice: "dontfork" };
  assertThrows(
    () => predictSteps([map, hidden, { op: "in_child", steps: [write] }]),
    ScenarioError,
    "is not mapped",
  );
  const stopping = { op: "in_child", steps: [{ op: "stop", label: "x" }] } as unknown as Step;
  assertThrows(
    () => compileSteps([stopping]),
    ScenarioError,
    "$.steps[0].steps[0].op: expected one of mmap, ",
  );
});

Deno.test("exec leaves nothing of the address space, LDT and TLS", () => {
  const tls: Step = { op: "set_thread_area", entry: 0, base: 1, limit: 1, flags: ["32bit"] };
  const prediction = predictSteps([map, write, ldt, tls, { op: "exec" }, {
    op: "mmap",
    area: "a",
    pages: 1,
  }]);
  assertEquals([prediction.areas.length, prediction.pages.size, prediction.ldt.length], [1, 0, 0]);
  assertEquals(prediction.tls.every((byte) => byte === 0), true);
});

Deno.test("shm and thread make targets that are refused", () => {
  const refused = (steps: Step[], expect: string) =>
    predictSteps([...steps, { op: "stop", label: "x", expect }]).refusal;
  const shm = refused([map, { op: "shm", area: "s", pages: 2 }], "ENOSYS");
  assertEquals([shm?.errno, shm?.atPage === undefined], [38, true]);
  assertEquals(refused([{ op: "thread", kind: "thread" }], "EOPNOTSUPP")?.atPage, undefined);
});

Deno.test("syscall refuses what changes what the model must know", () => {
  const READ_IMPLIES_EXEC = 0x400000;
  const PR_SET_THP_DISABLE = 41;
  const refused: Step[] = [
    { op: "syscall", name: "personality", args: [READ_IMPLIES_EXEC] },
    { op: "syscall", name: "prctl", args: [PR_SET_THP_DISABLE, 1] },
    { op: "syscall", name: "brk", args: [0x600000] },
    { op: "syscall", name: "arch_prctl", args: [0x1003, 0x1000] },
    { op: "syscall", name: "setrlimit", args: [8, "none"] },
    { op: "syscall", name: "mprotect", args: [0x1000000, 4096, 1], expect: "ENOMEM" },
  ];
  for (const step of refused) {
    assertThrows(() => compileSteps([map, step]), ScenarioError, "may change what the model must know");
  }
  compileSteps([
    { op: "syscall", name: "prctl", args: [15, "other"], expect: 0 },
    { op: "syscall", name: "personality", args: [0xffff_ffff] },
    { op: "syscall", name: "mount", args: ["none", "/nowhere", "tmpfs"], expect: "ENOENT" },
  ]);
});

Deno.test("nothing is mapped with 0 pages", () => {
  assertThrows(
    () => compileSteps([{ op: "mmap", area: "a", pages: 0 }]),
    ScenarioError,
    "0 pages fails (EINVAL)",
  );
  assertThrows(
    () => compileSteps([{ op: "shm", area: "a", pages: 0 }]),
    ScenarioError,
    "0 pages fails (EINVAL)",
  );
  const resize = { op: "mremap", area: "a", pages: "all", size: 0 } as const;
  assertThrows(() => compileSteps([map, resize]), ScenarioError, "0 pages fails (EINVAL)");
  // No call at all is made for the pages of an empty heap.
  const empty: Step[] = [{ op: "brk", area: "h", pages: 0 }, { op: "munmap", area: "h", pages: "all" }];
  assertEquals(compileSteps(empty).results.filter(({ what }) => what.startsWith("munmap")), []);
});
