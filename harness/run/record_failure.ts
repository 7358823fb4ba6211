// SPDX-License-Identifier: MIT

import type { ScenarioResult } from "./scenario_result.ts";

/** How often what did not fail again is run once more, recorded, until it does. */
const TRIES = 3;
/** More than QEMU can play again, of images. */
const MAX_IMAGE_BYTES = 200 << 10;

/**
 * Runs what failed, and not when it was run again, a few times more in guests that are recorded, until it fails there.
 *
 * @param attempt runs it once; undefined when no guest boots, or the run is interrupted
 * @returns how often it was run, and the recording of the failure
 */
export async function recordFailure(
  { outcome }: Pick<ScenarioResult, "outcome">,
  attempt: () => Promise<Pick<ScenarioResult, "status" | "recording"> | undefined>,
): Promise<{ runs: number; recording?: string }> {
  const bytes = outcome?.stops.reduce((sum, { image }) => sum + image.length, 0) ?? 0;
  let runs = 0;
  while (runs < TRIES && bytes <= MAX_IMAGE_BYTES) {
    const next = await attempt();
    if (next?.recording === undefined) break;
    runs++;
    if (next.status !== "pass") return { runs, recording: next.recording };
    await Deno.remove(next.recording, { recursive: true });
  }
  return { runs };
}
