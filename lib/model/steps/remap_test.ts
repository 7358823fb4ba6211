// SPDX-License-Identifier: MIT

import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { ScenarioError, type Step } from "../scenario.ts";
import { compileSteps, expectedOf, pagesIn, predictSteps, X86_64 } from "../testing/compile_steps.ts";
import type { KernelSeries } from "../../abi/series.ts";
import { VM } from "../../abi/vm_flags.ts";

const map: Step = { op: "mmap", area: "a", pages: 8 };
const write: Step = { op: "write", area: "a", pages: "2,6" };
function find(steps: Step[], label: string) {
  return predictSteps(steps).areas.filter((area) => area.label === label);
}

Deno.test("mremap moves pages, and vm_pgoff stays where they were made", () => {
  const steps: Step[] = [map, write, { op: "mremap", area: "a", pages: "all", to: "b", size: 10 }];
  const [moved] = find(steps, "b");
  assertEquals(find(steps, "a"), []);
  assertEquals(moved!.end - moved!.start, 10);
  assertEquals(moved!.start - moved!.pgoff, 8 + 16);
  assertEquals(pagesIn(predictSteps(steps), "b"), [2, 6]);
  const untouched: Step[] = [map, { op: "mremap", area: "a", pages: "all", to: "b" }];
  assertEquals(find(untouched, "b")[0]!.pgoff, find(untouched, "b")[0]!.start);
});

Deno.test("mremap leaves an empty area behind with dontunmap", () => {
  const steps: Step[] = [map, write, {
    op: "mremap",
    area: "a",
    pages: "all",
    to: "b",
    flags: ["dontunmap"],
  }];
  assertEquals(pagesIn(predictSteps(steps), "a"), []);
  assertEquals(pagesIn(predictSteps(steps), "b"), [2, 6]);
  // The area is as if it had never been touched: moved again, its vm_pgoff is the new address.
  const again: Step[] = [...steps, { op: "mremap", area: "a", pages: "all", to: "c" }];
  assertEquals(find(again, "c")[0]!.pgoff, find(again, "c")[0]!.start);
});

Deno.test("an area with pages becomes no VMA with one that has none: moved, that gets another vm_pgoff", () => {
  const movedFrom = (unlocked: string, moved: string) => {
    const steps: Step[] = [
      { op: "mmap", area: "a", pages: 3 },
      { op: "mlock", area: "a", pages: "1" },
      { op: "munlock", area: "a", pages: unlocked },
      { op: "mremap", area: "a", pages: moved, to: "b", size: 1 },
    ];
    const [b] = find(steps, "b");
    return b!.start - b!.pgoff;
  };
  assertEquals([movedFrom("1", "0"), movedFrom("1", "2")], [0, 0]);
  assertNotEquals(movedFrom("1", "1"), 0);
});

Deno.test("mremap grows and shrinks in place", () => {
  const grown: Step[] = [map, { op: "mremap", area: "a", pages: "all", size: 12 }, {
    op: "write",
    area: "a",
    pages: "11",
  }];
  assertEquals(pagesIn(predictSteps(grown), "a"), [11]);
  const lockedOnFault: Step = { op: "mlock", area: "a", pages: "all", flags: ["onfault"] };
  assertEquals(pagesIn(predictSteps([map, lockedOnFault, ...grown.slice(1)]), "a"), [11]);
  const behind: Step[] = [map, { op: "mremap", area: "a", pages: "all", size: 40 }, { ...map, area: "b" }];
  const [a, b] = predictSteps(behind).areas.slice(-2);
  assertEquals(b!.start - a!.end, 16);
  const shrunk: Step[] = [map, write, { op: "mremap", area: "a", pages: "all", size: 3 }];
  assertEquals(pagesIn(predictSteps(shrunk), "a"), [2]);
  assertThrows(
    () => predictSteps([map, { op: "mremap", area: "a", pages: "0..3", size: 6 }]),
    ScenarioError,
    "must end with its area",
  );
});

Deno.test("mremap takes the move of a locked area as a reason to make it present", () => {
  const steps: Step[] = [map, { op: "mlock", area: "a", pages: "all" }, {
    op: "mremap",
    area: "a",
    pages: "all",
    to: "b",
    size: 9,
  }];
  assertEquals(pagesIn(predictSteps(steps), "b").length, 9);
});

