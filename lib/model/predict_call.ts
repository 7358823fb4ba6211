// SPDX-License-Identifier: MIT

import { PAGE_SIZE, PAGE_SIZE_BIG, RAM_DISK_SIZE } from "../abi/arch.ts";
import type { ActionWords, CallFields, CallWords, OutputWords } from "./call.ts";
import { type StopPrediction, stopPrediction } from "./predict_stop.ts";
import type { ModelState } from "./state/model_state.ts";
import { withStore } from "./state/page_content.ts";
import { VM } from "./state/vm_flag_rules.ts";
import { applyTracer } from "./tracer.ts";

/** An action with what the model knows of its object. */
export type PlannedAction = ActionWords & {
  /** First byte of the area, or of the page of a poke. */
  readonly address: bigint;
  /** Bytes of the area. */
  readonly length: number;
  /** The file's path as the target's root sees it. */
  readonly path: string;
  /** The path that it gets. */
  readonly newPath: string;
};

/** How a call must end. */
export interface CallOutcome {
  /** "ok", an errno, or the signal that ends the caller. */
  readonly name: string;
  /** What it leaves at its output: nothing at all, an image without its tail, or a whole image. */
  readonly written: "nothing" | "part" | "whole";
  /** Which state of the target the image shows: that before what happened meanwhile, or that after it. */
  readonly sees: "before" | "after";
  /** The reason, in words. */
  readonly why: string;
}

/** A call that a stop describes: how it is made and what must come of it. */
export interface CallPlan {
  /** Who calls, with what. */
  readonly caller: Required<CallWords>;
  /** Where to. */
  readonly output: OutputWords;
  /** What happens meanwhile. */
  readonly during: readonly PlannedAction[];
  /** How it must end. */
  readonly outcome: CallOutcome;
  /**
   * What becomes of the target meanwhile: nothing (`same`), it stays stopped but is changed by an action, it
   * runs on, or it ends.
   */
  readonly target: "same" | "changed" | "continued" | "killed";
  /** What a plain checkpoint must give after the call, where the target is still stopped. */
  readonly after: StopPrediction | undefined;
}

/** Bytes of a RAM disk: CONFIG_BLK_DEV_RAM_SIZE. */
/** Bytes of a pipe that says nothing else, while something happens: as little as can be. */
const SMALL_PIPE = 4096;
/** More than an image that a scenario writes to a disk. */
const MOST_OF_AN_IMAGE = 16 * 1024 * 1024;
/** More than what records, program and stack of a target take in an image. */
const MOST_BESIDES_AREAS = 512 * 1024;

type Problem = readonly [name: string, why: string];

/** Where an image ends early: after this many bytes at the earliest. */
interface Cut {
  readonly name: string;
  readonly at: number;
  readonly why: string;
}

/**
 * Predicts a call that is more than the plain one, in the documented order of refusals, and changes the model as what
 * happens meanwhile changes the target.
 *
 * @param plain what root's plain call gives at this stop
 * @throws {SyntaxError} when the scenario states another outcome, or describes a race whose winner cannot be known
 */
export function predictCall(
  state: ModelState,
  step: CallFields & { readonly expect?: string },
  plain: StopPrediction,
): CallPlan {
  const caller = {
    ...{ uid: 0, gid: 0, flags: 0, pid: "target" as const, times: 1, signals: "ignored" as const, alarm: 0 },
    ...step.call,
  };
  const output = outputOf(step);
  const during = (step.during ?? []).map((action) => plannedAction(state, action));
  const early = earlyProblem(state, { caller, output, plain });
  const outcome = early
    ? { name: early[0], why: early[1], written: "nothing" as const, sees: "before" as const }
    : lateOutcome(state, { caller, output, plain, during });
  const expected = step.expect ?? "ok";
  if (expected !== outcome.name) {
    throw new SyntaxError(
      `the scenario expects "${expected}" but the model predicts "${outcome.name}"` +
        (outcome.why ? `: ${outcome.why}` : ""),
    );
  }
  if (early && during.length > 0) throw new SyntaxError("nothing can happen while a call is refused at once");
  const target = fateOf(during);
  for (const action of during) applyAction(state, action);
  const after = target === "same" || target === "changed"
    ? stopPrediction(state, {}, applyTracer(state, {}))
    : undefined;
  return { caller, output, during, outcome, target, after };
}

/** While something happens the pipe is small, and so is what the kernel is ahead of its reader. */
function outputOf({ to, during }: CallFields): OutputWords {
  const output = to ?? { kind: "pipe" };
  const small = output.kind === "pipe" && (during !== undefined || (output.closes ?? 0) > 0);
  return small && output.size === undefined ? { ...output, size: SMALL_PIPE } : output;
}

interface Situation {
  readonly caller: Required<CallWords>;
  readonly output: OutputWords;
  readonly plain: StopPrediction;
  readonly during?: readonly PlannedAction[];
}

