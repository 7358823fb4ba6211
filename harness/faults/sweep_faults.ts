// SPDX-License-Identifier: MIT

import { PAGE_SIZE, PAGE_SIZE_BIG } from "../../lib/abi/arch.ts";
import { errnoName } from "../../lib/abi/errno.ts";
import { sameImageFindings, truncatedImageFindings } from "../../lib/compare/truncated_image.ts";
import { parsePagemap } from "../../lib/compare/pagemap.ts";
import type { Finding } from "../../lib/image/finding.ts";
import {
  type CheckpointResult,
  RESTART_CHANGED,
  RESTART_DIED,
  RESTART_UNTOUCHED,
  type RestartTry,
} from "../../vm/agent/agent_types.ts";
import { adviseProcess, type MemoryRange } from "../run/case/make_call.ts";
import type { Guest } from "../run/guest/guest.ts";
import type { PreparedGuest } from "../run/guest/prepare_guest.ts";
import { isCompat } from "../run/platform.ts";
import type { ObservedCheckpoint, SecondCheck, StopOutcome } from "../run/case/observe_checkpoint.ts";
import { LogReader } from "../triage/log_reader.ts";
import { callFinding } from "../check/check_reply.ts";
import { changesBetween, OBSERVED_FOR_CHANGES } from "../check/target_changes.ts";
import { isOwnFunction, stackFrame } from "../triage/splat.ts";
import type { Scenario, Step } from "../../lib/model/scenario.ts";

interface FaultTally {
  faults: number;
  /** How often a call with a fault gave which errno, or went on ("ok"). */
  readonly outcomes: Map<string, number>;
  readonly sites: Map<string, number>;
}

const LIMIT = 20_000;
const RESTART_IMAGE = "/run/ckptest/faults";
/** Restarts that the agent makes in one go. */
const RESTARTS_AT_ONCE = 64;
const RESTARTS_DEADLINE_MS = 600_000;

/**
 * What the kernel is told before a sweep. By default it spares allocations that may sleep and those of single
 * pages, which is what the call does; and its notices, where each fault begins, are not shown.
 */
const SETTINGS: readonly (readonly [string, string])[] = [
  ["/sys/kernel/debug/failslab/ignore-gfp-wait", "N"],
  ["/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N"],
  ["/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N"],
  ["/sys/kernel/debug/fail_page_alloc/min-order", "0"],
  ["/proc/sys/kernel/printk", "6 4 1 7"],
];

/** A tally of nothing. */
export function newFaultTally(): FaultTally {
  return { faults: 0, outcomes: new Map(), sites: new Map() };
}

/**
 * Checkpoints a stopped target again and again; in the n-th call the n-th allocation fails, until a call goes
 * through untouched. Each call must fail with ENOMEM and leave a beginning of the image, or do without what
 * it did not get and write all of it; the target stays as it is.
 *
 * @param seen the checkpoint of that target without a fault, judged already
 */
export async function sweepFaults(
  guest: Guest,
  seen: ObservedCheckpoint,
  { checkpointNr, tally, limit = LIMIT }: { checkpointNr: number; tally: FaultTally; limit?: number },
): Promise<Pick<StopOutcome, "findings" | "notes">> {
  const { agent } = guest;
  const { pid } = seen.raw;
  for (const [file, value] of SETTINGS) await agent.writeFile(file, value);
  const swapped = swappedRanges(seen);
  // The checkpoint that was judged has brought them in.
  const swapOut = async (): Promise<void> => {
    for (const range of swapped) await adviseProcess(agent, pid, "pageout", range);
  };
  await swapOut();
  const before = await agent.observe(pid, OBSERVED_FOR_CHANGES);
  const findings: Finding[] = [];
  const outcomes = new Map<string, number>();
  const log = new LogReader(guest, { from: guest.console.offset });
  let nth = 1;
  for (;; nth++) {
    await swapOut();
    const reply = await agent.checkpoint({ nr: checkpointNr, pid, failNth: nth });
    findings.push(...replyFindings(reply, seen.image, nth));
    if (!reply.faultCame) break;
    count(outcomes, reply.result < 0n ? errnoName(reply.errno) : "ok");
    if (findings.length > 0) break;
    if (nth >= limit) {
      findings.push(finding("the number of allocations has no end", `less than ${limit}`, `${nth} faults`));
      break;
    }
    // The kernel log keeps its last megabytes only.
    if (nth % 200 === 0) await tallySites(log, tally);
  }
  findings.push(...changesBetween(before, await agent.observe(pid, OBSERVED_FOR_CHANGES)));
  const again = await agent.checkpoint({ nr: checkpointNr, pid });
  findings.push(...replyFindings(again, seen.image, 0));
  await tallySites(log, tally);
  if (nth === 1) findings.push(finding("no allocation could be made to fail", "at least 1 fault", "none"));
  for (const [name, times] of outcomes) count(tally.outcomes, name, times);
  tally.faults += nth - 1;
  return { findings, notes: [`${nth - 1} faults: ${formatOutcomes(outcomes)}`] };
}

