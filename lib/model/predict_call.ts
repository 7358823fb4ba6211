// SPDX-License-Identifier: MIT

import { PAGE_SIZE_BIG, RAM_DISK_SIZE } from "../abi/arch.ts";
import {
  applyAction,
  bytesBefore,
  changesImage,
  type EarlyEnd,
  endByAction,
  fateOf,
  othersSee,
  planAction,
  type PlannedAction,
  type TargetFate,
} from "./blocked_actions.ts";
import { type CallFields, type CallSpec, type OutputSpec, pidProblem, type Problem } from "./call.ts";
import { checkExpectation, type StopPrediction, stopPrediction } from "./predict_stop.ts";
import type { ModelState } from "./state/model_state.ts";
import type { TracerSpec, TracerWork } from "./tracer.ts";

/** How a call must end. */
export interface CallOutcome {
  /** "ok", an errno, or the signal that ends the caller. */
  readonly name: string;
  /**
   * What it leaves at its output: nothing at all, an image without its tail, a whole image, or nothing since the
   * device keeps nothing of the whole image that was written.
   */
  readonly written: "nothing" | "part" | "whole" | "discarded";
  /** Which state of the target the image shows: that before what happened meanwhile, or that after it. */
  readonly sees: "before" | "after";
  /** From which byte on an image that shows the state before may also show what happened meanwhile. */
  readonly tornAt?: number;
  readonly why: string;
}

/** A call that a stop describes: how it is made and what must come of it. */
export interface CallPlan {
  readonly caller: Required<CallSpec>;
  readonly output: OutputSpec;
  /** Where the area begins behind whose record a signal comes. */
  readonly signalVma: bigint | undefined;
  /** What happens while it waits for its reader. */
  readonly whileBlocked: readonly PlannedAction[];
  /** Which state of the target further checkpoints show that are made meanwhile. */
  readonly othersSee: readonly CallOutcome["sees"][];
  readonly outcome: CallOutcome;
  /** What becomes of the target meanwhile; `busy`: it is not stopped at all, and goes on. */
  readonly target: TargetFate | "busy";
  /** What a plain checkpoint must give after the call, where the target is still stopped. */
  readonly after: StopPrediction | undefined;
}

/** Bytes of a pipe that says nothing else, while something happens: as little as can be. */
const SMALL_PIPE = 4096;
/** More than an image that a scenario writes to a disk. */
const MAX_DISK_IMAGE = 16 * 1024 * 1024;
/** What is not said is root's plain call. */
const PLAIN: Required<CallSpec> = {
  uid: 0,
  euid: 0,
  gid: 0,
  flags: 0,
  pid: "target",
  times: 1,
  signals: "ignored",
  alarm: 0,
  signalBehind: "",
};

type CalledStop = CallFields & TracerSpec & { readonly expect?: string };

/**
 * Predicts a call that is more than the plain one, in the documented order of refusals, and changes the model as what
 * happens meanwhile changes the target.
 *
 * @param plain what root's plain call gives at this stop
 * @throws {SyntaxError} when the scenario states another outcome, or describes a race whose winner cannot be known
 */
export function predictCall(
  state: ModelState,
  step: CalledStop,
  { plain, work }: { readonly plain: StopPrediction; readonly work: TracerWork },
): CallPlan {
  const { uid = 0, euid = uid } = step.call ?? {};
  const caller = { ...PLAIN, ...step.call, euid };
  const output = outputOf(step);
  const whileBlocked = (step.whileBlocked ?? []).map((action) => planAction(state, action));
  const early = earlyProblem(state, { caller, output, plain, work });
  const outcome = early
    ? { name: early[0], why: early[1], written: "nothing" as const, sees: "before" as const }
    : lateOutcome(state, { caller, output, plain, whileBlocked });
  if (state.target.dialect !== "v11") checkExpectation(step.expect, outcome);
  if (early && whileBlocked.length > 0) {
    throw new SyntaxError("nothing can happen while a call is refused at once");
  }
  const signalVma = startOfSignal(state, { caller, output, whileBlocked });
  const fate = fateOf(whileBlocked);
  const isTraced = work.stoppedBy === "seize" || work.stoppedBy === "attach";
  if (whileBlocked.some((action) => action.do === "clear_tls") && !isTraced) {
    throw new SyntaxError(`"clear_tls" is for a target that a tracer has stopped: "seize" or "attach"`);
  }
  if (whileBlocked.some(({ record }) => record !== undefined) && !output.flags?.includes("O_DIRECT")) {
    throw new SyntaxError(`an action "at" a record needs a pipe with the flag O_DIRECT`);
  }
  if (fate === "continued" && (work.stoppedBy !== "signal" || work.copied.length > 0)) {
    throw new SyntaxError(
      `"cont" is for a target that a signal has stopped, without breakpoints in text or vdso`,
    );
  }
  // report_access (security/yama/yama_lsm.c) reads the command line of a process that it protects.
  const isReported = state.isPtraceRestricted && outcome.name === "EPERM";
  for (const action of whileBlocked) applyAction(state, action);
  const isStopped = !work.busy && (fate === "same" || fate === "changed");
  const target = work.busy ? "busy" : isReported ? "changed" : fate;
  const after = isStopped ? stopPrediction(state, {}, work) : undefined;
  return {
    ...{ caller, output, signalVma, whileBlocked },
    ...{ othersSee: othersSee(whileBlocked), outcome, target, after },
  };
}

