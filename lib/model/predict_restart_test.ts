// SPDX-License-Identifier: MIT

import { assertEquals, assertNotEquals, assertStringIncludes, assertThrows } from "@std/assert";
import type { RestartPlan } from "./predict_restart.ts";
import type { RestartSpec } from "./restart.ts";
import { ScenarioError, type Step } from "./scenario.ts";
import { compileSteps } from "./testing/compile_steps.ts";

const MEMORY: Step[] = [
  { op: "file", file: "f", pages: 2 },
  { op: "mmap", area: "a", pages: 2, prot: "rw", file: "f" },
  { op: "write", area: "a", pages: "0" },
];

function plan(restart: RestartSpec, steps = MEMORY): RestartPlan {
  return compileSteps([...steps, { op: "stop", label: "s", restart }]).stops.at(-1)!.restart!;
}

/** The predicted name, found by stating another one; or why the model cannot tell. */
function predicted(restart: RestartSpec, steps?: Step[]): string {
  const error = assertThrows(() => plan({ ...restart, expect: "ENOTTY" }, steps), ScenarioError);
  return /predicts "(\w+)"/.exec(error.message)?.[1] ?? error.message;
}

Deno.test("the first refusal of restart(2) counts, in the order of the man page", () => {
  const caller = { flags: 2, uid: 5, pid: 1, has: ["thread"] } as const;
  const image = { change: "HEAD.magic" } as const;
  const known = { ...caller, flags: 1 };
  const root = { ...known, uid: 0 };
  const cases: [RestartSpec, string][] = [
    [{ caller, image, from: { kind: "none" } }, "EINVAL"],
    [{ caller: known, image, from: { kind: "none" } }, "EBADF"],
    [{ caller: known, image, from: { kind: "epoll" } }, "EINVAL"],
    [{ caller: known, image }, "EPERM"],
    [{ caller: root, image }, "ESRCH"],
    [{ caller: { ...root, pid: 0 }, image }, "EOPNOTSUPP"],
    [{ image: { ...image, cut: 4 } }, "EPIPE"],
    [{ image, settings: { max_map_count: 1 } }, "EINVAL"],
    [{ settings: { max_map_count: 1 }, mapped: { file: "f", becomes: "gone" } }, "ENOMEM"],
    [{ image: { change: "TAIL.magic" }, mapped: { file: "f", becomes: "gone" } }, "ENOENT"],
    [{ image: { change: "TAIL.magic" }, caller: { program: "opened" } }, "EINVAL"],
    [{ caller: { program: "opened" } }, "EACCES"],
    [{}, "ok"],
  ];
  assertEquals(cases.map(([restart]) => predicted(restart)), cases.map(([, name]) => name));
});

Deno.test("who may restart follows from capabilities in the first user namespace, and a parameter", () => {
  const names = [
    { caller: { uid: 5 } },
    { caller: { uid: 5 }, settings: { restart_unprivileged: 1 } },
    { caller: { capabilities: [] } },
    { caller: { uid: 5, capabilities: ["CAP_CHECKPOINT_RESTORE"] } },
    { caller: { uid: 5, capabilities: ["CAP_SYS_ADMIN"] } },
    { caller: { uid: 5, capabilities: ["CAP_IPC_LOCK"] } },
    { caller: { userNamespace: true } },
  ] as const satisfies RestartSpec[];
  assertEquals(names.map((spec) => predicted(spec)), ["EPERM", "ok", "EPERM", "ok", "ok", "EPERM", "EPERM"]);
});

Deno.test("a target that was restarted by another user is that user's", () => {
  const { stops } = compileSteps([
    { op: "stop", label: "one", restart: { caller: { uid: 5 }, settings: { restart_unprivileged: 1 } } },
    { op: "stop", label: "two", call: { uid: 7, gid: 7 }, expect: "EPERM" },
  ]);
  assertEquals(stops.map(({ restart, call }) => restart?.outcome.name ?? call?.outcome.name), [
    "ok",
    "EPERM",
  ]);
});

Deno.test("an address space is as large as the caller's limit allows, to the page", () => {
  const outcomes = (["just enough", "too little"] as const).map((as) =>
    predicted({ caller: { limits: { as } } })
  );
  assertEquals(outcomes, ["ok", "ENOMEM"]);
});

