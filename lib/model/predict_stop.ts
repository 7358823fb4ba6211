// SPDX-License-Identifier: MIT
import type { AddressSpace } from "./state/address_space.ts";
import { contentBytes, type PageContent } from "./state/page_content.ts";
import { VM } from "../abi/vm_flags.ts";
import { isEmptyDescriptor, type SegmentDescriptor } from "../x86/descriptor.ts";
import type { ModelState } from "./state/model_state.ts";
import type { CpuRegister } from "../x86/registers.ts";
import { portRefusal, postedRefusal, type Refusal } from "./refusal.ts";
import type { Area } from "./state/area.ts";
import type { SignalPrediction } from "./state/signal_state.ts";
import { BLOCK_SELECTORS, type RegisterPrediction } from "./state/register_block.ts";
import { type CopiedPage, copiedPages, taskState, type TracerWork } from "./tracer.ts";

/** An area that an image must hold, with the attributes that every page of it must show. Page numbers. */
export interface PredictedArea {
  /** The name that the steps gave it. */
  readonly label: string;
  /** First page. */
  readonly start: number;
  /** First page after it. */
  readonly end: number;
  /** vm_flags. */
  readonly flags: bigint;
  /** vm_pgoff of its first page. */
  readonly pgoff: number;
  /** The name that the FNAME record must hold; undefined for anonymous memory. */
  readonly path: string | undefined;
}

/**
 * What the steps imply for one image, as data that another thread can be sent. Whatever it does not mention is for the
 * observation to judge.
 */
export interface StopPrediction {
  /** Areas that the steps made, ascending. */
  readonly areas: readonly PredictedArea[];
  /** Page number to content, for every page that the steps wrote. */
  readonly pages: ReadonlyMap<number, PredictedPage>;
  /** The raw LDT. */
  readonly ldt: Uint8Array;
  /** The raw TLS array, 24 bytes. */
  readonly tls: Uint8Array;
  /** What the target does about signals. */
  readonly signals: SignalPrediction;
  /** Registers that steps set. */
  readonly registers: RegisterPrediction;
  /** Groups of pages that ksmd has made one page of: they are the same page frame. */
  readonly merged: readonly (readonly number[])[];
  /** The eight debug registers as a tracer sees them. */
  readonly debug: readonly bigint[];
  /** Pages outside of all areas that must be there, since a debugger wrote to them. */
  readonly copied: readonly CopiedPage[];
  /** What the names of files begin with in the agent's eyes, but not in those of a target with another root. */
  readonly root: string;
  /** Whether names of files may lead the agent to others: the target has another root, or mounts of its own. */
  readonly hasOtherNames: boolean;
  /** The TASK record's state of a target that does not checkpoint itself. */
  readonly taskState: number;
  /** Whether the target has used the FPU: the code as posted saves its state only then. */
  readonly usedFpu: boolean;
  /** Whether mlockall has locked what no step made. */
  readonly locksOwnMemory: boolean;
  /** The label of locked memory that could be written to, and that is not all there: mlock(2) has failed half way. */
  readonly lockedHole?: string | undefined;
  /** Whether there is swap, in which the code as posted loses pages. */
  readonly hasSwap: boolean;
  /** Known errors of the code as posted, or of its kernel, that show in the image by the steps alone. */
  readonly knownErrors: readonly PredictedError[];
  /** Set when the call must fail. */
  readonly refusal: Refusal | undefined;
}

/** A page that must be in the image. */
export interface PredictedPage {
  /** What it holds. */
  readonly content: PageContent;
  /** The reason, in words. */
  readonly why: string;
  /** Set when the page must be in swap until the checkpoint brings it back. */
  readonly swapped?: boolean;
}

/** @throws {SyntaxError} when the scenario states another outcome than the model predicts */
export function checkExpectation(
  expected = "ok",
  { name, why }: { readonly name: string; readonly why: string } = { name: "ok", why: "" },
): void {
  if (expected === name) return;
  throw new SyntaxError(
    `the scenario expects "${expected}" but the model predicts "${name}"${why && `: ${why}`}`,
  );
}

