// SPDX-License-Identifier: MIT

import { EXIT_STATUS, type ExitStatus } from "../../vm/host/errors.ts";
import type { RunResult } from "../run/run_result.ts";
import type { BisectAnswer } from "./bisect_state.ts";
import { outcomeOfRun } from "./run_outcome.ts";

/**
 * The exit status of a command under `--bisect-status`, as `git bisect run` reads it (git-bisect(1)): good, bad, skip,
 * or from 128 on stop. After a mistake in the command line or an error of ckptest itself nothing is known of the
 * kernel, and the next commit would fare no better: the bisect stops.
 */
export function bisectStatusOf(status: ExitStatus): number {
  switch (status) {
    case EXIT_STATUS.pass:
      return 0;
    case EXIT_STATUS.testFailed:
    case EXIT_STATUS.guestLost:
      return 1;
    case EXIT_STATUS.buildFailed:
    case EXIT_STATUS.nothingRan:
      return 125;
    default:
      return 128;
  }
}

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

/** What a bisect ends with: 0 only when it names one change. */
export function exitStatusOfBisect({ firstBad, problem }: BisectAnswer): ExitStatus {
  switch (problem?.kind) {
    case undefined:
      return firstBad.length === 1 ? EXIT_STATUS.pass : EXIT_STATUS.testFailed;
    case "build":
      return EXIT_STATUS.buildFailed;
    case "boot":
    case "guest lost":
      return EXIT_STATUS.guestLost;
    case "nothing ran":
      return EXIT_STATUS.nothingRan;
    case "other failure":
      return EXIT_STATUS.usage;
    default:
      return EXIT_STATUS.testFailed;
  }
}
