// SPDX-License-Identifier: MIT

import { isOwnFunction, stackFrame } from "../triage/stack_frame.ts";

const BEGIN = /FAULT_INJECTION: forcing a failure/;
const KIND = /^\s*name (\w+), interval/;
/** What is between the stack's top and the allocation: lib/fault-inject.c, mm/failslab.c, lib/dump_stack.c. */
const MACHINERY = /^(dump_stack|show_stack|should_fail|__should_fail|should_failslab)/;

/**
 * Where the faults that a kernel log tells of were injected: what failed (`failslab`, `fail_page_alloc` or
 * `fail_usercopy`), and by which way from the system call. Those outside of the call are left out.
 *
 * @param log console text of a kernel with `verbose` at 2 (the default) in /sys/kernel/debug/fail*
 * @returns names: two faults with the same one came to the same allocation by the same way
 */
export function faultSites(log: string): string[] {
  const sites: string[] = [];
  let frames: string[] | undefined;
  let kind = "";
  for (const raw of log.split("\n")) {
    const line = raw.replace(/^(\[[^\]]*\]\s?)+/, "");
    if (BEGIN.test(line)) {
      frames = [];
      kind = "";
    }
    kind ||= KIND.exec(line)?.[1] ?? "";
    const frame = stackFrame(line);
    if (!frames || !frame?.reliable || MACHINERY.test(frame.function)) continue;
    frames.push(`${frame.function}+0x${frame.offset.toString(16)}`);
    if (!isOwnFunction(frame.function)) continue;
    sites.push(`${kind}: ${frames.join(" < ")}`);
    frames = undefined;
  }
  return sites;
}
