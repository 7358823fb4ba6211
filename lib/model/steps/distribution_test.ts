// SPDX-License-Identifier: MIT
/** What options of a distribution's kernel add to targets. */
import { assertEquals, assertThrows } from "@std/assert";
import { VM } from "../../abi/vm_flags.ts";
import { ScenarioError, type Step } from "../scenario.ts";
import { compileSteps, expectedOf, pagesIn, predictSteps, X86_64 } from "../testing/compile_steps.ts";

const map: Step = { op: "mmap", area: "a", pages: 4 };
const stop: Step = { op: "stop", label: "stopped" };

Deno.test("name_memory parts areas by their names, and takes names away", () => {
  const labels = (...steps: Step[]) => predictSteps([map, ...steps]).areas.length;
  const name: Step = { op: "name_memory", area: "a", pages: "1..2", name: "heap" };
  assertEquals(labels(name), 3);
  const calls = expectedOf(
    compileSteps([map, name, { op: "name_memory", area: "a", pages: "all" }]),
    "prctl",
  );
  assertEquals(calls, [0n, 0n]);
  // Two areas of one name are one VMA: a page of one gives the other its anon_vma, and its offset when it moves.
  const two = (second: string): Step[] => [
    map,
    { op: "mmap", area: "b", pages: 4, after: "a" },
    { op: "name_memory", area: "a", pages: "all", name: "one" },
    { op: "name_memory", area: "b", pages: "all", name: second },
    { op: "write", area: "a", pages: "0" },
    { op: "mremap", area: "b", pages: "all", to: "c" },
  ];
  const isMovedWithOffset = (second: string) => {
    const moved = predictSteps(two(second)).areas.find(({ label }) => label === "c")!;
    return moved.pgoff !== moved.start;
  };
  assertEquals([isMovedWithOffset("one"), isMovedWithOffset("other")], [true, false]);
});

Deno.test("memory whose protection key is locked is saved, and not used by the target any more", () => {
  const locked: Step[] = [
    map,
    { op: "write", area: "a", pages: "all" },
    { op: "pkey_protect", area: "a", pages: "1..2", prot: "rw", rights: "none" },
  ];
  assertEquals(pagesIn(predictSteps(locked), "a"), [0, 1, 2, 3]);
  assertEquals(expectedOf(compileSteps(locked), "check of").length, 2);
  for (const op of ["read", "write"] as const) {
    assertThrows(
      () => compileSteps([...locked, { op, area: "a", pages: "1" }]),
      ScenarioError,
      "the target's rights to its key forbid it",
    );
  }
  const child: Step = { op: "in_child", steps: [{ op: "read", area: "a", pages: "0" }] };
  assertEquals(compileSteps([...locked, child]).stops.length, 1);
});

Deno.test("an AIO ring and mappings of devices and sockets are refused, a borrowed address space is not", () => {
  const refusal = (...steps: Step[]) => predictSteps([map, ...steps]).refusal?.name;
  const refused = { ...stop, expect: "ENOSYS" } as const;
  assertEquals(refusal({ op: "io_setup" }, refused), "ENOSYS");
  assertEquals(refusal({ op: "io_setup" }, { op: "exec" }), undefined);
  assertEquals(refusal({ op: "vhost" }), undefined);
  const flagsOf = (file: string) => {
    const steps: Step[] = [{ op: "mmap", area: "f", pages: 1, prot: "r", file }, refused];
    assertEquals(refusal(...steps), "ENOSYS");
    return predictSteps(steps).areas[0]!.flags & (VM.IO | VM.PFNMAP | VM.MIXEDMAP | VM.MAYWRITE);
  };
  assertEquals(flagsOf("/dev/sg0"), VM.IO | VM.MAYWRITE);
  assertEquals(flagsOf("tcp socket"), VM.MIXEDMAP);
});

Deno.test("huge pages come without being asked for where the kernel gives them", () => {
  const steps: Step[] = [{ op: "mmap", area: "a", pages: 512, align: 512 }, {
    op: "write",
    area: "a",
    pages: "3",
  }];
  const count = (hasHugePages: boolean, value?: string) => {
    const setup = value === undefined
      ? []
      : [{ write: "/sys/kernel/mm/transparent_hugepage/enabled", value }];
    return pagesIn(predictSteps(steps, { target: { ...X86_64, hasHugePages }, setup }), "a").length;
  };
  assertEquals([count(false), count(true), count(true, "never"), count(false, "always")], [1, 512, 1, 512]);
});

Deno.test("Yama leaves the call to those who are privileged", () => {
  const setup = (value: string) => [
    { uid: 1000, gid: 1000 },
    { write: "/proc/sys/kernel/yama/ptrace_scope", value },
  ];
  const call = (expect: string): Step[] => [
    map,
    { ...stop, expect: expect as "ok", call: { uid: 1000, gid: 1000 } },
    { op: "stop", label: "root", call: { uid: 0 } },
    { op: "stop", label: "itself", call: { pid: "self" } },
  ];
  assertEquals(compileSteps(call("EPERM"), { setup: setup("1") }).stops.length, 3);
  assertEquals(compileSteps(call("ok"), { setup: setup("0") }).stops.length, 3);
  assertThrows(() => compileSteps(call("ok"), { setup: setup("2") }), ScenarioError, `predicts "EPERM"`);
});
