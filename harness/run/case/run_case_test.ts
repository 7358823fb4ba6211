// SPDX-License-Identifier: MIT
/**
 * A case with a guest that only repeats what a real one answered once (see `tests/record_case.ts`), and what
 * becomes of the case when one of the answers is another.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type CompiledScenario, compileScenario } from "../../../lib/model/compile_scenario.ts";
import { type RecordedCase, unpackRecordedCase } from "../../../lib/compare/testing/recorded_case.ts";
import type { CheckpointResult, TargetEvent } from "../../../vm/agent/agent_types.ts";
import { checkpointReply } from "../../../vm/agent/testing/checkpoint_reply.ts";
import { GuestLostError } from "../../../vm/qemu/guest_lost_error.ts";
import type { ResultItem } from "../../check/check_reply.ts";
import { judgeImage, type Judging } from "../../check/judge_image.ts";
import { JudgePool } from "../../check/judge_pool.ts";
import type { Guest, GuestAgent } from "../guest/guest.ts";
import type { CaseOutcome } from "./observe_checkpoint.ts";
import { runCase, settingOf, setUpCase } from "./run_case.ts";
import { isClean } from "../scenario_result.ts";
import { AgentError } from "../../../vm/agent/agent_session.ts";

const FILE = new URL("../../../fixtures/recorded/x86_64-mixed.json.gz", import.meta.url);
const RECORDED = await unpackRecordedCase(await Deno.readFile(FILE));
const COMPILED = compileScenario(RECORDED.scenario, RECORDED.compileTarget);
const { pid } = RECORDED.raw;

/** Answers in place of the recorded ones. */
interface Script {
  events?: TargetEvent[];
  results?: ResultItem[];
  reply?: Partial<CheckpointResult>;
  /** What the second look at /proc/PID shows. */
  after?: ReadonlyMap<string, Uint8Array>;
  checkpoint?: () => Promise<CheckpointResult>;
  others?: Partial<GuestAgent>;
  judge?: Judging;
}

const STOP: TargetEvent = { kind: "stop", pid, label: 0, scratch: 0n, resumeAddress: 0n };

function resultsAsExpected({ raw }: RecordedCase): ResultItem[] {
  return COMPILED.results.map(({ expected, bytes, role }) => {
    if (bytes) return { bytes };
    return { value: expected ?? (role === "break" ? raw.brk! : 0n) };
  });
}

function copyOf(blobs: ReadonlyMap<string, Uint8Array>): Map<string, Uint8Array<ArrayBuffer>> {
  return new Map([...blobs].map(([name, bytes]) => [name, new Uint8Array(bytes)]));
}

function fakeAgent(script: Script): { agent: Partial<GuestAgent>; calls: string[] } {
  const { raw, image } = RECORDED;
  const events = script.events ?? [STOP, { kind: "exit", pid, code: 0 }];
  const calls: string[] = [];
  const said = <T>(call: string, answer: T): Promise<T> => {
    calls.push(call);
    return Promise.resolve(answer);
  };
  const reply = checkpointReply({ image, secondsBefore: raw.t0, secondsAfter: raw.t1, ...script.reply });
  const agent: Partial<GuestAgent> = {
    clean: () => said("clean", undefined),
    program: () => said("program", undefined),
    spawn: () => said("spawn", pid),
    event: () => said("event", events.shift()!),
    results: () => said("results", new Uint8Array(0)),
    observe: (_, names) => {
      const source = calls.includes("checkpoint") ? script.after ?? raw.proc : raw.proc;
      const file = (name: string): Uint8Array =>
        source.get(name.endsWith("/stat") ? "stat" : name.replace("?", "")) ?? new Uint8Array(0);
      return said("observe", new Map(names.map((name) => [name.replace("?", ""), file(name).slice()])));
    },
    checkpoint: () => said("checkpoint", undefined).then(script.checkpoint ?? (() => Promise.resolve(reply))),
    registers: () => said("registers", copyOf(raw.registers)),
    pageHash: (_, addresses) => {
      const known = Array.from(raw.hashedAddresses);
      return said(
        "pageHash",
        BigUint64Array.from(addresses, (address) => raw.hashes[known.indexOf(address)] ?? 0n),
      );
    },
    cont: () => said("cont", undefined),
    info: { wordSize: 8 } as GuestAgent["info"],
    writeFile: () => said("writeFile", undefined),
    poke: (_, __, bytes) => said("poke", bytes),
    ...script.others,
  };
  return { agent, calls };
}

