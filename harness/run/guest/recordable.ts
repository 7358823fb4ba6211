// SPDX-License-Identifier: MIT

import type { Scenario } from "../../../lib/model/scenario.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import { FLAVOURS } from "../../../vm/kernel/config/kernel_flavour.ts";
import type { Accelerator, GuestChannel } from "../../../vm/qemu/qemu_arguments.ts";
import type { Platform } from "../platform.ts";

/** What decides whether QEMU can count the instructions of a guest. */
interface CountedGuest {
  readonly isDeterministic?: boolean;
  readonly platform: Platform;
  readonly cpus: number | undefined;
  readonly accelerator: Accelerator;
  readonly channel: GuestChannel;
  readonly scenarios: readonly Scenario[];
}

/** @throws {UsageError} naming what of a guest QEMU cannot record, or do the same each time */
export function checkRecordable(
  { isDeterministic, platform, cpus, accelerator, channel, scenarios }: CountedGuest,
): void {
  // Where nothing is recorded, such a scenario is skipped.
  const shared = isDeterministic ? undefined : scenarios.find(writesToShare);
  const why = [
    (cpus ?? FLAVOURS[platform.flavour].processors) > 1 && "a guest with more than one processor",
    accelerator === "kvm" && "a guest under KVM: say --accel tcg",
    channel === "serial" && "a kernel without virtio ports",
    shared && `a directory of the host, to which ${shared.name} writes`,
  ].find((reason) => typeof reason === "string");
  const what = isDeterministic
    ? "--deterministic: QEMU counts no instructions of"
    : "--record: QEMU cannot record";
  if (why !== undefined) throw new UsageError(`option ${what} ${why}`);
}

/** Whether an image of a scenario goes to a directory that guest and host share. */
export function writesToShare({ steps = [] }: Scenario): boolean {
  return steps.some((step) => step.op === "stop" && step.to?.mount === "9p");
}
