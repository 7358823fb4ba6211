// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertRejects } from "@std/assert";
import { unpackRecordedCase } from "../../../lib/compare/testing/recorded_case.ts";
import { readNodes } from "../../../lib/image/image.ts";
import type { CheckpointResult, QuietState } from "../../../vm/agent/agent_types.ts";
import { checkpointReply } from "../../../vm/agent/testing/checkpoint_reply.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import type { Guest, GuestAgent } from "../guest/guest.ts";
import type { GuestKernel, ObservedCheckpoint } from "./observe_checkpoint.ts";
import { explainRefusal, runProgram } from "./run_program.ts";
import { ERRNO, type ErrnoName } from "../../../lib/abi/errno.ts";

const FILE = new URL("../../../fixtures/recorded/x86_64-mixed.json.gz", import.meta.url);
const RECORDED = await unpackRecordedCase(await Deno.readFile(FILE));
const { raw } = RECORDED;
const KERNEL: GuestKernel = {
  arch: "x86_64",
  series: "6.1",
  dialect: "port",
  checkpointNr: 390,
  observed: RECORDED.kernel,
};
const REFUSED = { result: -95n, errno: 95, image: new Uint8Array(0), length: 0 };
const SLEEPS: QuietState = { state: "S" };

/** A guest with one process, which is that of the recorded case. */
function guestWith(reply: Partial<CheckpointResult>, state = SLEEPS): { guest: Guest; started: unknown[] } {
  const started: unknown[] = [];
  const agent: Partial<GuestAgent> = {
    clean: () => Promise.resolve(),
    exec: (argv, options) => {
      started.push(argv, options);
      return Promise.resolve({ pid: raw.pid, stdout: "/out", stderr: "/err" });
    },
    quiesce: () => Promise.resolve(state),
    stop: () => Promise.resolve(),
    readFile: () => Promise.resolve(new TextEncoder().encode("no such option\n")),
    observe: (_, names) => {
      const file = (name: string): Uint8Array => raw.proc.get(name.endsWith("/stat") ? "stat" : name)!;
      return Promise.resolve(
        new Map(names.map((name) => name.replace("?", "")).map((name) => [name, new Uint8Array(file(name))])),
      );
    },
    checkpoint: () =>
      Promise.resolve(
        checkpointReply({ image: RECORDED.image, secondsBefore: raw.t0, secondsAfter: raw.t1, ...reply }),
      ),
    registers: () =>
      Promise.resolve(new Map([...raw.registers].map(([name, bytes]) => [name, new Uint8Array(bytes)]))),
    pageHash: (_, addresses) => Promise.resolve(new BigUint64Array(addresses.length)),
  };
  return { guest: { agent } as unknown as Guest, started };
}

Deno.test("runProgram() passes a program that is refused as its scenario says", async () => {
  const { guest, started } = guestWith(REFUSED);
  const program = { argv: ["/bin/x", "y"], env: { LANG: "C" }, refused: "EOPNOTSUPP" };
  const { stops, findings } = await runProgram(guest, program, { kernel: KERNEL });
  assertEquals([findings, stops[0]?.findings, stops[0]?.counts.unexplained], [[], [], 0]);
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/", LANG: "C" };
  assertEquals(started, [["/bin/x", "y"], { env, directory: undefined, input: undefined }]);
});

Deno.test("runProgram() fails a program that was not refused as it had to be", async () => {
  const program = { argv: ["/bin/x"], refused: "EOPNOTSUPP" };
  const ids = async (reply: Partial<CheckpointResult>): Promise<string[]> => {
    const { stops } = await runProgram(guestWith(reply).guest, program, { kernel: KERNEL });
    return stops[0]!.findings.map(({ id }) => id);
  };
  assertEquals(await ids({}), ["E_RETURN", "E_REFUSED_OUTPUT"]);
  assertEquals(await ids({ ...REFUSED, result: -38n, errno: 38 }), ["E_RETURN"]);
  assertEquals(await ids({ ...REFUSED, image: new Uint8Array(8) }), ["E_REFUSED_OUTPUT"]);
});

Deno.test("runProgram() takes a late refusal, which leaves the beginning of an image", async () => {
  const program = { argv: ["/bin/x"], refused: { errno: "EFAULT", late: true } } as const;
  const ids = async (reply: Partial<CheckpointResult>): Promise<string[]> => {
    const { stops } = await runProgram(guestWith(reply).guest, program, { kernel: KERNEL });
    return stops[0]!.findings.map(({ id }) => id);
  };
  const late = { result: -14n, errno: 14 };
  const { nodes } = readNodes(RECORDED.image);
  // No page: the digests of this guest's are not those of the recorded one.
  const length = nodes[nodes.findIndex(({ kind }) => kind === "pages") - 1]!.offset;
  const torso = RECORDED.image.slice(0, length);
  assertEquals(await ids({ ...late, image: torso, length }), []);
  assertEquals(await ids({ ...late, result: -5n, errno: 5, image: torso, length }), ["E_RETURN"]);
  assert((await ids(late)).includes("E_REFUSED_OUTPUT"), "a whole image");
  torso[32] = torso[32]! ^ 0x10;
  assert((await ids({ ...late, image: torso, length })).length > 0);
});