async function play(
  script: Script = {},
  compiled: CompiledScenario = COMPILED,
): Promise<{ outcome: CaseOutcome; calls: string[] }> {
  const { agent, calls } = fakeAgent(script);
  const outcome = await runCase({ agent } as unknown as Guest, compiled, {
    kernel: {
      arch: RECORDED.arch,
      series: RECORDED.series,
      dialect: "port",
      checkpointNr: RECORDED.compileTarget.checkpointNr,
      observed: RECORDED.kernel,
      judge: script.judge,
    },
    program: new Uint8Array(0),
    decodeResults: () => script.results ?? resultsAsExpected(RECORDED),
  });
  return { outcome, calls };
}

function ids({ findings, stops }: CaseOutcome): string[] {
  return [...findings, ...stops.flatMap((stop) => stop.findings)].map(({ id }) => id);
}

Deno.test("runCase() calls once for a busy target, without a look at registers, and wants a refusal", async () => {
  const steps = RECORDED.scenario.steps!.map((step) =>
    step.op === "stop" ? { ...step, expect: "EBUSY", busy: "running" as const } : step
  );
  const compiled = compileScenario({ ...RECORDED.scenario, steps }, RECORDED.compileTarget);
  const refused = { result: -16n, errno: 16, length: 0, image: new Uint8Array(0) };
  const status: Partial<GuestAgent> = {
    readFile: () => Promise.resolve(new TextEncoder().encode("State:\tR (running)\n")),
    call: () => Promise.resolve({ result: 0, bytes: new Uint8Array(8) }),
  };
  const { outcome, calls } = await play({ reply: refused, others: status }, compiled);
  assertEquals([ids(outcome), outcome.stops.map(({ label }) => label)], [[], ["stopped"]]);
  assertEquals(["registers", "writeFile", "cont"].filter((call) => calls.includes(call)), []);
  assertEquals(calls.filter((call) => call === "poke").length, 1);
  const other = await play({ reply: { ...refused, result: -1n, errno: 1 }, others: status }, compiled);
  assertEquals(ids(other.outcome), ["E_RETURN"]);
  const wrote = await play({ reply: { ...refused, image: new Uint8Array(3) }, others: status }, compiled);
  assertEquals(ids(wrote.outcome), ["E_REFUSED_OUTPUT"]);
});

Deno.test("runCase() passes what a real guest answered, and lets the target go on to its end", async () => {
  const { outcome, calls } = await play();
  assertEquals([ids(outcome), isClean(outcome)], [[], true]);
  assertEquals(outcome.stops.map(({ label, image }) => [label, image.length]), [[
    "stopped",
    RECORDED.image.length,
  ]]);
  const order = ["clean", "program", "spawn", "event", "checkpoint", "pageHash", "registers", "cont"];
  assertEquals(order.toSorted((a, b) => calls.indexOf(a) - calls.indexOf(b)), order);
});

Deno.test("runCase() lets the target go on while its image is judged, and ends when it is", async () => {
  const judged = Promise.withResolvers<void>();
  let isJudged = false;
  const { outcome, calls } = await play({
    others: { cont: () => Promise.resolve(void setTimeout(judged.resolve, 1)) },
    judge: (one) => judged.promise.then(() => (isJudged = true, judgeImage(one))),
  });
  assertEquals([isJudged, isClean(outcome), calls.at(-1)], [true, true, "results"]);
});

Deno.test("runCase() makes no checkpoint before the last image is judged, whose answers are kept so long", async () => {
  const [stop] = COMPILED.stops;
  const { agent } = fakeAgent({});
  let checkpoints = 0;
  const checkpoint = () => (checkpoints++, agent.checkpoint!({ nr: 390, pid }));
  const seen: number[] = [];
  await play({
    events: [STOP, { ...STOP, label: 1 }, { kind: "exit", pid, code: 0 }],
    checkpoint,
    async judge(one) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      seen.push(checkpoints);
      return judgeImage(one);
    },
  }, { ...COMPILED, stops: [stop!, stop!] });
  assertEquals(seen, [1, 2]);
});

