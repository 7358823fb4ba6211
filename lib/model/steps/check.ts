// SPDX-License-Identifier: MIT

import { PAGE_SIZE } from "../../abi/arch.ts";
import { BlockHash } from "../../abi/block_hash.ts";
import { contentBytes, type PageContent } from "../state/page_content.ts";
import { addressOf } from "../state/page_set.ts";
import { VM } from "../state/vm_flag_rules.ts";
import { AREA_PAGES, defineStep } from "./define_step.ts";
import type { StepContext } from "./step_context.ts";

/**
 * Has the target check every page that the model knows and that it can read: what a checkpoint must leave as
 * it was. Pages that it cannot read, whether it may or not, or that shared memory holds, are left out.
 */
export function checkAllPages(context: Pick<StepContext, "state" | "builder">): void {
  const { space } = context.state;
  const readable = [...space.pages].filter(([, { unreadable }]) => unreadable === undefined);
  const pages = readable.map(([page]) => page).sort((a, b) => a - b);
  let at = 0;
  while (at < pages.length) {
    const first = pages[at]!;
    let end = at + 1;
    while (end < pages.length && pages[end] === first + end - at) end++;
    for (let page = first; page < first + end - at;) {
      const area = space.areaAt(page);
      const stop = Math.min(area?.end ?? page + 1, first + end - at);
      if (area && (area.flags & VM.READ) !== 0n) checkPages(context, page, stop);
      page = stop;
    }
    at = end;
  }
}

function checkPages(context: Pick<StepContext, "state" | "builder">, start: number, end: number): void {
  const { state, builder } = context;
  for (let page = start; page < end;) {
    const content = state.space.contentAt(page);
    let stop = page + 1;
    const seed = fillSeed(content, page);
    while (seed !== undefined && stop < end && fillSeed(state.space.contentAt(stop), stop) === seed) stop++;
    if (seed !== undefined) {
      const address = addressOf(page);
      builder.emitWithResult(
        { op: "check", address, pages: stop - page, seed, stride: 1 },
        `check of ${stop - page} page(s) at 0x${address.toString(16)}`,
        0n,
      );
    } else {
      while (stop < end && fillSeed(state.space.contentAt(stop), stop) === undefined) stop++;
      const address = addressOf(page);
      builder.emitWithResult(
        { op: "hash", address, length: (stop - page) * PAGE_SIZE },
        `hash of ${stop - page} page(s) at 0x${address.toString(16)}`,
        hashOfPages(context, page, stop),
      );
    }
    for (let read = page; read < stop; read++) state.space.readPage(read);
    page = stop;
  }
}

/** What the target's hash of whole pages must give: the lower 63 bits of the digest. */
function hashOfPages({ state }: Pick<StepContext, "state">, start: number, end: number): bigint {
  const hash = new BlockHash();
  for (let page = start; page < end; page++) hash.update(contentBytes(state.space.contentAt(page)));
  const [a, b] = hash.lanes();
  return BigInt.asUintN(63, BigInt(a) << 32n | BigInt(b));
}

/** The seed of a page that is nothing but the fill of its own address. */
function fillSeed({ base, stores }: PageContent, page: number): number | undefined {
  const isOwnFill = base.kind === "fill" && base.address === page * PAGE_SIZE && stores.length === 0;
  return isOwnFill ? base.seed : undefined;
}

/** The steps of this family. */
export const CHECK_STEPS = [
  defineStep({
    op: "check",
    about: "The target looks itself whether pages still hold what the model says.",
    fields: AREA_PAGES,
    apply(step, context) {
      for (const { first, count } of context.state.runs(step.area, step.pages)) {
        checkPages(context, first, first + count);
      }
    },
  }),
] as const;
