// SPDX-License-Identifier: MIT

import { join, resolve } from "@std/path";
import { cacheDirectory, newestBelow, stateDirectory } from "../../../vm/host/own_directories.ts";
import { type ExitStatus, ExpectedError, UsageError } from "../../../vm/host/errors.ts";
import { withFileLock } from "../../../vm/host/file_lock.ts";
import { removeIfThere } from "../../../vm/host/ignore_missing.ts";
import { ownCommand } from "../../../vm/host/own_command.ts";
import { shellJoin } from "../../../vm/host/shell_quote.ts";
import { makeDirectory } from "../../../vm/host/temp_directory.ts";
import {
  type BisectRequest,
  type BisectSource,
  readBisectState,
  writeBisectState,
} from "../../bisect/bisect_state.ts";
import { exitStatusOfBisect } from "../../bisect/run_outcome.ts";
import { prepareBisect, withBisectTree } from "../../bisect/prepare_bisect.ts";
import { runBisect } from "../../bisect/run_bisect.ts";
import type { CkptestSuite } from "../../nightly/plan/matrix.ts";
import { CKPTEST_RUNNER } from "../../nightly/run/judge_job.ts";
import { filterByName, readCatalogue } from "../../run/catalogue.ts";
import {
  type Command,
  type CommandContext,
  defineCommand,
  flag,
  kindOf,
  oneOf,
  optionArgs,
  optionsParser,
  type OptionValues,
  parseArguments,
  TIME,
  value,
  wholeNumber,
} from "../options.ts";
import { PLATFORM_NAMES } from "../../../lib/abi/arch.ts";
import { DEFAULT_SERIES, PORTED_SERIES } from "../../../lib/abi/series.ts";
import { KERNEL_FLAVOURS } from "../../../vm/kernel/config/kernel_flavour.ts";
import { isGitUrl } from "../../../vm/host/run_git.ts";
import { FILTER_OPTION, TREE } from "../shared_options.ts";

const MAX = 0x7fff_ffff;
const REPOSITORY = kindOf({
  ...{ metavar: "REPOSITORY", what: "a path or URL" },
  parse: (text) => isGitUrl(text) ? text : resolve(text),
});
const PROBABILITY = kindOf({
  ...{ metavar: "P", what: "a number from 0.5 to 0.9999" },
  parse: (text) => /^0?\.\d+$/.test(text) && +text >= 0.5 && +text <= 0.9999 ? Number(text) : undefined,
});

