// SPDX-License-Identifier: MIT

import type { ProgramScenario, Scenario } from "../../../lib/model/scenario.ts";
import { debianRoot, DebianRootError } from "../../../vm/initramfs/debian_root.ts";
import { MissingToolError } from "../../../vm/host/find_tool.ts";
import { type ClosureFile, ProgramClosureError } from "../../../vm/initramfs/program_closure.ts";
import { GDB } from "../../check/gcore.ts";
import type { Platform } from "../platform.ts";
import { programFiles } from "./program_files.ts";

/**
 * The host's files that scenarios need in the guest, and for each scenario that lacks one of them the reason.
 */
export interface ScenarioFiles {
  readonly filesOf: ReadonlyMap<string, readonly ClosureFile[]>;
  readonly missing: ReadonlyMap<string, string>;
}

/**
 * Finds the files of the real programs that scenarios run. Those of a 64-bit platform are this host's own;
 * 32-bit ones are fetched as Debian packages.
 */
export async function scenarioFiles(
  scenarios: readonly Scenario[],
  platform: Platform,
  onProgress: (message: string) => void = () => {},
): Promise<ScenarioFiles> {
  const filesOf = new Map<string, readonly ClosureFile[]>();
  const missing = new Map<string, string>();
  const wanted = scenarios.filter((scenario) => programsOf(scenario).length > 0);
  let root = "";
  try {
    if (platform.target === "i386" && wanted.length > 0) {
      root = await debianRoot("i386", packagesOf(wanted), { onProgress });
    }
  } catch (error) {
    if (!(error instanceof DebianRootError || error instanceof MissingToolError)) throw error;
    return { filesOf, missing: new Map(wanted.map(({ name }) => [name, error.message])) };
  }
  for (const scenario of wanted) {
    try {
      const files = await Promise.all(programsOf(scenario).map((program) => programFiles(program, { root })));
      filesOf.set(scenario.name, files.flat());
    } catch (error) {
      if (!(error instanceof ProgramClosureError)) throw error;
      missing.set(scenario.name, error.message);
    }
  }
  return { filesOf, missing };
}

function programsOf({ program, judge }: Scenario): ProgramScenario[] {
  return [program, judge === "gcore" ? GDB : undefined].filter((one) => one !== undefined);
}

function packagesOf(scenarios: readonly Scenario[]): string[] {
  const packages = scenarios.flatMap(programsOf).map((program) => program.package);
  return [...new Set(packages.filter((name) => name !== undefined))];
}
