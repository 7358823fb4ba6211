// SPDX-License-Identifier: MIT
import { join } from "@std/path";
import { BuildError } from "../build/build_error.ts";

/** Files to be laid over a kernel tree: path from the tree's root → contents. */
export type OverlayFiles = ReadonlyMap<string, Uint8Array>;

/** One edit of a kernel file, for building a kernel that is wrong on purpose. */
export interface OverlayEdit {
  /** Path from the root of the kernel tree. */
  file: string;
  /** Text that must occur exactly once. */
  find: string;
  replace: string;
}

/** Reads an overlay directory. Names that begin with a dot or end in `~` are no part of it. */
export async function readOverlay(directory: string): Promise<OverlayFiles> {
  const files = new Map<string, Uint8Array>();
  await readInto(files, directory, "");
  return new Map([...files].toSorted(([a], [b]) => a < b ? -1 : 1));
}

/**
 * Makes the function that calls sources in a tool's or kernel's line as they are called in this checkout: what stands
 * below the cache is a copy, and nobody should edit that.
 *
 * @param files paths of the overlay
 */
export function overlayNamer(files: Iterable<string>): (line: string) => string {
  const paths = [...files].map((path) => RegExp.escape(path)).join("|");
  const pattern = new RegExp(`(?<![\\w./-])(?:[\\w./@+-]*/)?(${paths})(?=:\\d)`, "g");
  return (line) => paths === "" ? line : line.replace(pattern, "vm/kernel/overlay/$1");
}

async function readInto(files: Map<string, Uint8Array>, root: string, below: string): Promise<void> {
  for await (const { name, isDirectory, isFile } of Deno.readDir(join(root, below))) {
    if (name.startsWith(".") || name.endsWith("~")) continue;
    const path = join(below, name);
    if (isDirectory) await readInto(files, root, path);
    else if (isFile) files.set(path, await Deno.readFile(join(root, path)));
    else throw new BuildError({ stage: "apply", problem: `overlay: ${path} is neither file nor directory` });
  }
}

/**
 * Carries edits out, one after the other.
 *
 * @param read gives the present contents of a file of the tree, or undefined.
 * @returns the files that the edits changed.
 * @throws {BuildError} of stage `apply` when a file is missing or the text does not occur exactly once.
 */
export async function editFiles(
  edits: readonly OverlayEdit[],
  read: (file: string) => Promise<Uint8Array | undefined>,
): Promise<Map<string, Uint8Array>> {
  const texts = new Map<string, string>();
  for (const { file, find, replace } of edits) {
    const fail = (problem: string) =>
      new BuildError({ stage: "apply", problem: `edit of ${file}: ${problem}` });
    let text = texts.get(file);
    if (text === undefined) {
      const bytes = await read(file);
      if (bytes === undefined) throw fail("there is no such file in the kernel tree");
      text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    }
    const parts = text.split(find);
    if (find === "" || parts.length !== 2) {
      const times = find === ""
        ? "the text to find is empty"
        : `found ${parts.length - 1} times, expected once`;
      throw fail(`${times}: ${JSON.stringify(find)}`);
    }
    texts.set(file, parts.join(replace));
  }
  const encoder = new TextEncoder();
  return new Map([...texts].map(([file, text]) => [file, encoder.encode(text)]));
}

/**
 * Paths that a unified diff touches, from its `+++` lines (`---` where the file goes away), first component
 * cut.
 */
export function patchedFiles(patch: string): string[] {
  const files = new Set<string>();
  const headers = patch.matchAll(/^--- ([^\t\n]+).*\n\+\+\+ ([^\t\n]+)/gm);
  for (const [, before, after] of headers) {
    const name = after === "/dev/null" ? before! : after!;
    files.add(name.split("/").slice(1).join("/"));
  }
  return [...files].toSorted();
}
