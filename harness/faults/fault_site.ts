// SPDX-License-Identifier: MIT

import { isOwnFunction } from "../triage/stack_frame.ts";

/** Where a fault was injected: the way from our code to what failed. */
interface FaultSite {
  /** What failed: `failslab`, `fail_page_alloc` or `fail_usercopy`. */
  readonly kind: string;
  /** Functions with offsets, innermost first, from the allocation to the first one of the system call. */
  readonly frames: readonly string[];
}

const BEGIN = /FAULT_INJECTION: forcing a failure/;
const KIND = /^\s*name (\w+), interval/;
const FRAME = /^\s*(\? )?([A-Za-z_][\w.]*)\+(0x[0-9a-f]+)\/0x[0-9a-f]+/;
/** What is between the stack's top and the allocation: lib/fault-inject.c, mm/failslab.c, lib/dump_stack.c. */
const MACHINERY = /^(dump_stack|show_stack|should_fail|__should_fail|should_failslab)/;

/**
 * The faults that a kernel log tells of. Only those inside the system call have a site; others hit the caller
 * elsewhere.
 *
 * @param log console text of a kernel with `verbose` at 2 (the default) in /sys/kernel/debug/fail*
 */
export function faultSites(log: string): FaultSite[] {
  const sites: FaultSite[] = [];
  let frames: string[] | undefined;
  let kind = "";
  for (const raw of log.split("\n")) {
    const line = raw.replace(/^(\[[^\]]*\]\s?)+/, "");
    if (BEGIN.test(line)) {
      frames = [];
      kind = "";
      continue;
    }
    if (!frames) continue;
    kind ||= KIND.exec(line)?.[1] ?? "";
    const [, guess, name, offset] = FRAME.exec(line) ?? [];
    if (name === undefined || guess || MACHINERY.test(name)) continue;
    frames.push(`${name}+${offset}`);
    if (!isOwnFunction(name)) continue;
    sites.push({ kind, frames });
    frames = undefined;
  }
  return sites;
}

/** Names a site: two faults with the same name came to the same allocation by the same way. */
export function siteName({ kind, frames }: FaultSite): string {
  return `${kind}: ${frames.join(" < ")}`;
}
