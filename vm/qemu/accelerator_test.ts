// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ExpectedError } from "../host/errors.ts";
import { chooseAccelerator, probeRom, runProbe } from "./accelerator.ts";
import { MissingToolError } from "../host/find_tool.ts";

/** A directory with a stand-in for QEMU (a shell script) and for the device. */
async function withFakeQemu(script: string, use: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/qemu`, `#!/bin/sh\necho run >> ${dir}/runs\n${script}\n`, {
      mode: 0o755,
    });
    await Deno.writeTextFile(`${dir}/kvm`, "");
    await use(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function choose(dir: string, more: { accel?: "kvm"; deadlineMs?: number; device?: string } = {}) {
  return chooseAccelerator({
    accel: "auto",
    cacheDir: `${dir}/cache`,
    program: `${dir}/qemu`,
    device: `${dir}/kvm`,
    ...more,
  });
}

Deno.test("chooseAccelerator() takes KVM when the guest code reached its end, and probes once", async () => {
  await withFakeQemu("exit 33", async (dir) => {
    assertEquals(await choose(dir), { accelerator: "kvm", reason: "a guest ran under KVM" });
    assertEquals((await choose(dir)).accelerator, "kvm");
    assertEquals(await Deno.readTextFile(`${dir}/runs`), "run\n");
  });
});

Deno.test("chooseAccelerator() takes TCG when the probe fails, and quotes QEMU", async () => {
  await withFakeQemu("echo 'error: failed to set MSR' >&2; exit 1", async (dir) => {
    const { accelerator, reason } = await choose(dir);
    assertEquals(accelerator, "tcg");
    assert(reason.includes("exit status 1: error: failed to set MSR"), reason);
  });
});

Deno.test("chooseAccelerator() takes TCG when a guest resets (status 0) instead of running", async () => {
  await withFakeQemu("exit 0", async (dir) => {
    const { accelerator, reason } = await choose(dir);
    assertEquals(accelerator, "tcg");
    assertStringIncludes(reason, "should have ended QEMU with exit status 33 ended it with exit status 0");
  });
});

Deno.test("chooseAccelerator() kills a probe that hangs", async () => {
  await withFakeQemu("trap '' TERM INT; exec sleep 60", async (dir) => {
    const start = performance.now();
    const { accelerator, reason } = await choose(dir, { deadlineMs: 300 });
    assertEquals(accelerator, "tcg");
    assert(reason.includes("hung"), reason);
    assert(performance.now() - start < 5000);
  });
});

Deno.test("chooseAccelerator() says when there is no device, and when a program is missing", async () => {
  await withFakeQemu("exit 33", async (dir) => {
    assertEquals(await choose(dir, { device: "/nonexistent/kvm" }), {
      accelerator: "tcg",
      reason: "there is no /nonexistent/kvm",
    });
    await assertRejects(
      () => chooseAccelerator({ accel: "auto", program: "no-such-qemu" }),
      MissingToolError,
    );
  });
});

Deno.test("chooseAccelerator() obeys the user, and soon says that KVM cannot be had", async () => {
  const tcg = { accelerator: "tcg", reason: "as asked for" } as const;
  assertEquals(await chooseAccelerator({ accel: "tcg" }), tcg);
  const kvm = { accel: "kvm", deadlineMs: 300 } as const;
  await withFakeQemu("exit 33", async (dir) => assertEquals((await choose(dir, kvm)).accelerator, "kvm"));
  await withFakeQemu("trap '' TERM INT; exec sleep 60", async (dir) => {
    const start = performance.now();
    const hung = "option --accel kvm: KVM does not run guests here: the probe hung";
    await assertRejects(() => choose(dir, kvm), ExpectedError, hung);
    assert(performance.now() - start < 5000);
    // What was found out holds for the others, and is tried again for who asks for KVM.
    assertEquals((await choose(dir)).accelerator, "tcg");
    await Deno.writeTextFile(`${dir}/qemu`, "#!/bin/sh\nexit 33\n");
    assertEquals((await choose(dir, kvm)).accelerator, "kvm");
  });
  await withFakeQemu("exit 33", async (dir) => {
    await assertRejects(() => choose(dir, { ...kvm, device: "/none" }), ExpectedError, "there is no /none");
  });
});

Deno.test("chooseAccelerator() probes again after the device changed", async () => {
  await withFakeQemu("exit 33", async (dir) => {
    await choose(dir);
    await Deno.chmod(`${dir}/kvm`, 0o600);
    await choose(dir);
    assertEquals(await Deno.readTextFile(`${dir}/runs`), "run\nrun\n");
  });
});

Deno.test("probeRom() has its code where the processor starts", () => {
  const rom = probeRom();
  assertEquals(rom.length, 65536);
  // The jump at the reset vector goes to 0xff00, where `cli` is.
  assertEquals((0xfff0 + 3 + (rom[0xfff1]! | rom[0xfff2]! << 8)) & 0xffff, 0xff00);
  assertEquals(rom[0xff00], 0xfa);
});

Deno.test("runProbe() reports a program that ends otherwise", async () => {
  await withFakeQemu("kill -ABRT $$", async (dir) => {
    assert((await runProbe(`${dir}/qemu`, "kvm", 1000))?.includes("SIGABRT"));
  });
});
