// SPDX-License-Identifier: MIT
import { BuildError } from "../build/build_error.ts";

/** The words of one mail of a series. */
export interface SeriesMessage {
  /** Without `[PATCH n/m]`. */
  subject: string;
  /** Lines. */
  body: string[];
}

/** One patch of a series. */
export interface SeriesPatch extends SeriesMessage {
  /** By which regions refer to it. */
  name: string;
  /** Paths of the files that the port touches for the first time here. */
  files: string[];
}

/**
 * A part of a file that comes with a later patch than the file itself. It is found by its text in the
 * finished file, either whole (`text`) or by where it begins and what follows it (`from`, `to`).
 */
export interface SeriesRegion {
  file: string;
  /** Name of the patch that brings it. */
  patch: string;
  text?: string;
  from?: string;
  to?: string;
  /** What stands in its place before that patch; nothing by default. */
  instead?: string;
}

/** How the port is cut into a series of patches: `vm/kernel/patches/VERSION.json`. */
export interface SeriesPlan {
  cover: SeriesMessage;
  patches: SeriesPatch[];
  regions: SeriesRegion[];
}

/**
 * Reads the plan of a series and checks its shape.
 *
 * @param path of the JSON file.
 * @throws {BuildError} of stage `apply` that names file and field.
 */
export async function readSeriesPlan(path: string): Promise<SeriesPlan> {
  const text = await Deno.readTextFile(path).catch((cause) => {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new BuildError({ stage: "apply", problem: `there is no patch series for this kernel: no ${path}` });
  });
  const plan = JSON.parse(text) as SeriesPlan;
  const fail = (problem: string) => new BuildError({ stage: "apply", problem: `${path}: ${problem}` });
  const names = plan.patches.map(({ name }) => name);
  if (new Set(names).size !== names.length) throw fail(`two patches of one name: ${names.join(", ")}`);
  for (const { subject, body } of [plan.cover, ...plan.patches]) {
    if (subject.trim() === "" || body.length === 0) throw fail(`"${subject}": subject or body is empty`);
    const long = body.find((line) => line.length > MESSAGE_WIDTH);
    if (long !== undefined) throw fail(`"${subject}": more than ${MESSAGE_WIDTH} columns: "${long}"`);
  }
  for (const { file, patch, text, from, to } of plan.regions) {
    if (!names.includes(patch)) throw fail(`region of ${file}: no patch "${patch}"`);
    const whole = text !== undefined && from === undefined && to === undefined;
    const ends = text === undefined && from !== undefined && to !== undefined;
    if (!whole && !ends) throw fail(`region of ${file}: expected "text", or "from" and "to"`);
  }
  return plan;
}

const MESSAGE_WIDTH = 75;
