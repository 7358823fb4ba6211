// SPDX-License-Identifier: MIT

import { fromFileUrl } from "@std/path";
import * as v from "valibot";
import { NAME } from "../lib/model/fields.ts";
import { described, list, object, optional, text } from "../lib/schema.ts";
import { readJson } from "../vm/host/read_json.ts";

const SOME_TEXT = text(/[^]/, "a text");
const FILE = described("Path in the kernel tree.", text(/^[\w./-]+$/, "a path in the kernel tree"));

/** Errors to be planted in the kernel code, each with the finding that must give it away. */
export const MUTANTS = list(object({
  name: text(/^\w+$/, "letters, digits and underscores"),
  about: described("What is wrong, in a sentence.", text(/\.$/, "a sentence")),
  bug: optional(
    text(/^\d+[a-z]?$/, `a number such as "5" or "5b"`),
    "Which error of the code as posted it brings back: its number in docs/review.md, without the B.",
  ),
  platform: optional(
    text(/^[\w.@-]+$/, "the name of a platform"),
    "The platform that gives it away, as --arch names it; x86_64 by default.",
  ),
  edits: list(
    object({
      file: FILE,
      find: described("Text that must occur exactly once.", SOME_TEXT),
      replace: v.string("a text"),
    }),
    1,
  ),
  scenario: described("The scenario that sees it.", NAME),
  finding: described(
    "The finding's id, a part of its path, and a part of what was found; the id lost is a guest that hangs.",
    object({
      id: text(/^(?:E_[A-Z0-9_]+|lost)$/, `the id of a finding, or "lost"`),
      path: SOME_TEXT,
      actual: optional(SOME_TEXT),
    }),
  ),
  at: optional(
    object({ file: FILE, line: SOME_TEXT }),
    "The line of the edited file that the kernel's report must name.",
  ),
  fuzz: described("Whether random programs must find it too, and be made small.", v.boolean("true or false")),
}));

/** One of {@linkcode MUTANTS}. */
export type Mutant = v.InferOutput<typeof MUTANTS>[number];

const PATH = fromFileUrl(new URL("../fixtures/mutants.json", import.meta.url));

/** Reads the mutants of the fixtures. */
export async function readMutants(path: string = PATH): Promise<readonly Mutant[]> {
  return await readJson(path, MUTANTS);
}
