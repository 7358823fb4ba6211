// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import type { CallFields, CallWords, OutputWords } from "./call.ts";
import type { CallPlan } from "./predict_call.ts";
import { ScenarioError, type SetupStep, type Step } from "./scenario.ts";
import { compileSteps } from "./testing/compile_steps.ts";

const AREA: Step[] = [{ op: "mmap", area: "a", pages: 64, prot: "rw" }, {
  op: "write",
  area: "a",
  pages: "all",
}];
const USER: SetupStep[] = [{ uid: 1000, gid: 1000 }];

interface Given {
  readonly steps?: readonly Step[];
  readonly setup?: readonly SetupStep[];
}

function plan(fields: CallFields & { expect?: string }, { steps = AREA, setup = [] }: Given = {}): CallPlan {
  const compiled = compileSteps([...steps, { op: "stop", label: "s", ...fields }], { setup });
  return compiled.stops.at(-1)!.call!;
}

/** The predicted name, found by stating another one. */
function predicted(fields: CallFields, given?: Given): string {
  const error = assertThrows(() => plan({ ...fields, expect: "ENOTTY" }, given), ScenarioError);
  return /predicts "(\w+)"/.exec(error.message)?.[1] ?? error.message;
}

Deno.test("the first of several refusals counts, in the order of the man page", () => {
  const all: CallWords = { flags: 1, pid: "none", uid: 5 };
  const threads: Step[] = [...AREA, { op: "thread", kind: "thread" }];
  const expected: [CallFields, string][] = [
    [{ call: all, to: { kind: "none" } }, "EINVAL"],
    [{ call: { ...all, flags: 0 }, to: { kind: "none" } }, "EBADF"],
    [{ call: { ...all, flags: 0 }, to: { kind: "epoll" } }, "EINVAL"],
    [{ call: { ...all, flags: 0 } }, "ESRCH"],
    [{ call: { uid: 5, pid: "kthread" } }, "EPERM"],
    [{ call: { pid: "kthread" } }, "EINVAL"],
    [{ call: { uid: 5, pid: "init" } }, "EPERM"],
    [{ call: { pid: "init" } }, "EBUSY"],
    [{ call: { uid: 5 } }, "EPERM"],
    [{ call: { uid: 0 } }, "EOPNOTSUPP"],
    [{ call: { pid: "thread" } }, "ESRCH"],
  ];
  for (const [fields, name] of expected) {
    assertEquals(predicted(fields, { steps: threads }), name, JSON.stringify(fields));
    const { outcome } = plan({ ...fields, expect: name }, { steps: threads });
    assertEquals(outcome.written, "nothing");
  }
});

Deno.test("who may look into a target may checkpoint it", () => {
  const owner = { call: { uid: 1000, gid: 1000 } };
  const kept: Step[] = [...AREA, { op: "dumpable", value: 0 }];
  const became: Step[] = [...AREA, { op: "become", uid: 1000, gid: 1000 }];
  assertEquals(predicted(owner, { setup: USER }), "ok");
  assertEquals(predicted({ call: { uid: 1001, gid: 1000 } }, { setup: USER }), "EPERM");
  assertEquals(predicted({ call: { uid: 1000, gid: 1001 } }, { setup: USER }), "EPERM");
  assertEquals(predicted(owner, { setup: USER, steps: kept }), "EPERM");
  assertEquals(predicted({ call: { uid: 0 } }, { setup: USER, steps: kept }), "ok");
  assertEquals(predicted(owner, { setup: USER, steps: [...kept, { op: "dumpable", value: 1 }] }), "ok");
  assertEquals(predicted(owner, { steps: became }), "EPERM");
  assertEquals(predicted(owner, { steps: [...became, { op: "exec" }] }), "ok");
  const inner: Step = { op: "in_child", steps: [{ op: "become", uid: 5 }] };
  assertEquals(predicted({ call: { uid: 5, gid: 5 } }, { steps: [...AREA, inner] }), "EPERM");
  assertEquals(predicted(owner, { setup: USER, steps: [...AREA, inner] }).includes("Only root"), true);
});

