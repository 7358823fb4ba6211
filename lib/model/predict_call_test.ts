// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import type { CallFields, CallSpec, OutputSpec } from "./call.ts";
import type { CallPlan } from "./predict_call.ts";
import { ScenarioError, type SetupStep, type Step } from "./scenario.ts";
import type { TracerSpec } from "./tracer.ts";
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

type Fields = CallFields & TracerSpec;

function plan(fields: Fields & { expect?: string }, { steps = AREA, setup = [] }: Given = {}): CallPlan {
  const compiled = compileSteps([...steps, { op: "stop", label: "s", ...fields }], { setup });
  return compiled.stops.at(-1)!.call!;
}

/** The predicted name, found by stating another one. */
function predicted(fields: Fields, given?: Given): string {
  const error = assertThrows(() => plan({ ...fields, expect: "ENOTTY" }, given), ScenarioError);
  return /predicts "(\w+)"/.exec(error.message)?.[1] ?? error.message;
}

Deno.test("the first of several refusals counts, in the order of the man page", () => {
  const all: CallSpec = { flags: 1, pid: "none", uid: 5 };
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

Deno.test("what stops the target, or does not, comes where the man page has it", () => {
  const user = { uid: 5, gid: 5 };
  const threads: Step[] = [...AREA, { op: "thread", kind: "thread" }];
  const expected: [Fields, string][] = [
    [{ busy: "running", call: { flags: 1 }, to: { kind: "none" } }, "EINVAL"],
    [{ busy: "running", to: { kind: "none" } }, "EBADF"],
    [{ busy: "running", to: { kind: "epoll" } }, "EINVAL"],
    [{ busy: "running", call: { pid: "none" } }, "ESRCH"],
    [{ busy: "running", call: user }, "EPERM"],
    [{ busy: "vfork" }, "EBUSY"],
    [{ busy: "exited leader" }, "ESRCH"],
    [{ busy: "exited leader", call: user }, "EPERM"],
    [{ stoppedBy: "seize", to: { kind: "none" } }, "EBADF"],
    [{ stoppedBy: "seize", call: user }, "EPERM"],
    [{ stoppedBy: "freezer", call: { uid: 0 } }, "EOPNOTSUPP"],
  ];
  for (const [fields, name] of expected) {
    assertEquals(predicted(fields, { steps: threads }), name, JSON.stringify(fields));
  }
});

Deno.test("a process whose leader has ended is not there for a call, and stops no more", () => {
  const gone = { busy: "exited leader", expect: "ESRCH" } as const;
  assertEquals(plan(gone, { steps: AREA }).outcome.written, "nothing");
  assertThrows(() => plan({ ...gone, expect: "EBUSY" }, { steps: AREA }), SyntaxError, `predicts "ESRCH"`);
  const steps: Step[] = [...AREA, { op: "stop", label: "gone", ...gone }];
  assertThrows(() => plan({}, { steps }), SyntaxError, "has ended at an earlier stop");
});

Deno.test("a tracer's words and a call that fails late go together", () => {
  const debug = [{ register: "dr0", value: "a:1" }] as const;
  const poke = [{ at: "a:2", bytes: "cc" }, { at: "vdso+0x10", bytes: "cc" }];
  const steps: Step[] = [{ op: "mmap", area: "a", pages: 64 }, { op: "write", area: "a", pages: "all" }];
  const killed = [{ at: 0, do: "kill" }] as const;
  const given = { steps };
  const both = plan({ debug, poke, stoppedBy: "seize", call: { uid: 0 }, to: { kind: "memfd" } }, given);
  assertEquals([both.after?.taskState, both.after?.copied.length, both.after?.debug[0]], [
    8,
    2,
    BigInt(both.after!.areas[0]!.start + 1) * 4096n,
  ]);
  assertEquals(plan({ stoppedBy: "freezer", whileBlocked: killed, expect: "EBUSY" }, given).target, "killed");
  const cont = [{ at: 0, do: "cont" }] as const;
  assertEquals(plan({ whileBlocked: cont, expect: "EBUSY" }, given).target, "continued");
  for (const fields of [{ stoppedBy: "seize" }, { poke }] as const) {
    const error = assertThrows(
      () => plan({ ...fields, whileBlocked: cont, expect: "EBUSY" }, given),
      ScenarioError,
    );
    assertEquals(
      error.message.includes(`"cont" is for a target that a signal has stopped`),
      true,
      error.message,
    );
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
  const fatal: CallSpec = { signals: "fatal" };
  const file = { kind: "file", path: "/work/x" } as const;
  const expected: [OutputSpec, string, string][] = [
    [{ kind: "pipe", readerClosesAfter: 0 }, "EPIPE", "SIGPIPE"],
    [{ kind: "socket", readerClosesAfter: 5000 }, "EPIPE", "SIGPIPE"],
    [{ kind: "pipe", flags: ["O_NONBLOCK"], size: 8192 }, "EAGAIN", "EAGAIN"],
    [{ ...file, rlimitFsize: 100_000 }, "EFBIG", "SIGXFSZ"],
    [{ ...file, fsSize: 65_536 }, "ENOSPC", "ENOSPC"],
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

Deno.test("an area that leaves its userfaultfd ahead of the image counts as one with its neighbour", () => {
  const registered = (neighbour: string): Step[] => [
    { op: "mmap", area: "b", pages: 2, prot: "rw" },
    { op: "mmap", area: "u", pages: 4, prot: neighbour === "like it" ? "rw" : "r", after: "b" },
    { op: "uffd", area: "u", pages: "all", mode: "missing" },
  ];
  const unregister = { whileBlocked: [{ at: 100_000, do: "unregister", area: "u" }] } as const;
  assertEquals(predicted(unregister, { steps: [...AREA, ...registered("like it")] }), "EBUSY");
  assertEquals(predicted(unregister, { steps: [...AREA, ...registered("other")] }), "ok");
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
  const unlink = (at: number) => ({ whileBlocked: [{ at, do: "unlink", file: "f" }] } as const);
  assertEquals(predicted(unlink(0), { steps: [...AREA, ...file] }), "ENOENT");
  assertEquals(predicted(unlink(700_000), { steps: [...file, ...large] }), "ok");
  const unsure = predicted(unlink(300_000), { steps: [...file, ...large] });
  assertEquals(unsure.includes("whether byte 300000 of the image comes before unlink"), true, unsure);
  const late = predicted({ whileBlocked: [{ at: 300_000, do: "kill" }] });
  assertEquals(late.includes("may come too late: 262144 bytes are sure"), true, late);
  // The LDT comes behind all pages.
  const ldt: Step[] = [{ op: "modify_ldt", entries: "8191", base: 0x7000, limit: 0xfff, flags: ["32bit"] }];
  const inLdt = { whileBlocked: [{ at: 300_000, do: "kill" }] } as const;
  assertEquals(predicted(inLdt, { steps: [...AREA, ...ldt] }), "EBUSY");
  const two = predicted({
    whileBlocked: [{ at: 0, do: "kill" }],
    to: { kind: "pipe", readerClosesAfter: 5000 },
  });
  assertEquals(two.includes("which comes first, EPIPE or EBUSY"), true, two);
  const over = predicted({
    whileBlocked: [{ at: 9000, do: "nothing" }],
    to: { kind: "pipe", readerClosesAfter: 5000 },
  });
  assertEquals(over.includes("the call is over before byte 9000: EPIPE at byte 5000"), true, over);
  const unread = predicted({ whileBlocked: [{ at: 0, do: "nothing" }], to: { kind: "memfd" } });
  assertEquals(
    unread.includes(`waits for the reader of a pipe or a socket: found "kind": "memfd"`),
    true,
    unread,
  );
  const never = plan.bind(undefined, { expect: "ESRCH", call: { pid: "none" }, ...unlink(0) });
  assertThrows(() => never({ steps: [...AREA, ...file] }), ScenarioError, "nothing can happen");
  const unmapped = predicted(unlink(0), { steps: [...AREA, file[0]!] });
  assertEquals(unmapped.includes("must be mapped"), true, unmapped);
});

Deno.test("a further checkpoint shows the target before or after all that changes it", () => {
  const poke = (at: number) => ({ at, do: "poke", area: "a", page: 63 } as const);
  const other = (at: number) => ({ at, do: "checkpoint" } as const);
  assertEquals(plan({ whileBlocked: [other(0), poke(5), other(9)] }).othersSee, ["before", "after"]);
  const cases = [
    [[poke(0), other(5), poke(9)], "ok"],
    [[{ at: 0, do: "kill" }, other(0)], "EBUSY"],
  ] as const;
  for (const [whileBlocked, expect] of cases) {
    const message = "must come before or after all that changes the target";
    assertThrows(() => plan({ whileBlocked, expect }), ScenarioError, message);
  }
});

Deno.test("what an action changes is in the prediction of what comes after it", () => {
  const poked = plan({ whileBlocked: [{ at: 0, do: "poke", area: "a", page: 63, value: 7 }] });
  assertEquals([poked.outcome.sees, poked.target], ["after", "changed"]);
  const stores = [...poked.after!.pages.values()].map(({ content }) => content.stores.length);
  assertEquals(stores.reduce((sum, count) => sum + count), 1);
  assertEquals(plan({ whileBlocked: [{ at: 0, do: "kill" }], expect: "EBUSY" }).after, undefined);
  const signal = { at: 0, do: "signal", signal: "SIGTERM" } as const;
  assertEquals(plan({ whileBlocked: [signal], expect: "SIGTERM" }).target, "same");
  assertEquals(
    plan({ whileBlocked: [{ ...signal, handled: true }], expect: "EINTR" }).outcome.written,
    "part",
  );
});

Deno.test("what happens at a record needs a pipe that holds it alone, and a TLS entry its tracer", () => {
  const direct: OutputSpec = { kind: "pipe", flags: ["O_DIRECT"] };
  const kill: Fields = { to: direct, whileBlocked: [{ at: "MM_CONTEXT", do: "kill" }] };
  assertEquals(predicted(kill), "EBUSY");
  const { outcome, whileBlocked: [action] } = plan({ ...kill, expect: "EBUSY" });
  assertEquals([outcome.written, action?.record, action?.at], ["part", "MM_CONTEXT", 0]);
  assertThrows(() => plan({ ...kill, to: { kind: "pipe" }, expect: "EBUSY" }), ScenarioError, "O_DIRECT");
  const steps: Step[] = [...AREA, { op: "set_thread_area", entry: 1, base: 4096, limit: 9 }];
  const clear: Fields = {
    to: direct,
    stoppedBy: "seize",
    whileBlocked: [{ at: "THREAD", do: "clear_tls", entry: 1 }],
  };
  const { after, outcome: { written, sees } } = plan(clear, { steps });
  assertEquals([written, sees, after?.tls], ["whole", "before", new Uint8Array(24)]);
  assertThrows(
    () => plan({ ...clear, stoppedBy: "signal" }, { steps }),
    ScenarioError,
    "a tracer has stopped",
  );
});

Deno.test("registers that a tracer sets are in the image, and in no later one", () => {
  const set = { flags: "0x10302", fs: "0x7" };
  const compiled = compileSteps([{ op: "stop", label: "a", set }, { op: "stop", label: "b" }]);
  const registers = compiled.stops.map(({ prediction }) => [...prediction.registers.general]);
  assertEquals(registers, [[["flags", 0x10302n], ["fs", 7n]], []]);
  const busy: Fields = { busy: "running", set };
  assertThrows(() => plan(busy), ScenarioError, `"set" is for a target that is stopped`);
});

Deno.test("a process without its first thread shares memory all the same", () => {
  assertEquals(
    predicted({ call: {} }, { steps: [...AREA, { op: "thread", kind: "leaderless process" }] }),
    "EOPNOTSUPP",
  );
  assertEquals(predicted({ call: {} }, { steps: [...AREA, { op: "thread_call" }] }), "ok");
});

Deno.test("a signal behind a record ends the call, and needs a pipe that is read all the time", () => {
  const { outcome, signalVma } = plan({ call: { signalBehind: "a" }, expect: "EINTR" });
  assertEquals([outcome.written, signalVma !== undefined], ["part", true]);
  assertEquals(plan({ call: { signalBehind: "HEAD" }, expect: "EINTR" }).signalVma, undefined);
  const file = { kind: "file", path: "/work/image" } as const;
  for (const more of [{ to: file }, { whileBlocked: [{ at: 0, do: "nothing" }] }] as const) {
    const error = assertThrows(
      () => plan({ call: { signalBehind: "HEAD" }, expect: "EINTR", ...more }),
      ScenarioError,
    );
    assertEquals(error.message.includes("needs a pipe that is read all the time"), true, error.message);
  }
});
