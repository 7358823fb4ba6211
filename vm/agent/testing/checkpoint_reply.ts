// SPDX-License-Identifier: MIT
import type { CheckpointResult } from "../agent_types.ts";

/** What the agent says of the first call in a guest, that wrote nothing and took no time; a test says the rest. */
export function checkpointReply(part: Partial<CheckpointResult> = {}): CheckpointResult {
  return {
    ...{ caller: 60, result: 1n, errno: 0, previousId: 0, length: part.image?.length ?? 0 },
    ...{ secondsBefore: 0n, secondsAfter: 0n, nanoseconds: 0n },
    ...part,
  };
}
