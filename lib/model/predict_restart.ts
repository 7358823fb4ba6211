// SPDX-License-Identifier: MIT
import { keysOf } from "../schema.ts";
import { PAGE_SIZE } from "../abi/arch.ts";
import { DEFAULT_SERIES, isOlder } from "../abi/series.ts";
import { VM, vmFlagTable } from "../abi/vm_flags.ts";
import type { Problem } from "./call.ts";
import { imageChange, type ImageChangeName } from "./image_changes.ts";
import { FAR_BREAK } from "./memory_changes.ts";
import { checkExpectation, type StopPrediction } from "./predict_stop.ts";
import { type Capability, FATES, type RestartSpec, SOURCES, STAGES, TRAITS } from "./restart.ts";
import { signalBit, SIGNALS } from "../abi/signals.ts";
import { hasBreakpoints, restartRefusal } from "./restarted_prediction.ts";
import type { ModelState } from "./state/model_state.ts";

/** What is asked of the target and its kernel. */
interface RestartSituation {
  /** Areas of the image: which file they map, what pages of their own they have. */
  readonly areas: readonly RestartArea[];
  readonly is64: boolean;
  /** Whether the target is. */
  readonly isTarget64: boolean;
  readonly hasDenyWrite: boolean;
  /** Why an image like this is refused whoever asks. */
  readonly always: Problem | undefined;
  readonly hasLdt: boolean;
  readonly hasTls: boolean;
  readonly hasSignals: boolean;
}

interface RestartArea {
  readonly file: string | undefined;
  readonly bytes: number;
  readonly hasPages: boolean;
  readonly isLocked: boolean;
  readonly isWritable: boolean;
  readonly isExecutable: boolean;
}

type Late = readonly [stage: keyof typeof STAGES, ...Problem];

/**
 * Why restart(2) refuses, in the documented order; undefined: it does not.
 *
 * @throws {SyntaxError} where the model cannot tell
 */
function restartProblem(
  spec: RestartSpec,
  situation: RestartSituation,
  change: ImageChangeName | undefined,
): Problem | undefined {
  const { is64, hasLdt, hasTls } = situation;
  const needs = change && imageChange(change).needs;
  const { entry, flags = 0, program } = spec.caller ?? {};
  const isWide = entry !== undefined || flags >= 2 ** 32 || program === "of the other word size";
  if (!is64 && (needs === "64 bits" || isWide)) {
    throw new SyntaxError("what is described needs a kernel of 64 bits");
  }
  if (
    (needs === "a target of 32 bits" && situation.isTarget64) || (needs === "a kernel of 32 bits" && is64)
  ) {
    throw new SyntaxError(`"${change}" needs ${needs}`);
  }
  if ((needs === "ldt" && !hasLdt) || (needs === "tls" && !hasTls)) {
    throw new SyntaxError(`"${change}" needs a target with an entry of its ${needs.toUpperCase()}`);
  }
  if (needs === "signals" && !situation.hasSignals) {
    throw new SyntaxError(`"${change}" needs a target with a stack for signals and two actions`);
  }
  return earlyProblem(spec) ?? lateProblem(spec, situation, change);
}

function earlyProblem({ from = {}, caller = {}, settings = {} }: RestartSpec): Problem | undefined {
  const RESTART_STOPPED = 1;
  const { kind = "file", flags = [] } = from;
  if (![0, RESTART_STOPPED].includes(caller.flags ?? 0)) return ["EINVAL", "a flag is unknown"];
  if (flags.includes("O_WRONLY") || flags.includes("O_PATH")) return ["EBADF", "not open for reading"];
  const source = SOURCES[kind];
  if (source) return source;
  const may = settings.restart_unprivileged === 1 || mayUse(caller, "CAP_CHECKPOINT_RESTORE") ||
    mayUse(caller, "CAP_SYS_ADMIN");
  if (!may) return ["EPERM", "the caller has not the right"];
  if (caller.pid !== "own" && (caller.pid ?? 0) !== 0) return ["ESRCH", "the pid is not the caller's"];
  const { has = [] } = caller;
  const trait = keysOf(TRAITS).find((one) => has.includes(one) && TRAITS[one] !== undefined);
  if (trait) return TRAITS[trait];
  return caller.entry && ["EOPNOTSUPP", "a 64-bit program calls by the table of the 32-bit ones"];
}

