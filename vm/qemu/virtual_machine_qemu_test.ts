// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { GuestLostError } from "./guest_lost_error.ts";
import { buildKernel } from "../kernel/build/build_kernel.ts";
import { runCommand } from "../host/run_command.ts";
import { makeEmptyInitramfs, makeTestInitramfs } from "./testing/test_guest.ts";
import { standaloneArguments } from "./qemu_arguments.ts";
import { startVirtualMachine, type VirtualMachine } from "./virtual_machine.ts";

const DEADLINE_MS = 30_000;
let directory = "";
let kernel = "";
let initrd = "";

Deno.test.beforeAll(async () => {
  directory = await Deno.makeTempDir();
  kernel = (await buildKernel({ arch: "x86_64", source: { kind: "debian", series: "6.1" } })).bootFile;
  initrd = await makeTestInitramfs(directory);
});

Deno.test.afterAll(() => Deno.remove(directory, { recursive: true }));

function start(more: { initrd?: string } = {}): Promise<VirtualMachine> {
  return startVirtualMachine({ accelerator: "tcg", kernel, initrd, ...more });
}

async function readExactly(conn: Deno.Conn, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const got = await conn.read(bytes.subarray(done));
    if (got === null) throw new Error("end of stream");
    done += got;
  }
  return bytes;
}

async function send(vm: VirtualMachine, letter: string): Promise<void> {
  await vm.control.write(new TextEncoder().encode(letter));
}

async function hello(vm: VirtualMachine): Promise<void> {
  const wait = { awaited: "the test guest's hello", deadlineMs: DEADLINE_MS };
  const line = await vm.waitFor(wait, readExactly(vm.control, 6));
  assertEquals(new TextDecoder().decode(line), "hello\n");
}

/** Waits for the guest to be lost, and gives the error. */
async function lost(vm: VirtualMachine, deadlineMs = DEADLINE_MS): Promise<GuestLostError> {
  const wait = { awaited: "a word that never comes", deadlineMs };
  return await assertRejects(() => vm.waitFor(wait, readExactly(vm.control, 1)), GuestLostError);
}

async function isAlive(pid: number): Promise<boolean> {
  const { code, lines } = await runCommand(["cat", `/proc/${pid}/stat`]);
  return code === 0 && !/\) [ZX]/.test(lines[0] ?? "");
}

Deno.test("the command of a guest can be run by a person, and shows the console", async () => {
  await using vm = await start();
  const [program = "", ...args] = standaloneArguments(vm.argv);
  assertStringIncludes(vm.lost("timeout", "nothing").command, "mon:stdio");
  await vm.close();
  const shown = args.map((arg) => arg.replace("loglevel=5", "loglevel=7"));
  const qemu = new Deno.Command(program, { args: shown, stdin: "piped", stdout: "piped" }).spawn();
  let text = "";
  const decoder = new TextDecoder();
  const stdin = qemu.stdin.getWriter();
  for await (const bytes of qemu.stdout) {
    text += decoder.decode(bytes, { stream: true });
    // As a person ends it: Ctrl-A X.
    if (text.includes("Linux version 6.1")) await stdin.write(Uint8Array.of(1, 0x78)).catch(() => {});
  }
  await stdin.close().catch(() => {});
  assertEquals((await qemu.status).code, 0, text);
  assertStringIncludes(text, "Linux version 6.1");
});

Deno.test("a guest boots, speaks on its control port, and carries 1 MiB both ways on its data port", async () => {
  await using vm = await start();
  await hello(vm);
  await send(vm, "e");
  const bytes = Uint8Array.from({ length: 1 << 20 }, (_, index) => (index * 2654435761) >>> 24);
  const sent = (async () => {
    for (let done = 0; done < bytes.length;) done += await vm.data.write(bytes.subarray(done));
  })();
  const wait = { awaited: "1 MiB to come back", deadlineMs: DEADLINE_MS };
  const back = await vm.waitFor(wait, readExactly(vm.data, bytes.length));
  await sent;
  assertEquals(back.every((byte, index) => byte === bytes[index]), true);
});

