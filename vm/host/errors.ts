// SPDX-License-Identifier: MIT

/** Exit statuses of every command (docs/hacking.md lists them too). */
export const EXIT_STATUS = {
  pass: 0,
  testFailed: 1,
  usage: 2,
  buildFailed: 3,
  guestLost: 4,
  nothingRan: 5,
} as const;

/** One of {@linkcode EXIT_STATUS}. */
export type ExitStatus = typeof EXIT_STATUS[keyof typeof EXIT_STATUS];

/**
 * The command line, or a file that it names, is not as it must be. Shown without a stack trace; exit status
 * 2.
 */
export class UsageError extends Error {
  override name = "UsageError";
}