Deno.test("cases of two guests are judged side by side, as one thread judges them", async () => {
  using judges = new JudgePool(2);
  let most = 0;
  const judge: Judging = async (one) => {
    const comparison = judges.judge(one);
    most = Math.max(most, judges.busy);
    return await comparison;
  };
  const outcomes = await Promise.all([play({ judge }), play({ judge })]);
  const { outcome: alone } = await play();
  assertEquals(most, 2);
  for (const { outcome } of outcomes) assertEquals(outcome, alone);
});

Deno.test("runCase() fails a target that ended before it was to stop", async () => {
  for (
    const [event, words] of [
      [{ kind: "exit", pid, code: 3 }, "exit status 3"],
      [{ kind: "signal", pid, signal: 11 }, "ended by signal 11"],
      [{ ...STOP, label: 1 }, "stopped at label 1"],
    ] as const
  ) {
    const { outcome, calls } = await play({ events: [event] });
    assertEquals([ids(outcome), outcome.findings[0]?.actual], [["E_TARGET"], words]);
    assertEquals([isClean(outcome), calls.includes("checkpoint")], [false, false]);
  }
});

Deno.test("runCase() fails a target that does not end well after its checkpoint", async () => {
  for (const end of [{ kind: "signal", pid, signal: 11 }, { kind: "exit", pid, code: 1 }, STOP] as const) {
    const { outcome } = await play({ events: [STOP, end] });
    assertEquals([ids(outcome), isClean(outcome)], [["E_TARGET"], false]);
  }
});

Deno.test("runCase() fails a set-up that went otherwise, whatever the image says", async () => {
  const results = resultsAsExpected(RECORDED);
  const index = COMPILED.results.findIndex(({ expected }) => expected !== undefined);
  results[index] = { value: -12n };
  const { outcome } = await play({ results });
  assert(ids(outcome).includes("E_SETUP"));
  assertEquals(outcome.findings[0]?.actual, "-12");
});

Deno.test("runCase() fails a call that returned something else, though the image is right", async () => {
  const wrong: Partial<CheckpointResult>[] = [{ result: 0n }, { result: -5n, errno: 5 }, {
    result: -1n,
    errno: 4,
  }];
  for (const reply of wrong) {
    const { outcome } = await play({ reply });
    assertEquals([ids(outcome), isClean(outcome)], [["E_RETURN"], false]);
  }
});

Deno.test("runCase() fails an image that did not come, or not whole, though the call succeeded", async () => {
  const { image } = RECORDED;
  for (const length of [0, 100, image.length - 1]) {
    const { outcome } = await play({ reply: { image: image.subarray(0, length), length } });
    assert(ids(outcome).includes("E_TRUNCATED"), `${length} bytes: ${ids(outcome)}`);
  }
});

Deno.test("runCase() fails a checkpoint that changed its target", async () => {
  const maps = new TextDecoder().decode(RECORDED.raw.proc.get("maps"));
  const after = new Map([...RECORDED.raw.proc, [
    "maps",
    new TextEncoder().encode(maps.replace("rw-p", "rwxp")),
  ]]);
  assertEquals(ids((await play({ after })).outcome), ["E_TARGET_CHANGED"]);
});

Deno.test("runCase() gives no verdict when the guest is lost in mid-image", async () => {
  const details = { reason: "qemu-exit", awaited: "an image", consoleTail: "", argv: ["qemu"] } as const;
  const checkpoint = () => Promise.reject(new GuestLostError(details));
  await assertRejects(() => play({ checkpoint }), GuestLostError, "waiting for an image");
});

