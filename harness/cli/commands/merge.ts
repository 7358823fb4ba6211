// SPDX-License-Identifier: MIT

import { stateDirectory } from "../../../vm/host/own_directories.ts";
import { join } from "@std/path";
import { type Command, defineCommand, required, value, words } from "../options.ts";
import { History } from "../../nightly/history/history.ts";
import { mergeRuns } from "../../nightly/merge_runs.ts";
import { exitStatusOfNightly, jobLine, printNightly } from "../../nightly/nightly_summary.ts";
import { writePage } from "../../report/html_report.ts";

/** `merge`: shards to one nightly run. */
export const mergeCommand: Command = defineCommand({
  directories: words("DIR", "the directories of the shards"),
  out: required("DIR", "where the merged run goes: an empty directory or a new one"),
  history: value("FILE", "the history to compare with and to add the shards to"),
}, {
  about: "make one nightly run of its shards: doubled jobs count once, missing ones are named",
  async run({ directories, out, history: path }, { terminal }) {
    using history = await History.open(path ?? join(stateDirectory(), "history.sqlite"));
    const result = await mergeRuns({ directories, out, history });
    for (const job of result.jobs) terminal.result(jobLine(job, terminal));
    const page = await writePage(out, terminal);
    printNightly(result, { directory: out, terminal, page });
    return exitStatusOfNightly(result);
  },
});
