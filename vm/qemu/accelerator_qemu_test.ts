// SPDX-License-Identifier: MIT
import { assert, assertEquals } from "@std/assert";
import { chooseAccelerator, runProbe } from "./accelerator.ts";

Deno.test("runProbe() gets through its guest code under TCG", async () => {
  assertEquals(await runProbe("qemu-system-x86_64", "tcg", 20_000), undefined);
});

Deno.test("chooseAccelerator() comes to a decision in time, whatever /dev/kvm is like", async () => {
  const cacheDir = await Deno.makeTempDir();
  try {
    const start = performance.now();
    const { accelerator, reason } = await chooseAccelerator({ accel: "auto", cacheDir });
    const ms = performance.now() - start;
    assert(accelerator === "kvm" || accelerator === "tcg");
    assert(reason !== "" && ms < 6000, `${reason} after ${ms} ms`);
  } finally {
    await Deno.remove(cacheDir, { recursive: true });
  }
});
