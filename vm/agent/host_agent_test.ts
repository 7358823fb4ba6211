// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { fillPage } from "../../lib/model/state/page_content.ts";
import type { TargetOp } from "../../lib/model/target_op.ts";
import { AgentError } from "./agent_session.ts";
import { BlockHash } from "../../lib/abi/block_hash.ts";
import { BLOCK_REGISTERS, decodeResults, encodeProgram, encodeRegisterBlock } from "./target_program.ts";
import { canStartHostAgent, startHostAgent } from "./testing/host_agent.ts";
import {
  agentTest,
  AREA,
  mapArea,
  NR,
  runToEnd,
  runToStop,
  userDescriptor,
} from "./testing/host_agent_case.ts";

agentTest("stores and loads do what the model computes", async (session, arch) => {
  const area = { pages: 3, seed: 77, stride: 2 };
  const ops: TargetOp[] = [
    mapArea(arch),
    { op: "fill", address: AREA, ...area },
    { op: "check", address: AREA, ...area },
    { op: "poke", address: AREA + 8196n, size: 1, value: 0x1ffn },
    { op: "check", address: AREA, ...area },
    { op: "report", address: AREA + 16384n, length: 4096 },
    { op: "hash", address: AREA + 16384n, length: 4095 },
    { op: "zero", address: AREA + 3n, length: 4090 },
    { op: "report", address: AREA, length: 4096 },
    { op: "report", address: 0x5000n, length: 9 },
    { op: "data", offset: 100, bytes: Uint8Array.of(1, 2, 3) },
    { op: "report", address: { scratch: 99 }, length: 5 },
    { op: "poke", address: AREA, size: 8, value: 0x1122334455667788n },
    { op: "report", address: AREA, length: 8 },
  ];
  const results = await runToEnd(session, ops);
  const page = fillPage(77, Number(AREA) + 16384);
  const zeroed = fillPage(77, Number(AREA)).fill(0, 3, 4093);
  const hash = new BlockHash().update(page.subarray(0, 4095)).digest() & (1n << 63n) - 1n;
  const expected = [AREA, 0n, 1n + 1024n + 1n, page, hash, zeroed, -14n, Uint8Array.of(0, 1, 2, 3, 0)];
  const bytes = Uint8Array.of(0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11);
  assertEquals(results.map((result) => result.bytes ?? result.value), [...expected, bytes]);
});

Deno.test({
  name: "target, x86_64: fills pages above 4 GiB as the model computes them",
  ignore: !canStartHostAgent(),
  async fn() {
    await using agent = await startHostAgent("x86_64");
    const high = 0x7654_0000_0000n;
    const results = await runToEnd(agent.session, [
      { op: "syscall", nr: NR.x86_64.mmap, args: [high, 4096n, 3n, 0x32n, (1n << 64n) - 1n, 0n] },
      { op: "fill", address: high, pages: 1, seed: 3, stride: 1 },
      { op: "report", address: high, length: 4096 },
    ]);
    assertEquals(results[1]?.bytes, fillPage(3, Number(high)));
  },
});

agentTest("slots carry a result to a later op", async (session, arch) => {
  const map = mapArea(arch) as Extract<TargetOp, { op: "syscall" }>;
  const { mprotect } = NR[arch];
  const results = await runToEnd(session, [
    { ...map, keep: 63 },
    { op: "syscall", nr: mprotect, args: [{ slot: 63 }, 4096n, 1n], keep: 0 },
    { op: "syscall", nr: 9999, args: [] },
    { op: "report", address: { slot: 63 }, length: 1 },
  ]);
  assertEquals(results.map(({ value }) => value), [AREA, 0n, -38n, 1n]);
});

