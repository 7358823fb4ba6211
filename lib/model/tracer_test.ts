// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import { ScenarioError, type Step } from "./scenario.ts";
import { compileSteps, I386, pagesIn, predictSteps } from "./testing/compile_steps.ts";
import { predictedBytes } from "./predict_stop.ts";
import { taskState } from "./tracer.ts";

const MAP: Step = { op: "mmap", area: "a", pages: 4 };

function stop(words: Record<string, unknown>): Step {
  return { op: "stop", label: "stopped", ...words } as Step;
}

Deno.test("debug words set registers to numbers and places, and later stops see them", () => {
  const debug = [{ register: "dr1", value: "a:1+0x10" }, { register: "dr7", value: "0x4" }];
  const compiled = compileSteps([MAP, stop({ debug }), { op: "stop", label: "later" }]);
  const start = BigInt(compiled.stops[0]!.prediction.areas[0]!.start) * 4096n;
  for (const { prediction } of compiled.stops) {
    assertEquals(prediction.debug, [0n, start + 0x1010n, 0n, 0n, 0n, 0n, 0xffff0ff0n, 4n]);
  }
  assertEquals(compiled.stops.map(({ tracer }) => tracer.debug.length), [2, 0]);
});

Deno.test("poke words change a page whatever its protection, and keep pages outside of areas", () => {
  const steps: Step[] = [
    { ...MAP, prot: "none" } as Step,
    stop({ poke: [{ at: "a:2+0x10", bytes: "cc01" }, { at: "vdso+0x1010", bytes: "90" }] }),
    { op: "stop", label: "later" },
  ];
  const [first, later] = compileSteps(steps).stops;
  assertEquals(pagesIn(first!.prediction, "a"), [2]);
  const [page] = first!.prediction.pages.values();
  assertEquals([...predictedBytes(page!).slice(0xf, 0x13)], [0, 0xcc, 1, 0]);
  assertEquals(first!.prediction.copied[0], { place: "vdso", offset: 0x1010, bytes: Uint8Array.of(0x90) });
  assertEquals(later!.prediction.copied, [{ place: "vdso", offset: 0x1010, bytes: undefined }]);
  assertEquals(predictSteps([...steps, { op: "munmap_vdso" }, { op: "stop", label: "last" }]).copied, []);
});

Deno.test("what stops the target is in the state of its task", () => {
  const ways = ["signal", "seize", "attach", "singlestep", "freezer", "freezer and signal"] as const;
  const states = ways.map((stoppedBy) => predictSteps([stop({ stoppedBy })]).taskState);
  assertEquals(states, [0x104, 0x8, 0x8, 0x8, 0x2001, 0x104]);
  assertEquals(ways.map((way) => taskState(way, "5.10")), [0x104, 0x108, 0x108, 0x108, 0x1, 0x104]);
});

Deno.test("a busy target is called for once, and its pages stay where they are", () => {
  const swapped: Step[] = [MAP, { op: "write", area: "a", pages: 0 }, {
    op: "madvise",
    area: "a",
    pages: 0,
    advice: "pageout",
  }];
  const setup = [{ swap: "ram" as const }];
  const busy = stop({ busy: "sleeping", expect: "EBUSY" });
  const { stops } = compileSteps([...swapped, busy, { op: "stop", label: "later" }], { setup });
  const { call } = stops[0]!;
  assertEquals([call?.outcome.name, call?.outcome.written, call?.target, call?.after], [
    "EBUSY",
    "nothing",
    "busy",
    undefined,
  ]);
  assertEquals([...stops[1]!.prediction.pages.values()].map(({ swapped }) => swapped), [true]);
});

Deno.test("tracer words that make no sense are refused, naming the place", () => {
  const cases: [Record<string, unknown>, string][] = [
    [{ stoppedBy: "gone" }, "$.steps[1].stoppedBy: expected one of signal, "],
    [{ busy: "bee" }, "$.steps[1].busy: expected one of running, "],
    [{ busy: "running" }, `the scenario expects "ok" but the model predicts "EBUSY"`],
    [
      { busy: "sleeping", expect: "EBUSY", poke: [{ at: "a:0", bytes: "cc" }] },
      `"poke" is for a target that is stopped: found "busy": "sleeping"`,
    ],
    [
      { busy: "sleeping", expect: "EBUSY", stoppedBy: "signal" },
      `"stoppedBy" is for a target that is stopped`,
    ],
    [{ debug: [{ register: "dr8", value: 0 }] }, "debug[0].register: expected one of dr0"],
    [{ debug: [{ register: "dr0", value: "x" }] }, "debug[0].value: expected a number"],
    [{ debug: [{ register: "dr0", value: "b:1" }] }, `No area "b"`],
    [{ debug: [{ register: "dr0", value: -1 }] }, "debug[0].value: expected a number"],
    [
      { debug: [{ register: "dr0", valu: 0 }] },
      "debug[0].valu: expected one of the keys register, value, expect",
    ],
    [{ debug: [{ register: "dr0", value: "0xffff800000000000" }] }, "the model predicts errno 22"],
    [{ debug: [{ register: "dr0", value: 1, expect: "EINVAL" }] }, "the model predicts ok"],
    [{ poke: [{ at: "a:1", bytes: "c" }] }, "poke[0].bytes: expected 1 to 64 bytes"],
    [
      { poke: [{ at: "a:1+0xfff", bytes: "cccc" }] },
      `"poke" 1: "at" must be a place from which the bytes lie`,
    ],
    [{ poke: [{ at: "u:0", bytes: "cc" }] }, "would wait for the handler of its userfaultfd"],
    [{ poke: [{ at: "a:7", bytes: "cc" }] }, "nothing is mapped at 0x"],
    [{ poke: [{ at: "vdso-1", bytes: "cc" }] }, "poke[0].at: expected a place: "],
    [{ poke: ["a:1"] }, "poke[0]: expected an object"],
  ];
  for (const [words, message] of cases) {
    const watched: Step[] = JSON.stringify(words).includes("u:0")
      ? [{ op: "mmap", area: "u", pages: 1 }, { op: "uffd", area: "u", pages: "all", mode: "missing" }]
      : [];
    assertThrows(
      () => compileSteps([MAP, ...watched, stop(words)]),
      ScenarioError,
      message,
      JSON.stringify(words),
    );
  }
  const wide = stop({ debug: [{ register: "dr0", value: "0x100000000" }] });
  assertThrows(() => compileSteps([wide], { target: I386 }), ScenarioError, "a word of 32 bits");
  assertThrows(
    () => compileSteps([{ op: "unshare", namespace: "net" } as unknown as Step]),
    ScenarioError,
    "expected one of mount, pid, time, user, uts",
  );
});

Deno.test("a root directory of the target's own needs a mount namespace to be bound in", () => {
  const bound: Step = { op: "chroot", directory: "jail", bind: "/" };
  assertThrows(() => compileSteps([bound]), ScenarioError, `"bind" needs a mount namespace`);
  const wrong = { ...bound, bind: "/etc" } as unknown as Step;
  assertThrows(() => compileSteps([wrong]), ScenarioError, `$.steps[0].bind: expected "/", found "/etc"`);
  const unshared: Step[] = [{ op: "unshare", namespace: "mount" }, bound, { op: "exec" }];
  const { root, refusal } = predictSteps(unshared);
  assertEquals([root, refusal], ["/work/jail", undefined]);
  assertEquals(
    predictSteps([...unshared.slice(0, 2), { op: "stop", label: "x", expect: "EBADF" }]).refusal?.name,
    "EBADF",
  );
});
