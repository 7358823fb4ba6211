// SPDX-License-Identifier: MIT

import type { Scenario } from "../../../lib/model/scenario.ts";
import type { Guest, GuestAgent } from "../../run/guest/guest.ts";
import type { CaseOutcome } from "../../run/case/case_outcome.ts";
import { isOwnFunction } from "../../triage/splat.ts";
import { decodeFrames } from "../../triage/decode_frames.ts";
import { withMembers } from "../../../vm/host/with_members.ts";
import { findPageLeaks, noteProcesses, pageLeakFindings } from "./page_leaks.ts";

type Run = (guest: Guest, scenario: Scenario) => Promise<CaseOutcome>;

const TRACING = "/sys/kernel/debug/tracing";
/** What the events of a scenario's calls fit into, in KiB. */
const TRACE_KIB = "65536";

/**
 * Looks for leaked pages after each scenario, on a kernel of the debug flavour. Where there are some, the
 * scenario is run once more while the kernel traces the reference counts, to tell which function took what
 * nobody gave back.
 */
export function withPageLeakCheck(run: Run, vmlinux: string | undefined): Run {
  return async (guest, scenario) => {
    const outcome = await run(guest, scenario);
    await noteProcesses(guest, scenario.name);
    const leaked = await findPageLeaks(guest.agent);
    if (leaked.length === 0) return outcome;
    const step = await traceLeak(run, guest, scenario, new Set(leaked));
    const where = step === undefined ? undefined : await placeOf(step, vmlinux);
    return { ...outcome, findings: [...outcome.findings, ...pageLeakFindings(leaked, where)] };
  };
}

/** A stack entry with its lines of the source, where the kernel has debug information. */
async function placeOf(step: string, vmlinux: string | undefined): Promise<string> {
  const [, name, offset] = /^([^+]+)\+0x([0-9a-f]+)/.exec(step) ?? [];
  if (name === undefined || offset === undefined || vmlinux === undefined) return step;
  const frame = { function: name, offset: parseInt(offset, 16), size: 0, reliable: true, exact: false };
  const { frames } = await decodeFrames(vmlinux, [frame]);
  const places = frames[0] ?? [];
  return places.length === 0 ? step : `${step} (${places.join(", inlined by ")})`;
}

async function traceLeak(
  run: Run,
  guest: Guest,
  scenario: Scenario,
  before: ReadonlySet<number>,
): Promise<string | undefined> {
  const { agent } = guest;
  const set = (file: string, value: string): Promise<void> => agent.writeFile(`${TRACING}/${file}`, value);
  await set("buffer_size_kb", TRACE_KIB);
  await set("options/stacktrace", "1");
  await set("options/sym-offset", "1");
  await set("events/page_ref/enable", "1");
  await set("tracing_on", "0");
  await run(tracingGuest(guest, set), scenario);
  const leaked = (await findPageLeaks(agent)).filter((frame) => !before.has(frame));
  const trace = new TextDecoder().decode(await agent.readFile(`${TRACING}/trace`));
  return leakingFunction(parsePageReferences(trace), leaked, isOwnFunction);
}

/** The same guest, which traces as long as it checkpoints. */
function tracingGuest(guest: Guest, set: (file: string, value: string) => Promise<void>): Guest {
  const checkpoint: GuestAgent["checkpoint"] = async (options) => {
    await set("tracing_on", "1");
    try {
      return await guest.agent.checkpoint(options);
    } finally {
      await set("tracing_on", "0");
    }
  };
  const agent = withMembers(guest.agent, (name, value) => name === "checkpoint" ? checkpoint : value);
  return withMembers(guest, (name, value) => name === "agent" ? agent : value);
}

/** One change of a page's reference count, with the way to it. */
interface PageReferenceEvent {
  readonly frame: number;
  readonly change: number;
  readonly stack: readonly string[];
}

const EVENT =
  /: page_ref_(?:mod|mod_and_test|mod_unless|mod_and_return): pfn=(?:0x)?([0-9a-f]+) .*\bval=(-?\d+)/;
const FRAME = /^ => (\S+)/;

/**
 * Reads the events `page_ref` of a trace with the option `stacktrace` (include/trace/events/page_ref.h).
 *
 * @param trace text of /sys/kernel/debug/tracing/trace
 */
export function parsePageReferences(trace: string): PageReferenceEvent[] {
  const events: (PageReferenceEvent & { stack: string[] })[] = [];
  for (const line of trace.split("\n")) {
    const [, frame, change] = EVENT.exec(line) ?? [];
    if (frame !== undefined) {
      events.push({ frame: parseInt(frame, 16), change: Number(change), stack: [] });
      continue;
    }
    const [, step] = FRAME.exec(line) ?? [];
    if (step !== undefined) events.at(-1)?.stack.push(step);
  }
  return events;
}

/**
 * Which function of ours took references to pages and did not give them back, judged by the events of those
 * pages alone.
 *
 * @param frames the pages that leaked
 * @param isOurs tells functions of the patch
 * @returns the innermost function of ours of the first reference too many; undefined where all were given
 * back
 */
export function leakingFunction(
  events: readonly PageReferenceEvent[],
  frames: readonly number[],
  isOurs: (name: string) => boolean,
): string | undefined {
  for (const frame of frames) {
    const ours = events.filter((event) => event.frame === frame && event.stack.some(isOurs));
    const balance = ours.reduce((sum, { change }) => sum + change, 0);
    const taking = ours.find(({ change }) => change > 0);
    if (balance > 0 && taking) return taking.stack.find(isOurs);
  }
  return undefined;
}