agentTest(
  "forks: a bystander, a part that a child runs, a child that becomes the subject",
  async (session, arch) => {
    const { kill } = NR[arch];
    const ops: TargetOp[] = [
      { op: "getpid" },
      { op: "fork", mode: "parent", id: 0 },
      { op: "fork", mode: "run", id: 1 },
      { op: "getpid" },
      { op: "fork", mode: "run", id: 2 },
      { op: "data", offset: 0, bytes: new Uint8Array(100) },
      { op: "exit", code: 9 },
      { op: "getpid" },
      { op: "join", id: 2 },
      { op: "getpid" },
      { op: "join", id: 1 },
      { op: "getpid" },
      { op: "fork", mode: "child", id: 0 },
      { op: "stop", label: 5, killNr: kill },
      { op: "exit", code: 42 },
    ];
    const event = await runToStop(session, ops);
    const { results, complete } = decodeResults(ops, await session.results());
    const [self, bystander, first, second, nested, third, fourth, subject] = results.map(({ value }) =>
      Number(value)
    );
    assert(complete);
    assertEquals(new Set([self, bystander, first, nested, subject]).size, 5);
    assertEquals([second, third, fourth], [first, first, self]);
    assertEquals([event.pid, event.label], [subject, 5]);
    const text = async (pid: number, name: string) =>
      new TextDecoder().decode((await session.observe(pid, [name])).get(name));
    assertStringIncludes(await text(bystander!, "stat"), `(target) S ${self} `);
    await session.cont(event.pid);
    assertEquals(await session.event(), { kind: "exit", pid: self!, code: 42 });
    await session.clean();
    await assertRejects(() => session.observe(bystander!, ["stat"]), AgentError);
  },
);

agentTest(
  "exec starts the program afresh and goes on behind it, in a child that ends at a join too",
  async (session, arch) => {
    const ops: TargetOp[] = [
      { op: "getpid" },
      mapArea(arch),
      { op: "exec" },
      { op: "check", address: 0n, pages: 0, seed: 0, stride: 1 },
      // The area is gone: a report of it fails.
      { op: "report", address: AREA, length: 1 },
      { op: "fork", mode: "run", id: 7 },
      { op: "exec" },
      { op: "data", offset: 0, bytes: new Uint8Array(9) },
      { op: "getpid" },
      { op: "join", id: 7 },
      { op: "getpid" },
    ];
    const values = (await runToEnd(session, ops)).map(({ value }) => value);
    const [pid, , , , , child] = values;
    assertEquals(values, [pid, AREA, 0n, 0n, -14n, child, 0n, child, pid].map((value) => value!));
    assert(pid !== child);
  },
);

agentTest("the auxiliary vector and the 32-bit system call entry", async (session) => {
  const results = await runToEnd(session, [
    { op: "auxv", type: 6 },
    { op: "auxv", type: 999 },
    { op: "getpid" },
    { op: "syscall32", nr: 20, args: [] }, // getpid
    { op: "syscall32", nr: 9999, args: [] },
  ]);
  const [page, none, pid, pid32, error] = results.map(({ value }) => value);
  assertEquals([page, none, error], [4096n, -2n, -38n]);
  assertEquals(pid32, pid);
});

agentTest("a target that dies is reported with its signal, a child's too", async (session, arch) => {
  const crash: TargetOp = { op: "poke", address: 0x5000n, size: 1, value: 0n };
  for (const ops of [[crash], [{ op: "fork", mode: "child", id: 0 }, crash]] satisfies TargetOp[][]) {
    await session.program(encodeProgram(ops));
    const pid = await session.spawn();
    assertEquals(await session.event(), { kind: "signal", pid, signal: 11 });
  }
  const bad = encodeProgram([{ op: "getpid" }]);
  const codes: [Uint8Array, number][] = [[bad.subarray(0, 60), 121], [
    bad.map((b, i) => i === 0 ? 99 : b),
    120,
  ]];
  for (const [bytes, code] of codes) {
    await session.program(bytes);
    const pid = await session.spawn();
    assertEquals(await session.event(), { kind: "exit", pid, code });
  }
  assertEquals((await runToEnd(session, [mapArea(arch)])).length, 1);
});