function mayUse(
  { uid = 0, capabilities, userNamespace }: NonNullable<RestartSpec["caller"]>,
  capability: Capability,
): boolean {
  if (userNamespace) return false;
  return capabilities ? capabilities.includes(capability) : uid === 0;
}

/** Where two things are wrong about one record the model does not know which mapping comes first. */
function lateProblem(
  spec: RestartSpec,
  situation: RestartSituation,
  change: ImageChangeName | undefined,
): Problem | undefined {
  const problems = [
    ...readingProblems(spec),
    ...imageProblems(spec, situation, change),
    ...limitProblems(spec, situation),
  ].sort(([a], [b]) => STAGES[a] - STAGES[b]);
  const [first, second] = problems;
  // Of an image that ends there no more than a part of HEAD is read.
  const MAX_CUT = 256;
  if (first && second && (first[0] === second[0] || (spec.image?.cut ?? 0) > MAX_CUT)) {
    throw new SyntaxError(`which comes first, ${first[1]} or ${second[1]}?`);
  }
  return first && [first[1], first[2]];
}

function readingProblems({ from: { kind, flags = [] } = {}, caller = {}, image = {} }: RestartSpec): Late[] {
  const { interruptedBy: signal } = caller;
  const problems: Late[] = image.cut === undefined ? [] : [["START", "EPIPE", "the image ends too early"]];
  if (kind !== "empty pipe") {
    if (signal) throw new SyntaxError(`"interruptedBy" needs "from" an empty pipe`);
    return problems;
  }
  if (flags.includes("O_NONBLOCK")) return [["START", "EAGAIN", "there is nothing to read"]];
  if (!signal) throw new SyntaxError(`a caller that waits for an empty pipe needs "interruptedBy"`);
  const why = `${signal} comes while the caller waits`;
  return [["START", signal === "SIGKILL" ? signal : "EINTR", why]];
}

function imageProblems(
  spec: RestartSpec,
  { areas, hasDenyWrite, always, isTarget64 }: RestartSituation,
  change: ImageChangeName | undefined,
): Late[] {
  const { image: { name } = {}, mapped, caller = {} } = spec;
  const problems: Late[] = always ? [[always[0] === "EINVAL" ? "CPU" : "VMA", ...always]] : [];
  const changed = change && imageChange(change).problem;
  if (changed) problems.push([change.split(/[. ]/)[0] as keyof typeof STAGES, ...changed]);
  const mapping = (file: string): RestartArea[] => {
    const found = areas.filter((area) => area.file === file);
    if (found.length === 0) throw new SyntaxError(`no area maps the file "${file}"`);
    return found;
  };
  if (name) {
    const NAME_MAX = 255;
    mapping(name.file);
    const isTooLong = name.is.split("/").some((part) => part.length > NAME_MAX);
    problems.push(["VMA", isTooLong ? "ENAMETOOLONG" : "EINVAL", "the name of a mapped file is none"]);
    if (!isTooLong && /^(\/(?!\.{0,2}(?:\/|$))[^/]*)+$/.test(name.is)) {
      throw new SyntaxError("expected a name that is too long or is no path");
    }
  }
  if (mapped) {
    const { file, becomes } = mapped;
    const hasPages = mapping(file).some((area) => area.hasPages);
    if (becomes === "empty" && !hasPages) throw new SyntaxError(`no page of "${file}" is in the image`);
    if (becomes !== "unreadable" || !mayUse(caller, "CAP_DAC_OVERRIDE")) {
      problems.push(["VMA", ...FATES[becomes]]);
    }
  }
  if (caller.program === "opened") {
    const why = "the file to be executed is open for writing";
    problems.push(hasDenyWrite ? ["VMA", "ETXTBSY", why] : ["COMMIT", "EACCES", why]);
  }
  if (caller.program === "of the other word size") {
    const why = "it is of another kind of program than the caller";
    problems.push(
      isTarget64 ? ["MM", "EINVAL", "its addresses are no 32 bit program's"] : ["VMA", "ENOEXEC", why],
    );
  }
  if (caller.program === "not executable" && hasDenyWrite) {
    problems.push(["VMA", "EACCES", "a mapping denies writing to what may not be executed"]);
  }
  return problems;
}

