// SPDX-License-Identifier: MIT

import { assertThrows } from "@std/assert";
import { UsageError } from "../../../vm/host/errors.ts";
import { findScenario } from "../catalogue.ts";
import { parsePlatforms } from "../platform.ts";
import { checkRecordable } from "./recordable.ts";

Deno.test("checkRecordable() names what QEMU cannot record", async () => {
  const [platform] = parsePlatforms({ arch: "x86_64", fallback: "" });
  const [smp] = parsePlatforms({ arch: "x86_64-smp", fallback: "" });
  const guest = {
    platform: platform!,
    cpus: undefined,
    accelerator: "tcg",
    channel: "virtio",
    scenarios: [],
  } as const;
  checkRecordable(guest);
  checkRecordable({ ...guest, platform: smp!, cpus: 1 });
  const fails = (more: Partial<Parameters<typeof checkRecordable>[0]>, says: string) =>
    assertThrows(() => checkRecordable({ ...guest, ...more }), UsageError, says);
  fails({ platform: smp! }, "more than one processor");
  fails({ cpus: 2 }, "more than one processor");
  fails({ accelerator: "kvm" }, "--accel tcg");
  fails({ channel: "serial" }, "without virtio ports");
  const scenarios = [await findScenario("out_9p_position")];
  fails({ scenarios }, "to which out_9p_position writes");
  // It is skipped.
  checkRecordable({ ...guest, scenarios, isDeterministic: true });
  fails(
    { isDeterministic: true, cpus: 2 },
    "--deterministic: QEMU counts no instructions of a guest with more",
  );
});
