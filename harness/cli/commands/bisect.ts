// SPDX-License-Identifier: MIT

import { join, resolve } from "@std/path";
import { cacheDirectory } from "../../../vm/host/cache_directory.ts";
import { withFileLock } from "../../../vm/host/file_lock.ts";
import { DISK_FULL_HINT } from "../../../vm/kernel/build/build_error.ts";
import { shellJoin } from "../../../vm/host/shell_quote.ts";
import { BisectDirectory, type SavedBisect } from "../../bisect/bisect_directory.ts";
import { type BisectRequest, parseBisectRequest, REQUEST_OPTIONS } from "../../bisect/bisect_request.ts";
import { exitStatusOfBisect } from "../../bisect/bisect_result.ts";
import { BisectTree } from "../../bisect/bisect_tree.ts";
import { prepareBisect } from "../../bisect/prepare_bisect.ts";
import { printBisect } from "../../bisect/print_bisect.ts";
import { runBisect } from "../../bisect/run_bisect.ts";
import { planChange } from "../../bisect/run_change.ts";
import { filterScenarios, readCatalogue } from "../../run/catalogue.ts";
import type { Command } from "../command.ts";
import { EXIT_STATUS, type ExitStatus, UsageError } from "../../../vm/host/errors.ts";
import { CKPTEST_RUNNER } from "../../nightly/run/job_runner.ts";
import { onInterrupt } from "../../run/on_interrupt.ts";
import { stateDirectory } from "../../nightly/run/state_directory.ts";
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
    out: {
      value: "DIR",
      help: "where state, logs and bisect.json go; by default a new directory, or with --resume the last",
    },
    resume: { help: "go on with an interrupted bisect; other options need not be given again" },
  },
  async run(options) {
    const isNew = !options.flag("resume");
    if (isNew) await checkRequest(parseBisectRequest(options));
    const directory = new BisectDirectory(await placeOf(options));
    await Deno.mkdir(directory.path, { recursive: true }).catch((error: Error) => {
      throw new UsageError(`no directory for the bisect, ${directory.path}: ${error.message}`);
    });
    const onWait = (holder: string): void => {
      throw new UsageError(
        `another bisect (process ${holder}) works in ${directory.path}: name another with --out`,
      );
    };
    try {
      return await withFileLock(join(directory.path, ".lock"), () => bisect(options, directory), { onWait });
    } finally {
      if (isNew) await directory.removeIfUnused();
    }
  },
};

/** Refuses what would be known only after a kernel was built. */
async function checkRequest({ suite }: BisectRequest): Promise<void> {
  if (!("filter" in suite)) return;
  const scenarios = filterScenarios(await readCatalogue(), suite.filter);
  if (scenarios.length > 0) return;
  throw new UsageError(`option --filter: no scenario's name contains ${suite.filter.join(" or ")}`);
}

async function bisect(options: ParsedOptions, directory: BisectDirectory): Promise<ExitStatus> {
  const cacheDir = cacheDirectory();
  const before = await readBefore(options, directory);
  const request = before?.request ?? parseBisectRequest(options);
  const terminal = new Terminal();
  const prepared = await prepareBisect(request, { directory: directory.path, cacheDir, ends: before });
  const { history, good, bad } = prepared;
  const saved = before ?? { started: new Date().toISOString(), request, good, bad, runs: [] };
  await directory.write(saved);
  const count = history.changes.length - 1;
  terminal.result(
    `# ${count} ${count === 1 ? "change" : "changes"} from ${history.get(good).name} (good) to ` +
      `${history.get(bad).name} (bad), to ${directory.path}`,
  );
  if (saved.runs.length > 0) terminal.result(`${saved.runs.length} runs are finished`);
  using interrupt = onInterrupt(terminal);
  await using tree = await BisectTree.take({ ...prepared.tree, cacheDir });
  const outcome = await runBisect({
    ...{ saved, history, directory, tree, terminal, signal: interrupt.signal, runner: CKPTEST_RUNNER },
    plan: (change) => planChange(request, { change, path: tree.path }),
  });
  if (typeof outcome === "string") {
    terminal.result(`stopped: ${outcome}`);
    const again = ["deno", "task", "ckptest", "bisect", "--resume", "--out", directory.path];
    terminal.result(`go on with: ${shellJoin(again)}`);
    return outcome === DISK_FULL_HINT ? EXIT_STATUS.usage : EXIT_STATUS.testFailed;
  }
  terminal.status("bisect: removing the tree");
  await tree.remove();
  terminal.clearStatus();
  printBisect(outcome.result, directory.path, terminal);
  return exitStatusOfBisect(outcome.standing);
}

/** What an interrupted bisect has found out; undefined when this is a new one. */
async function readBefore(
  options: ParsedOptions,
  directory: BisectDirectory,
): Promise<SavedBisect | undefined> {
  const before = await directory.read();
  if (!options.flag("resume")) {
    if (!before) return undefined;
    throw new UsageError(
      `${directory.path} holds a bisect: go on with it (--resume), or name another place (--out)`,
    );
  }
  if (!before) throw new UsageError(`${directory.path} holds no bisect to resume`);
  const isGiven = givenOptions(options, REQUEST_OPTIONS).length > 0;
  if (isGiven && JSON.stringify(parseBisectRequest(options)) !== JSON.stringify(before.request)) {
    throw new UsageError(
      `${directory.path} holds a bisect with other options: give --resume and --out alone`,
    );
  }
  return before;
}

async function placeOf(options: ParsedOptions): Promise<string> {
  const out = options.string("out");
  if (out !== undefined) return resolve(out);
  const bisects = join(stateDirectory(), "bisects");
  if (!options.flag("resume")) {
    const time = new Date().toISOString().replaceAll(/[:.]/g, "");
    return join(bisects, `${time}-${Deno.pid}`);
  }
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(bisects)) names.push(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const last = names.sort().at(-1);
  if (last === undefined) {
    throw new UsageError(`there is no bisect to resume in ${bisects}: name it with --out`);
  }
  return join(bisects, last);
}