function limitProblems(
  { image, caller = {}, settings = {} }: RestartSpec,
  { areas }: RestartSituation,
): Late[] {
  const { limits = {} } = caller;
  const problems: Late[] = [];
  const sum = (list: readonly RestartArea[]) => list.reduce((all, { bytes }) => all + bytes, 0);
  const sizes = { as: sum(areas), data: sum(areas.filter((area) => area.isWritable)) };
  for (const key of ["as", "data"] as const) {
    const limit = limits[key];
    if (key === "data" && (image?.change === "MM.brk, far" || image?.change === "MM.end_data, far")) {
      if (limits.data === undefined || limits.data >= FAR_BREAK) {
        throw new SyntaxError(`"data" below ${FAR_BREAK} is too small`);
      }
      continue;
    }
    if (limit === undefined || limit === "just enough") continue;
    if (limit !== "too little" && limit >= sizes[key]) {
      throw new SyntaxError(`"${key}" below ${sizes[key]} is sure to be too small`);
    }
    problems.push(["VMA", "ENOMEM", `RLIMIT_${key.toUpperCase()} is too small`]);
  }
  const MORE_THAN_GUESTS_HAVE = 2 ** 30;
  if (settings.overcommit_memory === 2 && sizes.data >= MORE_THAN_GUESTS_HAVE) {
    problems.push(["VMA", "ENOMEM", "more memory is promised than there is"]);
  }
  const locked = sum(areas.filter((area) => area.isLocked));
  const { memlock = Number.POSITIVE_INFINITY } = limits;
  if (memlock < locked && !mayUse(caller, "CAP_IPC_LOCK")) {
    problems.push(["VMA", memlock === 0 ? "EPERM" : "EAGAIN", "RLIMIT_MEMLOCK is too small"]);
  }
  if (caller.denies && areas.some((area) => area.isExecutable && (area.isWritable || area.hasPages))) {
    problems.push(["VMA", "EACCES", "the caller denies itself memory that is written and executed"]);
  }
  const FEWEST_MAPPINGS = 4;
  const { max_map_count: maps, mmap_min_addr: lowest = 0 } = settings;
  if (maps !== undefined && maps !== "just enough") {
    if (maps !== "too few" && maps + 1 >= FEWEST_MAPPINGS) {
      throw new SyntaxError(`"max_map_count" below ${FEWEST_MAPPINGS - 1} is sure to be too small`);
    }
    problems.push(["MM", "ENOMEM", "the image has more mappings than a process may have"]);
  }
  const ABOVE_PROGRAM = 2 ** 28;
  if (lowest > 0 && lowest < ABOVE_PROGRAM) {
    throw new SyntaxError(`"mmap_min_addr" from ${ABOVE_PROGRAM} up is sure to be above the program`);
  }
  if (lowest > 0 && !mayUse(caller, "CAP_SYS_RAWIO")) {
    problems.push(["VMA", "EPERM", "a mapping lies below vm.mmap_min_addr"]);
  }
  return problems;
}

/** Whether the caller runs the target's program, or a copy: it takes the target's place, even if it is refused then. */
export function endsTarget({ caller }: RestartSpec): boolean {
  return caller?.program !== undefined && caller.program !== "of the other word size";
}

/** How a described restart is made, and how it must end. */
export interface RestartPlan {
  readonly spec: RestartSpec;
  /** What is changed about the image: one at a time, nothing in the first of several calls where there is none. */
  readonly changes: readonly (ImageChangeName | undefined)[];
  /** The path of the file that `mapped` is about, or of the one with another name. */
  readonly path: string | undefined;
  readonly outcome: { readonly name: string; readonly why: string };
}

/**
 * Predicts how a described restart ends, and changes the model as it changes the target.
 *
 * @param prediction what a plain checkpoint gives at this stop
 * @throws {SyntaxError} when the scenario states another outcome, or the model cannot tell
 */
