// SPDX-License-Identifier: MIT

import { errnoNumber } from "../abi/errno.ts";
import type { Area } from "./address_space.ts";
import type { ModelState } from "./model_state.ts";
import { contentBytes, type PageContent } from "./page_content.ts";
import { VM } from "./vm_flag_rules.ts";

/** An area that an image must hold, with the attributes that every page of it must show. Page numbers. */
export interface PredictedArea {
  readonly label: string;
  readonly start: number;
  readonly end: number;
  readonly flags: bigint;
  readonly pgoff: number;
  /** The name that the FNAME record must hold; undefined for anonymous memory. */
  readonly path: string | undefined;
}

/** Why the kernel code refuses: what the call returns, and where the image ends. */
export interface Refusal {
  readonly name: string;
  readonly errno: number;
  /** The first page of the area that cannot be saved; undefined when nothing at all is written. */
  readonly atPage: number | undefined;
  readonly why: string;
}

/** What the steps imply for one image. Whatever it does not mention is for the observation to judge. */
export interface StopPrediction {
  readonly areas: readonly PredictedArea[];
  /** Page number to content, for every page that the steps wrote. */
  readonly pages: ReadonlyMap<number, PredictedPage>;
  readonly ldt: Uint8Array;
  readonly tls: Uint8Array;
  readonly refusal: Refusal | undefined;
}

/** A page that must be in the image. */
export interface PredictedPage {
  readonly content: PageContent;
  readonly why: string;
}

/**
 * The prediction for the state as it is now.
 *
 * @throws {SyntaxError} when the scenario states an outcome that the model does not predict
 */
export function predictStop(state: ModelState, step: { expect?: string }): StopPrediction {
  const refusal = predictRefusal(state);
  if ((step.expect ?? "ok") !== (refusal?.name ?? "ok")) {
    throw new SyntaxError(
      `the scenario expects "${step.expect ?? "ok"}" but the model predicts "${refusal?.name ?? "ok"}"` +
        (refusal ? `: ${refusal.why}` : ""),
    );
  }
  return {
    areas: state.space.areas.map(predictedArea),
    pages: new Map(state.space.pages),
    ldt: state.ldt.entries(),
    tls: state.tls.array(),
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
    return { name: "EOPNOTSUPP", errno: errnoNumber("EOPNOTSUPP"), atPage: undefined, why };
  }
  for (const area of state.space.areas) {
    if ((area.flags & (VM.SHARED | VM.MAYSHARE)) !== 0n) {
      return {
        name: "ENOSYS",
        errno: errnoNumber("ENOSYS"),
        atPage: area.start,
        why: `area "${area.label}" is shared`,
      };
    }
    if (area.file?.unlinked) {
      return {
        name: "ENOENT",
        errno: errnoNumber("ENOENT"),
        atPage: area.start,
        why: `area "${area.label}" maps a file without a name`,
      };
    }
  }
  return undefined;
}

/** The bytes of a predicted page. */
export function predictedBytes(page: PredictedPage): Uint8Array {
  return contentBytes(page.content);
}