Deno.test("brk grows and shrinks the heap from where the target's .bss ends", () => {
  const brk = (pages: number): Step => ({ op: "brk", area: "heap", pages });
  const steps: Step[] = [brk(6), { op: "write", area: "heap", pages: "all" }, brk(2), brk(4)];
  assertEquals(expectedOf(compileSteps(steps), "brk(0x5"), [0x506000n, 0x502000n, 0x504000n]);
  assertEquals(pagesIn(predictSteps(steps), "heap"), [0, 1]);
  assertEquals(predictSteps(steps).areas.map(({ start }) => start), [0x500, 0x502]);
  assertEquals(predictSteps([brk(6), brk(0)]).areas, []);
  const within: Step = { op: "brk", area: "heap", pages: 3, bytes: 16 };
  assertEquals(expectedOf(compileSteps([within]), "brk(0x5"), [0x502010n]);
  assertEquals(predictSteps([within]).areas.map(({ start, end }) => end - start), [3]);
  // What mremap adds behind the break is none of the heap's.
  const more: Step = { op: "mremap", area: "heap", pages: "all", size: 9 };
  assertEquals(predictSteps([brk(6), more, brk(0)]).areas.map(({ start, end }) => end - start), [3]);
  const gone: Step = { op: "munmap", area: "heap", pages: "5" };
  assertThrows(() => predictSteps([brk(6), gone, brk(5)]), ScenarioError, "end of the heap is not mapped");
});

Deno.test("grow_down moves the start of an area down, with its vm_pgoff", () => {
  const down: Step = { op: "mmap", area: "a", pages: 4, flags: ["growsdown"], gap: 512 };
  const [before] = find([down], "a");
  const [after] = find([down, { op: "grow_down", area: "a", pages: 3, as: "low" }], "a");
  assertEquals([after!.start, after!.pgoff, after!.end], [before!.start - 3, before!.pgoff - 3, before!.end]);
  assertEquals((after!.flags & VM.GROWSDOWN) !== 0n, true);
  assertThrows(
    () => predictSteps([map, { op: "grow_down", area: "a", pages: 1, as: "b" }]),
    ScenarioError,
    "flag growsdown",
  );
});

Deno.test("mremap with dontunmap unlocks all of the VMA that a part is taken from", () => {
  const moved: Step = { op: "mremap", area: "a", pages: "3..4", to: "b", flags: ["dontunmap"] };
  const locked: Step[] = [
    { op: "mmap", area: "a", pages: 8 },
    // The kernel makes one VMA of both.
    { op: "mmap", area: "next", pages: 2, after: "a" },
    { op: "mlockall", flags: ["current"] },
    moved,
  ];
  const locks = predictSteps(locked).areas.map(({ label, flags }) => [label, (flags & VM.LOCKED) !== 0n]);
  assertEquals(locks, [["a", false], ["next", false], ["b", true]]);
  const later = predictSteps(locked, { target: { ...X86_64, series: "6.12" } }).areas
    .map(({ label, flags }) => [label, (flags & VM.LOCKED) !== 0n]);
  assertEquals(later, [["a", true], ["a", false], ["a", true], ["next", true], ["b", true]]);
});

Deno.test("an area right behind .bss has had pages, since it is one VMA with it", () => {
  const move: Step = { op: "mremap", area: "n", pages: "all", to: "m" };
  const pgoff = (...steps: Step[]): number => {
    const [moved] = find([...steps, move], "m");
    return moved!.start - moved!.pgoff;
  };
  const heap: Step = { op: "brk", area: "h", pages: 0 };
  const behind: Step = { op: "mmap", area: "n", pages: 2, after: "h" };
  assertEquals(pgoff(heap, behind) > 0, true);
  assertEquals(pgoff(heap, { ...behind, prot: "r" }), 0);
  assertEquals(pgoff({ op: "fork", subject: "child" }, heap, behind), 0);
});

Deno.test("a heap that brk begins is no VMA with .bss since 6.1, until its attributes change", () => {
  const heap: Step = { op: "brk", area: "h", pages: 2 };
  const move: Step = { op: "mremap", area: "h", pages: "all", to: "m" };
  const isKept = (series: KernelSeries, ...steps: Step[]): boolean => {
    const [moved] = predictSteps([...steps, move], { target: { ...X86_64, series } }).areas;
    return moved!.start !== moved!.pgoff;
  };
  assertEquals((["5.10", "6.1", "6.12"] as const).map((series) => isKept(series, heap)), [
    true,
    false,
    false,
  ]);
  const protect = (prot: "r" | "rw"): Step => ({ op: "mprotect", area: "h", pages: "all", prot });
  assertEquals(isKept("6.1", heap, protect("r"), protect("rw")), true);
});
