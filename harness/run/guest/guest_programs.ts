// SPDX-License-Identifier: MIT

import { abiOf, stackTop } from "../../../lib/abi/arch.ts";
import type { CompileTarget } from "../../../lib/model/state/model_state.ts";
import { buildGuest } from "../../../vm/initramfs/build_guest.ts";
import { readProgramFacts } from "../../../vm/initramfs/program_facts.ts";
import { FLAVOURS, HUGE_PAGES_ALWAYS } from "../../../vm/kernel/config/kernel_flavour.ts";
import { PORT_NUMBERS } from "../../../vm/kernel/syscall_numbers.ts";
import { isCompat, type Platform } from "../platform.ts";

/** Where a guest has the target of the other word size. */
export const OTHER_TARGET = "/other-target";

/** Paths of a platform's agent and target program, and of the target of the other word size that its kernel runs. */
export async function guestPrograms(
  platform: Platform,
): Promise<{ agent: string; target: string; otherTarget: string | undefined }> {
  const { agent, target, target32 } = await buildGuest(platform.kernel);
  return isCompat(platform) && target32 !== undefined
    ? { agent, target: target32, otherTarget: target }
    : { agent, target, otherTarget: target32 };
}

/** What scenarios are compiled for on a platform, with the number of the port's system call. */
export async function compileTargetOf(platform: Platform): Promise<CompileTarget> {
  const { target } = await guestPrograms(platform);
  const program = readProgramFacts(await Deno.readFile(target), target);
  return {
    kernelWordSize: abiOf(platform.kernel).wordSize,
    targetWordSize: platform.target === "x86_64" ? 8 : 4,
    heapStart: program.startBrk,
    program,
    stackTop: stackTop(platform.kernel, platform.target),
    checkpointNr: PORT_NUMBERS[platform.target],
    series: platform.series,
    hasHugePages: FLAVOURS[platform.flavour].parameters.includes(HUGE_PAGES_ALWAYS),
  };
}
