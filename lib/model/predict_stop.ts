// SPDX-License-Identifier: MIT

import { errnoNumber } from "../abi/errno.ts";
import type { Area } from "./state/address_space.ts";
import type { ModelState } from "./state/model_state.ts";
import { nameBytes } from "./state/file_model.ts";
import { contentBytes, type PageContent } from "./state/page_content.ts";
import { predictRegisters, type RegisterPrediction } from "./steps/register.ts";
import { mergeablePages, zeroPages } from "./state/same_pages.ts";
import {
  type CopiedPage,
  copiedPages,
  taskState,
  tracerRefusal,
  type TracerWords,
  type TracerWork,
} from "./tracer.ts";
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

/** Why the kernel code refuses: what the call returns, and where the image ends. */
export interface Refusal {
  /** Name of the errno. */
  readonly name: string;
  /** Its number. */
  readonly errno: number;
  /** The first page of the area that cannot be saved; undefined when nothing at all is written. */
  readonly atPage: number | undefined;
  /**
   * The page of that area that cannot be read, where that is the reason: the record of the area, and all chunks that
   * are full before it is come to, are in the image.
   */
  readonly page?: number;
  /** The reason, in words. */
  readonly why: string;
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

/**
 * The prediction for the state as it is now.
 *
 * @throws {SyntaxError} when the scenario states an outcome that the model does not predict
 */
export function predictStop(
  state: ModelState,
  step: { expect?: string; merged?: "pages" | "zeros too" } & TracerWords,
  work: TracerWork,
): StopPrediction {
  const prediction = stopPrediction(state, step, work);
  const { refusal } = prediction;
  if ((step.expect ?? "ok") !== (refusal?.name ?? "ok")) {
    throw new SyntaxError(
      `the scenario expects "${step.expect ?? "ok"}" but the model predicts "${refusal?.name ?? "ok"}"` +
        (refusal ? `: ${refusal.why}` : ""),
    );
  }
  return prediction;
}

/** The same for a stop that states no outcome. */
export function stopPrediction(
  state: ModelState,
  step: { merged?: "pages" | "zeros too" } & TracerWords,
  work: TracerWork,
): StopPrediction {
  if (step.merged === "zeros too") {
    for (const page of zeroPages(state.space)) state.space.dropPages(page, page + 1);
  }
  const refusal = tracerRefusal(step) ?? predictRefusal(state);
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
    taskState: taskState(step, state.target.series),
    refusal,
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

function refuse(name: string, atPage: number | undefined, why: string): Refusal {
  return { name, errno: errnoNumber(name), atPage, why };
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

/** The bytes of a predicted page. */
export function predictedBytes(page: PredictedPage): Uint8Array {
  return contentBytes(page.content);
}
