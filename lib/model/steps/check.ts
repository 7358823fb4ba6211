// SPDX-License-Identifier: MIT

import { PAGE_SIZE } from "../../abi/arch.ts";
import { BlockHash } from "../../abi/block_hash.ts";
import { contentBytes, type PageContent } from "../state/page_content.ts";
import { addressOf } from "../state/page_set.ts";
import { VM } from "../../abi/vm_flags.ts";
import { definePagesStep } from "./define_step.ts";
import type { StepContext } from "./step_context.ts";

/**
 * Has the target check every page that the model knows and that it can read: what a checkpoint must leave as
 * it was. Pages that it cannot read, whether it may or not, or that shared memory holds, are left out.
 */
export function checkAllPages(context: Pick<StepContext, "state" | "builder">): void {
  const { space } = context.state;
  const isChecked = (page: number): boolean =>
    space.pages.get(page)?.unreadable === undefined && ((space.areaAt(page)?.flags ?? 0n) & VM.READ) !== 0n;
  const pages = [...space.pages.keys()].filter(isChecked).sort((a, b) => a - b);
  for (let at = 0; at < pages.length;) {
    const first = pages[at]!;
    const areaEnd = space.areaAt(first)!.end;
    let end = first;
    for (; pages[at] === end && end < areaEnd; at++) end++;
    checkPages(context, first, end);
  }
}

function checkPages(context: Pick<StepContext, "state" | "builder">, start: number, end: number): void {
  const { state: { space }, builder } = context;
  for (let page = start; page < end;) {
    const seed = fillSeed(space.contentAt(page), page);
    let stop = page + 1;
    while (stop < end && fillSeed(space.contentAt(stop), stop) === seed) stop++;
    const address = addressOf(page);
    const pages = stop - page;
    const where = `${pages} page(s) at 0x${address.toString(16)}`;
    if (seed !== undefined) {
      builder.emitWithResult({ op: "check", address, pages, seed, stride: 1 }, `check of ${where}`, 0n);
    } else {
      const op = { op: "hash", address, length: pages * PAGE_SIZE } as const;
      builder.emitWithResult(op, `hash of ${where}`, hashOfPages(context, page, stop));
    }
    for (; page < stop; page++) space.readPage(page);
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
  definePagesStep({
    op: "check",
    about: "The target looks itself whether pages still hold what the model says.",
    apply: ({ first, end }, _step, context) => checkPages(context, first, end),
  }),
] as const;
