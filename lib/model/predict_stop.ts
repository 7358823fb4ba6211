// SPDX-License-Identifier: MIT

import type { CpuRegister } from "../x86/registers.ts";
import { type Refusal, refuse } from "./refusal.ts";
import type { Area } from "./state/address_space.ts";
import { nameBytes } from "./state/file_model.ts";
import type { ModelState } from "./state/model_state.ts";
import { contentBytes, type PageContent } from "./state/page_content.ts";
import type { RegisterPrediction } from "./state/register_block.ts";
import { mergeablePages, zeroPages } from "./state/same_pages.ts";
import { type CopiedPage, copiedPages, taskState, type TracerWork } from "./tracer.ts";
import { VM } from "./state/vm_flag_rules.ts";

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

/** What the steps imply for one image. Whatever it does not mention is for the observation to judge. */
export interface StopPrediction {
  /** Areas that the steps made, ascending. */
  readonly areas: readonly PredictedArea[];
  /** Page number to content, for every page that the steps wrote. */
  readonly pages: ReadonlyMap<number, PredictedPage>;
  /** The raw LDT. */
  readonly ldt: Uint8Array;
  /** The raw TLS array, 24 bytes. */
  readonly tls: Uint8Array;
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
  /** The TASK record's state of a target that does not checkpoint itself. */
  readonly taskState: number;
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

/** What a plain checkpoint gives in the state as it is now. */
export function stopPrediction(
  state: ModelState,
  step: { merged?: "pages" | "zeros too" },
  work: TracerWork,
): StopPrediction {
  if (step.merged === "zeros too") {
    for (const page of zeroPages(state.space)) state.space.dropPages(page, page + 1);
  }
  return {
    areas: state.space.areas.map(predictedArea),
    pages: new Map(state.space.pages),
    ldt: state.ldt.entries(),
    tls: state.tls.array(),
    registers: predictRegisters(state),
    merged: step.merged === undefined ? [] : mergeablePages(state.space),
    debug: state.debug.words(),
    copied: copiedPages(state, work),
    root: state.root,
    taskState: taskState(work.stoppedBy, state.target.series),
    refusal: predictRefusal(state),
  };
}

function predictedArea(area: Area): PredictedArea {
  const { label, start, end, flags, pgoff, file } = area;
  return { label, start, end, flags, pgoff, path: file?.path };
}

function predictRefusal(state: ModelState): Refusal | undefined {
  if (state.sharedWith !== undefined) {
    const why = state.sharedWith === "thread"
      ? "the target has several threads"
      : "another process shares its memory";
    return refuse("EOPNOTSUPP", undefined, why);
  }
  if (state.hasOtherRoot) {
    return refuse("EBADF", 0, "the target's own program lies outside its root directory");
  }
  for (const area of state.space.areas) {
    const refused = areaRefusal(area);
    if (refused) return refuse(refused[0], area.start, `area "${area.label}" ${refused[1]}`);
    const page = unreadablePage(state, area);
    if (page) {
      const why = `page ${page.number - area.start} of area "${area.label}" cannot be read`;
      return { ...refuse(page.errno, area.start, why), page: page.number };
    }
  }
  return undefined;
}

/** The first page of an area that cannot be brought in. */
function unreadablePage(
  { space }: ModelState,
  { start, end }: Area,
): { number: number; errno: string } | undefined {
  for (let number = start; number < end; number++) {
    const errno = space.pages.get(number)?.unreadable;
    if (errno !== undefined) return { number, errno };
  }
  return undefined;
}

/** Why an area cannot be saved: cr_vma_type and cr_fill_fname of the port, in the order of their checks. */
function areaRefusal({ flags, file }: Area): [errno: string, why: string] | undefined {
  if ((flags & (VM.SHARED | VM.MAYSHARE)) !== 0n) return ["ENOSYS", "is shared"];
  if ((flags & VM.HUGETLB) !== 0n) return ["ENOSYS", "is made of huge TLB pages"];
  if ((flags & (VM.IO | VM.PFNMAP)) !== 0n) return ["ENOSYS", "is device memory"];
  if (file?.kind === "memfd") return ["EBADF", "maps a file that is in no directory"];
  if (file?.unlinked) return ["ENOENT", "maps a file without a name"];
  // PATH_MAX counts the NUL.
  if (file && nameBytes(file.path).length > 4095) return ["ENAMETOOLONG", "maps a file with too long a name"];
  return undefined;
}

/**
 * What the model says of registers at a stop: those that a step set, and selectors that were loaded before.
 */
function predictRegisters(state: ModelState): RegisterPrediction {
  const selectors = [...state.selectors].map(([name, value]): [CpuRegister, bigint] => [name, BigInt(value)]);
  const set = state.registers?.prediction;
  return { general: new Map([...selectors, ...set?.general ?? []]), xstate: set?.xstate ?? [] };
}

/** The bytes of a predicted page. */
export function predictedBytes(page: PredictedPage): Uint8Array {
  return contentBytes(page.content);
}