Deno.test("close() ends QEMU, and may be called twice", async () => {
  const vm = await start();
  await hello(vm);
  assert(await isAlive(vm.pid));
  await vm.close();
  await vm.close();
  assert(!await isAlive(vm.pid));
  assertEquals((await vm.exited).code, 0);
});

Deno.test("a panic at boot is reported at once, as a panic, with the kernel's words", async () => {
  const begin = performance.now();
  await using vm = await start({ initrd: await makeEmptyInitramfs(directory) });
  const error = await lost(vm);
  assertEquals(error.reason, "panic");
  assertStringIncludes(error.detail, "Kernel panic - not syncing");
  assertStringIncludes(error.consoleTail, "Kernel panic - not syncing");
  assert(performance.now() - begin < DEADLINE_MS / 2);
});

Deno.test("a panic later on is reported, with what was waited for", async () => {
  await using vm = await start();
  await hello(vm);
  await send(vm, "x");
  const error = await lost(vm);
  assertEquals(error.reason, "panic");
  assertStringIncludes(error.message, "Attempted to kill init! exitcode=0x00000700");
  assertStringIncludes(error.message, "waiting for a word that never comes");
});

Deno.test("a guest that hangs is given up after the deadline, and can still be closed", async () => {
  const vm = await start();
  await hello(vm);
  await send(vm, "h");
  const error = await lost(vm, 300);
  assertEquals(error.reason, "timeout");
  await vm.close();
  assert(!await isAlive(vm.pid));
});

Deno.test("a guest that reboots, or whose QEMU is killed, is a QEMU that ended", async () => {
  await using vm = await start();
  await hello(vm);
  await send(vm, "r");
  const error = await lost(vm);
  assertEquals([error.reason, error.detail], ["qemu-exit", "QEMU ended with exit status 0"]);

  await using other = await start();
  await hello(other);
  await runCommand(["setpriv", "kill", "-9", String(other.pid)]);
  const killed = await lost(other);
  assertEquals([killed.reason, killed.detail], ["qemu-exit", "QEMU was ended by SIGKILL"]);
});

Deno.test("the console keeps every byte, NULs too", async () => {
  await using vm = await start();
  await hello(vm);
  const begin = vm.console.offset;
  await send(vm, "c");
  await vm.waitFor({ awaited: "done", deadlineMs: DEADLINE_MS }, readExactly(vm.control, 5));
  // What the guest wrote is with QEMU; it comes over within moments. A newline goes out as two bytes.
  for (let tries = 0; vm.console.offset < begin + 101_000 && tries < 500; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const bytes = vm.console.bytes(begin).filter((byte) => byte !== 0x0d);
  const expected = Uint8Array.from(
    { length: 100_000 },
    (_, i) => i % 100 === 99 ? 0x0a : i % 2 === 1 ? 0x61 : 0,
  );
  assertEquals(bytes.length, expected.length);
  assert(bytes.every((byte, index) => byte === expected[index]));
});

Deno.test("QEMU dies with the process that started it, even when that is killed", async () => {
  const script = `
    import { startVirtualMachine } from ${JSON.stringify(import.meta.resolve("./virtual_machine.ts"))};
    const vm = await startVirtualMachine(${JSON.stringify({ accelerator: "tcg", kernel, initrd })});
    console.log(vm.pid);
    await new Promise(() => setInterval(() => {}, 1000));
  `;
  await Deno.writeTextFile(`${directory}/parent.ts`, script);
  const config = new URL(import.meta.resolve("../../deno.json")).pathname;
  const parent = new Deno.Command("setpriv", {
    args: [
      "--pdeathsig",
      "KILL",
      "deno",
      "run",
      "-q",
      `--config=${config}`,
      "-P=vm",
      `${directory}/parent.ts`,
    ],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = parent.stdout.getReader();
  const pid = Number(new TextDecoder().decode((await reader.read()).value));
  assert(pid > 1 && await isAlive(pid), `QEMU ${pid} did not start`);
  parent.kill("SIGKILL");
  await parent.status;
  await reader.cancel();
  for (let tries = 0; await isAlive(pid); tries++) {
    assert(tries < 100, `QEMU ${pid} lives on`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});