function startOfSignal(
  state: ModelState,
  { caller: { signalBehind }, output, whileBlocked }: Pick<CallPlan, "caller" | "output" | "whileBlocked">,
): bigint | undefined {
  if (signalBehind === "") return undefined;
  if (output.kind !== "pipe" || whileBlocked.length > 0) {
    throw new SyntaxError(`"signalBehind" needs a pipe that is read all the time`);
  }
  return signalBehind === "HEAD" ? undefined : BigInt(state.range(signalBehind).start) * PAGE_SIZE_BIG;
}

/**
 * Why the call of a target that checkpoints itself is refused before anything of the target is looked at.
 *
 * @throws {SyntaxError} when the stop says of another task what the target itself cannot do
 */
export function selfProblem({ call, to, whileBlocked, ...step }: CalledStop): Problem | undefined {
  const { pid: _, flags, ...more } = { ...call };
  const { debug, poke, stoppedBy, busy } = step;
  const others = { ...more, whileBlocked, debug, poke, stoppedBy, busy };
  const word = Object.entries(others).find(([, value]) => value !== undefined)?.[0];
  if (word !== undefined || (to !== undefined && to.kind !== "none")) {
    throw new SyntaxError(
      `a target that makes the call itself says "flags" and "to": {"kind": "none"} of it: found "${
        word ?? "to"
      }"`,
    );
  }
  return argumentProblem({ ...PLAIN, flags: flags ?? 0 }, to);
}

/** While something happens the pipe is small, and so is what the kernel is ahead of its reader. */
function outputOf({ to, whileBlocked }: CallFields): OutputSpec {
  const output = to ?? { kind: "pipe" };
  const small = output.kind === "pipe" && (whileBlocked !== undefined || (output.readerClosesAfter ?? 0) > 0);
  return small && output.size === undefined ? { ...output, size: SMALL_PIPE } : output;
}

interface Situation {
  readonly caller: Required<CallSpec>;
  readonly output: OutputSpec;
  readonly plain: StopPrediction;
}

/** What is refused before a byte is written, in the order of the man page. */
function earlyProblem(
  state: ModelState,
  { caller, output, plain: { refusal }, work: { busy } }: Situation & { readonly work: TracerWork },
): Problem | undefined {
  const { pid, uid, euid, gid } = caller;
  if (pid === "thread" && state.sharedWith !== "thread") {
    throw new SyntaxError(`"pid": "thread" needs a target with a thread`);
  }
  const problem = argumentProblem(caller, output) ??
    pidProblem(pid, { uid, euid, gid, target: state.credentials, isRestricted: state.isPtraceRestricted });
  if (problem || pid !== "target") return problem;
  if (busy === "exited leader") {
    return ["ESRCH", "the thread that led the target has ended, and has no memory"];
  }
  if (busy) return ["EBUSY", `the target is neither stopped nor frozen: ${busy}`];
  return refusal && refusal.atPage === undefined ? [refusal.name, refusal.why] : undefined;
}

function argumentProblem(
  { flags }: Required<CallSpec>,
  { kind, flags: openFlags = [], path = "" }: OutputSpec = { kind: "pipe" },
): Problem | undefined {
  if (flags !== 0) return ["EINVAL", "flags are not 0"];
  if (kind === "none") return ["EBADF", "the descriptor is not open"];
  // Both at once ask for the right to either, and give none.
  const isForNeither = openFlags.includes("O_WRONLY") && openFlags.includes("O_RDWR");
  if (openFlags.includes("O_RDONLY") || openFlags.includes("O_PATH") || isForNeither) {
    return ["EBADF", "not open for writing"];
  }
  if (kind === "epoll" || kind === "eventfd" || kind === "signalfd") {
    return ["EINVAL", `the kernel cannot write to an ${kind} descriptor`];
  }
  // drivers/char/mem.c and fs/proc: these files have a write operation for user space alone.
  return path === "/dev/full" || path.startsWith("/proc/")
    ? ["EINVAL", "the kernel cannot write to this file"]
    : undefined;
}