/** What is refused before a byte is written, in the order of the kernel's checks. */
function earlyProblem(state: ModelState, { caller, output, plain }: Situation): Problem | undefined {
  if (caller.flags !== 0) return ["EINVAL", "flags are not 0"];
  const problem = outputProblem(output) ?? processProblem(state, caller);
  if (problem) return problem;
  const { refusal } = plain;
  return refusal && refusal.atPage === undefined ? [refusal.name, refusal.why] : undefined;
}

function outputProblem({ kind, flags = [], path = "" }: OutputWords): Problem | undefined {
  if (kind === "none") return ["EBADF", "the descriptor is not open"];
  if (flags.includes("O_RDONLY") || flags.includes("O_PATH")) return ["EBADF", "not open for writing"];
  if (kind === "epoll" || kind === "eventfd" || kind === "signalfd") {
    return ["EINVAL", `the kernel cannot write to an ${kind} descriptor`];
  }
  // drivers/char/mem.c and fs/proc: these files have a write operation for user space.
  const isOdd = ["/dev/null", "/dev/zero", "/dev/full"].includes(path) || path.startsWith("/proc/");
  return isOdd ? ["EINVAL", "the kernel cannot write to this file"] : undefined;
}

function processProblem(state: ModelState, { uid, gid, pid }: Required<CallWords>): Problem | undefined {
  const isRoot = uid === 0;
  switch (pid) {
    case "target": {
      const { uid: owner, gid: group, dumpable } = state.credentials;
      const mayAttach = isRoot || (uid === owner && gid === group && dumpable);
      return mayAttach ? undefined : ["EPERM", "the caller may not ptrace-attach to the target"];
    }
    case "kthread":
      return isRoot ? ["EINVAL", "it is a kernel thread"] : ["EPERM", "it is root's"];
    case "init":
      return isRoot ? ["EBUSY", "it runs"] : ["EPERM", "it is root's"];
    case "thread":
      if (state.sharedWith !== "thread") {
        throw new SyntaxError(`"pid": "thread" needs a target with a thread`);
      }
      return ["ESRCH", "a thread's id is no process's"];
    default:
      if (typeof pid === "number" && pid >= 0) {
        throw new SyntaxError(`"pid" must be a word or a negative number: found ${pid}`);
      }
      return ["ESRCH", "there is no such process"];
  }
}

function lateOutcome(state: ModelState, situation: Required<Situation>): CallOutcome {
  const { output, plain: { refusal }, during } = situation;
  const bound = bytesBefore(state, refusal?.atPage ?? Number.POSITIVE_INFINITY);
  const cuts = [writeCut(situation), ...during.map((action) => actionCut(state, action, output))]
    .filter((cut) => cut !== undefined);
  const sees = during.some((action) => changesImage(state, action, output)) ? "after" : "before";
  const pauses = during.map(({ at }) => at + (output.size ?? 0));
  for (const at of [...cuts.map((cut) => cut.at), ...pauses]) {
    if (at >= bound && at > 0) {
      throw new SyntaxError(
        `what happens at byte ${at} may come too late: ${bound} bytes are sure to be written`,
      );
    }
  }
  if (cuts.length > 1) {
    throw new SyntaxError(`which comes first, ${cuts.map(({ name }) => name).join(" or ")}?`);
  }
  const [cut] = cuts;
  if (cut) return { name: cut.name, why: cut.why, written: cut.at === 0 ? "nothing" : "part", sees };
  if (refusal) return { name: refusal.name, why: refusal.why, written: "part", sees };
  return { name: "ok", why: "", written: "whole", sees };
}

/** Where writing fails. */
function writeCut({ caller, output }: Situation): Cut | undefined {
  const { kind, closes, limit, position = 0, seals = [], holds = 0, space, path = "", flags = [] } = output;
  const fatal = caller.signals === "fatal";
  const start = flags.includes("O_APPEND") ? holds : position;
  if (caller.alarm > 0) return { name: "EINTR", at: 1, why: "signals for the caller" };
  if (closes !== undefined) {
    // A socket whose peer had bytes left to read says ECONNRESET first. In the midst of pages that is the end of a
    // write of which a part was done, and told by its length alone; the next one says EPIPE.
    return { name: fatal ? "SIGPIPE" : "EPIPE", at: closes, why: "nobody reads" };
  }
  if (kind === "pipe" && flags.includes("O_NONBLOCK")) {
    return { name: "EAGAIN", at: output.size ?? 65536, why: "the pipe is full" };
  }
  if (limit !== undefined) {
    return { name: fatal ? "SIGXFSZ" : "EFBIG", at: Math.max(limit - start, 0), why: "RLIMIT_FSIZE" };
  }
  if (seals.includes("F_SEAL_WRITE")) return { name: "EPERM", at: 0, why: "the memfd is sealed" };
  if (space !== undefined) return { name: "ENOSPC", at: space - start, why: "the file system is full" };
  const left = RAM_DISK_SIZE - start;
  // A disk with more room than the image needs is as good as any.
  if (path === "/dev/ram0" && left < MOST_OF_AN_IMAGE) {
    return { name: "ENOSPC", at: left, why: "the disk has an end" };
  }
  return undefined;
}