Deno.test("a restart that the model cannot predict is refused, and says why", () => {
  const mapped = { file: "f", becomes: "gone" } as const;
  const cases: [RestartSpec, string][] = [
    [{ mapped, caller: { limits: { as: 1 } } }, "which comes first, ENOENT or ENOMEM?"],
    [{ mapped, image: { cut: 9000 } }, "which comes first, EPIPE or ENOENT?"],
    [{ mapped: { ...mapped, file: "g" } }, `no area maps the file "g"`],
    [{ caller: { limits: { as: 2 ** 30 } } }, `"as" below 8192 is sure to be too small`],
    [{ settings: { max_map_count: 9 } }, `"max_map_count" below 3`],
    [{ settings: { mmap_min_addr: 65536 } }, `"mmap_min_addr" from`],
    [{ from: { kind: "empty pipe" } }, `needs "interruptedBy"`],
    [{ caller: { interruptedBy: "SIGKILL" } }, `needs "from" an empty pipe`],
    [{ image: { name: { file: "f", is: "/other" } } }, "expected a name that is too long"],
    [{ generations: 2, image: { cut: 1 }, expect: "EPIPE" }, `"generations" are of a process`],
    [{ caller: { program: "opened" }, times: 2, expect: "EACCES" }, `can be refused once`],
    [{ stays: "traced", generations: 2 }, `"stays" is for a process that is restored`],
    [{ expect: "EPERM" }, `expects "EPERM" but the model predicts "ok"`],
  ];
  for (const [restart, message] of cases) {
    assertStringIncludes(assertThrows(() => plan(restart), ScenarioError).message, message);
  }
  const child: Step[] = [...MEMORY, { op: "fork", subject: "child" }];
  assertStringIncludes(assertThrows(() => plan({}, child), ScenarioError).message, "child of the target");
  const shared: Step[] = [{ op: "mmap", area: "a", pages: 1, prot: "rw", flags: ["shared"] }];
  const refused = () => compileSteps([...shared, { op: "stop", label: "s", expect: "ENOSYS", restart: {} }]);
  assertStringIncludes(assertThrows(refused, ScenarioError).message, "there is no image");
});

Deno.test("a process that runs on at once keeps nothing that a tracer would have to take out", () => {
  const stop = { op: "stop", label: "s", restart: { stays: "running" } } as const;
  assertEquals(compileSteps([stop]).stops[0]?.restart?.outcome.name, "ok");
  for (const more of [{ set: { ax: "0x1" } }, { poke: [{ at: "vdso+0x10", bytes: "cc" }] }]) {
    assertThrows(() => compileSteps([{ ...stop, ...more }]), ScenarioError, "runs on keeps what tracers");
  }
});

Deno.test("an area without pages is behind a restart as if it had never had any: moved, it gets another offset", () => {
  const offset = (...restarts: Step[]) => {
    const { prediction } = compileSteps([
      { op: "mmap", area: "a", pages: 2, prot: "rw" },
      { op: "write", area: "a", pages: "0" },
      { op: "mremap", area: "a", pages: "1", to: "b", size: 1 },
      ...restarts,
      { op: "mremap", area: "b", pages: "0", to: "c", size: 1 },
      { op: "stop", label: "s" },
    ]).stops.at(-1)!;
    const { start, pgoff } = prediction.areas.at(-1)!;
    return pgoff - start;
  };
  const stop = { op: "stop", label: "r" } as const;
  assertNotEquals(offset(stop), 0);
  assertEquals(offset({ ...stop, restart: {} }), 0);
});

Deno.test("the model does not say what locked memory is behind a restart of which mlock(2) brought in a part", () => {
  const steps = (expect?: string): Step[] => [
    { op: "mmap", area: "a", pages: 2, prot: "none" },
    { op: "mprotect", area: "a", pages: "1", prot: "rw" },
    { op: "mlock", area: "a", pages: "all", ...expect && { expect } } as Step,
  ];
  const stop: Step = { op: "stop", label: "s" };
  assertEquals(compileSteps([...steps(), stop]).stops[0]?.prediction.lockedHole, "a");
  assertThrows(() => plan({}, steps()), ScenarioError, `"a" would have more pages`);
  const whole: Step = { op: "write", area: "a", pages: "1" };
  assertEquals(plan({}, [...steps(), whole]).outcome.name, "ok");
  assertEquals(predicted({ image: { cut: 4 } }, steps()), "EPIPE");
});
