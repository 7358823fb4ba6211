// SPDX-License-Identifier: MIT

import { walk } from "@std/fs";
import { basename, fromFileUrl } from "@std/path";
import * as v from "valibot";
import { NAME } from "../../lib/model/fields.ts";
import { object, optional, parseJson, text } from "../../lib/schema.ts";
import type { OverlayEdit } from "../../vm/kernel/source/kernel_overlay.ts";

/** What the head of a mutant's file says of it. */
const HEAD = object({
  /** What is wrong, in a sentence. */
  about: text(/\.$/, "a sentence"),
  /** Which error of the code as posted it brings back: its number in docs/review.md, without B but with H. */
  bug: optional(text(/^H?\d+[a-z]?$/, `a number such as "5", "5b" or "H5"`)),
  /** The platform that kills it, as --arch names it; x86_64 by default. */
  platform: v.optional(text(/^[\w.@-]+$/, "the name of a platform"), "x86_64"),
  /** The scenario that kills it. */
  scenario: optional(NAME),
  /** Set where that scenario shows it when each allocation of the call fails in turn. */
  suite: optional(v.literal("faults", `"faults"`)),
  /** The finding: its id (`lost` is a guest that hangs), a part of its path, and a part of what was found. */
  finding: optional(
    text(/^(?:E_[A-Z0-9_]+|lost) at [^:]+(?:: .+)?$/, `a finding such as "E_FIELD at vma[0].vm_end: 0"`),
  ),
  /** The line of the mutant's source that the kernel's report must name. */
  at: optional(text(/^[\w./-]+: .+$/, "a file of the kernel, a colon and a line of it")),
  /** Whether random programs must find it too, and be made small. */
  fuzz: optional(v.literal("yes", `"yes"`)),
  /** What guests or scenarios lack to kill it: it is not run. */
  survives: optional(text(/\.$/, "a sentence")),
  /** Why no scenario can tell it from the code as it is. */
  equivalent: optional(text(/\.$/, "a sentence")),
});

/** A wrong version of the kernel code, which the scenarios must tell from the right one. */
export interface Mutant extends v.InferOutput<typeof HEAD> {
  readonly name: string;
  readonly edits: readonly OverlayEdit[];
  /** Set where it is several as one: they. */
  readonly members?: readonly Mutant[];
}

/** The mutants of the fixtures. */
const MUTANT_DIRECTORY: string = fromFileUrl(new URL("../../fixtures/mutants", import.meta.url));

/** Reads the mutants of a directory, by name. @throws {SyntaxError} naming file and place */
export async function readMutants(directory: string = MUTANT_DIRECTORY): Promise<readonly Mutant[]> {
  const files = await Array.fromAsync(walk(directory, { includeDirs: false, exts: [".patch"] }));
  const paths = files.map(({ path }) => path).toSorted();
  return await Promise.all(paths.map(async (path) => parseMutant(await Deno.readTextFile(path), path)));
}

/**
 * Parses a mutant: a sentence, a block of `Key: value` lines, and a unified diff against the overlay. Line numbers of
 * the diff do not count; the lines of each hunk must occur exactly once.
 *
 * @throws {SyntaxError} naming file and place
 */
export function parseMutant(file: string, path: string): Mutant {
  const begin = file.search(/^--- /m);
  const [about = "", ...blocks] = file.slice(0, begin < 0 ? undefined : begin).trim().split(/\n\n+/);
  const head: Record<string, string> = { about: oneLine(about) };
  // A line that begins with a space goes on with the one before.
  for (const line of blocks.join("\n").replaceAll(/\n\s+/g, " ").split("\n").filter(Boolean)) {
    const [, key = "", value = ""] = /^([A-Z][a-z]+): (.+)$/.exec(line) ?? [];
    if (key === "" || key.toLowerCase() in head) {
      throw new SyntaxError(`${path}: expected "Key: value", each key once: found ${JSON.stringify(line)}`);
    }
    head[key.toLowerCase()] = value;
  }
  const name = basename(path, ".patch");
  return { name, ...parseJson(HEAD, head, { file: path }), edits: parseHunks(file.slice(begin), path) };
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ");
}

function parseHunks(diff: string, path: string): OverlayEdit[] {
  const edits = diff.split(/^--- a\//m).slice(1).flatMap((part) => {
    const [header = "", ...hunks] = part.split(/^@@.*\n/m);
    const [, file] = /^(\S+)\n\+\+\+ b\/\1\n$/.exec(header) ?? [];
    if (!file) {
      throw new SyntaxError(`${path}: expected --- a/FILE and +++ b/FILE: found ${JSON.stringify(header)}`);
    }
    return hunks.map((hunk) => ({ file, find: side(hunk, "-"), replace: side(hunk, "+") }));
  });
  if (edits.length === 0) throw new SyntaxError(`${path}: expected a unified diff: found no hunk`);
  return edits;
}

/** The lines of a hunk before the change (`-`) or after it (`+`). */
function side(hunk: string, sign: "-" | "+"): string {
  return hunk.split("\n").filter((line) => line.startsWith(" ") || line.startsWith(sign))
    .map((line) => `${line.slice(1)}\n`).join("");
}
