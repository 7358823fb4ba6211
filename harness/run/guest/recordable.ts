// SPDX-License-Identifier: MIT

import type { Scenario } from "../../../lib/model/scenario.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import { FLAVOURS } from "../../../vm/kernel/config/kernel_flavour.ts";
import type { Accelerator, GuestChannel } from "../../../vm/qemu/qemu_arguments.ts";
import type { Platform } from "../platform.ts";

/** What decides whether a guest can be recorded. */
interface RecordedGuest {
  readonly platform: Platform;
  readonly cpus: number | undefined;
  readonly accelerator: Accelerator;
  readonly channel: GuestChannel;
  readonly scenarios: readonly Scenario[];
}

/** @throws {UsageError} naming what of a guest QEMU cannot record */
export function checkRecordable({ platform, cpus, accelerator, channel, scenarios }: RecordedGuest): void {
  const shared = scenarios.find(writesToShare);
  const why = [
    (cpus ?? FLAVOURS[platform.flavour].processors) > 1 && "a guest with more than one processor",
    accelerator === "kvm" && "a guest under KVM: say --accel tcg",
    channel === "serial" && "a kernel without virtio ports",
    shared && `a directory of the host, to which ${shared.name} writes`,
  ].find((reason) => typeof reason === "string");
  if (why !== undefined) throw new UsageError(`option --record: QEMU cannot record ${why}`);
}

/** Whether an image of a scenario goes to a directory that guest and host share. */
export function writesToShare({ steps = [] }: Scenario): boolean {
  return steps.some((step) => step.op === "stop" && step.to?.mount === "9p");
}
