// SPDX-License-Identifier: MIT
import { BuildError } from "../build/build_error.ts";
import type { SeriesPlan, SeriesRegion } from "./series_plan.ts";

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
  if (problems.length > 0) throw planError(problems.join("; "));
}

/** A region that comes no later than its file would never be cut, nor looked for. */
function checkRegions(plan: SeriesPlan, orderOf: (name: string) => number): void {
  for (const { file, patch } of plan.regions) {
    const brings = plan.patches.findIndex(({ files }) => files.includes(file));
    if (brings >= 0 && brings < orderOf(patch)) continue;
    throw planError(`region of ${file}: patch "${patch}" does not come after the one that brings the file`);
  }
}

function cutRegions(file: string, text: string, regions: readonly SeriesRegion[]): string {
  const cuts = regions.map((region) => ({ ...spanOf(file, text, region), instead: region.instead ?? "" }))
    .toSorted((a, b) => a.start - b.start);
  let [result, at] = ["", 0];
  for (const { start, end, instead } of cuts) {
    if (start < at) throw planError(`regions of ${file} overlap at ${quote(text.slice(start, end))}`);
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
  if (end <= start) throw planError(`region of ${file}: ${quote(region.to)} does not follow ${quote(first)}`);
  return { start, end };
}

function onlyIndexOf(file: string, text: string, find: string): number {
  const count = find === "" ? 0 : text.split(find).length - 1;
  if (count !== 1) {
    throw planError(`region of ${file}: found ${count} times, expected once: ${quote(find)}`);
  }
  return text.indexOf(find);
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}

function planError(problem: string): BuildError {
  return new BuildError({
    stage: "apply",
    problem: `patch series: ${problem}`,
    hint: "vm/kernel/patches/ says which part of the port comes with which patch: change it with the port",
  });
}
