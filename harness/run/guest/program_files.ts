// SPDX-License-Identifier: MIT

import { walk } from "@std/fs";
import { dirname, join } from "@std/path";
import type { ProgramScenario } from "../../../lib/model/scenario.ts";
import { ElfError } from "../../../vm/host/elf_file.ts";
import {
  type ClosureFile,
  programClosure,
  ProgramClosureError,
} from "../../../vm/initramfs/program_closure.ts";

/**
 * Everything that a program of a scenario needs in the guest.
 *
 * @param options `root`: the directory that stands for `/` on this host; `/` itself when not given
 * @throws {ProgramClosureError} naming what this host lacks, and the package that holds it
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
      if (paths.length === 0) throw new ProgramClosureError(`${pattern}: no such file on this host`);
      for (const path of paths) {
        for (const source of await filesBelow(path)) {
          const inGuest = source.slice(root.length);
          found.set(inGuest, { path: inGuest, source });
        }
      }
    }
  } catch (error) {
    if (!(error instanceof ProgramClosureError || error instanceof ElfError)) throw error;
    const hint = program.package === undefined ? "" : ` (Debian package ${program.package}; see ./setup)`;
    throw new ProgramClosureError(`${error.message}${hint}`);
  }
  return [...found.values()];
}

/**
 * The paths that a pattern stands for: `*` in a component is any part of a name. Empty when there is none.
 */
export async function expandPath(pattern: string): Promise<string[]> {
  let paths = ["/"];
  for (const part of pattern.split("/").filter((part) => part !== "")) {
    paths = (await Promise.all(paths.map((path) => matches(path, part)))).flat();
  }
  return paths;
}

async function matches(directory: string, part: string): Promise<string[]> {
  if (!part.includes("*")) {
    const path = join(directory, part);
    return await Deno.stat(path).then(() => [path], () => []);
  }
  const wanted = new RegExp(`^${part.split("*").map((text) => RegExp.escape(text)).join(".*")}$`);
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(directory)) if (wanted.test(name)) names.push(name);
  } catch {
    // Not a directory that we can read: nothing matches.
  }
  return names.toSorted().map((name) => join(directory, name));
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
