// SPDX-License-Identifier: MIT

import { walk } from "@std/fs";
import { basename, dirname, join, relative } from "@std/path";
import { AgentError } from "../../vm/agent/agent_session.ts";
import { BuildError } from "../../vm/kernel/build/build_error.ts";
import type { KernelBuild } from "../../vm/kernel/build/build_kernel.ts";
import { runCommand } from "../../vm/host/run_command.ts";
import type { GuestAgent } from "../run/guest/guest.ts";
import { addCoverage, type Coverage, type LineCoverage } from "./coverage.ts";
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
      const path = `${COUNTERS}${build.info.buildDir}/${stem}.gcda`;
      const counters = await agent.readFile(path).catch((error) => {
        if (!(error instanceof AgentError)) throw error;
        const problem = `the kernel has no counters of ${stem}: ${error.message}`;
        throw new BuildError({ stage: "build", problem });
      });
      const directory = join(scratch, dirname(stem));
      await Deno.mkdir(directory, { recursive: true });
      await Deno.copyFile(join(build.coverageNotes, notes), join(directory, basename(notes)));
      const data = join(directory, `${basename(stem)}.gcda`);
      await Deno.writeFile(data, counters);
      const options = ["--json-format", "--branch-probabilities", "--stdout"];
      const { lines, code } = await runCommand(["gcov", ...options, data]);
      const json = lines.find((line) => line.startsWith("{"));
      if (code !== 0 || json === undefined) {
        const problem = `gcov cannot read the counters of ${stem}`;
        throw new BuildError({ stage: "build", problem, detail: lines });
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
  const files = await Array.fromAsync(walk(root, { includeDirs: false }));
  return files.map(({ path }) => relative(root, path)).toSorted();
}

/** The parts of gcov's JSON that are used (gcov(1), "JSON intermediate format"). */
interface GcovOutput {
  readonly files: {
    readonly file: string;
    readonly lines: readonly { line_number: number; count: number; branches: readonly { count: number }[] }[];
  }[];
}

/**
 * Reads what `gcov --json-format --branch-probabilities --stdout` prints for one object.
 *
 * @param paths the files that count, by their path in the kernel tree; what else was inlined is left out
 * @throws {SyntaxError} for other text
 */
export function parseGcov(text: string, paths: readonly string[]): Coverage {
  const output = JSON.parse(text) as GcovOutput;
  if (!Array.isArray(output.files)) {
    throw new SyntaxError(`gcov: expected "files", found ${text.slice(0, 60)}`);
  }
  const coverage: Coverage = new Map();
  for (const { file, lines } of output.files) {
    const path = paths.find((path) => file === path || file.endsWith(`/${path}`));
    if (path === undefined) continue;
    for (const { line_number, count, branches } of lines) {
      const line: LineCoverage = { count, branches: branches.map(({ count }) => count) };
      // A line of an inline function comes once for each function that it was put into.
      addCoverage(coverage, new Map([[path, { lines: new Map([[line_number, line]]) }]]));
    }
  }
  return coverage;
}
