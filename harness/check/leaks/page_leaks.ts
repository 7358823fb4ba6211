// SPDX-License-Identifier: MIT

import { delay } from "../../../vm/host/deadline.ts";
import { type Finding, mismatch } from "../../../lib/image/finding.ts";
import type { Guest, GuestAgent } from "../../run/guest/guest.ts";
import type { Scenario } from "../../../lib/model/scenario.ts";
import { isOwnFunction } from "../../triage/splat.ts";
import { decodeFrames } from "../../triage/decode_frames.ts";
import { withMembers } from "../../../vm/host/with_members.ts";
import type { Run } from "./file_leaks.ts";

/** Bits of /proc/kpageflags (Documentation/admin-guide/mm/pagemap.rst). */
const KPF = { mmap: 1n << 11n, anon: 1n << 12n, swapCache: 1n << 13n, hwpoison: 1n << 19n } as const;
/** Memory that is broken (MADV_HWPOISON) is never given back. */
const NOT_LEAKED = KPF.mmap | KPF.swapCache | KPF.hwpoison;

/**
 * Page frames that nobody maps and nobody gave back: anonymous, but neither in an address space nor in the
 * swap cache. What holds them is a reference alone.
 *
 * @param kpageflags the file of that name, 64 bits a page frame
 * @returns numbers of page frames
 */
export function leakedPages(kpageflags: Uint8Array): number[] {
  const { buffer, byteOffset, byteLength } = kpageflags;
  const view = new DataView(buffer, byteOffset, byteLength);
  const leaked: number[] = [];
  for (let frame = 0; 8 * frame + 8 <= byteLength; frame++) {
    const flags = view.getBigUint64(8 * frame, true);
    if ((flags & KPF.anon) !== 0n && (flags & NOT_LEAKED) === 0n) leaked.push(frame);
  }
  return leaked;
}

/**
 * Pages on the lists of anonymous memory that are neither mapped, nor of a tmpfs, nor in the swap cache, by
 * the kernel's own counters: quickly asked, but blind for the few pages that are just on their way to a list.
 *
 * @param meminfo text of /proc/meminfo
 */
export function unmappedAnonymousPages(meminfo: string): number {
  const pages = (name: string): number => {
    const kib = meminfo.split("\n").find((line) => line.startsWith(`${name}:`))?.match(/\d+/)?.[0];
    if (kib === undefined) throw new SyntaxError(`/proc/meminfo: expected a line ${name}, found none`);
    return Number(kib) / 4;
  };
  const onLists = pages("Active(anon)") + pages("Inactive(anon)") + pages("Unevictable");
  return onLists - pages("AnonPages") - pages("Shmem") - pages("SwapCached");
}

/**
 * Ends what a scenario left, and looks for its leaked pages: thoroughly only where the kernel's counters give
 * a reason.
 */
async function findPageLeaks(agent: GuestAgent): Promise<number[]> {
  await agent.clean();
  const meminfo = new TextDecoder().decode(await agent.readFile("/proc/meminfo"));
  return unmappedAnonymousPages(meminfo) > 0 ? await findAllPageLeaks(agent) : [];
}

/** Makes the kernel give up what it merely has not got round to freeing, and looks what is left. */
async function findAllPageLeaks(agent: GuestAgent): Promise<number[]> {
  await agent.clean();
  // The first thing that compaction does is to empty the batches of pages on their way to an LRU list.
  await agent.writeFile("/proc/sys/vm/compact_memory", "1");
  return leakedPages(await agent.readFile("/proc/kpageflags"));
}

/** The finding for pages that leaked; none when there are none. */
export function pageLeakFindings(frames: readonly number[], where: string | undefined): Finding[] {
  if (frames.length === 0) return [];
  return [mismatch("E_PAGE_LEAK", {
    path: where ?? "kernel memory",
    message: `page reference leak${where === undefined ? "" : ` in ${where}`}: ` +
      "anonymous pages that nobody maps are still there when all processes of the scenario have ended",
    expected: "none",
    actual: `${frames.length}: page frames ${frames.slice(0, 8).join(", ")}${
      frames.length > 8 ? " ..." : ""
    }`,
  })];
}

const KMEMLEAK = "/sys/kernel/debug/kmemleak";
/** kmemleak tells of an object only when it is that old (mm/kmemleak.c, MSECS_MIN_AGE), in milliseconds. */
const MIN_AGE_MS = 5000;
/** An object must look lost in two scans: a pointer to it may just have been on its way. */
const SCANS = 2;

/**
 * Adds to each report of kmemleak the scenario that ran when the object was allocated.
 *
 * @param scenarioOf tells it from the process that allocated
 */
export function nameScenarios(reports: string, scenarioOf: (pid: number) => string | undefined): string {
  return reports.replaceAll(/^ {2}comm "[^"\n]*", pid (\d+),.*$/gm, (line, pid) => {
    const scenario = scenarioOf(Number(pid));
    return scenario === undefined ? line : `${line}\n  allocated while ${scenario} ran`;
  });
}

/** Ends of scenarios in a guest: the process id that was given last by then. */
const LOGS = new WeakMap<Guest, { scenario: string; lastPid: number }[]>();

/** Notes which process ids a scenario has used, when it has ended. */
async function noteProcesses(guest: Guest, scenario: string): Promise<void> {
  const text = new TextDecoder().decode(await guest.agent.readFile("/proc/loadavg"));
  const log = LOGS.get(guest) ?? [];
  LOGS.set(guest, [...log, { scenario, lastPid: lastPidOf(text) }]);
}

/** The last field of /proc/loadavg: the newest process id (proc(5)). */
export function lastPidOf(loadavg: string): number {
  const pid = Number(loadavg.trim().split(" ").at(-1));
  if (!Number.isInteger(pid) || pid <= 0) {
    throw new SyntaxError(`/proc/loadavg: expected a process id last, found ${loadavg}`);
  }
  return pid;
}

/**
 * What has leaked by the end of a guest of the debug flavour, in the manner of a kernel log: reports of kmemleak
 * (CONFIG_DEBUG_KMEMLEAK), one after the other, and a line for pages. Empty when there is nothing.
 */
export async function finalLeakCheck(guest: Guest): Promise<string> {
  const { agent } = guest;
  await delay(MIN_AGE_MS);
  for (let scan = 0; scan < SCANS; scan++) await agent.writeFile(KMEMLEAK, "scan");
  const reports = new TextDecoder().decode(await agent.readFile(KMEMLEAK)).trim();
  // The scenario that ran when the process was started.
  const scenarioOf = (pid: number) => LOGS.get(guest)?.find(({ lastPid }) => pid <= lastPid)?.scenario;
  const objects = nameScenarios(reports, scenarioOf);
  const pages = pageLeakFindings(await findAllPageLeaks(agent), undefined);
  return [...pages.map(({ message, actual }) => `BUG: ${message}: ${actual}`), objects]
    .filter((text) => text !== "").join("\n");
}

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
