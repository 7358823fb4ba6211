// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { syntheticImage, type SyntheticOptions } from "../../../lib/image/testing/synthetic_image.ts";
import { I386 } from "../../../lib/model/testing/compile_steps.ts";
import type { GuestAgent } from "./guest.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import { findSyscall, type KernelQuestion, probeKernel } from "./probe_kernel.ts";

/** An agent on a kernel that has the numbers given, and notes which ones were called. */
function agentWith(
  results: Record<number, number>,
  called: number[] = [],
  { release = "6.6.1", arch = "x86_64" as const }: { release?: string; arch?: "x86_64" | "i386" } = {},
): Pick<GuestAgent, "syscall" | "info"> {
  return {
    info: { release, arch } as GuestAgent["info"],
    syscall: (nr) => {
      called.push(nr);
      return Promise.resolve({ result: BigInt(results[nr] ?? -38), bytes: new Uint8Array(0) });
    },
  };
}

Deno.test("findSyscall() takes the project's number first, and calls no other one then", async () => {
  const called: number[] = [];
  assertEquals(await findSyscall(agentWith({ 390: -22, 391: -22 }, called)), 390);
  assertEquals(called, [390]);
});

Deno.test("findSyscall() looks among the free numbers alone", async () => {
  const called: number[] = [];
  assertEquals(await findSyscall(agentWith({ 388: -22, 333: -22 }, called)), 388);
  assertEquals(called.toSorted(), [387, 388, 389, 390, 391, 392]);
});

Deno.test("findSyscall() says that a kernel has no such call, or more than one", async () => {
  const fails = (results: Record<number, number>, message: string, number?: number) =>
    assertRejects(() => findSyscall(agentWith(results), { number }), UsageError, message);
  await fails({}, "(Linux 6.6.1) has no checkpoint system call: 387, 388, 389, 390, 391, 392 give ENOSYS");
  await fails({ 388: -22, 391: -22 }, "has calls 388, 391: say --syscall NR");
  await fails({ 390: -22 }, "has no checkpoint system call: number 467 gives ENOSYS", 467);
  assertEquals(await findSyscall(agentWith({ 467: -9 }), { number: 467 }), 467);
});

Deno.test("findSyscall() tries the number of 2008 where no other call has it", async () => {
  const called: number[] = [];
  const old = { release: "2.6.28-rc7", arch: "i386" } as const;
  assertEquals(await findSyscall(agentWith({ 333: -22 }, called, old)), 333);
  assertEquals(called, [333]);
  await assertRejects(() => findSyscall(agentWith({}, called, old)), UsageError, "333, 387, 388");
  // 2.6.30 gave it to preadv.
  assertEquals(
    await findSyscall(agentWith({ 333: -22, 390: -22 }, called, { ...old, release: "2.6.30" })),
    390,
  );
  assertEquals(await findSyscall(agentWith({ 333: -22, 390: -22 }, called, { release: "2.6.28" })), 390);
});

/** Probes a kernel whose checkpoints give an image, or this errno. */
async function probe(made: Uint8Array | number, question: Partial<KernelQuestion> = {}) {
  const [image, errno] = typeof made === "number" ? [new Uint8Array(0), made] : [made, 0];
  const asked: string[] = [];
  const agent = {
    ...agentWith({ 390: -22 }),
    program: () => Promise.resolve(),
    spawn: () => Promise.resolve(7),
    event: () => Promise.resolve({ kind: "stop", pid: 7, label: 0, scratch: 0n, resumeAddress: 0n }),
    targetImage: () => (asked.push("self"), Promise.resolve(image)),
    checkpoint: () => (asked.push("other"), Promise.resolve({ errno, image })),
    clean: () => Promise.resolve(),
  } as unknown as GuestAgent;
  const { dialect, revision, notes } = await probeKernel(agent, {
    syscall: undefined,
    dialect: undefined,
    self: true,
    targetOf: () => I386,
    ...question,
  });
  return { dialect, revision, notes, asked };
}

function v11(options: SyntheticOptions = {}): Uint8Array {
  return syntheticImage({ dialect: "v11", ...options });
}

Deno.test("probeKernel() takes the dialect from the revision of the first image, and says so", async () => {
  const port = { dialect: "port" as const, revision: 100, notes: [], asked: ["self"] };
  assertEquals(await probe(syntheticImage()), port);
  for (const revision of [1, 2, 3]) {
    const note = `its images have revision ${revision}, as those of the code of 2008: judged as dialect v11`;
    assertEquals(await probe(v11({ revision })), { ...port, dialect: "v11", revision, notes: [note] });
  }
});

Deno.test("probeKernel() believes --dialect, whatever the image says", async () => {
  const { dialect, notes } = await probe(v11(), { dialect: "port" });
  assertEquals([dialect, notes], ["port", [
    "its images have revision 1, as those of the code of 2008: judged as dialect port",
  ]]);
  assertEquals((await probe(syntheticImage(), { dialect: "v11" })).dialect, "v11");
  const unreadable = await probe(v11({ revision: 7 }), { dialect: "v11" });
  assertEquals([unreadable.dialect, unreadable.revision, unreadable.notes], ["v11", undefined, []]);
});

Deno.test("probeKernel() advises --self where the call refuses others, or saves its caller instead", async () => {
  const refused = await probe(22, { self: false });
  assertEquals(refused.notes, [
    "another task is refused with EINVAL: if tasks can only checkpoint themselves here, say --self",
  ]);
  const { dialect, notes, asked } = await probe(v11(), { self: false });
  assertEquals([dialect, asked], ["v11", ["other"]]);
  assertEquals(notes[1], "that code checkpoints the caller, whatever pid it is given: say --self");
});

Deno.test("probeKernel() judges as the port what writes nothing of itself, and refuses what is no image", async () => {
  const { dialect, notes } = await probe(new Uint8Array(0));
  assertEquals([dialect, notes], ["port", ["a task's checkpoint of itself writes nothing: an empty image"]]);
  await assertRejects(() => probe(v11({ revision: 7 })), UsageError, "head.rev");
  await assertRejects(() => probe(v11().subarray(0, 100)), UsageError, "--dialect");
});
