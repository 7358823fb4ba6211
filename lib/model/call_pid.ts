// SPDX-License-Identifier: MIT

import type * as v from "valibot";
import { either, integer, keysOf, oneOf } from "../schema.ts";

/** Why the call is refused: the errno, and the reason in words. */
export type Problem = readonly [name: string, why: string];

/** What a pid stands for, in the order in which the call asks: is there a process, whose is it, what is it. */
interface NamedProcess {
  /** Why there is no such process. */
  readonly missing?: string;
  /** Whose it is; root's when not given. */
  readonly owner?: "target" | "caller";
  /** What is wrong with it, for a caller who may look into it. */
  readonly problem?: Problem;
}

/** What the call says of a pid: cr_get_task, cr_task_access and cr_task_wait of the port. */
const PROCESSES = {
  target: { owner: "target" },
  self: { owner: "caller" },
  init: { problem: ["EBUSY", "process 1 runs"] },
  kthread: { problem: ["EINVAL", "it is a kernel thread"] },
  zombie: { problem: ["ESRCH", "it is a zombie: it has no memory any more"] },
  thread: { missing: "the id is of a thread that does not lead its process" },
  reaped: { missing: "the process was waited for: nobody has the pid" },
  none: { missing: "nobody has the pid" },
} as const satisfies Readonly<Record<string, NamedProcess>>;

/** Numbers whose processes are known: the caller itself, the agent, kthreadd. */
const KNOWN_NUMBERS: Readonly<Record<number, keyof typeof PROCESSES>> = {
  0: "self",
  1: "init",
  2: "kthread",
};

/** PID_MAX_LIMIT: no process has this pid or a higher one. */
const PID_MAX_LIMIT = 4_194_304;

/** Schema of whose pid a call is given. */
export const CALL_PID = either(
  `${Object.keys(PROCESSES).join(", ")} or a number`,
  oneOf(keysOf(PROCESSES)),
  integer(-(2 ** 31), 2 ** 31 - 1),
);

/**
 * Whose pid a call is given: the target's; that of the target, which makes the call itself; the agent's, kthreadd's, a
 * zombie's; of a thread of the target that does not lead it, of a process that was waited for, of nobody; or a number.
 */
export type CallPid = v.InferOutput<typeof CALL_PID>;

/** Whether the target makes the call itself, by its own pid or by the pid 0. */
export function isSelf(pid: CallPid | undefined): boolean {
  return pid === "self" || pid === 0;
}

/** Who calls, and whose process the target is. */
interface PidContext {
  readonly uid: number;
  readonly euid?: number;
  readonly gid: number;
  readonly target: { readonly uid: number; readonly gid: number; readonly dumpable: boolean };
}

/**
 * Why the call is refused for the sake of the pid alone.
 *
 * @throws {SyntaxError} when nobody knows whose pid a number is
 */
export function pidProblem(pid: CallPid, { uid, euid = uid, gid, target }: PidContext): Problem | undefined {
  const { missing, owner, problem }: NamedProcess = PROCESSES[typeof pid === "string" ? pid : wordOf(pid)];
  if (missing !== undefined) return ["ESRCH", missing];
  // __ptrace_may_access (kernel/ptrace.c): the effective id brings capabilities, else the real ones count.
  const mayAttach = euid === 0 || owner === "caller" ||
    (owner === "target" && uid === target.uid && gid === target.gid && target.dumpable);
  return mayAttach ? problem : ["EPERM", "the caller may not ptrace-attach to the process"];
}

function wordOf(pid: number): keyof typeof PROCESSES {
  if (pid < 0 || pid >= PID_MAX_LIMIT) return "none";
  const word = KNOWN_NUMBERS[pid];
  if (word !== undefined) return word;
  throw new SyntaxError(
    `whose pid ${pid} is cannot be known: expected 0, 1, 2, a negative number or one from ${PID_MAX_LIMIT} up`,
  );
}
