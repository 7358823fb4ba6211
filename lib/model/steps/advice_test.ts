// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { ScenarioError, type SetupStep, type Step, type StepOf } from "../scenario.ts";
import { compileSteps, expectedOf, pagesIn, predictSteps, X86_64 } from "../testing/compile_steps.ts";
import { VM } from "../../abi/vm_flags.ts";

function area(flags?: StepOf<"mmap">["flags"]): Step {
  return { op: "mmap", area: "a", pages: 6, ...(flags ? { flags } : {}) };
}

const write: Step = { op: "write", area: "a", pages: "0..3" };
function advise(advice: StepOf<"madvise">["advice"], pages: string, expect?: string): Step {
  return {
    op: "madvise",
    area: "a",
    pages,
    advice,
    ...(expect ? { expect } : {}),
  };
}

function refused(expect: string): Step {
  return { op: "stop", label: "refused", expect };
}

const RAM: SetupStep[] = [{ swap: "ram" }];
function swappedPages(steps: Step[], setup = RAM): number[] {
  const prediction = predictSteps(steps, { setup });
  const start = prediction.areas[0]!.start;
  return [...prediction.pages].filter(([, page]) => page.swapped).map(([page]) => page - start);
}

Deno.test("madvise drops pages that are not needed and keeps those that are only cold", () => {
  assertEquals(pagesIn(predictSteps([area(), write, advise("dontneed", "1..2")]), "a"), [0, 3]);
  assertEquals(pagesIn(predictSteps([area(), write, advise("cold", "1..2")]), "a"), [0, 1, 2, 3]);
});

Deno.test("madvise pages out what only this process has, where there is swap", () => {
  const steps = [area(), write, advise("pageout", "1..2")];
  assertEquals(swappedPages(steps), [1, 2]);
  assertEquals(swappedPages(steps, []), []);
  assertEquals(pagesIn(predictSteps(steps, { setup: RAM }), "a"), [0, 1, 2, 3]);
  const shared: Step[] = [area(), write, { op: "fork", subject: "child" }];
  assertEquals(swappedPages([...shared, advise("pageout", "all")]), []);
  const own: Step = { op: "write", area: "a", pages: "2" };
  assertEquals(swappedPages([...shared, own, advise("pageout", "all")]), [2]);
});

Deno.test("madvise brings pages back when they are read, written or checkpointed", () => {
  const out = [area(), write, advise("pageout", "all")];
  assertEquals(swappedPages([...out, { op: "read", area: "a", pages: "1" }]), [0, 2, 3]);
  assertEquals(swappedPages([...out, { op: "poke", area: "a", page: 2, value: 1 }]), [0, 1, 3]);
  const stop: Step = { op: "stop", label: "first" };
  assertEquals(swappedPages([...out, stop, { op: "stop", label: "second" }]), []);
});

Deno.test("madvise discards, keeps and swaps pages that may be freed, as they were used", () => {
  const freed = [area(), write, advise("free", "0..2"), { op: "write", area: "a", pages: "1" } as const];
  const once = [...freed, advise("pageout", "all")];
  assertEquals(pagesIn(predictSteps(once, { setup: RAM }), "a"), [1, 3]);
  assertEquals(swappedPages(once), [3]);
  assertEquals(swappedPages([...once, advise("pageout", "1")]), [3, 1].sort());
  const out = [area(), write, advise("pageout", "0..1"), advise("free", "1..2")];
  assertEquals(pagesIn(predictSteps(out, { setup: RAM }), "a"), [0, 2, 3]);
});

Deno.test("madvise does not guess what a slow swap device has done", () => {
  const setup: SetupStep[] = [{ swap: "loop" }];
  const steps = [area(), write, advise("pageout", "all"), { op: "read", area: "a", pages: "0" } as const];
  assertEquals(pagesIn(predictSteps(steps, { setup }), "a"), [0, 1, 2, 3]);
  assertThrows(
    () => predictSteps([...steps, advise("pageout", "0")], { setup }),
    ScenarioError,
    "on its way to the swap device",
  );
});

Deno.test("madvise predicts what the kernel refuses, and nothing changes", () => {
  const steps = [area(["locked"]), advise("dontneed", "all", "EINVAL")];
  assertEquals(expectedOf(compileSteps(steps), "madvise"), [-22n]);
  assertEquals(pagesIn(predictSteps(steps), "a").length, 6);
  assertThrows(() => predictSteps([area(["locked"]), advise("dontneed", "all")]), ScenarioError, "EINVAL");
  assertThrows(() => predictSteps([area(), advise("dontneed", "all", "EINVAL")]), ScenarioError, "ok");
});

Deno.test("mlock makes pages present, but not on fault", () => {
  const flags = (steps: Step[]) => predictSteps(steps).areas[0]!.flags & (VM.LOCKED | VM.LOCKONFAULT);
  const now: Step[] = [area(), { op: "mlock", area: "a", pages: "all" }];
  assertEquals(pagesIn(predictSteps(now), "a").length, 6);
  assertEquals(flags(now), VM.LOCKED);
  const later: Step[] = [area(), { op: "mlock", area: "a", pages: "all", flags: ["onfault"] }];
  assertEquals(pagesIn(predictSteps(later), "a"), []);
  assertEquals(flags(later), VM.LOCKED | VM.LOCKONFAULT);
  assertEquals(flags([...later, { op: "munlock", area: "a", pages: "all" }]), 0n);
});

