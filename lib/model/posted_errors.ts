// SPDX-License-Identifier: MIT

import { isEmptyDescriptor, type SegmentDescriptor } from "../x86/descriptor.ts";
import type { ModelState } from "./state/model_state.ts";

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
export function postedErrors({ ldt, tls, keepsLdt, sharedWith }: ModelState): PredictedError[] {
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
