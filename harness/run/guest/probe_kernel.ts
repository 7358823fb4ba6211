// SPDX-License-Identifier: MIT

import { errnoName } from "../../../lib/abi/errno.ts";
import { compileScenario } from "../../../lib/model/compile_scenario.ts";
import type { CompileTarget } from "../../../lib/model/state/model_state.ts";
import { FREE_NUMBERS } from "../../../vm/kernel/syscall_numbers.ts";
import { encodeProgram } from "../../../vm/agent/target_program.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import type { GuestAgent } from "./guest.ts";

const ENOSYS = 38;
const NO_DESCRIPTOR = (1n << 32n) - 1n;
/** No flag is known to any kernel: whoever has the call refuses it. */
const UNKNOWN_FLAG = 1n;

/** Which numbers to try. */
export interface ProbeOptions {
  /** The only one, from the command line; otherwise {@linkcode FREE_NUMBERS}. */
  readonly number?: number | undefined;
}

/**
 * Finds the number of the checkpoint system call by calling it with a flag that it must refuse; ENOSYS says that there
 * is no such call.
 *
 * @throws {UsageError} when no number has a call, or more than one
 */
export async function findSyscall(
  agent: Pick<GuestAgent, "syscall" | "info">,
  { number }: ProbeOptions = {},
): Promise<number> {
  const tried = number === undefined ? FREE_NUMBERS : [number];
  const found: number[] = [];
  for (const nr of tried) {
    const { result } = await agent.syscall(nr, 0n, NO_DESCRIPTOR, UNKNOWN_FLAG);
    if (Number(result) !== -ENOSYS) found.push(nr);
    // Ours is the first one that is tried, and nobody is called without need.
    if (found.includes(FREE_NUMBERS[0]!)) break;
  }
  const [first] = found;
  const kernel = `Linux ${agent.info.release}`;
  if (first === undefined) {
    throw new UsageError(
      `this kernel (${kernel}) has no checkpoint system call: ` +
        (number === undefined
          ? `${Math.min(...tried)} to ${Math.max(...tried)} give ENOSYS. --syscall NR names another number`
          : `number ${number} gives ENOSYS`),
    );
  }
  if (found.length > 1) {
    throw new UsageError(`this kernel (${kernel}) has calls ${found.join(", ")}: say --syscall NR`);
  }
  return first;
}

/**
 * Whether a task can be checkpointed by another one: the name of the errno that refuses it, or undefined when it can.
 */
export async function refusalOfOthers(
  agent: GuestAgent,
  { compileTarget, nr }: { compileTarget: CompileTarget; nr: number },
): Promise<string | undefined> {
  const steps = [{ op: "stop", label: "probe" } as const];
  const { ops } = compileScenario({ name: "probe", about: "", steps }, compileTarget);
  await agent.program(encodeProgram(ops));
  const pid = await agent.spawn({ path: "/target" });
  const event = await agent.event();
  if (event.kind !== "stop") throw new UsageError(`the target did not stop for the probe: ${event.kind}`);
  const { result, errno } = await agent.checkpoint({ nr, pid });
  await agent.clean();
  return result < 0 ? errnoName(errno) : undefined;
}
