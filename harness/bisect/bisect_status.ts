// SPDX-License-Identifier: MIT

import { EXIT_STATUS, type ExitStatus } from "../../vm/host/errors.ts";
import type { RunResult } from "../run/run_result.ts";
import { outcomeOfRun } from "./run_outcome.ts";

/** Exit statuses as `git bisect run` reads them (git-bisect(1)): from 128 on it stops. */
export const BISECT_STATUS = { good: 0, bad: 1, skip: 125, stop: 128 } as const;

/**
 * The exit status of a command under `--bisect-status`. After a mistake in the command line or an error of ckptest
 * itself nothing is known of the kernel, and the next commit would fare no better: the bisect stops.
 */
export function bisectStatusOf(status: ExitStatus): number {
  switch (status) {
    case EXIT_STATUS.pass:
      return BISECT_STATUS.good;
    case EXIT_STATUS.testFailed:
    case EXIT_STATUS.guestLost:
      return BISECT_STATUS.bad;
    case EXIT_STATUS.buildFailed:
    case EXIT_STATUS.nothingRan:
      return BISECT_STATUS.skip;
    default:
      return BISECT_STATUS.stop;
  }
}

/** What the results of a run say to a bisect, and why. */
interface BisectVerdict {
  readonly status: ExitStatus;
  readonly word: "good" | "bad" | "skip";
  readonly text: string;
}

/**
 * Whether a kernel is good or bad by one run on it. A kernel that does not boot, or on which no scenario ran, is
 * neither.
 *
 * @param keys texts of which a failure must have one in the id of a finding or the title of a complaint; any
 * failure counts when there are none
 */
export function bisectVerdict(result: RunResult, keys: readonly string[]): BisectVerdict {
  const { skip, failures, passed } = outcomeOfRun(result);
  const skipped = (text: string) => ({ status: EXIT_STATUS.nothingRan, word: "skip", text }) as const;
  if (skip) return skipped(skip.text);
  const wanted = failures.find((failure) =>
    keys.length === 0 || failure.keys.some((key) => keys.some((text) => key.includes(text)))
  );
  const shown = wanted ?? failures[0];
  const text = shown && `${shown.scenario}: ${shown.text}`;
  if (text === undefined) return { status: EXIT_STATUS.pass, word: "good", text: `${passed.length} passed` };
  return wanted
    ? { status: EXIT_STATUS.testFailed, word: "bad", text }
    : skipped(`fails in another way: ${text}`);
}
