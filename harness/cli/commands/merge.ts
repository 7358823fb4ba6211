// SPDX-License-Identifier: MIT

import { join, resolve } from "@std/path";
import type { Command } from "../command.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import { History } from "../../nightly/history/history.ts";
import { stateDirectory } from "../../nightly/run/state_directory.ts";
import { mergeRuns } from "../../nightly/merge_runs.ts";
import { exitStatusOfNightly, jobLine, printNightly } from "../../nightly/nightly_summary.ts";
import { writePage } from "../../report/write_page.ts";
import { Terminal } from "../../report/terminal.ts";

/** `merge`: shards to one nightly run. */
export const mergeCommand: Command = {
  usage: [
    "merge DIR... --out DIR",
    "make one nightly run of its shards: doubled jobs count once, missing ones are named",
  ],
  words: { "DIR...": "the directories of the shards" },
  options: {
    out: ["DIR", "where the merged run goes: an empty directory or a new one"],
    history: ["FILE", "the history to compare with and to add the shards to"],
  },
  async run(options) {
    const out = options.required("out");
    if (options.words.length === 0) {
      throw new UsageError("merge needs the directories of at least one nightly run");
    }
    const directories = options.words.map((path) => resolve(path));
    const terminal = new Terminal();
    using history = await History.open(options.string("history") ?? join(stateDirectory(), "history.sqlite"));
    const result = await mergeRuns({ directories, out: resolve(out), history });
    for (const job of result.jobs) terminal.result(jobLine(job, terminal));
    const page = await writePage(resolve(out), terminal);
    printNightly(result, { directory: resolve(out), terminal, page });
    return exitStatusOfNightly(result);
  },
};
