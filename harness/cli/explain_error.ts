// SPDX-License-Identifier: MIT

import { ScenarioError } from "../../lib/model/scenario.ts";
import { MissingToolError } from "../../vm/host/find_tool.ts";
import { GuestBuildError } from "../../vm/initramfs/build_guest.ts";
import { GuestLostError } from "../../vm/qemu/guest_lost_error.ts";
import { BuildError, DISK_FULL_HINT, isDiskFull } from "../../vm/kernel/build/build_error.ts";
import { EXIT_STATUS, type ExitStatus, UsageError } from "../../vm/host/errors.ts";

/** What a user is told of an error, in place of a stack trace. */
export interface ErrorExplanation {
  readonly status: ExitStatus;
  readonly text: string;
  /** Whether the command's synopsis helps. */
  readonly showUsage: boolean;
}

/**
 * Explains the errors that a user can mend, or that say something of the kernel; undefined for any other, a
 * bug.
 */
export function explainError(error: unknown): ErrorExplanation | undefined {
  if (!(error instanceof Error)) return undefined;
  const explain = (status: ExitStatus, text = error.message, showUsage = false): ErrorExplanation => {
    return { status, text, showUsage };
  };
  if (error instanceof UsageError) return explain(EXIT_STATUS.usage, error.message, true);
  if (error instanceof ScenarioError) return explain(EXIT_STATUS.usage);
  if (error instanceof MissingToolError || error.cause instanceof MissingToolError) {
    return explain(EXIT_STATUS.usage);
  }
  if (error instanceof BuildError || error instanceof GuestBuildError) {
    return explain(EXIT_STATUS.buildFailed);
  }
  if (error instanceof GuestLostError) {
    return explain(EXIT_STATUS.guestLost, `${error.message}\nreproduce with:\n  ${error.command}`);
  }
  if (isDiskFull(error)) return explain(EXIT_STATUS.usage, `${error.message}\nhint: ${DISK_FULL_HINT}`);
  return undefined;
}
