// SPDX-License-Identifier: MIT

import type { ProgramScenario, Scenario } from "../../../lib/model/scenario.ts";
import { debianRoot } from "../../../vm/initramfs/debian_root.ts";
import { type ClosureFile, expandPath, programClosure } from "../../../vm/initramfs/program_closure.ts";
import { GDB } from "../../check/gcore.ts";
import type { Platform } from "../platform.ts";
import { walk } from "@std/fs";
import { dirname } from "@std/path";
import type { GuestAgent } from "./guest.ts";
import { ExpectedError } from "../../../vm/host/errors.ts";

/**
 * The host's files that scenarios need in the guest, and for each scenario that lacks one of them the reason.
 */
interface ScenarioFiles {
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
  const isOther = platform.target === "i386" && wanted.length > 0;
  // Those that lack it fail one by one, each with the reason.
  const root = isOther ? debianRoot("i386", packagesOf(wanted), { onProgress }) : Promise.resolve("");
  root.catch(() => {});
  for (const scenario of wanted) {
    try {
      const from = { root: await root };
      const files = await Promise.all(programsOf(scenario).map((program) => programFiles(program, from)));
      filesOf.set(scenario.name, files.flat());
    } catch (error) {
      if (!(error instanceof ExpectedError)) throw error;
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

/**
 * Everything that a program of a scenario needs in the guest.
 *
 * @param options `root`: the directory that stands for `/` on this host; `/` itself when not given
 * @throws {ExpectedError} naming what this host lacks, and the package that holds it
 */
export async function programFiles(
  program: ProgramScenario,
  { root = "" }: { root?: string } = {},
): Promise<ClosureFile[]> {
  const found = new Map<string, ClosureFile>();
  try {
    for (const file of await programClosure(program.argv[0]!, { root })) found.set(file.path, file);
    for (const pattern of program.files ?? []) {
      const paths = await expandPath(`${root}${pattern}`);
      if (paths.length === 0) throw new ExpectedError(`${pattern}: no such file on this host`);
      for (const path of paths) {
        for (const source of await filesBelow(path)) {
          const inGuest = source.slice(root.length);
          found.set(inGuest, { path: inGuest, source });
        }
      }
    }
  } catch (error) {
    if (!(error instanceof ExpectedError)) throw error;
    const hint = program.package === undefined ? "" : ` (Debian package ${program.package}; see ./setup)`;
    throw new ExpectedError(`${error.message}${hint}`);
  }
  return [...found.values()];
}

/** A file itself, or all files below a directory but Python's caches, which hold times that differ. */
async function filesBelow(path: string): Promise<string[]> {
  if (!(await Deno.stat(path)).isDirectory) return [path];
  const files: string[] = [];
  for await (const entry of walk(path, { includeDirs: false, followSymlinks: true })) {
    if (!dirname(entry.path).endsWith("__pycache__")) files.push(entry.path);
  }
  return files;
}

/** By agent, the files and directories that its guest has. */
const installed = new WeakMap<GuestAgent, Set<string>>();

/**
 * Brings files of the host into a guest that does not have them yet. Programs with their libraries are large:
 * only guests that run them need the time and the memory.
 */
export async function installFiles(
  agent: GuestAgent,
  files: readonly ClosureFile[],
  read: (path: string) => Promise<Uint8Array> = Deno.readFile,
): Promise<void> {
  const present = installed.get(agent) ?? new Set(["/"]);
  installed.set(agent, present);
  const makeDirectory = async (path: string): Promise<void> => {
    if (present.has(path)) return;
    await makeDirectory(dirname(path));
    await agent.mkdir(path);
    present.add(path);
  };
  for (const { path, source } of files) {
    if (present.has(path)) continue;
    await makeDirectory(dirname(path));
    await agent.writeFile(path, await read(source));
    present.add(path);
  }
}
