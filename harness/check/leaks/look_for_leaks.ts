// SPDX-License-Identifier: MIT

import type { Guest } from "../../run/guest/guest.ts";
import { nameScenarios, scanKmemleak } from "./kmemleak.ts";
import { findAllPageLeaks, pageLeakFindings } from "./page_leaks.ts";
import { scenarioOfProcess } from "./process_log.ts";

/**
 * What has leaked by the end of a guest of the debug flavour, in the manner of a kernel log: kmemleak's
 * reports, and a line for pages. Empty when there is nothing.
 */
export async function lookForLeaks(guest: Guest): Promise<string> {
  const objects = nameScenarios(await scanKmemleak(guest.agent), (pid) => scenarioOfProcess(guest, pid));
  const pages = pageLeakFindings(await findAllPageLeaks(guest.agent), undefined);
  return [...pages.map(({ message, actual }) => `BUG: ${message}: ${actual}`), objects]
    .filter((text) => text !== "").join("\n");
}