Deno.test("mlock on fault fails before Linux 5.18 where nothing may be accessed, and the lock stays", () => {
  const steps: Step[] = [{ op: "mmap", area: "a", pages: 1, prot: "none" }, {
    op: "mlock",
    area: "a",
    pages: "all",
    flags: ["onfault"],
  }];
  const target = { ...X86_64, series: "5.10" } as const;
  assertEquals(expectedOf(compileSteps(steps), "mlock2"), [0n]);
  assertEquals(expectedOf(compileSteps(steps, { target }), "mlock2"), [-12n]);
  assertEquals(predictSteps(steps, { target }).areas[0]!.flags & VM.LOCKED, VM.LOCKED);
});

Deno.test("mlock fails at what cannot be made present, and the lock stays", () => {
  const steps: Step[] = [area(), { op: "mprotect", area: "a", pages: "2", prot: "none" }, {
    op: "mlock",
    area: "a",
    pages: "all",
  }];
  assertEquals(expectedOf(compileSteps(steps), "mlock"), [-12n]);
  assertEquals(pagesIn(predictSteps(steps), "a"), [0, 1]);
  assertEquals(predictSteps(steps).areas.every(({ flags }) => (flags & VM.LOCKED) !== 0n), true);
});

Deno.test("mprotect gives locked memory that becomes writable its own pages, but not on fault", () => {
  const steps = (flags: "onfault"[]): Step[] => [{ op: "mmap", area: "a", pages: 4, prot: "r" }, {
    op: "mlock",
    area: "a",
    pages: "all",
    flags,
  }, { op: "mprotect", area: "a", pages: "1..2", prot: "rw" }];
  assertEquals(pagesIn(predictSteps(steps([])), "a"), [1, 2]);
  assertEquals(pagesIn(predictSteps(steps(["onfault"])), "a"), []);
});

Deno.test("mlockall locks what is there, what comes, or both; a child starts without", () => {
  const later: Step = { op: "mmap", area: "b", pages: 2 };
  const locked = (steps: Step[]) =>
    predictSteps(steps).areas.filter(({ flags }) => (flags & VM.LOCKED) !== 0n).map(({ label }) => label);
  assertEquals(locked([area(), { op: "mlockall", flags: ["current"] }, later]), ["a"]);
  const future: Step = { op: "mlockall", flags: ["future"] };
  assertEquals(locked([area(), future, later]), ["b"]);
  assertEquals(pagesIn(predictSteps([area(), future, later]), "b"), [0, 1]);
  assertEquals(locked([future, area(), { op: "munlockall" }, later]), []);
  assertEquals(locked([area(), future, { op: "fork", subject: "child" }, later]), []);
});

Deno.test("break_swap and MADV_HWPOISON make pages that cannot be read, and the image ends before them", () => {
  const setup: SetupStep[] = [{ swap: "loop" }];
  const steps: Step[] = [
    area(),
    write,
    advise("pageout", "1..3"),
    { op: "break_swap", area: "a", pages: "1..2" },
  ];
  const broken = predictSteps([...steps, refused("EFAULT")], { setup });
  const { start } = broken.areas[0]!;
  assertEquals(broken.refusal, {
    ...{ name: "EFAULT", errno: 14, atPage: start, page: start + 1 },
    why: 'page 1 of area "a" cannot be read',
  });
  const poisoned = predictSteps([area(), write, advise("hwpoison", "3"), refused("EHWPOISON")]);
  assertEquals([poisoned.refusal?.name, poisoned.refusal?.page], ["EHWPOISON", start + 3]);
  const munmap: Step = { op: "munmap", area: "a", pages: "3" };
  assertEquals(predictSteps([area(), write, advise("hwpoison", "3"), munmap]).refusal, undefined);
});

Deno.test("pages that cannot be read are none that a step may touch, and the target does not look at them", () => {
  for (const op of ["read", "write"] as const) {
    const touch: Step[] = [area(), write, advise("hwpoison", "3"), { op, area: "a", pages: "3" }];
    assertThrows(() => predictSteps(touch), ScenarioError, "SIGBUS would end the target");
  }
  assertThrows(() => predictSteps([area(), advise("hwpoison", "3")]), ScenarioError, "the target alone has");
  const steps: Step[] = [area(), write, { op: "break_swap", area: "a", pages: "1" }];
  assertThrows(() => predictSteps(steps, { setup: RAM }), ScenarioError, `{"swap": "loop"}`);
  const looks = (pages: string): number =>
    compileSteps([area(), write, advise("hwpoison", pages), refused("EHWPOISON")]).results
      .filter(({ what }) => what.startsWith("check of")).length;
  assertEquals([looks("3"), looks("1")], [1, 2]);
});
