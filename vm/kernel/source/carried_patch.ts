// SPDX-License-Identifier: MIT
import { join } from "@std/path";
import { ignoreMissing } from "../../host/ignore_missing.ts";
import { BuildError } from "../build/build_error.ts";

/** What a kernel tree has of the checkpoint patch. */
interface CarriedPatch {
  /** `carried`: all of it; `absent`: nothing; `partial`: a half that neither builds nor can be completed. */
  readonly state: "carried" | "absent" | "partial";
  /** Files that the patch brings and hooks that it puts into existing files, as far as the tree has them. */
  readonly present: readonly string[];
  readonly missing: readonly string[];
}

interface PatchParts {
  readonly files: Iterable<string>;
  /** The hooks, as a unified diff. */
  readonly hooks: string;
}

/** A place of an existing file, and the lines that it must have there. */
interface Hook {
  readonly file: string;
  readonly lines: readonly string[];
}

/** Lists people, not code: a tree need not have it. */
const NO_CODE = "MAINTAINERS";

/**
 * Finds out whether a source tree carries the patch, in whatever version: files by their names, hooks by their
 * lines, whichever number the system call has. The tree is only read.
 *
 * @param tree a directory.
 */
export function carriedPatch(tree: string, parts: PatchParts): Promise<CarriedPatch> {
  return findPatch(parts, (file) => Deno.readTextFile(join(tree, file)).catch(ignoreMissing));
}

/**
 * As {@linkcode carriedPatch} for a series that has several hooks to choose from: the tree carries the patch if
 * it does with any of them.
 */
export async function patchOfTree(
  tree: string,
  files: Iterable<string>,
  hooks: readonly string[],
): Promise<CarriedPatch> {
  const names = [...files];
  const all = await Promise.all(hooks.map((text) => carriedPatch(tree, { files: names, hooks: text })));
  all.sort((a, b) => a.missing.length - b.missing.length);
  return all[0] ?? { state: "absent", present: [], missing: names };
}

/** The refusal of a tree that carries half of the patch; it names what is there and what is missing. */
export function halfPatchError(tree: string, { present, missing }: CarriedPatch): BuildError {
  return new BuildError({
    stage: "apply",
    problem: `${tree} carries only a part of the checkpoint patch: ${present.length} of ` +
      `${present.length + missing.length} files and hooks`,
    hint:
      "take the part out, add the rest (deno task kernel:series writes all of it), or build it with --as-is",
    detail: [...present.map((name) => `there:   ${name}`), ...missing.map((name) => `missing: ${name}`)],
  });
}

/**
 * As {@linkcode carriedPatch}, of any place that files can be read from, such as a commit.
 *
 * @param read gives the text of a file, or undefined where there is none.
 */
export async function findPatch(
  { files, hooks }: PatchParts,
  read: (file: string) => Promise<string | undefined>,
): Promise<CarriedPatch> {
  const present: string[] = [];
  const missing: string[] = [];
  for (const file of files) (await read(file) === undefined ? missing : present).push(file);
  for (const { file, lines } of hooksOf(hooks)) {
    const found = new Set((await read(file) ?? "").split("\n").map(normalLine));
    for (const line of lines) (found.has(line) ? present : missing).push(`${file}: ${line}`);
  }
  const state = missing.length === 0 ? "carried" : present.length === 0 ? "absent" : "partial";
  return { state, present, missing };
}

/** What the code under test is called by, and what it needs of others. */
const NAMES = /checkpoint|restart|exec_mmap\(|vdso_map_|ldt_set_context|allow_16bit_segments\(void/i;

/** The lines of hooks that do something: they name the code and are no comments. */
function hooksOf(patch: string): Hook[] {
  const hooks = new Map<string, string[]>();
  let file = "";
  for (const line of patch.split("\n")) {
    const header = /^\+\+\+ [^/\n]+\/([^\t\n]+)/.exec(line);
    if (header) file = header[1]!;
    else if (file !== NO_CODE && /^\+(?!\s*(?:#|\/\*|\/\/|\*))/.test(line) && NAMES.test(line)) {
      hooks.set(file, [...hooks.get(file) ?? [], normalLine(line.slice(1))]);
    }
  }
  return [...hooks].map(([file, lines]) => ({ file, lines }));
}

/** A line without what may differ: white space, and the number in a table of system calls. */
function normalLine(line: string): string {
  return line.trim().replaceAll(/\s+/g, " ").replace(/^\d+ /, "NR ");
}
