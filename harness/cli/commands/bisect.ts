// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { cacheDirectory } from "../../../vm/host/cache_directory.ts";
import { type ExitStatus, ExpectedError, UsageError } from "../../../vm/host/errors.ts";
import { withFileLock } from "../../../vm/host/file_lock.ts";
import { removeIfThere } from "../../../vm/host/ignore_missing.ts";
import { ownCommand } from "../../../vm/host/own_command.ts";
import { makeDirectory } from "../../../vm/host/temp_directory.ts";
import type { BisectRequest } from "../../bisect/bisect_request.ts";
import { readBisectState, writeBisectState } from "../../bisect/bisect_state.ts";
import { exitStatusOfBisect } from "../../bisect/bisect_status.ts";
import { withBisectTree } from "../../bisect/bisect_tree.ts";
import { prepareBisect } from "../../bisect/prepare_bisect.ts";
import { runBisect } from "../../bisect/run_bisect.ts";
import { CKPTEST_RUNNER } from "../../nightly/run/job_runner.ts";
import { newestBelow, stateDirectory } from "../../nightly/run/state_directory.ts";
import { filterByName, readCatalogue } from "../../run/catalogue.ts";
import { parseBisectRequest, REQUEST_OPTIONS } from "../bisect_options.ts";
import {
  type Command,
  type CommandContext,
  defineCommand,
  flag,
  optionArgs,
  type OptionValues,
  value,
} from "../options.ts";

const OPTIONS = {
  ...REQUEST_OPTIONS,
  out: value("DIR", "where its files go; a new directory by default, or with --resume the last one"),
  resume: flag("go on with an interrupted bisect; other options need not be given again"),
};
type Options = OptionValues<typeof OPTIONS>;

/** `bisect`: finds the change of a kernel with which a scenario began to fail. */
export const bisectCommand: Command = defineCommand(OPTIONS, {
  about: "find the commit (--git), or the patch of a series (--patches), with which a scenario began to fail",
  async run(options, context) {
    const directory = await placeOf(options);
    const before = await readBisectState(directory);
    const { suite } = requestOf(options, { before: before?.request, directory });
    // Refuses what would be known only after a kernel was built.
    if ("filter" in suite) filterByName(await readCatalogue(), suite.filter);
    await makeDirectory(directory, "the bisect");
    const onWait = (holder: string): void => {
      throw new UsageError(
        `another bisect (process ${holder}) works in ${directory}: name another with --out`,
      );
    };
    const work = () => bisect(options, { ...context, directory });
    return await withFileLock(join(directory, ".lock"), work, { onWait });
  },
});

async function bisect(
  options: Options,
  { directory, terminal, signal }: Pick<CommandContext, "terminal" | "signal"> & { directory: string },
): Promise<ExitStatus> {
  const cacheDir = cacheDirectory();
  const before = await readBisectState(directory);
  const request = requestOf(options, { before: before?.request, directory });
  const { ends, tree: source } = await prepareBisect(request.source, before, { directory, cacheDir });
  const state = { request, ...ends, runs: before?.runs ?? [] };
  await writeBisectState(directory, state);
  const nameOf = (id: string): string => state.patches[id] ?? id.slice(0, 12);
  terminal.result(`# from ${nameOf(state.good)} (good) to ${nameOf(state.bad)} (bad), to ${directory}`);
  if (state.runs.length > 0) terminal.result(`${state.runs.length} runs are finished`);
  try {
    return await withBisectTree(source, { cacheDir, owner: directory }, async (tree) => {
      const answer = await runBisect({ state, directory, tree, terminal, signal, runner: CKPTEST_RUNNER });
      // What was built of it stays in the cache: the next one is compiled upon that.
      await removeIfThere(tree);
      return exitStatusOfBisect(answer);
    });
  } catch (error) {
    terminal.clearStatus();
    const again = ownCommand(["ckptest", "bisect", "--resume", "--out", directory]);
    if (error instanceof ExpectedError) terminal.result(`go on with: ${again}`);
    throw error;
  }
}

/** What is asked for, where the directory holds what goes with that: a bisect to resume, or none. */
function requestOf(
  options: Options,
  { before, directory }: { before: BisectRequest | undefined; directory: string },
): BisectRequest {
  if (!options.resume) {
    if (!before) return parseBisectRequest(options);
    throw new UsageError(
      `${directory} holds a bisect: go on with it (--resume), or name another place (--out)`,
    );
  }
  if (!before) throw new UsageError(`${directory} holds no bisect to resume`);
  const isGiven = optionArgs(options, REQUEST_OPTIONS).length > 0;
  if (isGiven && JSON.stringify(parseBisectRequest(options)) !== JSON.stringify(before)) {
    throw new UsageError(`${directory} holds a bisect with other options: give --resume and --out alone`);
  }
  return before;
}

async function placeOf({ out, resume }: Options): Promise<string> {
  if (out !== undefined) return out;
  const bisects = join(stateDirectory(), "bisects");
  if (resume) return await newestBelow(bisects, "bisect");
  return join(bisects, `${new Date().toISOString().replaceAll(/[:.]/g, "")}-${Deno.pid}`);
}
