// SPDX-License-Identifier: MIT
/** Calls as stops describe them, made in a guest that only writes down what it is asked. */
import { assertEquals, assertRejects } from "@std/assert";
import type { CallFields } from "../../../lib/model/call.ts";
import type { Step } from "../../../lib/model/scenario.ts";
import type { TracerSpec } from "../../../lib/model/tracer.ts";
import { compileSteps } from "../../../lib/model/testing/compile_steps.ts";
import type { CheckpointOptions, CheckpointResult, ResumeOptions } from "../../../vm/agent/agent_types.ts";
import { checkpointReply } from "../../../vm/agent/testing/checkpoint_reply.ts";
import type { GuestAgent } from "../guest/guest.ts";
import { type MadeCall, makeCall, resolvePid } from "./make_call.ts";

const AREA: Step[] = [
  { op: "mmap", area: "a", pages: 64, prot: "rw" },
  { op: "write", area: "a", pages: "all" },
];
const PID = 70;

interface Fake {
  /** What a system call returns, by its name; 7 when not said. */
  readonly results?: Readonly<Record<string, number>>;
  /** What a look at the target shows after the call. */
  readonly statusAfter?: string;
  /** What a look at any process shows. */
  readonly status?: () => string;
  /** Open files by /proc/sys/fs/file-nr, look by look. */
  readonly files?: number[];
  /** Bytes that a reader has not read yet, look by look; 8 in the end. */
  readonly unread?: number[];
}

/** A guest in which descriptors 8 and 9 are opened in pairs, and a paused call gives the bytes up to there. */
function fakeGuest(
  said: string[],
  { results = {}, statusAfter, status, files = [], unread = [] }: Fake,
): GuestAgent {
  const say = <T>(words: string, answer: T): Promise<T> => {
    said.push(words);
    return Promise.resolve(answer);
  };
  let read = 0;
  const carry = (pauseAt: number | undefined): CheckpointResult => {
    const bytes = (pauseAt ?? 1000) - read;
    read = pauseAt ?? 1000;
    const image = new Uint8Array(bytes).fill(bytes & 0xff);
    return checkpointReply({ image, ...(pauseAt !== undefined && { paused: { handle: 0, caller: 99 } }) });
  };
  const agent: Partial<GuestAgent> = {
    info: { wordSize: 8, arch: "x86_64" } as GuestAgent["info"],
    writeFile: (path) => say(`write ${path}`, undefined),
    mkdir: (path) => say(`mkdir ${path}`, undefined),
    mount: ({ directory, data }) => say(`mount ${directory} ${data}`, undefined),
    readFile: (path, { offset = 0, length = 30 } = {}) =>
      path.endsWith("/status")
        ? Promise.resolve(new TextEncoder().encode(status?.()))
        : path.startsWith("/proc/")
        ? Promise.resolve(counterFile(path, files))
        : say(`read ${path}`, Uint8Array.from({ length }, (_, i) => (offset + i) % 249 + 1)),
    observe: (_, names) => {
      const text = status?.() ??
        (said.includes("checkpoint") && statusAfter ? statusAfter : "State:\tT (stopped)\n");
      const file = (name: string) => new TextEncoder().encode(name === "status" ? text : "");
      return Promise.resolve(new Map(names.map((name) => [name, file(name)])));
    },
    call: (name, ...args) => {
      const shown = args.map((arg) => typeof arg === "object" ? `[${arg.length}]` : String(arg));
      const pair = new Uint8Array(Int32Array.of(name === "ioctl" ? unread.shift() ?? 8 : 8, 9).buffer);
      return say(`${name}(${shown.join()})`, { result: results[name] ?? 7, bytes: pair });
    },
    seek: (fd, offset, whence) => say(`seek ${fd} ${offset} ${whence}`, results.lseek ?? 7),
    poke: (pid, address, bytes) => say(`poke ${pid} ${address} ${bytes.toHex()}`, bytes),
    signal: (pid, signal) => say(`signal ${pid} ${signal}`, undefined),
    cont: (pid) => say(`cont ${pid}`, undefined),
    event: () => say("event", { kind: "signal" as const, pid: PID, signal: 9 }),
    checkpoint: (options: CheckpointOptions) => {
      const { fd, pid, pauseAt, uid } = options;
      said.push("checkpoint");
      return say(`fd=${fd} pid=${pid} uid=${uid}`, carry(pauseAt));
    },
    resume: ({ pauseAt, closeReader, waitMs }: ResumeOptions) =>
      say(`resume ${pauseAt ?? "-"} ${closeReader ? "close" : "-"} ${waitMs ?? "-"}`, carry(pauseAt)),
  };
  return agent as GuestAgent;
}