agentTest("segments are looked at and loaded, and a fault is only a result", async (session, arch) => {
  const selector = 5 << 3 | 7;
  const ops: TargetOp[] = [
    mapArea(arch),
    { op: "poke", address: AREA + 5n, size: 1, value: 0xabn },
    { op: "data", offset: 0, bytes: userDescriptor(5, Number(AREA), 3) },
    { op: "syscall", nr: NR[arch].modifyLdt, args: [0x11n, { scratch: 0 }, 16n] },
    { op: "lsl", selector },
    { op: "lar", selector },
    { op: "lar", selector: 6 << 3 | 7 },
    { op: "segload", selector: 6 << 3 | 7, register: 1, offset: 0, access: false },
    { op: "segload", selector: 3, register: 1, offset: 0, access: false },
    { op: "segload", selector, register: 3, offset: 5, access: true },
    { op: "segload", selector, register: 4, offset: 0x20000000, access: true },
    ...[0, 1, 2].map((register): TargetOp => ({
      op: "segload",
      selector,
      register,
      // In 64-bit mode the base of these is not looked at.
      offset: arch === "i386" ? 5 : Number(AREA) + 5,
      access: true,
    })),
    { op: "segload", selector: 0, register: 3, offset: 0, access: false },
    { op: "check", address: AREA + 4096n, pages: 0, seed: 0, stride: 1 },
  ];
  const values = (await runToEnd(session, ops)).map(({ value }) => value);
  const [, set, limit, rights, none, ss, nullSs, ...loads] = values;
  assertEquals([set, limit], [0n, 0x3fffn]);
  assertEquals((rights ?? 0n) & 0xf000n, 0xf000n);
  assertEquals([none, ss, nullSs], [-1n, -11n, -11n]);
  assertEquals(loads, [0xabn, -11n, 0xabn, 0xabn, 0xabn, 0n, 0n]);
});

/** An FXSAVE image as after FNINIT, with one value in every vector register. */
function fxsaveImage(): Uint8Array {
  const image = new Uint8Array(512);
  const view = new DataView(image.buffer);
  view.setUint16(0, 0x37f, true);
  view.setUint32(24, 0x1f80, true);
  for (let at = 160; at < 160 + 8 * 16; at++) image[at] = at & 0xff;
  return image;
}

const GENERAL = {
  x86_64: ["r15", "r14", "r13", "r12", "bp", "bx", "", "r10", "r9", "r8", "", "", "dx"],
  i386: ["", "", "dx", "si", "di", "bp"],
};

agentTest(
  "registers hold at a stop what the block says, and the program goes on after it",
  async (session, arch) => {
    const general = Object.fromEntries(BLOCK_REGISTERS.map((name, i) => [name, BigInt(0x1000 + i)]));
    const rest = { flags: 0x8d5n, gs: 7n, fs: 0n, es: 7n, ds: 7n };
    const block = encodeRegisterBlock(new Map(Object.entries({ ...general, ...rest })), fxsaveImage());
    const ops: TargetOp[] = [
      mapArea(arch),
      { op: "data", offset: 0, bytes: userDescriptor(0, 0, 0xfffff) },
      { op: "syscall", nr: NR[arch].modifyLdt, args: [0x11n, { scratch: 0 }, 16n] },
      { op: "data", offset: 1024, bytes: block },
      { op: "stop", label: 1, killNr: NR[arch].kill, registers: 1024 },
      { op: "fill", address: AREA, pages: 2, seed: 1, stride: 1 },
      { op: "check", address: AREA, pages: 2, seed: 1, stride: 1 },
      { op: "stop", label: 2, killNr: NR[arch].kill },
    ];
    const event = await runToStop(session, ops);
    const found = await session.registers(event.pid);
    const { buffer } = found.get("gpr")!;
    const words = arch === "i386"
      ? [...new Uint32Array(buffer)].map(BigInt)
      : [...new BigUint64Array(buffer)];
    GENERAL[arch].forEach((name, i) => {
      if (name !== "") assertEquals(words[i], general[name], name);
    });
    const [ip, flags, ds, es, fs, gs] = arch === "i386" ? [12, 14, 7, 8, 9, 10] : [16, 18, 23, 24, 25, 26];
    assertEquals(words[ip!], event.resumeAddress);
    assertEquals(words[flags!]! & 0xcd5n, 0x8d5n);
    assertEquals([words[ds!], words[es!], words[fs!], words[gs!]], [7n, 7n, 0n, 7n]);
    assertEquals(found.get("xstate")?.subarray(160, 288), fxsaveImage().subarray(160, 288));
    assertEquals(["debugreg", "tls"].map((name) => found.get(name)?.length), [arch === "i386" ? 32 : 64, 48]);
    await session.cont(event.pid);
    const second = await session.event();
    assert(second.kind === "stop");
    assertEquals(second.label, 2);
    assertEquals(decodeResults(ops, await session.results()).results.at(-1)?.value, 0n);
  },
);

