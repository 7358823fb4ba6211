// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import type { KernelSeries } from "../abi/series.ts";
import { compileScenario } from "./compile_scenario.ts";
import type { CompileTarget } from "./state/model_state.ts";
import { parseScenario, ScenarioError, type Step } from "./scenario.ts";
import { VM } from "../abi/vm_flags.ts";

const X86_64: CompileTarget = {
  kernelWordSize: 8,
  targetWordSize: 8,
  heapStart: 0x500000n,
  stackTop: 0x7ffffffff000n,
  checkpointNr: 390,
};

function predict(steps: Step[], target = X86_64) {
  return compileScenario(parseScenario({ about: "a scenario of a test", steps }, "test"), target).stops.at(
    -1,
  )!
    .prediction;
}

const STOP: Step = { op: "stop", label: "x" };
const RW = VM.READ | VM.WRITE | VM.MAYREAD | VM.MAYWRITE | VM.MAYEXEC | VM.ACCOUNT;

Deno.test("compileScenario() predicts written pages and no others", () => {
  const { areas, pages } = predict([
    { op: "mmap", area: "a", pages: 8 },
    { op: "read", area: "a", pages: "0-3" },
    { op: "write", area: "a", pages: "2-4" },
    STOP,
  ]);
  assertEquals(areas.length, 1);
  assertEquals(areas[0]!.flags, RW);
  assertEquals([...pages.keys()].map((page) => page - areas[0]!.start), [2, 3, 4]);
});

Deno.test("compileScenario() splits an area where mprotect cuts it, and keeps VM_ACCOUNT", () => {
  const { areas, pages } = predict([
    { op: "mmap", area: "a", pages: 6 },
    { op: "write", area: "a", pages: "all" },
    { op: "mprotect", area: "a", pages: "2-3", prot: "none" },
    STOP,
  ]);
  assertEquals(areas.map(({ start, end }) => end - start), [2, 2, 2]);
  assertEquals(areas[1]!.flags, RW & ~(VM.READ | VM.WRITE));
  assertEquals(areas[2]!.pgoff, areas[2]!.start);
  assertEquals(pages.size, 6);
});

Deno.test("compileScenario() takes VM_ACCOUNT from untouched read-only memory in Linux 6.12 alone", () => {
  const steps: Step[] = [
    { op: "mmap", area: "a", pages: 4 },
    { op: "mprotect", area: "a", pages: "1-2", prot: "r" },
    { op: "mmap", area: "b", pages: 2 },
    { op: "write", area: "b", pages: "0" },
    { op: "mprotect", area: "b", pages: "all", prot: "none" },
    STOP,
  ];
  const accounted = (series: KernelSeries) =>
    predict(steps, { ...X86_64, series }).areas.map(({ flags }) => (flags & VM.ACCOUNT) !== 0n);
  assertEquals(accounted("6.12"), [true, false, true, true]);
  assertEquals(accounted("6.1"), [true, true, true, true]);
});

Deno.test("compileScenario() drops unmapped, DONTNEED and truncated pages", () => {
  const { pages } = predict([
    { op: "file", file: "f", pages: 4 },
    { op: "mmap", area: "m", pages: 4, file: "f" },
    { op: "write", area: "m", pages: "all" },
    { op: "truncate", file: "f", pages: 1 },
    { op: "mmap", area: "a", pages: 4 },
    { op: "write", area: "a", pages: "all" },
    { op: "munmap", area: "a", pages: 3 },
    { op: "madvise", area: "a", pages: 0, advice: "dontneed" },
    STOP,
  ]);
  assertEquals(pages.size, 1 + 2);
});

Deno.test("compileScenario() predicts a refusal and demands that the scenario states it", () => {
  const steps: Step[] = [{ op: "mmap", area: "s", pages: 1, flags: ["shared"] }];
  const refused = predict([...steps, { op: "stop", label: "x", expect: "ENOSYS" }]);
  assertEquals([refused.refusal?.errno, refused.refusal?.atPage], [38, undefined]);
  assertThrows(() => predict([...steps, STOP]), ScenarioError, "expects");
});