Deno.test("where writing fails, the errno is the output's, or a signal ends the caller", () => {
  const fatal: CallWords = { signals: "fatal" };
  const file = { kind: "file", path: "/work/x" } as const;
  const expected: [OutputWords, string, string][] = [
    [{ kind: "pipe", closes: 0 }, "EPIPE", "SIGPIPE"],
    [{ kind: "socket", closes: 5000 }, "EPIPE", "SIGPIPE"],
    [{ kind: "pipe", flags: ["O_NONBLOCK"], size: 8192 }, "EAGAIN", "EAGAIN"],
    [{ ...file, limit: 100_000 }, "EFBIG", "SIGXFSZ"],
    [{ ...file, space: 65_536 }, "ENOSPC", "ENOSPC"],
    [{ kind: "memfd", seals: ["F_SEAL_WRITE"] }, "EPERM", "EPERM"],
    [{ kind: "file", path: "/dev/ram0", position: 0x4000000 - 4096 }, "ENOSPC", "ENOSPC"],
    [{ kind: "file", path: "/dev/ram0", position: 4096 }, "ok", "ok"],
    [{ kind: "file", path: "/dev/full" }, "EINVAL", "EINVAL"],
    [{ kind: "file", path: "/work/x", flags: ["O_PATH"] }, "EBADF", "EBADF"],
  ];
  for (const [to, name, withSignals] of expected) {
    assertEquals(
      [predicted({ to }), predicted({ to, call: fatal })],
      [name, withSignals],
      JSON.stringify(to),
    );
  }
});

Deno.test("what happens meanwhile has one outcome, or the scenario is refused", () => {
  const file: Step[] = [
    { op: "file", file: "f", pages: 2 },
    { op: "mmap", area: "f", pages: 2, prot: "rw", flags: ["private"], file: "f" },
  ];
  const large: Step[] = [{ op: "mmap", area: "b", pages: 300, prot: "rw" }, {
    op: "write",
    area: "b",
    pages: "all",
  }];
  const unlink = (at: number) => ({ during: [{ at, do: "unlink", file: "f" }] } as const);
  assertEquals(predicted(unlink(0), { steps: [...AREA, ...file] }), "ENOENT");
  assertEquals(predicted(unlink(700_000), { steps: [...file, ...large] }), "ok");
  const unsure = predicted(unlink(300_000), { steps: [...file, ...large] });
  assertEquals(unsure.includes("whether byte 300000 of the image comes before unlink"), true, unsure);
  const late = predicted({ during: [{ at: 300_000, do: "kill" }] });
  assertEquals(late.includes("may come too late: 262144 bytes are sure"), true, late);
  const two = predicted({ during: [{ at: 0, do: "kill" }], to: { kind: "pipe", closes: 5000 } });
  assertEquals(two.includes("which comes first, EPIPE or EBUSY"), true, two);
  const never = plan.bind(undefined, { expect: "ESRCH", call: { pid: "none" }, ...unlink(0) });
  assertThrows(() => never({ steps: [...AREA, ...file] }), ScenarioError, "nothing can happen");
  const unmapped = predicted(unlink(0), { steps: [...AREA, file[0]!] });
  assertEquals(unmapped.includes("must be mapped"), true, unmapped);
});

Deno.test("what an action changes is in the prediction of what comes after it", () => {
  const poked = plan({ during: [{ at: 0, do: "poke", area: "a", page: 63, value: 7 }] });
  assertEquals([poked.outcome.sees, poked.target], ["after", "changed"]);
  const stores = [...poked.after!.pages.values()].map(({ content }) => content.stores.length);
  assertEquals(stores.reduce((sum, count) => sum + count), 1);
  assertEquals(plan({ during: [{ at: 0, do: "kill" }], expect: "EBUSY" }).after, undefined);
  const signal = { at: 0, do: "signal", signal: "SIGTERM" } as const;
  assertEquals(plan({ during: [signal], expect: "SIGTERM" }).target, "same");
  assertEquals(plan({ during: [{ ...signal, handled: true }], expect: "EINTR" }).outcome.written, "part");
});