async function make(
  fields: CallFields & TracerSpec & { expect?: string },
  fake: Fake = {},
): Promise<{ said: string[]; made: MadeCall }> {
  const said: string[] = [];
  const { stops } = compileSteps([...AREA, { op: "stop", label: "s", ...fields }]);
  const options = { pid: PID, checkpointNr: 390, thread: 71, userfaultfd: 4 };
  const made = await makeCall(fakeGuest(said, fake), stops[0]!.call!, options);
  return { said, made };
}

Deno.test("makeCall() looks for touched pages, opens the output, calls and closes", async () => {
  const { said } = await make({
    call: { uid: 5 },
    expect: "EPERM",
    to: { kind: "pipe", readerClosesAfter: 0 },
  });
  assertEquals(said, [
    "write /proc/70/clear_refs",
    `pipe2([8],524288)`,
    `close(8)`,
    "checkpoint",
    `fd=9 pid=70 uid=5`,
    `close(9)`,
  ]);
});

Deno.test("makeCall() stops reading where something happens, and puts the image together", async () => {
  const whileBlocked = [{ at: 0, do: "nothing" }, { at: 100, do: "nothing" }] as const;
  const { said, made } = await make({ whileBlocked });
  assertEquals(said.slice(-2), ["resume 100 - -", "resume - - -"]);
  assertEquals([made.image.length, made.image[0], made.image[999]], [1000, 100, 900 & 0xff]);
  const signal = await make({
    whileBlocked: [{ at: 7, do: "signal", signal: "SIGTERM" }],
    expect: "SIGTERM",
  });
  assertEquals(signal.said.slice(-2), ["signal 99 15", "resume - - 2000"]);
  const closed = await make({ to: { kind: "pipe", readerClosesAfter: 50 }, expect: "EPIPE" });
  assertEquals(closed.said.at(-1), "resume - close -");
  const full = await make({ to: { kind: "pipe", flags: ["O_NONBLOCK"], size: 8192 }, expect: "EAGAIN" });
  assertEquals(full.said.at(-1), "resume - - 2000");
});

Deno.test("makeCall() carries out actions on the target, and tells what it did next", async () => {
  const killed = await make({ whileBlocked: [{ at: 0, do: "kill" }], expect: "EBUSY" });
  assertEquals(killed.said.slice(-3), ["signal 70 9", "event", "resume - - -"]);
  assertEquals(killed.made.event, { kind: "signal", pid: PID, signal: 9 });
  // Nobody looks at what has changed about a target that was changed on purpose.
  assertEquals(killed.said[0]?.startsWith("write"), false);
  const poked = await make({ whileBlocked: [{ at: 0, do: "poke", area: "a", page: 63, value: 3 }] });
  const address = 0x100003f000n;
  assertEquals(poked.said.slice(-2, -1), [`poke 70 ${address} 03`]);
  const { made } = await make({ whileBlocked: [{ at: 0, do: "checkpoint" }] });
  assertEquals(made.others.length, 1);
});