export function planRestart(state: ModelState, spec: RestartSpec, prediction: StopPrediction): RestartPlan {
  const { kernelWordSize: wordSize, series = DEFAULT_SERIES } = state.target;
  if (prediction.refusal) throw new SyntaxError(`there is no image: checkpoint(2) refuses the target`);
  if (state.isForked) throw new SyntaxError("the subject is a child of the target, which waits for it");
  if (prediction.hasOtherNames) throw new SyntaxError("files have other names where the target is restarted");
  if (hasBreakpoints(prediction, wordSize)) throw new SyntaxError("breakpoints are gone in another process");
  const refusal = restartRefusal(prediction, vmFlagTable(series, wordSize));
  const fileOf = (path: string | undefined) => [...state.files].find(([, file]) => file.path === path)?.[0];
  const situation: RestartSituation = {
    areas: prediction.areas.map(({ start, end, flags, path }) => ({
      file: fileOf(path),
      bytes: (end - start) * PAGE_SIZE,
      hasPages: [...prediction.pages.keys()].some((page) => page >= start && page < end),
      isLocked: (flags & VM.LOCKED) !== 0n,
      isWritable: (flags & VM.WRITE) !== 0n,
      isExecutable: (flags & VM.EXEC) !== 0n,
    })),
    is64: wordSize === 8,
    isTarget64: state.target.targetWordSize === 8,
    hasDenyWrite: isOlder(series, "5.15"),
    always: refusal && [refusal.name, refusal.why],
    hasLdt: prediction.ldt.length > 0,
    hasTls: prediction.tls.some((byte) => byte !== 0),
    hasSignals: prediction.signals.stack.size > 0n && prediction.signals.actions.size > 1,
  };
  const changes = [spec.image?.change].flat();
  const outcomes = changes.map((change) => {
    const [name, why] = restartProblem(spec, situation, change) ?? ["ok", ""];
    return { name, why };
  });
  for (const each of outcomes) checkExpectation(spec.expect, each);
  const outcome = outcomes[0]!;
  const { name } = outcome;
  if (name === "ok" && spec.caller?.has?.includes("pending")) {
    const isBlocked = (prediction.signals.blocked & signalBit(SIGNALS.SIGURG)) !== 0n;
    if (!isBlocked && spec.stays !== "running") {
      throw new SyntaxError(
        "SIGURG waits for the caller: block it, or let the process run, which it then comes to",
      );
    }
    state.signals.deliver(SIGNALS.SIGURG);
  }
  if (changes.length > 1 && name === "ok") {
    throw new SyntaxError("of several changes each must be refused: the target has one place");
  }
  if (name === "ok" && spec.caller?.pidNamespace) {
    throw new SyntaxError("the first process of a pid namespace cannot stop itself: it can only be refused");
  }
  if (spec.stays && (name !== "ok" || spec.generations !== undefined || spec.caller?.flags === 1)) {
    throw new SyntaxError(`"stays" is for a process that is restored, once, and does not stop by itself`);
  }
  const { image = {}, mapped, generations = 1, caller } = spec;
  const { uid, gid } = caller ?? {};
  if (spec.times !== undefined && name === "ok") {
    throw new SyntaxError(`"times" are of a caller that is refused`);
  }
  if (spec.times !== undefined && endsTarget(spec)) {
    throw new SyntaxError(
      `a caller with a "program" of its own can be refused once: the target has ended by then`,
    );
  }
  if (generations > 1 && name !== "ok") {
    throw new SyntaxError(`"generations" are of a process that is restored`);
  }
  if (name === "ok" && prediction.lockedHole !== undefined) {
    throw new SyntaxError(
      `restart(2) brings in what is locked: "${prediction.lockedHole}" would have more pages`,
    );
  }
  // What mlockall(2) said of later mappings is not in the image.
  if (name === "ok") state.defaultFlags = 0n;
  if (name === "ok") state.space.restart();
  if (name === "ok" && uid !== undefined) {
    state.credentials = { uid, gid: gid ?? state.credentials.gid, dumpable: false };
  }
  const file = mapped?.file ?? image.name?.file;
  return { spec, changes, path: file === undefined ? undefined : state.namedFile(file).path, outcome };
}
