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

/** The plan and the port do not fit, or the plan is none. */
class PlanError extends BuildError {
  constructor(problem: string) {
    super({
      stage: "apply",
      problem: `patch series: ${problem}`,
      hint: "vm/kernel/patches/ says which part of the port comes with which patch: change it with the port",
    });
  }
}

/**
 * What the files of the port look like after each patch of a series.
 *
 * @param finished every file that the port touches, by path, as the last patch leaves it.
 * @returns for each patch, the files that it and those before it touch.
 * @throws {BuildError} of stage `apply` when the plan and the files do not fit: a file that no patch brings or
 * that is not there, a region that is not found exactly once.
 */
export function stageFiles(
  plan: SeriesPlan,
  finished: ReadonlyMap<string, string>,
): Map<string, string>[] {
  checkFiles(plan, finished);
  const order = new Map(plan.patches.map(({ name }, index) => [name, index]));
  const orderOf = (name: string): number => order.get(name) ?? -1;
  const stages = plan.patches.map((_, stage) => {
    const present = plan.patches.slice(0, stage + 1).flatMap(({ files }) => files);
    return new Map(present.map((file) => {
      const later = plan.regions.filter((region) => region.file === file && orderOf(region.patch) > stage);
      return [file, cutRegions(file, finished.get(file) ?? "", later)];
    }));
  });
  checkRegions(plan, orderOf);
  return stages;
}

function checkFiles(plan: SeriesPlan, finished: ReadonlyMap<string, string>): void {
  const named = plan.patches.flatMap(({ files }) => files);
  const problems = [
    ...named.filter((file, index) => named.indexOf(file) !== index).map((file) => `${file} is named twice`),
    ...named.filter((file) => !finished.has(file)).map((file) => `the port does not touch ${file}`),
    ...[...finished.keys()].filter((file) => !named.includes(file)).map((file) => `no patch brings ${file}`),
  ];
  if (problems.length > 0) throw new PlanError(problems.join("; "));
}

/** A region that comes no later than its file would never be cut, nor looked for. */
function checkRegions(plan: SeriesPlan, orderOf: (name: string) => number): void {
  for (const { file, patch } of plan.regions) {
    const brings = plan.patches.findIndex(({ files }) => files.includes(file));
    if (brings >= 0 && brings < orderOf(patch)) continue;
    throw new PlanError(
      `region of ${file}: patch "${patch}" does not come after the one that brings the file`,
    );
  }
}

function cutRegions(file: string, text: string, regions: readonly SeriesRegion[]): string {
  const cuts = regions.map((region) => ({ ...spanOf(file, text, region), instead: region.instead ?? "" }))
    .toSorted((a, b) => a.start - b.start);
  let [result, at] = ["", 0];
  for (const { start, end, instead } of cuts) {
    if (start < at) throw new PlanError(`regions of ${file} overlap at ${quote(text.slice(start, end))}`);
    result += text.slice(at, start) + instead;
    at = end;
  }
  return result + text.slice(at);
}

function spanOf(file: string, text: string, region: SeriesRegion): { start: number; end: number } {
  const first = region.text ?? region.from ?? "";
  const start = onlyIndexOf(file, text, first);
  if (region.to === undefined) return { start, end: start + first.length };
  const end = onlyIndexOf(file, text, region.to);
  if (end <= start) {
    throw new PlanError(`region of ${file}: ${quote(region.to)} does not follow ${quote(first)}`);
  }
  return { start, end };
}

function onlyIndexOf(file: string, text: string, find: string): number {
  const count = find === "" ? 0 : text.split(find).length - 1;
  if (count !== 1) {
    throw new PlanError(`region of ${file}: found ${count} times, expected once: ${quote(find)}`);
  }
  return text.indexOf(find);
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}
