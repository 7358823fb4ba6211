// SPDX-License-Identifier: MIT

import { mismatch } from "../../../lib/image/finding.ts";
import type { Scenario } from "../../../lib/model/scenario.ts";
import type { CaseOutcome } from "../../run/case/observe_checkpoint.ts";
import type { Guest } from "../../run/guest/guest.ts";

/** Runs one scenario in a guest. */
export type Run = (guest: Guest, scenario: Scenario) => Promise<CaseOutcome>;

/**
 * Has a scenario run and end all its processes, and looks whether anybody still holds a file, a directory or the mount
 * of its file systems, which then cannot be unmounted: that is a reference which was not given back.
 */
export function withFileLeakCheck(run: Run): Run {
  return async (guest, scenario) => {
    const { agent } = guest;
    agent.held = undefined;
    const outcome = await run(guest, scenario);
    await agent.clean();
    if (agent.held === undefined) return outcome;
    const leak = mismatch("E_FILE_LEAK", {
      path: agent.held,
      message: "a file or directory there is in use when all processes of the scenario have ended",
      expected: "a file system that can be unmounted",
      actual: "EBUSY",
    });
    return { ...outcome, findings: [...outcome.findings, leak] };
  };
}
