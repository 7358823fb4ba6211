// SPDX-License-Identifier: MIT

import { join, resolve } from "@std/path";
import { cacheDirectory } from "../../../vm/host/cache_directory.ts";
import { withFileLock } from "../../../vm/host/file_lock.ts";
import { DISK_FULL_HINT } from "../../../vm/kernel/build/build_error.ts";
import { shellJoin } from "../../../vm/host/shell_quote.ts";
import { type BisectRequest, parseBisectRequest, REQUEST_OPTIONS } from "../../bisect/bisect_request.ts";
import {
  type BisectState,
  exitStatusOfBisect,
  readBisectState,
  writeBisectState,
} from "../../bisect/bisect_state.ts";
import { BisectTree } from "../../bisect/bisect_tree.ts";
import { prepareBisect, reopenBisect } from "../../bisect/prepare_bisect.ts";
import { printBisect } from "../../bisect/print_bisect.ts";
import { runBisect } from "../../bisect/run_bisect.ts";
import { filterScenarios, readCatalogue } from "../../run/catalogue.ts";
import type { Command } from "../command.ts";
import { EXIT_STATUS, type ExitStatus, UsageError } from "../../../vm/host/errors.ts";
import { makeDirectory } from "../../../vm/host/temp_directory.ts";
import { CKPTEST_RUNNER } from "../../nightly/run/job_runner.ts";
import { onInterrupt } from "../../run/on_interrupt.ts";
import { newestBelow, stateDirectory } from "../../nightly/run/state_directory.ts";
import { givenOptions, type ParsedOptions } from "../parse_options.ts";
import { Terminal } from "../../report/terminal.ts";

/** `bisect`: finds the change of a kernel with which a scenario began to fail. */
export const bisectCommand: Command = {
  usage: [
    "bisect (--git REPOSITORY --good REF --bad REF | --patches DIR [--good N] [--bad N]) [--filter TEXT]... " +
    "[--out DIR] [--resume]",
    "find the commit, or the patch of a series, with which a scenario began to fail",
  ],
  options: {
    ...REQUEST_OPTIONS,
    out: [
      "DIR",
      "where bisect.json, git's log and the files of the runs go; a new directory, or with --resume the last",
    ],
    resume: "go on with an interrupted bisect; other options need not be given again",
  },
  async run(options) {
    const request = options.flag("resume") ? undefined : parseBisectRequest(options);
    if (request) await checkRequest(request);
    const directory = await placeOf(options);
    await makeDirectory(directory, "the bisect");
    const onWait = (holder: string): void => {
      throw new UsageError(
        `another bisect (process ${holder}) works in ${directory}: name another with --out`,
      );
    };
    const work = () => bisect(request, options, directory);
    return await withFileLock(join(directory, ".lock"), work, { onWait });
  },
};

/** Refuses what would be known only after a kernel was built. */
async function checkRequest({ suite }: BisectRequest): Promise<void> {
  if (!("filter" in suite)) return;
  const scenarios = filterScenarios(await readCatalogue(), suite.filter);
  if (scenarios.length > 0) return;
  throw new UsageError(`option --filter: no scenario's name contains ${suite.filter.join(" or ")}`);
}

/** @param request undefined to go on with the bisect of the directory */
async function bisect(
  request: BisectRequest | undefined,
  options: ParsedOptions,
  directory: string,
): Promise<ExitStatus> {
  const cacheDir = cacheDirectory();
  const places = { directory, cacheDir };
  const terminal = new Terminal();
  const before = await readBisectState(directory);
  checkState(before, { request, options, directory });
  const { state, source } = before
    ? await reopenBisect(before, places)
    : await prepareBisect(request!, places);
  await writeBisectState(directory, state);
  const nameOf = (id: string): string => state.patches[id] ?? id.slice(0, 12);
  terminal.result(`# from ${nameOf(state.good)} (good) to ${nameOf(state.bad)} (bad), to ${directory}`);
  if (state.runs.length > 0) terminal.result(`${state.runs.length} runs are finished`);
  using interrupt = onInterrupt(terminal);
  await using tree = await BisectTree.take(source, { cacheDir, owner: directory });
  const { signal } = interrupt;
  const ended = await runBisect({ state, directory, tree, terminal, signal, runner: CKPTEST_RUNNER });
  terminal.clearStatus();
  if (typeof ended === "string") {
    terminal.result(`stopped: ${ended}`);
    const again = ["deno", "task", "ckptest", "bisect", "--resume", "--out", directory];
    terminal.result(`go on with: ${shellJoin(again)}`);
    return ended === DISK_FULL_HINT ? EXIT_STATUS.usage : EXIT_STATUS.testFailed;
  }
  await tree.remove();
  await printBisect(ended, { request: state.request, directory, terminal });
  return exitStatusOfBisect(ended.answer);
}

/** Whether the directory holds what is asked for: a bisect to resume, or none. */
function checkState(
  state: BisectState | undefined,
  { request, options, directory }: {
    request: BisectRequest | undefined;
    options: ParsedOptions;
    directory: string;
  },
): void {
  if (request && state) {
    throw new UsageError(
      `${directory} holds a bisect: go on with it (--resume), or name another place (--out)`,
    );
  }
  if (request) return;
  if (!state) throw new UsageError(`${directory} holds no bisect to resume`);
  const isGiven = givenOptions(options, REQUEST_OPTIONS).length > 0;
  if (isGiven && JSON.stringify(parseBisectRequest(options)) !== JSON.stringify(state.request)) {
    throw new UsageError(`${directory} holds a bisect with other options: give --resume and --out alone`);
  }
}

async function placeOf(options: ParsedOptions): Promise<string> {
  const out = options.string("out");
  if (out !== undefined) return resolve(out);
  const bisects = join(stateDirectory(), "bisects");
  if (options.flag("resume")) return await newestBelow(bisects, "bisect");
  return join(bisects, `${new Date().toISOString().replaceAll(/[:.]/g, "")}-${Deno.pid}`);
}
