// SPDX-License-Identifier: MIT

import { join, resolve } from "@std/path";
import { cacheDirectory } from "../../../vm/host/cache_directory.ts";
import { type ExitStatus, ExpectedError, UsageError } from "../../../vm/host/errors.ts";
import { withFileLock } from "../../../vm/host/file_lock.ts";
import { removeIfThere } from "../../../vm/host/ignore_missing.ts";
import { shellJoin } from "../../../vm/host/shell_quote.ts";
import { makeDirectory } from "../../../vm/host/temp_directory.ts";
import { type BisectRequest, parseBisectRequest, REQUEST_OPTIONS } from "../../bisect/bisect_request.ts";
import { readBisectState, writeBisectState } from "../../bisect/bisect_state.ts";
import { exitStatusOfBisect } from "../../bisect/bisect_status.ts";
import { withBisectTree } from "../../bisect/bisect_tree.ts";
import { prepareBisect } from "../../bisect/prepare_bisect.ts";
import { runBisect } from "../../bisect/run_bisect.ts";
import { CKPTEST_RUNNER } from "../../nightly/run/job_runner.ts";
import { newestBelow, stateDirectory } from "../../nightly/run/state_directory.ts";
import { Terminal } from "../../report/terminal.ts";
import { filterScenarios, readCatalogue } from "../../run/catalogue.ts";
import { onInterrupt } from "../../run/on_interrupt.ts";
import type { Command } from "../command.ts";
import { givenOptions, type ParsedOptions } from "../parse_options.ts";

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
    if (!options.flag("resume")) await checkRequest(parseBisectRequest(options));
    const directory = await placeOf(options);
    await makeDirectory(directory, "the bisect");
    const onWait = (holder: string): void => {
      throw new UsageError(
        `another bisect (process ${holder}) works in ${directory}: name another with --out`,
      );
    };
    return await withFileLock(join(directory, ".lock"), () => bisect(options, directory), { onWait });
  },
};

/** Refuses what would be known only after a kernel was built. */
async function checkRequest({ suite }: BisectRequest): Promise<void> {
  if (!("filter" in suite)) return;
  const scenarios = filterScenarios(await readCatalogue(), suite.filter);
  if (scenarios.length > 0) return;
  throw new UsageError(`option --filter: no scenario's name contains ${suite.filter.join(" or ")}`);
}

async function bisect(options: ParsedOptions, directory: string): Promise<ExitStatus> {
  const terminal = new Terminal();
  const cacheDir = cacheDirectory();
  const before = await readBisectState(directory);
  const request = requestOf(options, { before: before?.request, directory });
  const { ends, tree: source } = await prepareBisect(request.source, before, { directory, cacheDir });
  const state = { request, ...ends, runs: before?.runs ?? [] };
  await writeBisectState(directory, state);
  const nameOf = (id: string): string => state.patches[id] ?? id.slice(0, 12);
  terminal.result(`# from ${nameOf(state.good)} (good) to ${nameOf(state.bad)} (bad), to ${directory}`);
  if (state.runs.length > 0) terminal.result(`${state.runs.length} runs are finished`);
  using interrupt = onInterrupt(terminal);
  const { signal } = interrupt;
  try {
    return await withBisectTree(source, { cacheDir, owner: directory }, async (tree) => {
      const answer = await runBisect({ state, directory, tree, terminal, signal, runner: CKPTEST_RUNNER });
      // What was built of it stays in the cache: the next one is compiled upon that.
      await removeIfThere(tree);
      return exitStatusOfBisect(answer);
    });
  } catch (error) {
    terminal.clearStatus();
    const again = ["deno", "task", "ckptest", "bisect", "--resume", "--out", directory];
    if (error instanceof ExpectedError) terminal.result(`go on with: ${shellJoin(again)}`);
    throw error;
  }
}

/** What is asked for, where the directory holds what goes with that: a bisect to resume, or none. */
function requestOf(
  options: ParsedOptions,
  { before, directory }: { before: BisectRequest | undefined; directory: string },
): BisectRequest {
  if (!options.flag("resume")) {
    if (!before) return parseBisectRequest(options);
    throw new UsageError(
      `${directory} holds a bisect: go on with it (--resume), or name another place (--out)`,
    );
  }
  if (!before) throw new UsageError(`${directory} holds no bisect to resume`);
  const isGiven = givenOptions(options, REQUEST_OPTIONS).length > 0;
  if (isGiven && JSON.stringify(parseBisectRequest(options)) !== JSON.stringify(before)) {
    throw new UsageError(`${directory} holds a bisect with other options: give --resume and --out alone`);
  }
  return before;
}

async function placeOf(options: ParsedOptions): Promise<string> {
  const out = options.string("out");
  if (out !== undefined) return resolve(out);
  const bisects = join(stateDirectory(), "bisects");
  if (options.flag("resume")) return await newestBelow(bisects, "bisect");
  return join(bisects, `${new Date().toISOString().replaceAll(/[:.]/g, "")}-${Deno.pid}`);
}