Deno.test({
  name: "agent, x86_64: shows the TLS entries of the GDT",
  ignore: !canStartHostAgent(),
  async fn() {
    await using agent = await startHostAgent("x86_64");
    const entry = userDescriptor(13, 0x12345678, 9);
    const event = await runToStop(agent.session, [
      { op: "data", offset: 0, bytes: entry },
      // A 64-bit program has no such call of its own.
      { op: "syscall32", nr: 243, args: [{ scratch: 0 }] },
      { op: "stop", label: 0, killNr: NR.x86_64.kill },
    ]);
    const registers = await agent.session.registers(event.pid);
    assertEquals(registers.get("tls")!.subarray(16, 32), entry);
  },
});

agentTest("observe, pageHash and readFile agree on what is in memory", async (session, arch) => {
  const event = await runToStop(session, [
    mapArea(arch),
    { op: "fill", address: AREA, pages: 4, seed: 5, stride: 2 },
    { op: "read", address: AREA + 4096n, pages: 1, stride: 1 },
    { op: "stop", label: 0, killNr: NR[arch].kill },
  ]);
  const files = await session.observe(event.pid, ["maps", "stat", "pages", "cmdline"]);
  const text = (name: string) => new TextDecoder().decode(files.get(name));
  assertStringIncludes(text("maps"), "10000000-10010000 rw-p");
  assertStringIncludes(text("stat"), `${event.pid} (target) T `);
  assertEquals(text("cmdline"), "/target\0");
  const area = pagesIn(files.get("pages")!).filter((page) => page.address >> 16n === AREA >> 16n);
  const pages = [0n, 1n, 2n, 4n, 6n].map((page) => AREA + page * 4096n);
  assertEquals(area.map(({ address }) => address), pages);
  const frame = (page: { entry: bigint }) => page.entry & (1n << 55n) - 1n;
  assertEquals(area.map((page) => frame(page) === session.info.zeroPageFrame), [
    false,
    true,
    false,
    false,
    false,
  ]);
  const hashes = await session.pageHash(event.pid, [AREA + 8192n, AREA + 4096n, 0x5000n]);
  const expected = [
    new BlockHash().update(fillPage(5, Number(AREA) + 8192)).digest(),
    new BlockHash().update(new Uint8Array(4096)).digest(),
    2n ** 64n - 1n,
  ];
  assertEquals([...hashes], expected);
  const middle = fillPage(5, Number(AREA)).subarray(100, 300);
  const memory = (offset: number) => session.readFile(`/proc/${event.pid}/mem`, { offset, length: 200 });
  assertEquals(await memory(Number(AREA) + 100), middle);
  await assertRejects(() => memory(0x5000), AgentError, "EIO");
  await assertRejects(() => session.observe(event.pid, ["maps", "nosuch"]), AgentError, "nosuch");
  const many = Array.from({ length: 5000 }, (_, i) => AREA + BigInt(i % 7) * 4096n);
  assertEquals((await session.pageHash(event.pid, many)).length, 5000);
});

agentTest(
  "the page list is right for small mappings side by side, and across the kernel's steps of 2 MiB",
  async (session, arch) => {
    const start = 0x101fd000n;
    const { mmap, mprotect, kill } = NR[arch];
    const event = await runToStop(session, [
      { op: "syscall", nr: mmap, args: [start, 0x600000n, 3n, 0x32n, (1n << 64n) - 1n, 0n] },
      { op: "fill", address: start, pages: 5, seed: 1, stride: 1 },
      { op: "fill", address: start + 0x200000n, pages: 2, seed: 1, stride: 600 },
      ...[0n, 2n, 4n, 515n].map((page): TargetOp => ({
        op: "syscall",
        nr: mprotect,
        args: [start + page * 4096n, 4096n, 1n],
      })),
      { op: "stop", label: 0, killNr: kill },
    ]);
    const pages = pagesIn((await session.observe(event.pid, ["pages"])).get("pages")!);
    const indices = pages.map(({ address }) => Number(address - start) / 4096).filter((i) =>
      i >= 0 && i < 1536
    );
    assertEquals(indices, [0, 1, 2, 3, 4, 512, 1112]);
  },
);