function lateOutcome(
  state: ModelState,
  { caller, output, plain: { refusal }, whileBlocked }: Situation & Pick<CallPlan, "whileBlocked">,
): CallOutcome {
  const LDT_ENTRY_SIZE = 8;
  const bound = refusal
    ? bytesBefore(state, refusal.atPage ?? Number.POSITIVE_INFINITY)
    : bytesBefore(state, Number.POSITIVE_INFINITY) + state.ldt.nrEntries * LDT_ENTRY_SIZE;
  const ends = [
    endOfWriting(caller, output),
    ...whileBlocked.map((action) => endByAction(state, action, output)),
  ].filter((end) => end !== undefined);
  const sees = whileBlocked.some((action) => changesImage(state, action, output)) ? "after" : "before";
  const pauses = whileBlocked.map(({ at }) => at + (output.size ?? 0));
  for (const at of [...ends.map((end) => end.at), ...pauses]) {
    if (at >= bound && at > 0) {
      throw new SyntaxError(
        `what happens at byte ${at} may come too late: ${bound} bytes are sure to be written`,
      );
    }
  }
  if (ends.length > 1) {
    throw new SyntaxError(`which comes first, ${ends.map(({ name }) => name).join(" or ")}?`);
  }
  const [end] = ends;
  const last = whileBlocked.at(-1);
  if (last && output.kind !== "pipe" && output.kind !== "socket") {
    throw new SyntaxError(
      `a call waits for the reader of a pipe or a socket: found "kind": "${output.kind}"`,
    );
  }
  if (end && last && last.at > Math.max(end.at, 1)) {
    throw new SyntaxError(`the call is over before byte ${last.at}: ${end.name} at byte ${end.at}`);
  }
  if (end?.isTorn) return { name: end.name, why: end.why, written: "part", sees: "before", tornAt: end.at };
  if (end) return { name: end.name, why: end.why, written: end.at === 0 ? "nothing" : "part", sees };
  if (refusal) return { name: refusal.name, why: refusal.why, written: "part", sees };
  // drivers/char/mem.c: both have write_iter, and forget what they are given.
  const isDiscarded = output.path === "/dev/null" || output.path === "/dev/zero";
  return { name: "ok", why: "", written: isDiscarded ? "discarded" : "whole", sees };
}

function endOfWriting(caller: Required<CallSpec>, output: OutputSpec): EarlyEnd | undefined {
  const { kind, readerClosesAfter, rlimitFsize, position = 0, seals = [], fsSize, path, flags = [] } = output;
  const fatal = caller.signals === "fatal";
  const start = flags.includes("O_APPEND") ? output.initialSize ?? 0 : position;
  if (caller.signalBehind !== "") return { name: "EINTR", at: 1, why: "a signal for the caller" };
  if (caller.alarm > 0) return { name: "EINTR", at: 1, why: "signals for the caller" };
  if (readerClosesAfter !== undefined) {
    // A socket whose peer had bytes left to read says ECONNRESET first. In the midst of pages that is the end of a
    // write of which a part was done, and told by its length alone; the next one says EPIPE.
    return { name: fatal ? "SIGPIPE" : "EPIPE", at: readerClosesAfter, why: "nobody reads" };
  }
  if (kind === "pipe" && flags.includes("O_NONBLOCK")) {
    return { name: "EAGAIN", at: output.size ?? 65536, why: "the pipe is full" };
  }
  if (rlimitFsize !== undefined) {
    return { name: fatal ? "SIGXFSZ" : "EFBIG", at: Math.max(rlimitFsize - start, 0), why: "RLIMIT_FSIZE" };
  }
  if (seals.includes("F_SEAL_WRITE")) return { name: "EPERM", at: 0, why: "the memfd is sealed" };
  if (fsSize !== undefined) return { name: "ENOSPC", at: fsSize - start, why: "the file system is full" };
  const left = RAM_DISK_SIZE - start;
  // A disk with more room than the image needs is as good as any.
  if (path === "/dev/ram0" && left < MAX_DISK_IMAGE) {
    return { name: "ENOSPC", at: left, why: "the disk has an end" };
  }
  return undefined;
}
