// SPDX-License-Identifier: MIT

import type { Scenario } from "../../../lib/model/scenario.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import { FLAVOURS } from "../../../vm/kernel/config/kernel_flavour.ts";
import type { Accelerator, GuestChannel } from "../../../vm/qemu/qemu_arguments.ts";
import type { Platform } from "../platform.ts";

/** What decides whether QEMU can count the instructions of a guest. */
interface GuestMachine {
  readonly platform: Platform;
  readonly cpus: number | undefined;
  readonly accelerator: Accelerator;
  readonly channel: GuestChannel;
}

interface CountedGuest extends GuestMachine {
  readonly isDeterministic?: boolean;
  readonly scenarios: readonly Scenario[];
}

/** @throws {UsageError} naming what of a guest QEMU cannot record, or do the same each time */
export function checkRecordable({ isDeterministic, scenarios, ...guest }: CountedGuest): void {
  // Where nothing is recorded, such a scenario is skipped.
  const shared = isDeterministic ? undefined : scenarios.find(writesToShare);
  const why = uncountedReason(guest) ??
    (shared && `a directory of the host, to which ${shared.name} writes`);
  const what = isDeterministic
    ? "--deterministic: QEMU counts no instructions of"
    : "--record: QEMU cannot record";
  if (why !== undefined) throw new UsageError(`option ${what} ${why}`);
}

/** Why QEMU cannot count the instructions of a guest; undefined when it can. */
export function uncountedReason(
  { platform, cpus, accelerator, channel }: GuestMachine,
): string | undefined {
  if ((cpus ?? FLAVOURS[platform.flavour].processors) > 1) return "a guest with more than one processor";
  if (accelerator === "kvm") return "a guest under KVM: say --accel tcg";
  return channel === "serial" ? "a kernel without virtio ports" : undefined;
}

/** Whether an image of a scenario goes to a directory that guest and host share. */
export function writesToShare({ steps = [] }: Scenario): boolean {
  return steps.some((step) => step.op === "stop" && step.to?.mount === "9p");
}