Deno.test("runCase() makes the call that a stop describes between two plain ones, and judges all three", async () => {
  const steps = RECORDED.scenario.steps!.map((step) =>
    step.op === "stop" ? { ...step, expect: "EBADF", to: { kind: "none" as const } } : step
  );
  const compiled = compileScenario({ ...RECORDED.scenario, steps }, RECORDED.compileTarget);
  const { image, raw } = RECORDED;
  const whole = checkpointReply({ image, secondsBefore: raw.t0, secondsAfter: raw.t1 });
  const refused = { ...whole, result: -9n, errno: 9, length: 0, image: new Uint8Array(0), probe: -14n };
  const playReplies = async (...replies: CheckpointResult[]) => {
    const { outcome } = await play({ checkpoint: () => Promise.resolve(replies.shift()!) }, compiled);
    return [outcome.stops.map(({ label }) => label).join(), ids(outcome).join()];
  };
  const labels = "stopped,stopped, call,stopped, afterwards";
  const [first, second] = [whole, { ...whole, result: 2n, previousId: 1 }];
  assertEquals(await playReplies(first, refused, second), [labels, ""]);
  assertEquals(await playReplies(first, { ...refused, result: -22n, errno: 22 }, second), [
    labels,
    "E_RETURN",
  ]);
  assertEquals(await playReplies(first, { ...refused, image: image.subarray(0, 8) }, second), [
    labels,
    "E_REFUSED_OUTPUT",
  ]);
  assertEquals(await playReplies(first, refused, { ...second, result: 1n }), [labels, "E_RETURN"]);
  const [, after] = await playReplies(first, refused, {
    ...second,
    image: image.subarray(0, 5000),
    length: 5000,
  });
  assert(after?.includes("E_TRUNCATED"), after);
});

/** An agent that notes what it is told; ioctl(2) fails with an errno. */
function scriptedAgent(files: Record<string, string>, errno = 0): [GuestAgent, string[]] {
  const log: string[] = [];
  const note = (text: string): Promise<void> => {
    log.push(text);
    return Promise.resolve();
  };
  const agent = {
    readFile: (path: string) => Promise.resolve(new TextEncoder().encode(files[path])),
    writeFile: (path: string, content: Uint8Array | string) =>
      note(`write ${path} ${typeof content === "string" ? content : `${content.length} bytes`}`),
    call: async (name: string, ...args: unknown[]) => {
      await note(`${name} ${args.join(" ")}`);
      if (name === "ioctl" && errno !== 0) throw new AgentError("ioctl", errno, "the system call");
      return { result: 5 };
    },
  };
  return [agent as unknown as GuestAgent, log];
}

Deno.test("settingOf() takes the word in brackets of a choice, and any other text as it is", () => {
  assertEquals(settingOf("always [madvise] never\n"), "madvise");
  assertEquals(settingOf("511\n"), "511");
});

Deno.test("setUpCase() writes settings, and undoes them in the reverse order", async () => {
  const [agent, log] = scriptedAgent({ "/sys/a": "[never] always\n", "/sys/b": "3\n" });
  const steps = [{ write: "/sys/a", value: "always" }, { write: "/sys/b", value: "4" }];
  const undo = await setUpCase(agent, steps);
  assertEquals(log.splice(0), ["write /sys/a always", "write /sys/b 4"]);
  await undo();
  assertEquals(log, ["write /sys/b 3", "write /sys/a never"]);
});

Deno.test("setUpCase() names the target's first instruction as uprobes do", async () => {
  const [agent, log] = scriptedAgent({ "/sys/a": "" });
  const program = {
    startData: 0n,
    endData: 0n,
    startBrk: 0n,
    entryOffset: 0x1040,
    syscallReturns: new Set<bigint>(),
  };
  await setUpCase(agent, [{ write: "/sys/a", value: "p:probe {entry}" }], program);
  assertEquals(log, ["write /sys/a p:probe /target:0x1040"]);
});

Deno.test("setUpCase() formats a RAM disk as swap and switches it on and off", async () => {
  const [agent, log] = scriptedAgent({});
  await (await setUpCase(agent, [{ swap: "ram" }]))();
  assertEquals(log, ["write /dev/ram0 4096 bytes", "swapon /dev/ram0 0", "swapoff /dev/ram0"]);
});

Deno.test("setUpCase() attaches the loop device, once is enough", async () => {
  const EBUSY = 16;
  for (const errno of [0, EBUSY]) {
    const [agent, log] = scriptedAgent({}, errno);
    await (await setUpCase(agent, [{ swap: "loop" }]))();
    assertEquals(log, [
      "open /dev/ram1 2",
      "open /dev/loop0 2",
      "ioctl 5 19456 5",
      "close 5",
      "close 5",
      "write /dev/loop0 4096 bytes",
      "swapon /dev/loop0 0",
      "swapoff /dev/loop0",
    ]);
  }
  const [agent] = scriptedAgent({}, 9);
  await assertRejects(() => setUpCase(agent, [{ swap: "loop" }]), AgentError, "EBADF");
});
