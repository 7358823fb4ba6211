// SPDX-License-Identifier: MIT

import { basename, dirname, join } from "@std/path";
import { AgentError } from "../../vm/agent/agent_session.ts";
import { BuildError } from "../../vm/kernel/build/build_error.ts";
import type { KernelBuild } from "../../vm/kernel/build/build_kernel.ts";
import { runCommand } from "../../vm/host/run_command.ts";
import type { GuestAgent } from "../run/guest/guest.ts";
import { addCoverage, type Coverage } from "./coverage.ts";
import { parseGcov } from "./parse_gcov.ts";
import { makeTempDirectory } from "../../vm/host/temp_directory.ts";

/** Where a kernel with CONFIG_GCOV_KERNEL shows its counters (Documentation/dev-tools/gcov.rst). */
const COUNTERS = "/sys/kernel/debug/gcov";

/**
 * Reads the counters of a guest's kernel and has gcov tell which lines they belong to.
 *
 * @param paths the files that count, by their path in the kernel tree
 */
export async function readCoverage(
  agent: GuestAgent,
  build: KernelBuild,
  paths: readonly string[],
): Promise<Coverage> {
  const coverage: Coverage = new Map();
  const scratch = await makeTempDirectory("ckptest-gcov-");
  try {
    for (const notes of await coverageNotes(build)) {
      const stem = notes.replace(/\.gcno$/, "");
      // The kernel shows a file for every object, whether it ran or not: one that is missing must not look
      // covered.
      const counters = await agent.readFile(`${COUNTERS}${build.info.buildDir}/${stem}.gcda`).catch(
        (error) => {
          if (!(error instanceof AgentError)) throw error;
          throw new BuildError({
            stage: "build",
            problem: `the kernel has no counters of ${stem}: ${error.message}`,
          });
        },
      );
      const directory = join(scratch, dirname(stem));
      await Deno.mkdir(directory, { recursive: true });
      await Deno.copyFile(join(build.coverageNotes, notes), join(directory, basename(notes)));
      const data = join(directory, `${basename(stem)}.gcda`);
      await Deno.writeFile(data, counters);
      const { lines, code } = await runCommand([
        "gcov",
        "--json-format",
        "--branch-probabilities",
        "--stdout",
        data,
      ]);
      const json = lines.find((line) => line.startsWith("{"));
      if (code !== 0 || json === undefined) {
        throw new BuildError({
          stage: "build",
          problem: `gcov cannot read the counters of ${stem}`,
          detail: lines,
        });
      }
      addCoverage(coverage, parseGcov(json, paths));
    }
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
  return coverage;
}

/** Paths of the notes of a build, relative to their directory. */
async function coverageNotes({ coverageNotes: root }: KernelBuild): Promise<string[]> {
  const found: string[] = [];
  const directories = [""];
  for (let below = directories.pop(); below !== undefined; below = directories.pop()) {
    for await (const { name, isDirectory } of Deno.readDir(join(root, below))) {
      if (isDirectory) directories.push(join(below, name));
      else found.push(join(below, name));
    }
  }
  return found.toSorted();
}