Deno.test("compileScenario() names the step that cannot be", () => {
  const map: Step = { op: "mmap", area: "a", pages: 4 };
  const file: Step = { op: "file", file: "f", pages: 4 };
  const gone: Step[] = [file, { op: "unlink", file: "f" }];
  const memfd: Step = { op: "memfd", file: "m", pages: 1 };
  const watched: Step[] = [map, { op: "uffd", area: "a", pages: "all", mode: "missing" }];
  const cases: [Step[], string][] = [
    [[{ ...map, prot: "r" }, { op: "write", area: "a", pages: 0 }], `(write): Area "a" cannot be write`],
    [[{ op: "write", area: "b", pages: 0 }], `(write): No area "b"`],
    [[map, { op: "shm", area: "a", pages: 1 }], `(shm): Area "a" exists already`],
    [[map, { op: "stack", area: "a", pages: 1 }], `(stack): Area "a" exists already`],
    [[map, { op: "mremap", area: "a", pages: "all", to: "a" }], `(mremap): Area "a" exists already`],
    [[{ op: "stack", area: "s", pages: 2048 }], "(stack): a stack has at most 1980 pages more"],
    [
      [map, { op: "poke", area: "a", page: 0, offset: 4095, size: 2, value: 1 }],
      "(poke): a poke must stay within",
    ],
    [[map, { op: "poke", area: "a", page: 0, value: 256 }], "(poke): a value of 1 bytes: found 256"],
    [[map, { op: "poke", area: "a", page: 0, value: -129 }], "(poke): a value of 1 bytes: found -129"],
    [
      [{ op: "mmap", area: "a", pages: 2 ** 24 }, { op: "write", area: "a", pages: "all" }],
      "(write): The guest has not",
    ],
    [[map, { op: "sigaltstack", area: "a", bytes: 16385 }], "(sigaltstack): the area has not so many bytes"],
    [[map, { op: "sigaltstack", bytes: 4096 }], "(sigaltstack): the area has not so many bytes"],
    [
      [{ ...map, prot: "rwx" }, {
        op: "sigaction",
        signal: "SIGHUP",
        does: "handler",
        area: "a",
        restorer: "a",
      }],
      "(sigaction): a handler has its own restorer",
    ],
    [[{ ...file, pages: 2 ** 24 }], "(file): A file has at most 65536 pages here"],
    [[{ ...map, pages: "9000chunk" }], "(mmap): A page count must be from 0 to 16777216"],
    [[file, file], `(file): There is a "f" already`],
    [[file, { op: "link", file: "f", to: "f" }], `(link): There is a "f" already`],
    [[file, { op: "link", file: "f", to: "g" }, { ...file, file: "g" }], `(file): There is a "g" already`],
    [[...gone, { op: "unlink", file: "f" }], `(unlink): "f" has no name any more`],
    [[...gone, { op: "truncate", file: "f", pages: 1 }], "(truncate): the file has no name any more"],
    [[memfd, { op: "rename", file: "m", to: "n" }], `(rename): "m" is in no directory`],
    [
      [...watched, { op: "read", area: "a", pages: 0 }],
      "(read): Page 0x1000000 is not there: its userfaultfd",
    ],
    [
      [...watched, { op: "mlock", area: "a", pages: 0 }],
      "(mlock): Page 0x1000000 is not there: its userfaultfd",
    ],
  ];
  for (const [steps, message] of cases) {
    const where = `test: $.steps[${steps.length - 1}] ${message}`;
    assertThrows(() => predict([...steps, STOP]), ScenarioError, where);
  }
});

Deno.test("compileScenario() keeps vm_pgoff of a moved area only if it was written", () => {
  const moved = (write: boolean) => {
    const steps: Step[] = [{ op: "mmap", area: "a", pages: 2 }];
    if (write) steps.push({ op: "write", area: "a", pages: 0 });
    return predict([...steps, { op: "mremap", area: "a", pages: "all", to: "b" }, STOP]).areas[0]!;
  };
  assertEquals(moved(false).pgoff, moved(false).start);
  assertEquals(moved(true).pgoff < moved(true).start, true);
});

Deno.test("compileScenario() uses mmap2 and page offsets with 4-byte words", () => {
  const target: CompileTarget = { ...X86_64, kernelWordSize: 4, targetWordSize: 4, stackTop: 0xc0000000n };
  const compiled = compileScenario(
    parseScenario({
      about: "a scenario of a test",
      steps: [{ op: "mmap", area: "a", pages: "chunk" }, STOP],
    }, "test"),
    target,
  );
  const mmap = compiled.ops.find((op) => op.op === "syscall" && op.nr === 192);
  assertEquals(mmap?.op === "syscall" && mmap.args[1], 4096n * 4096n);
});