const REQUEST_OPTIONS = {
  git: value(REPOSITORY, "a kernel's git repository, as a path or URL; it is only read"),
  patches: value("DIR", "patches NNNN-*.patch as git format-patch and deno task kernel:series write them"),
  good: value("REF", "a commit that is good; of patches a number or file name; 0 is the kernel without them"),
  bad: value("REF", "a commit or patch that is bad; the last patch by default"),
  firstParent: flag("what a merge brought is one change"),
  series: value(oneOf(PORTED_SERIES), `Debian's kernel that patches are for; ${DEFAULT_SERIES} by default`),
  kernelTree: value(TREE, "or the source tree that they are for; it is only read"),
  suite: value(oneOf(["catalogue", "faults", "fuzz"]), "what is run; catalogue by default"),
  ...FILTER_OPTION,
  count: value(wholeNumber(1, MAX), "programs of the suite fuzz, 1000 by default"),
  seed: value(wholeNumber(0, MAX), "which programs, 1 by default"),
  arch: value(oneOf(PLATFORM_NAMES), "the platform; x86_64 by default"),
  flavour: value(oneOf(KERNEL_FLAVOURS), "the kind of kernel; plain by default"),
  confidence: value(PROBABILITY, "go on until the answer is right with that probability; 0.99 by default"),
  runs: value(wholeNumber(1, 1000), "most runs of one change, 30 by default"),
  deadline: value(TIME, "a run and its build are ended after that; 2h by default"),
};
type RequestValues = OptionValues<typeof REQUEST_OPTIONS>;

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
    const { request: { suite } } = await readRequest(options, directory);
    // Refuses what would be known only after a kernel was built.
    if (suite.kind !== "fuzz") filterByName(await readCatalogue(), suite.filter);
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
  const { request, args, before } = await readRequest(options, directory);
  const { ends, tree: source } = await prepareBisect(request.source, before, { directory, cacheDir });
  const state = { options: args, ...ends, runs: before?.runs ?? [] };
  await writeBisectState(directory, state);
  const nameOf = (id: string): string => state.patches[id] ?? id.slice(0, 12);
  terminal.result(`# from ${nameOf(state.good)} (good) to ${nameOf(state.bad)} (bad), to ${directory}`);
  if (state.runs.length > 0) terminal.result(`${state.runs.length} runs are finished`);
  try {
    return await withBisectTree(source, { cacheDir, owner: directory }, async (tree) => {
      const work = { request, state, directory, tree, terminal, signal, runner: CKPTEST_RUNNER };
      const answer = await runBisect(work);
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
async function readRequest(options: Options, directory: string) {
  const before = await readBisectState(directory);
  const given = optionArgs(options, REQUEST_OPTIONS);
  if (before && !options.resume) {
    throw new UsageError(
      `${directory} holds a bisect: go on with it (--resume), or name another place (--out)`,
    );
  }
  if (!before && options.resume) throw new UsageError(`${directory} holds no bisect to resume`);
  const args = before?.options ?? given;
  if (given.length > 0 && shellJoin(given) !== shellJoin(args)) {
    throw new UsageError(`${directory} holds a bisect with other options: give --resume and --out alone`);
  }
  return { request: parseBisectRequest(args), args, before };
}

async function placeOf({ out, resume }: Options): Promise<string> {
  if (out !== undefined) return out;
  const bisects = join(stateDirectory(), "bisects");
  if (resume) return await newestBelow(bisects, "bisect");
  return join(bisects, `${new Date().toISOString().replaceAll(/[:.]/g, "")}-${Deno.pid}`);
}

/** Reads what is asked for from options. @throws {UsageError} naming those that do not fit together */
export function parseBisectRequest(args: readonly string[]): BisectRequest {
  const options = parseArguments(optionsParser(REQUEST_OPTIONS), args);
  const { flavour = "plain", arch: platform = "x86_64", confidence = 0.99, runs: maxRuns = 30 } = options;
  const suite = suiteOf(options);
  if (suite.kind === "faults" && flavour === "plain") {
    throw new UsageError(
      "--suite faults needs --flavour debug or fault: plain kernels have no fault injection",
    );
  }
  const { deadline: deadlineSeconds = 7200 } = options;
  return { source: sourceOf(options), platform, flavour, suite, deadlineSeconds, confidence, maxRuns };
}

function sourceOf(options: RequestValues): BisectSource {
  const { git: repository, patches: directory, good, bad, firstParent, series, kernelTree: path } = options;
  if (directory !== undefined) {
    if (repository !== undefined) throw new UsageError("expected either --git or --patches: found both");
    if (firstParent) throw new UsageError("option --first-parent goes with --git");
    if (path !== undefined && series !== undefined) {
      throw new UsageError("expected either --series or --kernel-tree: found both");
    }
    const base = path === undefined
      ? { kind: "debian", series: series ?? DEFAULT_SERIES } as const
      : { kind: "directory", path } as const;
    return { kind: "patches", directory, base, good, bad };
  }
  if (repository === undefined) throw new UsageError("expected either --git or --patches: found neither");
  if (series !== undefined) throw new UsageError("option --series goes with --patches");
  if (path !== undefined) throw new UsageError("option --kernel-tree goes with --patches");
  if (good === undefined || bad === undefined) {
    throw new UsageError(`option --${good === undefined ? "good" : "bad"} is missing: which commit is it?`);
  }
  return { kind: "git", repository, good, bad, firstParent };
}

function suiteOf({ suite: kind = "catalogue", filter, count, seed }: RequestValues): CkptestSuite {
  if (kind === "fuzz") {
    if (filter.length > 0) throw new UsageError("option --filter goes with --suite catalogue or faults");
    return { kind, count: count ?? 1000, seed: seed ?? 1 };
  }
  if (count !== undefined || seed !== undefined) {
    throw new UsageError(`option --${count === undefined ? "seed" : "count"} goes with --suite fuzz`);
  }
  return { kind, filter };
}
