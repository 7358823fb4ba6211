// SPDX-License-Identifier: MIT

import type { WordSize } from "../abi/arch.ts";
import type { VmFlagTable } from "../abi/vm_flags.ts";
import { DESCRIPTOR_SIZE } from "../x86/descriptor.ts";
import { DebugRegisters } from "../x86/debug_registers.ts";
import type { StopPrediction } from "./predict_stop.ts";
import type { Refusal } from "./refusal.ts";
import { vmFlagsWithoutOvercommit } from "./state/vm_flag_rules.ts";
import { taskState } from "./tracer.ts";

/**
 * What a stopped target is once it was restarted from its image, and stopped before its first instruction: all that the
 * image holds is as it was. A signal holds it, whatever had stopped the other. Breakpoints are its tracer's, and gone;
 * no page is in swap any more.
 *
 * @param neverOvercommits vm.overcommit_memory is 2
 */
export function restartedPrediction(
  prediction: StopPrediction,
  wordSize: WordSize,
  neverOvercommits = false,
): StopPrediction {
  const pages = [...prediction.pages].map(([page, { content, why }]) => [page, { content, why }] as const);
  const debug = new DebugRegisters(wordSize).words();
  const areas = neverOvercommits
    ? prediction.areas.map((area) => ({ ...area, flags: vmFlagsWithoutOvercommit(area.flags) }))
    : prediction.areas;
  return { ...prediction, areas, pages: new Map(pages), taskState: taskState("signal"), debug };
}

/** Whether a tracer has left anything in the debug registers, which a restarted target has not. */
export function hasBreakpoints({ debug }: StopPrediction, wordSize: WordSize): boolean {
  return new DebugRegisters(wordSize).words().some((word, i) => word !== debug[i]);
}

/** The errno of restart(2), and the reason. */
export type RestartRefusal = Pick<Refusal, "name" | "why">;

/** The bit of a selector that leads to the LDT. */
const LDT_SELECTOR = 4n;

const PROTECTION_KEY = ["PKEY_BIT0", "PKEY_BIT1", "PKEY_BIT2", "PKEY_BIT3"];
const UFFD = ["UFFD_MISSING", "UFFD_WP", "UFFD_MINOR"];

/** Why restart(2) refuses the image of a stopped target; undefined: it does not. */
export function restartRefusal(
  { areas, ldt, registers }: StopPrediction,
  { bits }: VmFlagTable,
): RestartRefusal | undefined {
  const areaWith = (names: readonly string[]) =>
    areas.find(({ flags }) => names.some((name) => (flags & (bits[name] ?? 0n)) !== 0n));
  const keyed = areaWith(PROTECTION_KEY);
  if (keyed) return { name: "EOPNOTSUPP", why: `the key of "${keyed.label}" is not in the image` };
  const area = areaWith(UFFD);
  if (area) return { name: "EOPNOTSUPP", why: `nobody would answer the faults of "${area.label}"` };
  const beyond = (["ds", "es", "fs", "gs"] as const).find((name) => {
    const selector = registers.general.get(name) ?? 0n;
    return (selector & LDT_SELECTOR) !== 0n && selector >> 3n >= ldt.length / DESCRIPTOR_SIZE;
  });
  return beyond && { name: "EINVAL", why: `${beyond} has no descriptor: only a tracer can set it so` };
}
