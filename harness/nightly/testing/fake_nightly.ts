// SPDX-License-Identifier: MIT
/**
 * A nightly run of scripted jobs, as a program that can be killed:
 *
 *     fake_nightly.ts DIRECTORY HISTORY SCRIPT [JOB...]
 *
 * Each job is a shell that does what SCRIPT says of it; without JOB all of them run.
 *
 * @module
 */
import { History } from "../history/history.ts";
import { exitStatusOfNightly, printNightly } from "../nightly_summary.ts";
import { exists } from "@std/fs";
import { EXIT_STATUS } from "../../../vm/host/errors.ts";
import { onInterrupt } from "../../run/on_interrupt.ts";
import { runNightly } from "../run/run_nightly.ts";
import { Terminal } from "../../report/terminal.ts";
import { fakePlan, fakeRunner, type FakeScript } from "./fake_jobs.ts";

if (import.meta.main) {
  const [directory = "", path = "", script = "{}", ...only] = Deno.args;
  const parsed = JSON.parse(script) as FakeScript;
  using history = await History.open(path);
  const terminal = new Terminal();
  using interrupt = onInterrupt(terminal);
  const result = await runNightly({
    ...{ directory, history, terminal, signal: interrupt.signal, slots: 2, durations: new Map() },
    ...{ resume: await exists(`${directory}/plan.json`), runner: fakeRunner(parsed) },
    plan: await fakePlan(parsed, { only }),
  });
  printNightly(result, { directory, terminal, resume: "the same" });
  Deno.exitCode = interrupt.signal.aborted ? EXIT_STATUS.interrupted : exitStatusOfNightly(result);
}