/** Where an action ends the call. */
function actionCut(state: ModelState, action: PlannedAction, output: OutputWords): Cut | undefined {
  // What is at 0 has let the kernel fill the pipe.
  const at = Math.max(action.at, 1);
  switch (action.do) {
    case "kill":
    case "cont":
      return { name: "EBUSY", at, why: "the target did not remain stopped" };
    case "unregister":
      // What comes later is as it is then: an image of one moment.
      return isAhead(state, action, output)
        ? undefined
        : { name: "EBUSY", at, why: "the address space changed" };
    case "signal":
      return action.handled === true
        ? { name: "EINTR", at, why: "a signal for the caller" }
        : { name: action.signal ?? "SIGKILL", at, why: "a signal ends the caller" };
    case "unlink":
      return isAhead(state, action, output)
        ? { name: "ENOENT", at, why: "a mapped file was unlinked" }
        : undefined;
    default:
      return undefined;
  }
}

function changesImage(state: ModelState, action: PlannedAction, output: OutputWords): boolean {
  const kinds = ["poke", "rename", "unregister"] as const;
  return kinds.some((kind) => kind === action.do) && isAhead(state, action, output);
}

/** Whether the image has yet to come to the object of an action when it happens; throws when that is not sure. */
function isAhead(state: ModelState, action: PlannedAction, output: OutputWords): boolean {
  const page = Number(action.address / PAGE_SIZE_BIG);
  const before = bytesBefore(state, page);
  if (action.at + (output.size ?? 0) < before) return true;
  if (action.at > bytesBefore(state, page + 1) * 1.01 + MOST_BESIDES_AREAS) return false;
  throw new SyntaxError(
    `whether byte ${action.at} of the image comes before ${action.do} matters: ${before} bytes surely do`,
  );
}

/** The least that an image has before the contents of a page. */
function bytesBefore(state: ModelState, page: number): number {
  return [...state.space.pages.keys()].filter((one) => one < page).length * PAGE_SIZE;
}

function plannedAction(state: ModelState, action: ActionWords): PlannedAction {
  const planned = { address: 0n, length: 0, path: "", newPath: "" };
  const kind = action.do;
  if (kind === "unlink" || kind === "rename") {
    const file = state.file(needed(action, "file"));
    const area = state.space.areas.find((one) => one.file === file);
    if (!area) throw new SyntaxError(`${kind}: the file "${action.file}" must be mapped`);
    const { path } = file;
    const newPath = `${path.slice(0, path.lastIndexOf("/"))}/${
      kind === "rename" ? needed(action, "to") : ""
    }`;
    return { ...action, ...planned, address: BigInt(area.start) * PAGE_SIZE_BIG, path, newPath };
  }
  if (kind === "poke" || kind === "pageout" || kind === "cold" || kind === "unregister") {
    const range = state.range(needed(action, "area"));
    const first = range.start + (action.page ?? 0);
    return { ...action, ...planned, address: BigInt(first) * PAGE_SIZE_BIG, length: range.pages * PAGE_SIZE };
  }
  return { ...action, ...planned };
}

function needed(action: ActionWords, key: "file" | "to" | "area"): string {
  const value = action[key];
  if (value === undefined) throw new SyntaxError(`"${action.do}" needs "${key}"`);
  return value;
}

function fateOf(during: readonly ActionWords[]): CallPlan["target"] {
  const kinds = new Set(during.map((action) => action.do));
  if (kinds.has("kill")) return "killed";
  if (kinds.has("cont")) return "continued";
  const changing = ["poke", "pageout", "cold", "unlink", "rename", "unregister"] as const;
  return changing.some((kind) => kinds.has(kind)) ? "changed" : "same";
}

/** What an action changes about the target, for all that comes after it. */
function applyAction(state: ModelState, action: PlannedAction): void {
  const page = Number(action.address / PAGE_SIZE_BIG);
  if (action.do === "poke") {
    const content = withStore(state.space.contentAt(page), 0, Uint8Array.of(action.value ?? 0));
    state.space.setPage(page, content, "written to through /proc/PID/mem");
  } else if (action.do === "unlink") {
    state.file(needed(action, "file")).unlink();
  } else if (action.do === "rename") {
    state.file(needed(action, "file")).rename(action.newPath);
  } else if (action.do === "unregister") {
    const flags = VM.UFFD_MISSING | VM.UFFD_WP;
    const end = page + action.length / PAGE_SIZE;
    state.space.change(page, end, (area) => ({ ...area, flags: area.flags & ~flags }));
  }
}
