// SPDX-License-Identifier: MIT

import type { Dialect } from "../../../lib/abi/series.ts";
import { ERRNO, errnoName } from "../../../lib/abi/errno.ts";
import { decodeBytes } from "../../../lib/image/decoder.ts";
import { dialectOfRevision } from "../../../lib/image/dialect.ts";
import { MalformedImageError } from "../../../lib/image/malformed_image_error.ts";
import { compileScenario } from "../../../lib/model/compile_scenario.ts";
import type { Step } from "../../../lib/model/scenario.ts";
import type { CompileTarget } from "../../../lib/model/state/model_state.ts";
import { candidateNumbers, PORT_NUMBERS, type SyscallNumbers } from "../../../vm/kernel/syscall_numbers.ts";
import { encodeProgram } from "../../../vm/agent/target_program.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import type { GuestAgent } from "./guest.ts";

const NO_DESCRIPTOR = (1n << 32n) - 1n;
/** No flag is known to any kernel: whoever has the call refuses it. */
const UNKNOWN_FLAG = 1n;

/** What a kernel is asked, and what is known of it already. */
export interface KernelQuestion {
  /** The numbers of the system call; searched for where nobody knows them. */
  readonly syscall: SyscallNumbers | undefined;
  /** By whose rules its images are judged; by the revision in their head where nobody says. */
  readonly dialect: Dialect | undefined;
  /** Whether tasks can only checkpoint themselves. */
  readonly self: boolean;
  readonly targetOf: (numbers: SyscallNumbers) => CompileTarget;
}

/** What a kernel told. */
export interface KernelAnswer {
  readonly numbers: SyscallNumbers;
  readonly dialect: Dialect;
  /** The revision of its images; undefined where none was seen. */
  readonly revision?: number | undefined;
  /** What the user should know of it, a sentence each. */
  readonly notes: readonly string[];
}

/**
 * Asks a kernel what nobody knows of it before it is booted, in a guest of its own.
 *
 * @throws {UsageError} when it has no such system call, or writes what is no image
 */
export async function probeKernel(agent: GuestAgent, question: KernelQuestion): Promise<KernelAnswer> {
  const { syscall, self, targetOf } = question;
  const nr = await findSyscall(agent, { number: syscall?.[agent.info.arch] });
  const numbers = syscall ?? { x86_64: nr, i386: nr };
  const notes = syscall === undefined && nr !== PORT_NUMBERS.x86_64
    ? [`its system call has number ${nr}`]
    : [];
  const probe = await probeImage(agent, { nr, self, compileTarget: targetOf(numbers) });
  if (typeof probe === "string") {
    notes.push(
      self
        ? `a task's checkpoint of itself writes nothing: ${probe}`
        : `another task is refused with ${probe}: if tasks can only checkpoint themselves here, say --self`,
    );
  }
  const revision = typeof probe === "string" ? undefined : revisionOf(probe, question.dialect);
  const found = revision === undefined ? undefined : dialectOfRevision(revision);
  const dialect = question.dialect ?? found ?? "port";
  if (found === "v11") {
    notes.push(
      `its images have revision ${revision}, as those of the code of 2008: judged as dialect ${dialect}`,
    );
    if (!self) notes.push("that code checkpoints the caller, whatever pid it is given: say --self");
  }
  return { numbers, dialect, revision, notes };
}

/**
 * Finds the number of the checkpoint system call by calling it with a flag that it must refuse; ENOSYS says that there
 * is no such call.
 *
 * @throws {UsageError} when no number has a call, or more than one
 */
export async function findSyscall(
  agent: Pick<GuestAgent, "syscall" | "info">,
  { number }: { number?: number | undefined } = {},
): Promise<number> {
  const { release, arch } = agent.info;
  const tried = number === undefined ? candidateNumbers(release, arch) : [number];
  const found: number[] = [];
  for (const nr of tried) {
    const { result } = await agent.syscall(nr, 0n, NO_DESCRIPTOR, UNKNOWN_FLAG);
    if (Number(result) !== -ERRNO.ENOSYS) found.push(nr);
    // The likeliest one is tried first, and nobody is called without need.
    if (found.includes(tried[0]!)) break;
  }
  const [first] = found;
  const kernel = `Linux ${release}`;
  if (first === undefined) {
    throw new UsageError(
      `this kernel (${kernel}) has no checkpoint system call: ` +
        (number === undefined
          ? `${tried.toSorted().join(", ")} give ENOSYS. --syscall NR names another number`
          : `number ${number} gives ENOSYS`),
    );
  }
  if (found.length > 1) {
    throw new UsageError(`this kernel (${kernel}) has calls ${found.join(", ")}: say --syscall NR`);
  }
  return first;
}

/** What a checkpoint of a plain target gives: an image, or why there is none. */
async function probeImage(
  agent: GuestAgent,
  { nr, self, compileTarget }: { nr: number; self: boolean; compileTarget: CompileTarget },
): Promise<Uint8Array | string> {
  const steps: Step[] = [{ op: "stop", label: "probe", ...self ? { call: { pid: "self" } } : {} }];
  const { ops } = compileScenario({ name: "probe", about: "", steps }, compileTarget);
  await agent.program(encodeProgram(ops));
  const pid = await agent.spawn();
  const event = await agent.event();
  if (event.kind !== "stop") throw new UsageError(`the target did not stop for the probe: ${event.kind}`);
  const made = self ? { image: await agent.targetImage(), errno: 0 } : await agent.checkpoint({ nr, pid });
  await agent.clean();
  if (made.errno !== 0) return errnoName(made.errno);
  return made.image?.length ? made.image : "an empty image";
}

/** The revision in the head of an image; undefined for what is none, where the dialect is known without it. */
function revisionOf(image: Uint8Array, dialect: Dialect | undefined): number | undefined {
  try {
    for (const node of decodeBytes(image)) {
      if (node.kind === "record" && node.name === "HEAD") return node.fields.rev;
    }
  } catch (error) {
    if (!(error instanceof MalformedImageError)) throw error;
    if (dialect === undefined) {
      throw new UsageError(
        `the kernel's first image cannot be read, and --dialect does not say how: ${error.message}`,
      );
    }
  }
  return undefined;
}