agentTest("programs run, keep quiet, are stopped, go on and end", async (session) => {
  await session.mkdir("/bin");
  await assertRejects(() => session.exec(["nosuch"]), AgentError, "execve");
  await assertRejects(() => session.exec(["/target"], { directory: "/none" }), AgentError, "chdir");
  await assertRejects(() => session.exec(["/target"], { input: "/none" }), AgentError, "input");
  await session.program(encodeProgram([]));
  // Without its descriptors the target ends at once.
  const { pid } = await session.exec(["/target", "x"]);
  assertEquals(await session.quiesce(pid), { state: "exited", code: 121 });
  const nr = session.info.arch === "i386" ? 29 : 34; // pause
  await session.program(encodeProgram([{ op: "syscall", nr, args: [] }]));
  const sleeper = await session.spawn({ uid: 5, gid: 6 });
  assertEquals(await session.quiesce(sleeper), { state: "S" });
  const status = async () =>
    new TextDecoder().decode((await session.observe(sleeper, ["status"])).get("status"));
  assertStringIncludes(await status(), "Uid:\t5\t5\t5\t5");
  assertEquals(await session.quiesce(sleeper, { limitMs: 10_000 }), { state: "S" });
  await session.stop(sleeper);
  assertStringIncludes(await status(), "State:\tT");
  assertEquals(await session.quiesce(sleeper, { limitMs: 10 }), { state: "R" });
  await session.cont(sleeper);
  assertEquals((await session.quiesce(sleeper)).state, "S");
  await session.signal(sleeper, 15);
  assertEquals(await session.quiesce(sleeper), { state: "exited", signal: 15 });
  await assertRejects(() => session.stop(sleeper), AgentError);
  await session.clean();
});

/** What the blob `pages` holds: addresses, and entries of pagemap. */
function pagesIn(blob: Uint8Array): { address: bigint; entry: bigint }[] {
  const words = new BigUint64Array(blob.slice().buffer);
  return Array.from(
    { length: words.length / 2 },
    (_, i) => ({ address: words[2 * i]!, entry: words[2 * i + 1]! }),
  );
}

agentTest("a stop in a code segment of the LDT, and the way back from it", async (session, arch) => {
  const { modifyLdt } = NR[arch];
  const entry = new Uint8Array(16);
  // Entry 1, flat: code of 32 bits that can be read, its limit in pages.
  new Uint32Array(entry.buffer).set([1, 0, 0xfffff, 1 | 2 << 1 | 1 << 4]);
  const ops: TargetOp[] = [
    { op: "data", offset: 0, bytes: entry },
    { op: "syscall", nr: modifyLdt, args: [0x11n, { scratch: 0 }, 16n] },
    { op: "data", offset: 1024, bytes: encodeRegisterBlock(new Map([["cs", 15n], ["flags", 0x8d5n]])) },
    { op: "stop", label: 1, killNr: NR.i386.kill, registers: 1024 },
    { op: "getpid" },
    { op: "stop", label: 2, killNr: NR[arch].kill },
  ];
  const event = await runToStop(session, ops);
  const codeOf = async () => {
    const { buffer } = (await session.registers(event.pid)).get("gpr")!;
    return arch === "i386"
      ? [...new Uint32Array(buffer).slice(12, 15)].map(BigInt)
      : [...new BigUint64Array(buffer).slice(16, 19)];
  };
  assertEquals(await codeOf(), [event.resumeAddress, 15n, 0xad7n]);
  await session.cont(event.pid);
  const second = await session.event();
  assert(second.kind === "stop");
  assertEquals((await codeOf())[1], arch === "i386" ? 0x23n : 0x33n);
  assertEquals(decodeResults(ops, await session.results()).results.map(({ value }) => value), [
    0n,
    BigInt(event.pid),
  ]);
});
