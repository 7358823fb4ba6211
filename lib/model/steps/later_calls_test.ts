// SPDX-License-Identifier: MIT
/** Steps for calls that few programs make. */
import { assertEquals, assertThrows } from "@std/assert";
import { VM } from "../../abi/vm_flags.ts";
import { predictedBytes } from "../predict_stop.ts";
import { ScenarioError, type Step } from "../scenario.ts";
import { compileSteps, expectedOf, pagesIn, predictSteps, X86_64 } from "../testing/compile_steps.ts";

const map: Step = { op: "mmap", area: "a", pages: 4 };
const stop: Step = { op: "stop", label: "stopped" };

function refused(steps: Step[], message: string): void {
  assertThrows(() => compileSteps(steps), ScenarioError, message);
}

Deno.test("umount gives back what the last mount hid, and no more", () => {
  const files: Step[] = [
    { op: "unshare", namespace: "mount" },
    { op: "exec" },
    { op: "file", file: "f", pages: 1 },
    { op: "file", file: "g", pages: 1 },
    { op: "mmap", area: "m", pages: 1, file: "f" },
    { op: "mount_over", file: "f", with: "g" },
    { op: "mount_over", file: "f" },
  ];
  const refusal = (...steps: Step[]) =>
    predictSteps([...files, ...steps, { ...stop, expect: "EBADF" }]).refusal?.name;
  assertEquals(refusal({ op: "umount" }), "EBADF");
  assertEquals(
    predictSteps([...files, { op: "umount", flags: ["detach"] }, { op: "umount" }]).refusal,
    undefined,
  );
  refused([{ op: "umount" }], `needs a step "mount_over" before it`);
});

Deno.test("mseal keeps an area from being changed", () => {
  const sealed: Step[] = [map, { op: "mseal", area: "a", pages: "1..2" }];
  assertEquals(predictSteps(sealed).areas.map(({ flags }) => (flags & VM.SEALED) !== 0n), [
    false,
    true,
    false,
  ]);
  refused([...sealed, { op: "munmap", area: "a", pages: "2..3" }], "is sealed");
  refused([...sealed, { op: "mprotect", area: "a", pages: "all", prot: "r" }], "is sealed");
  refused([...sealed, { op: "mremap", area: "a", pages: "1..2", to: "b" }], "is sealed");
});

Deno.test("MAP_DROPPABLE memory is neither reserved, nor inherited, nor dumped", () => {
  const [area] = predictSteps([{ ...map, flags: ["droppable"] }]).areas;
  const wanted = VM.DROPPABLE | VM.NORESERVE | VM.WIPEONFORK | VM.DONTDUMP;
  assertEquals(area!.flags & (wanted | VM.ACCOUNT), wanted);
});

Deno.test("MADV_COLLAPSE makes whole blocks present, or is not predicted", () => {
  const area: Step = { op: "mmap", area: "a", pages: 1024, align: 512 };
  const collapse: Step = { op: "madvise", area: "a", pages: "all", advice: "collapse" };
  const both: Step[] = [area, { op: "write", area: "a", pages: "3,700" }, collapse];
  assertEquals(pagesIn(predictSteps(both), "a").length, 1024);
  refused([area, { op: "write", area: "a", pages: "3" }, collapse], "may not be made one huge page");
  const part: Step[] = [area, { op: "write", area: "a", pages: "3" }, { ...collapse, pages: "0..1000" }];
  assertEquals(pagesIn(predictSteps(part), "a").length, 512);
});

Deno.test("UFFDIO_POISON makes the image end at the area", () => {
  const register: Step = { op: "uffd", area: "a", pages: "all", mode: "missing" };
  const poison: Step = { op: "uffd_poison", area: "a", pages: "2" };
  const { refusal } = predictSteps([map, register, poison, { ...stop, expect: "EHWPOISON" }]);
  assertEquals([refusal?.name, refusal!.page! - refusal!.atPage!], ["EHWPOISON", 2]);
  refused([map, { op: "write", area: "a", pages: "2" }, register, poison], "EEXIST");
});

Deno.test("mmap takes an address, and refuses one where something is", () => {
  const at: Step = { op: "mmap", area: "b", pages: 2, at: "0x10000000" };
  assertEquals(predictSteps([at]).areas[0]!.start, 0x10000);
  refused([at, { ...at, area: "c", at: "0x10001000" }], "overlaps");
  refused([{ ...at, at: "0x10000800" }], "the address of a page");
});

Deno.test("brk and truncate take bytes within a page", () => {
  const heap: Step = { op: "brk", area: "h", pages: 2, bytes: 17 };
  assertEquals(expectedOf(compileSteps([heap]), "brk(0x5"), [X86_64.heapStart + 4096n + 17n]);
  assertEquals(predictSteps([heap]).areas[0]!.end, 0x502);
  refused([{ ...heap, pages: 0 }], "has no page");
  const prediction = predictSteps([
    { op: "file", file: "f", pages: 3 },
    { op: "truncate", file: "f", pages: 1, bytes: 100 },
    { op: "mmap", area: "m", pages: 2, file: "f" },
    { op: "poke", area: "m", page: 1, value: 0 },
  ]);
  const [page] = [...prediction.pages.values()].map(predictedBytes);
  assertEquals([page!.subarray(1, 100).some((byte) => byte !== 0), page!.subarray(100).some(Boolean)], [
    true,
    false,
  ]);
});

Deno.test("protect_stack and set_mm make the calls that they name", () => {
  const compiled = compileSteps([
    map,
    { op: "stack", area: "s", pages: 20 },
    { op: "protect_stack", area: "s", pages: "5..9", prot: "r" },
    { op: "set_mm", field: "arg_start", area: "a", offset: 16 },
    { op: "set_mm", field: "auxv", area: "a", bytes: 32 },
  ]);
  assertEquals([expectedOf(compiled, "mprotect("), expectedOf(compiled, "prctl(0x23, 0x8")], [[0n], [0n]]);
  assertEquals(expectedOf(compiled, "prctl(0x23, 0xc"), [0n]);
  for (const step of [{ field: "auxv" }, { field: "env_end", bytes: 8 }] as const) {
    const steps: Step[] = [map, { op: "set_mm", area: "a", ...step }];
    assertThrows(() => compileSteps(steps), ScenarioError, "bytes goes with auxv alone");
  }
});

Deno.test("pkey_protect gives each run a key of its own, which mprotect leaves alone", () => {
  const { areas } = predictSteps([
    map,
    { op: "pkey_protect", area: "a", pages: "1,3", prot: "rw" },
    { op: "mprotect", area: "a", pages: "all", prot: "r" },
  ]);
  assertEquals(areas.map(({ flags }) => [flags >> 32n, flags & VM.WRITE]), [[0n, 0n], [1n, 0n], [0n, 0n], [
    2n,
    0n,
  ]]);
});

Deno.test("move_vdso moves two pages to a place where nothing else is put", () => {
  const compiled = compileSteps([{ op: "move_vdso" }, map]);
  const [to] = expectedOf(compiled, "mremap of a vdso");
  assertEquals(compiled.stops[0]!.prediction.areas[0]!.start > Number(to! / 4096n) + 1, true);
});