/**
 * What a plain checkpoint gives in the state as it is now.
 *
 * @param step with `self`, the target makes it
 */
export function stopPrediction(
  state: ModelState,
  step: { merged?: "pages" | "zeros too"; self?: boolean },
  work: TracerWork,
): StopPrediction {
  if (step.merged === "zeros too") {
    for (const page of zeroPages(state.space)) state.space.dropPages(page, page + 1);
  }
  const isPosted = state.target.dialect === "v11";
  return {
    areas: state.space.areas.map((area) => predictedArea(area, state)),
    pages: new Map(state.space.pages),
    ldt: state.ldt.entries(),
    tls: state.tls.array(),
    signals: state.signals.predicted(),
    registers: predictRegisters(state, { self: step.self === true, set: work.set }),
    merged: step.merged === undefined ? [] : mergeablePages(state.space),
    debug: state.debug.words(),
    copied: copiedPages(state, work),
    root: state.root,
    hasOtherNames: state.hasOtherRoot || state.hasOwnMounts,
    taskState: taskState(work.stoppedBy, state.target.series),
    usedFpu: state.fpu !== undefined,
    locksOwnMemory: state.locksOwnMemory,
    lockedHole: lockedHole(state.space),
    hasSwap: state.swap !== undefined,
    knownErrors: isPosted ? postedErrors(state) : [],
    refusal: isPosted ? postedRefusal(state) : portRefusal(state),
  };
}

function lockedHole({ areas, pages }: AddressSpace): string | undefined {
  const mask = VM.LOCKED | VM.LOCKONFAULT | VM.WRITE;
  return areas.find(({ start, end, flags, pgoff, file }) => {
    if ((flags & mask) !== (VM.LOCKED | VM.WRITE)) return false;
    const fileEnd = file && !file.isZeroDevice ? start + file.pages - pgoff : end;
    for (let page = start; page < Math.min(end, fileEnd); page++) if (!pages.has(page)) return true;
    return false;
  })?.label;
}

function predictedArea(area: Area, { target }: ModelState): PredictedArea {
  const { label, start, end, flags, pgoff, file } = area;
  // d_path() says of a name that it is gone; the port refuses such a file.
  const path = file?.unlinked && target.dialect === "v11" ? `${file.path} (deleted)` : file?.path;
  return { label, start, end, flags, pgoff, path };
}

/**
 * What the model says of registers at a stop: those that a step set, and selectors that were loaded before. A target
 * that saves itself loads the registers of a step for the stop that follows, so that ptrace shows other selectors and
 * bases then than there are at the call.
 */
function predictRegisters(
  state: ModelState,
  { self, set }: { self: boolean; set: TracerWork["set"] },
): RegisterPrediction {
  const { general = new Map<CpuRegister, bigint>(), xstate = [] } = state.registers ?? {};
  const loaded = [...state.selectors].map(([name, value]): [CpuRegister, bigint] => [name, BigInt(value)]);
  if (!self) return { general: new Map([...loaded, ...general, ...set]), xstate };
  const pending = BLOCK_SELECTORS.filter((name) => general.has(name));
  const before = pending.map((name): [CpuRegister, bigint] => [name, selectorAtExec(name, state)]);
  const bases = (["fs", "gs"] as const).filter((name) => pending.includes(name))
    .map((name) => [`${name}base`, segmentBase(state, state.selectors.get(name) ?? 0)] as const);
  return {
    general: new Map([...before, ...loaded]),
    xstate: state.fpu ?? [],
    ...bases.length > 0 ? { bases: new Map(bases) } : {},
  };
}

/** What execve(2) puts into a segment register: start_thread of arch/x86/kernel/process_{32,64}.c. */
function selectorAtExec(name: (typeof BLOCK_SELECTORS)[number], { target }: ModelState): bigint {
  if (name === "cs") return target.targetWordSize === 8 ? 0x33n : target.kernelWordSize === 8 ? 0x23n : 0x73n;
  if (name === "fs" || name === "gs" || target.targetWordSize === 8) return 0n;
  return target.kernelWordSize === 8 ? 0x2bn : 0x7bn;
}

