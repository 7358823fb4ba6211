// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import { basename, isAbsolute } from "@std/path";
import { arrayArguments, mergeArguments, type SlurmRun } from "./submit_nightly.ts";

const RUN: SlurmRun = {
  ...{ directory: "/shared/nightly", shards: 4, restarts: 5, durations: new Map(), history: "/h.sqlite" },
  ...{ nightly: ["--matrix", "/m.json"], running: ["--budget", "2h"], resume: false },
  ...{ sbatch: ["--partition=long"], shardSbatch: ["--array=1-4%2"] },
};

/** The options of sbatch, the script, and the script's arguments. */
function split(argv: readonly string[]): { options: string[]; script: string; words: string[] } {
  const at = argv.findIndex((arg) => arg.endsWith(".sbatch"));
  return { options: argv.slice(0, at), script: argv[at]!, words: argv.slice(at + 1) };
}

Deno.test("arrayArguments(): options of the user come last, so that they win", () => {
  const { options, script, words } = split(arrayArguments(RUN));
  assertEquals(options, [
    ...["--parsable", "--array=1-4", "--output=/shared/nightly/logs/shard-%a.log"],
    ...["--partition=long", "--array=1-4%2"],
  ]);
  assert(isAbsolute(script));
  assertEquals(basename(script), "shard.sbatch");
  assertEquals(words.slice(1), ["/shared/nightly", "4", "5", "--matrix", "/m.json", "--budget", "2h"]);
});

Deno.test("mergeArguments(): the merge waits for the end of all shards, however they end", () => {
  const { options, script, words } = split(mergeArguments(RUN, "17"));
  assertEquals(options, [
    ...["--parsable", "--dependency=afterany:17", "--output=/shared/nightly/logs/merge.log"],
    "--partition=long",
  ]);
  assertEquals(basename(script), "merge.sbatch");
  assertEquals(words.slice(1), ["/shared/nightly", "--history", "/h.sqlite"]);
});