Deno.test("makeCall() brings an image home from a file, and says whether its surroundings are unharmed", async () => {
  const to = { kind: "file", path: "/work/d/image", position: 10, initialSize: 20, fsSize: 40960 } as const;
  const { said, made } = await make({ to, expect: "ENOSPC" }, { results: { lseek: 40 } });
  assertEquals(said.slice(1, 5), [
    "mkdir /work/d",
    "mount /work/d size=40960",
    "write /work/d/image",
    `open(/work/d/image,${0o2100101},384)`,
  ]);
  assertEquals([made.file?.start, made.file?.before, made.file?.after, made.file?.isUnharmed], [
    10,
    10,
    40,
    true,
  ]);
  assertEquals(made.image.length, 30);
});

Deno.test("makeCall() finds a target that was touched", async () => {
  const { made } = await make({ call: { uid: 0 } }, { statusAfter: "State:\tT (stopped)\nSigPnd:\t1\n" });
  assertEquals(made.findings.map(({ id }) => id), ["E_TARGET_CHANGED"]);
});

function counterFile(path: string, files: number[]): Uint8Array {
  const text = path.endsWith("file-nr")
    ? `${files.shift()}\t0\t9\n`
    : path.endsWith("zoneinfo")
    ? " nr_free_pages 9\n"
    : "SUnreclaim: 9 kB\n";
  return new TextEncoder().encode(text);
}

Deno.test("makeCall() finds what grows with every round of many calls, and nothing that grows once", async () => {
  const fields = { call: { times: 400, flags: 1 }, expect: "EINVAL" };
  const rounds = async (...files: number[]) => {
    const { said, made } = await make(fields, { files });
    return [said.filter((words) => words === "checkpoint").length, made.findings.map(({ id }) => id).join()];
  };
  assertEquals(await rounds(20, 20), [2, ""]);
  assertEquals(await rounds(20, 25, 25, 25), [3, ""]);
  assertEquals(await rounds(20, 25, 25, 30, 30, 35, 35, 40, 40, 45), [6, "E_LEAK"]);
});

Deno.test("resolvePid() gives the pid that a word stands for", async () => {
  const agent = {
    zombie: () => Promise.resolve(80),
    checkpoint: () => Promise.resolve(checkpointReply({ caller: 81 })),
  } as Partial<GuestAgent> as GuestAgent;
  const context = { checkpointNr: 390, pid: 70, thread: 71 };
  const words = ["target", "self", "init", "kthread", "thread", "zombie", "reaped", "none", -5] as const;
  const pids = [];
  for (const word of words) pids.push(await resolvePid(agent, word, context));
  assertEquals(pids, [70, 0, 1, 2, 71, 80, 81, 4_194_304, -5]);
  await assertRejects(
    () => resolvePid(agent, "thread", { ...context, thread: undefined }),
    RangeError,
    "no id of a thread",
  );
});

Deno.test("makeCall() has a write of the caller end early, and has the tracer empty a TLS entry", async () => {
  const counts = [4, 4, 5, 5, 6];
  const status = () => `voluntary_ctxt_switches:\t${counts.length > 1 ? counts.shift() : counts[0]}\n`;
  const { said } = await make({
    to: { kind: "socket", timeout: 1500 },
    whileBlocked: [{ at: 100, do: "time_out" }],
  }, { status, unread: [7] });
  assertEquals(said.filter((words) => words.startsWith("setsockopt")), ["setsockopt(9,1,21,[16],16)"]);
  assertEquals(counts, [6]);
  let wakes = 0;
  const endless = await make({
    to: { kind: "socket", timeout: 1500 },
    whileBlocked: [{ at: 100, do: "time_out" }],
  }, { status: () => `voluntary_ctxt_switches:\t${wakes++}\n`, unread: [1, 2, 3, 4, 5] });
  assertEquals(endless.made.findings.map(({ id }) => id), ["E_SETUP"]);
  const direct = { kind: "pipe", flags: ["O_DIRECT"] } as const;
  const cleared = await make({
    to: direct,
    stoppedBy: "seize",
    whileBlocked: [{ at: "THREAD", do: "clear_tls", entry: 2 }],
  });
  assertEquals(cleared.said.filter((words) => words.startsWith("ptrace")), ["ptrace(26,70,14,[16])"]);
});