/** The sweeps of both system calls, as the second check of every stop. */
export function sweepBoth(
  { checkpointNr, platform }: Pick<PreparedGuest, "checkpointNr" | "platform">,
  tally: FaultTally,
): (guest: Guest) => SecondCheck {
  const options = { checkpointNr, tally };
  return (guest) => async (seen) => {
    const first = await sweepFaults(guest, seen, options);
    const second = await sweepRestartFaults(guest, seen, { ...options, isForeign: isCompat(platform) });
    const notes = [...first.notes ?? [], ...second.notes ?? []];
    return { findings: [...first.findings, ...second.findings], notes };
  };
}

/**
 * Restarts a process from an image again and again; in the n-th call the n-th allocation fails, until none is left.
 * Each call must fail with ENOMEM and leave its caller as it was (the agent looks at that), or do without.
 *
 * @param isForeign the image is of another kind of program than the agent, which restart(2) refuses
 */
export async function sweepRestartFaults(
  guest: Guest,
  { image }: Pick<ObservedCheckpoint, "image">,
  { tally, isForeign }: { tally: FaultTally; isForeign: boolean },
): Promise<Pick<StopOutcome, "findings" | "notes">> {
  const { agent } = guest;
  for (const [file, value] of SETTINGS) await agent.writeFile(file, value);
  await agent.writeFile(RESTART_IMAGE, image);
  const [plain] = await agent.restarts(RESTART_IMAGE, [{ offset: image.length, mask: 0, how: "file" }]);
  if (plain !== 0) {
    const name = errnoName(-plain!);
    const isExpected = name === "ENOSYS" || name === (isForeign ? "ENOEXEC" : "EOPNOTSUPP");
    const findings = isExpected
      ? []
      : [finding("no process can be restarted from the image", "success", name)];
    return { findings, notes: [`restart(2) refuses the image with ${name}`] };
  }
  const log = new LogReader(guest, { from: guest.console.offset });
  const results: number[] = [];
  for (let first = 1; !results.includes(RESTART_UNTOUCHED); first += RESTARTS_AT_ONCE) {
    const tries = Array.from(
      { length: RESTARTS_AT_ONCE },
      (_, i): RestartTry => ({ offset: first + i, mask: 0, how: "fault" }),
    );
    results.push(...await agent.restarts(RESTART_IMAGE, tries, { deadlineMs: RESTARTS_DEADLINE_MS }));
    await tallySites(log, tally);
    if (first > LIMIT) {
      return { findings: [finding("the number of allocations has no end", `${LIMIT}`, "more")] };
    }
  }
  const swept = results.slice(0, results.indexOf(RESTART_UNTOUCHED));
  const outcomes = new Map<string, number>();
  for (const result of swept) count(outcomes, restartOutcome(result));
  for (const [name, times] of outcomes) count(tally.outcomes, name, times);
  tally.faults += swept.length;
  const findings = [...outcomes.keys()].filter((name) => name !== "ENOMEM" && name !== "ok").map((name) => {
    const nth = swept.findIndex((result) => restartOutcome(result) === name) + 1;
    return finding(`the restart in which allocation ${nth} fails`, "ENOMEM, and an unchanged caller", name);
  });
  if (swept.length === 0) {
    findings.push(finding("no allocation of restart(2) could be made to fail", "1", "none"));
  }
  return { findings, notes: [`${swept.length} faults in restart(2): ${formatOutcomes(outcomes)}`] };
}

