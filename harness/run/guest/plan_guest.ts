// SPDX-License-Identifier: MIT

import type { Dialect } from "../../../lib/abi/series.ts";
import type { Scenario } from "../../../lib/model/scenario.ts";
import type { CompileTarget } from "../../../lib/model/state/model_state.ts";
import { makeTempDirectory } from "../../../vm/host/temp_directory.ts";
import { requireTools } from "../../../vm/host/find_tool.ts";
import { BUILD_TOOLS } from "../../../vm/kernel/build/compile_kernel.ts";
import type { SyscallNumbers } from "../../../vm/kernel/syscall_numbers.ts";
import { type AcceleratorChoice, chooseAccelerator } from "../../../vm/qemu/accelerator.ts";
import type { Accelerator } from "../../../vm/qemu/qemu_arguments.ts";
import type { Terminal } from "../../report/terminal.ts";
import { compileCatalogue, type CompiledCatalogue } from "../catalogue.ts";
import type { Platform } from "../platform.ts";
import { compileTargetOf } from "./guest_programs.ts";
import type { BuildRequest } from "./platform_kernel.ts";
import { checkRecordable } from "./recordable.ts";
import { examineKernelFile, type UserKernelFile } from "./user_kernel.ts";

/** What a guest is to be. */
export interface GuestRequest extends BuildRequest {
  readonly terminal: Terminal;
  readonly accelerator?: "auto" | Accelerator | undefined;
  readonly scenarios?: readonly Scenario[];
  /** Whether the guest may read all files of the host. */
  readonly hostFiles?: boolean;
  readonly hasTerminal?: boolean;
  /** A directory in which every guest is recorded, each in one of its own. */
  readonly record?: string | undefined;
  /** Whether everything in it is the same each time. */
  readonly isDeterministic?: boolean;
  readonly takesGdb?: boolean;
  readonly memoryMiB?: number | undefined;
  /** Processors of the guest; as its kernel's flavour has them by default. */
  readonly cpus?: number | undefined;
  readonly append?: readonly string[];
  /** Numbers of the system call; found out by default. */
  readonly syscall?: SyscallNumbers | undefined;
  /** Whether tasks can only checkpoint themselves. */
  readonly self?: boolean;
  /** By whose rules images are judged; by default as their head says, where the kernel is not the project's. */
  readonly dialect?: Dialect | undefined;
  /** Ends what is prepared, and every guest. */
  readonly signal?: AbortSignal | undefined;
  /** A ready vmlinux (with a PVH entry) or bzImage, in place of our own build. */
  readonly kernelFile?: string | undefined;
}

/** A guest that can be prepared: all that was asked for is checked, and no kernel is built yet. */
export interface GuestPlan {
  readonly request: GuestRequest;
  /** The platform; for a ready kernel with the series whose model judges it. */
  readonly platform: Platform;
  /** Set for a ready kernel. */
  readonly userKernel: UserKernelFile | undefined;
  readonly accelerator: AcceleratorChoice;
  readonly target: CompileTarget;
  readonly compiled: CompiledCatalogue;
}

/**
 * Checks everything about a guest that can be known before its kernel is built: the options, a ready kernel, and that
 * each scenario compiles. The guest's own programs are built for that, which takes a moment.
 *
 * @throws {ExpectedError} naming what is wrong
 */
export async function planGuest(named: Platform, request: GuestRequest): Promise<GuestPlan> {
  const { kernelFile, scenarios = [], self = false, dialect } = request;
  if (kernelFile === undefined) await requireTools(BUILD_TOOLS);
  // Guests have their sockets there.
  await Deno.remove(await makeTempDirectory("ckptest-plan-"));
  const accelerator = await chooseAccelerator({ accel: request.accelerator });
  const userKernel = kernelFile === undefined ? undefined : await examineKernelFile({
    path: kernelFile,
    platform: named,
    channel: request.channel,
    hasNumber: request.syscall !== undefined,
  });
  const platform = userKernel?.platform ?? named;
  if (request.record !== undefined || request.isDeterministic) {
    const channel = userKernel?.channel ?? request.channel ?? "virtio";
    checkRecordable({ ...request, ...accelerator, platform, channel, cpus: request.cpus, scenarios });
  }
  const target = { ...await compileTargetOf(platform), dialect: dialect ?? "port" } as const;
  const compiled = compileCatalogue(scenarios, { platform, target, self });
  return { request, platform, userKernel, accelerator, target, compiled };
}

/** Plans one guest for each platform, so that a mistake on the last one is told before the first one is built. */
export async function planGuests(
  platforms: readonly Platform[],
  request: GuestRequest,
): Promise<GuestPlan[]> {
  const plans: GuestPlan[] = [];
  for (const platform of platforms) plans.push(await planGuest(platform, request));
  return plans;
}
