// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertRejects } from "@std/assert";
import { MissingToolError } from "../host/find_tool.ts";
import { GuestLostError } from "./guest_lost_error.ts";
import { startVirtualMachine, type VirtualMachineOptions } from "./virtual_machine.ts";

/** Starts a shell script in place of QEMU; it must fail. */
async function failToStart(
  script: string,
  more: Partial<VirtualMachineOptions> = {},
): Promise<GuestLostError> {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/qemu`, `#!/bin/sh\necho $$ > ${dir}/pid\n${script}\n`, { mode: 0o755 });
    const options = {
      accelerator: "tcg",
      kernel: "/k",
      initrd: "/i",
      program: `${dir}/qemu`,
      ...more,
    } as const;
    const error = await assertRejects(() => startVirtualMachine(options), GuestLostError);
    const pid = (await Deno.readTextFile(`${dir}/pid`)).trim();
    const alive = await new Deno.Command("sh", { args: ["-c", `kill -0 ${pid}`], stderr: "null" }).output();
    assert(!alive.success, `process ${pid} lives on`);
    return error;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("startVirtualMachine() reports a QEMU that ends at once, with status and messages", async () => {
  const error = await failToStart("echo 'qemu: no such machine' >&2; exit 1");
  assertEquals(error.reason, "qemu-exit");
  assert(error.detail.includes("exit status 1: qemu: no such machine"), error.detail);
  assert(error.awaited.includes("control socket"), error.awaited);
  assert(error.command.includes("-kernel /k"), error.command);
});

Deno.test("startVirtualMachine() gives up on a QEMU that never connects, and kills it", async () => {
  const start = performance.now();
  const error = await failToStart("trap '' TERM INT HUP; exec sleep 60", { startDeadlineMs: 300 });
  assertEquals(error.reason, "timeout");
  assert(error.message.includes("waiting for QEMU to connect to its control socket"), error.message);
  assert(performance.now() - start < 10_000);
});

Deno.test("startVirtualMachine() tells which signal ended QEMU", async () => {
  const error = await failToStart("kill -SEGV $$");
  assertEquals(error.reason, "qemu-exit");
  assert(error.detail.includes("SIGSEGV"), error.detail);
});

Deno.test("startVirtualMachine() names QEMU when it is not installed", async () => {
  const options = { accelerator: "tcg", kernel: "/k", initrd: "/i", program: "no-such-qemu" } as const;
  await assertRejects(() => startVirtualMachine(options), MissingToolError, "no-such-qemu");
});
