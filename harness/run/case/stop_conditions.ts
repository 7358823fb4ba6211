// SPDX-License-Identifier: MIT

import { type Finding, mismatch } from "../../../lib/image/finding.ts";
import type { WaitCondition } from "../../../lib/model/scenario.ts";
import type { GuestAgent } from "../guest/guest.ts";

const DEADLINE_MS = 10_000;
const PAUSE_MS = 20;
const KSM_SCANS = "/sys/kernel/mm/ksm/full_scans";

/**
 * How many whole scans make sure that everything mergeable is merged: one that notes each page's checksum,
 * one that finds it unchanged and looks for its like, and the one under way when the wait begins.
 */
const SCANS_TO_MERGE = 3;

interface WaitOptions {
  readonly pid: number;
  readonly waitFor: readonly WaitCondition[];
  readonly waitsForMerge: boolean;
  readonly deadlineMs?: number;
}

/** Waits, within bounds, until what a stop wants is so. What does not come true is a finding. */
export async function awaitConditions(agent: GuestAgent, options: WaitOptions): Promise<Finding[]> {
  const findings: Finding[] = [];
  const { pid, waitFor, waitsForMerge, deadlineMs = DEADLINE_MS } = options;
  if (waitsForMerge) {
    const scans = async (): Promise<number> => Number(await read(agent, KSM_SCANS));
    const wanted = await scans() + SCANS_TO_MERGE;
    if (!await holds(async () => await scans() >= wanted, deadlineMs)) {
      findings.push(finding(KSM_SCANS, `at least ${wanted}`, await read(agent, KSM_SCANS)));
    }
  }
  for (const check of waitFor) {
    const path = check.file.replaceAll("{pid}", String(pid));
    let text = "";
    const isSo = async (): Promise<boolean> => meets(text = await read(agent, path), check);
    if (!await holds(isSo, deadlineMs)) {
      const wanted = [
        ...check.matching === undefined ? [] : [`/${check.matching}/`],
        ...check.notMatching === undefined ? [] : [`no /${check.notMatching}/`],
      ];
      findings.push(finding(path, wanted.join(" and "), text.slice(0, 2000)));
    }
  }
  return findings;
}

/** Whether a text is as a check wants it. */
export function meets(text: string, { matching, notMatching }: WaitCondition): boolean {
  return (matching === undefined || new RegExp(matching, "m").test(text)) &&
    (notMatching === undefined || !new RegExp(notMatching, "m").test(text));
}

async function read(agent: GuestAgent, path: string): Promise<string> {
  return new TextDecoder().decode(await agent.readFile(path)).trim();
}

async function holds(condition: () => Promise<boolean>, deadlineMs: number): Promise<boolean> {
  const end = performance.now() + deadlineMs;
  while (!await condition()) {
    if (performance.now() > end) return false;
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  }
  return true;
}

function finding(path: string, expected: string, actual: string): Finding {
  const message = "what the scenario is about did not come to be, within bounds";
  return mismatch("E_SETUP", { path, message, expected, actual });
}