Deno.test("runProgram() stops a program that never rests, and gives what it printed", async () => {
  const { guest } = guestWith({}, { state: "R" });
  const outcome = await runProgram(guest, { argv: ["/bin/x"] }, { kernel: KERNEL, limitMs: 5 });
  assertEquals([outcome.isQuiet, await outcome.output()], [false, "no such option\nno such option\n"]);
});

Deno.test("runProgram() lets the second judge look at the image, and keeps what it says", async () => {
  const { guest } = guestWith({});
  const { stops } = await runProgram(guest, { argv: ["/bin/x"] }, {
    kernel: KERNEL,
    secondCheck: ({ image }) =>
      Promise.resolve({
        notes: [`${image.length} bytes`],
        findings: [{ id: "E_SECOND", verdict: "mismatch", path: "gdb", message: "no" }],
      }),
  });
  assertEquals(stops[0]?.findings.at(-1)?.id, "E_SECOND");
  assertEquals(stops[0]?.notes, [`${RECORDED.image.length} bytes`]);
});

Deno.test("runProgram() says why a program ended before it could be checkpointed", async () => {
  const { guest } = guestWith({}, { state: "exited", code: 2 });
  await assertRejects(
    () => runProgram(guest, { argv: ["/bin/x", "--bad"] }, { kernel: KERNEL }),
    UsageError,
    "/bin/x --bad ended before it could be checkpointed (exit status 2):\nno such option",
  );
});

const PRIVATE = "00400000-00401000 r-xp 00000000 00:02 5   /bin/x";

function explain(name: ErrnoName | "ok", { threads = 1, maps = [] as string[] } = {}): string | undefined {
  const errno = name === "ok" ? 0 : ERRNO[name];
  const proc = Object.entries({
    status: `Name:\tx\nThreads:\t${threads}\n`,
    maps: [PRIVATE, ...maps, ""].join("\n"),
  });
  const raw = { proc: new Map(proc.map(([file, text]) => [file, new TextEncoder().encode(text)])) };
  const reply = checkpointReply({ result: name === "ok" ? 1n : BigInt(-errno), errno });
  return explainRefusal("x", { reply, raw } as unknown as ObservedCheckpoint);
}

Deno.test("explainRefusal() says in one sentence what checkpoint(2) refuses", () => {
  const cases: [ErrnoName, Parameters<typeof explain>[1], string][] = [
    ["EOPNOTSUPP", { threads: 5 }, "x has 5 threads: checkpoint(2) refuses those, EOPNOTSUPP"],
    [
      "EOPNOTSUPP",
      {},
      "x shares its address space with another process: checkpoint(2) refuses those, EOPNOTSUPP",
    ],
    [
      "ENOSYS",
      { maps: ["7f000-7f100 rw-s 00000000 00:01 9   /dev/shm/a b"] },
      "x maps shared memory, /dev/shm/a b at 7f000-7f100: checkpoint(2) refuses those, ENOSYS",
    ],
    ["ENOSYS", {}, "x maps huge pages or a device: checkpoint(2) refuses those, ENOSYS"],
    [
      "ENOENT",
      { maps: ["7f000-7f100 r--p 00000000 00:01 9   /lib/old.so (deleted)"] },
      "x maps a file that was deleted, /lib/old.so (deleted) at 7f000-7f100: checkpoint(2) refuses those, ENOENT",
    ],
    [
      "EBADF",
      { maps: ["7f000-7f100 rw-p 00000000 00:01 9   /memfd:m (deleted)"] },
      "x maps memory without a path, /memfd:m (deleted) at 7f000-7f100: checkpoint(2) refuses those, EBADF",
    ],
    ["EBADF", {}, "x maps a file that cannot be reached by its path: checkpoint(2) refuses those, EBADF"],
    ["ENAMETOOLONG", {}, "x maps a file whose path is too long: checkpoint(2) refuses those, ENAMETOOLONG"],
    ["EFAULT", {}, "x has a page in swap that cannot be read: checkpoint(2) refuses those, EFAULT"],
    ["EHWPOISON", {}, "x has a page in memory that is broken: checkpoint(2) refuses those, EHWPOISON"],
    ["ENOMEM", {}, "x could not be saved: checkpoint(2) failed with ENOMEM"],
    ["ENOENT", {}, "x could not be saved: checkpoint(2) failed with ENOENT"],
  ];
  for (const [errno, process, sentence] of cases) assertEquals(explain(errno, process), sentence);
  assertEquals(explain("ok"), undefined);
});