/** What a call came to. */
function restartOutcome(result: number): string {
  if (result === RESTART_CHANGED) return "a changed caller";
  if (result >= RESTART_DIED) return `signal ${result - RESTART_DIED}`;
  return result === 0 ? "ok" : errnoName(-result);
}

/** The pages that were swapped out before the first checkpoint, one by one. */
function swappedRanges({ raw }: ObservedCheckpoint): MemoryRange[] {
  return parsePagemap(raw.proc.get("pages") ?? new Uint8Array(0))
    .filter(({ swapped }) => swapped)
    .map(({ page }) => ({ address: BigInt(page) * PAGE_SIZE_BIG, length: PAGE_SIZE }));
}

/** Outcomes in words, such as `45 ENOMEM, 2 ok`. */
export function formatOutcomes(outcomes: ReadonlyMap<string, number>): string {
  return [...outcomes].map(([name, times]) => `${times} ${name}`).join(", ") || "none";
}

/** What is wrong with the outcome of one call. */
export function replyFindings(reply: CheckpointResult, whole: Uint8Array, nth: number): Finding[] {
  const image = reply.image ?? new Uint8Array(0);
  const which = nth === 0 ? "the call after all faults" : `the call in which allocation ${nth} fails`;
  const name = reply.result < 0n ? errnoName(reply.errno) : "ok";
  const of = (findings: Finding[]) => findings.map((one) => ({ ...one, path: `${which}: ${one.path}` }));
  if (reply.signal !== undefined) {
    return [finding(`${which} ended by a signal`, "a result", `signal ${reply.signal}`)];
  }
  if (name === "ok") return of(sameImageFindings(image, whole));
  if (!reply.faultCame) return [finding(`${which} met no fault`, "success", name)];
  // User space is not read or written by the call.
  const wrong = name === "ENOMEM" ? [] : [finding(`${which} gives another errno`, "ENOMEM", name)];
  return [...wrong, ...of(truncatedImageFindings(image, whole))];
}

function finding(message: string, expected: string, actual: string): Finding {
  return callFinding("E_FAULT", message, expected, actual);
}

function count(map: Map<string, number>, name: string, times = 1): void {
  map.set(name, (map.get(name) ?? 0) + times);
}

async function tallySites(log: LogReader, { sites }: FaultTally): Promise<void> {
  const { text } = await log.readToMark("faults");
  for (const site of faultSites(text)) count(sites, site);
}

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

/**
 * Scenarios that together come to every allocation of the call: records alone, pages to be brought in from
 * swap, names of files, an LDT, FPU state, pages in more than one chunk, pages that are merged.
 */
const NAMES: readonly string[] = [
  "minimal",
  "page_states",
  "file_private",
  "ldt_one",
  "ldt_full",
  "registers_avx",
  "ksm_merged",
  "swap_anon",
  "swap_file_copies",
  "swap_loop",
  "fork_files",
  "tls_all",
];

/** The scenarios of a catalogue that are swept when none are named. */
export function faultScenarios(catalogue: readonly Scenario[]): Scenario[] {
  return catalogue.filter(({ name }) => NAMES.includes(name));
}

/** Why a scenario has nothing to sweep; undefined when it has a stop that is checkpointed whole from outside. */
export function sweepSkipReason({ program, steps = [] }: Scenario): string | undefined {
  const isWhole = (step: Step): boolean =>
    step.op === "stop" && (step.expect ?? "ok") === "ok" && step.call === undefined && step.to === undefined;
  if (program || steps.some(isWhole)) return undefined;
  return "has no plain stop that is checkpointed whole";
}