function segmentBase({ ldt, tls }: ModelState, selector: number): bigint {
  const index = selector >> 3;
  const isTls = (selector & 4) === 0;
  const slot = index - tls.options.firstSlot;
  if (isTls ? slot < 0 || slot > 2 : index >= ldt.nrEntries) return 0n;
  return BigInt((isTls ? tls.slot(index) : ldt.entry(index)).base);
}

/** The bytes of a predicted page. */
export function predictedBytes(page: PredictedPage): Uint8Array {
  return contentBytes(page.content);
}

/** A known error that a prediction has in it. */
export interface PredictedError {
  /** Stable id, `N_...`. */
  readonly id: string;
  /** What it is, in words. */
  readonly message: string;
  /** How many places of the image show it. */
  readonly count: number;
}

/** The known errors that need the steps to be seen. */
function postedErrors({ ldt, tls, keepsLdt, sharedWith }: ModelState): PredictedError[] {
  const entries = Array.from({ length: ldt.nrEntries }, (_, index) => ldt.entry(index));
  const isUsed = (entry: SegmentDescriptor): boolean => !isEmptyDescriptor(entry);
  const { firstSlot } = tls.options;
  const slots = [0, 1, 2].map((index) => tls.slot(firstSlot + index));
  const counts: [id: string, count: number, message: string][] = [
    ["N_LDT_KEPT", keepsLdt ? 1 : 0, "exec kept the LDT of the program before (Linux before 4.15)"],
    [
      "N_NOT_ACCESSED",
      [...entries, ...slots].filter((entry) => isUsed(entry) && (entry.type & 1) === 0).length,
      "entries lack the accessed bit until they are loaded (Linux before 4.15)",
    ],
    [
      "N_TLS_NOT_CLEARED",
      slots.filter((slot) => isUsed(slot) && slot.base === 0 && slot.limit === 0).length,
      "a user_desc of zeros made a segment of no bytes in place of an empty slot (Linux 2.6.28)",
    ],
    [
      "N_SHARED_MEMORY",
      sharedWith === undefined ? 0 : 1,
      "the target shares its memory, which the code as posted does not look at",
    ],
  ];
  return counts.flatMap(([id, count, message]) => count > 0 ? [{ id, message, count }] : []);
}

/**
 * The groups of pages that ksmd makes one page of: those of mergeable areas with equal contents. A group of
 * pages of zeros is left out where ksmd maps the zero page for them.
 */
function mergeablePages(space: AddressSpace): number[][] {
  const groups = new Map<string, number[]>();
  for (const [page, { content, swapped }] of space.pages) {
    if (swapped || ((space.areaAt(page)?.flags ?? 0n) & VM.MERGEABLE) === 0n) continue;
    const key = contentKey(content);
    const group = groups.get(key);
    if (group) group.push(page);
    else groups.set(key, [page]);
  }
  return [...groups.values()].filter((group) => group.length > 1).map((group) => group.sort((a, b) => a - b));
}

/** The pages of mergeable areas that hold nothing but zeros: ksmd drops them with use_zero_pages. */
function zeroPages(space: AddressSpace): number[] {
  return [...space.pages.entries()].filter(([page, { content, swapped }]) => {
    const isMergeable = !swapped && ((space.areaAt(page)?.flags ?? 0n) & VM.MERGEABLE) !== 0n;
    return isMergeable && content.base.kind === "zeros" && contentBytes(content).every((byte) => byte === 0);
  }).map(([page]) => page);
}

/** Equal for equal pages, and different for most others: pages that came about in different ways are not compared. */
function contentKey({ base, stores }: PageContent): string {
  const start = base.kind === "zeros" ? "0" : `${base.seed}@${base.address}`;
  return [start, ...stores.map(({ offset, bytes }) => `${offset}=${bytes.join(".")}`)].join(" ");
}
