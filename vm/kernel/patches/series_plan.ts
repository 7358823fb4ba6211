// SPDX-License-Identifier: MIT

import * as v from "valibot";
import { described, list, object, optional, parseJsonText, text } from "../../../lib/schema.ts";
import { BuildError } from "../build/build_error.ts";

const MESSAGE_WIDTH = 75;
const LINE = text(new RegExp(`^.{0,${MESSAGE_WIDTH}}$`), `a line of at most ${MESSAGE_WIDTH} columns`);
const MESSAGE = {
  subject: described("Without [PATCH n/m].", text(/^.*\S.*$/, "a line of text")),
  body: list(LINE, 1),
};
const PATH = text(/^[\w./-]+$/, "a path in the kernel tree");

const REGION = v.pipe(
  object({
    file: PATH,
    patch: described("Name of the patch that brings it.", v.string("the name of a patch")),
    text: optional(v.string("a text")),
    from: optional(v.string("a text")),
    to: optional(v.string("a text")),
    instead: optional(v.string("a text"), "What stands in its place before that patch."),
  }),
  v.check(
    ({ text, from, to }) =>
      text === undefined ? from !== undefined && to !== undefined : from === undefined && to === undefined,
    `"text", or "from" and "to"`,
  ),
);

/**
 * How the port is cut into a series of patches: `vm/kernel/patches/VERSION.json`. A region is a part of a file that
 * comes with a later patch than the file itself. It is found by its text in the finished file, either whole (`text`)
 * or by where it begins and what follows it (`from`, `to`).
 */
const SERIES_PLAN = v.pipe(
  object({
    cover: object(MESSAGE),
    patches: v.pipe(
      list(object({
        name: described("By which regions refer to it.", text(/^\S+$/, "a name")),
        files: described("Files that the port touches for the first time here.", list(PATH)),
        ...MESSAGE,
      })),
      v.check(
        (patches) => new Set(patches.map(({ name }) => name)).size === patches.length,
        "patches whose names differ",
      ),
    ),
    regions: list(REGION),
  }),
  v.forward(
    v.check(
      ({ patches, regions }) => regions.every(({ patch }) => patches.some(({ name }) => name === patch)),
      "regions of patches that there are",
    ),
    ["regions"],
  ),
);

/** How the port is cut into a series of patches. */
export type SeriesPlan = v.InferOutput<typeof SERIES_PLAN>;

/** One patch of a series. */
type SeriesPatch = SeriesPlan["patches"][number];

/** The words of one mail of a series. */
export type SeriesMessage = SeriesPlan["cover"];

/** A part of a file that comes with a later patch than the file itself. */
export type SeriesRegion = SeriesPlan["regions"][number];

/**
 * Reads the plan of a series and checks it.
 *
 * @param path of the JSON file.
 * @throws {BuildError} of stage `apply` that names file and place.
 */
export async function readSeriesPlan(path: string): Promise<SeriesPlan> {
  const text = await Deno.readTextFile(path).catch((cause) => {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new BuildError({ stage: "apply", problem: `there is no patch series for this kernel: no ${path}` });
  });
  return parseJsonText(SERIES_PLAN, text, { file: path, error: PlanError });
}

class PlanError extends BuildError {
  constructor(problem: string) {
    super({ stage: "apply", problem });
  }
}
