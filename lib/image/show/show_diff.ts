// SPDX-License-Identifier: MIT
import type { AreaDifference, ImageDiff, PageDifference } from "../diff/diff_images.ts";
import { DIFF_SECTIONS, type ImageDifference } from "../diff/diff_outlines.ts";

/** Characters of a line. */
const WIDTH = 110;
/** Differences of one section, mappings with pages that differ, and pages, that are listed. */
const MAX_LISTED = 200;
const MAX_PAGES = 16;

/**
 * Lines for a person about what two images differ in: `+` is in the second alone, `-` in the first alone. First what
 * came, went or changed, then pages by mapping, then the first bytes of the first pages.
 */
export function diffLines({ isEqual, differences, areas, pages }: ImageDiff): string[] {
  if (isEqual) return ["no difference"];
  const sections = DIFF_SECTIONS.map((section) =>
    sectionLines(section, differences.filter((one) => one.section === section))
  );
  const [mappings = [], ...others] = sections;
  return [...mappings, ...areaLines(areas), ...others.flat(), ...pageLines(pages)];
}

function sectionLines(section: string, all: readonly ImageDifference[]): string[] {
  if (all.length === 0) return [];
  const title = section[0]!.toUpperCase() + section.slice(1);
  const count = (kind: string, isIt: (one: ImageDifference) => boolean): string[] => {
    const number = all.filter(isIt).length;
    return number === 0 ? [] : [`${number} ${kind}`];
  };
  const counts = [
    ...count("came", ({ a }) => a === undefined),
    ...count("went", ({ b }) => b === undefined),
    ...count("changed", ({ a, b }) => a !== undefined && b !== undefined),
  ];
  return [
    `${title}: ${counts.join(", ")}`,
    ...all.slice(0, MAX_LISTED).flatMap(differenceLines),
    ...more(all.length - MAX_LISTED),
  ];
}

function differenceLines({ task, what, a, b }: ImageDifference): string[] {
  const name = task ? `task ${task} ${what}` : what;
  if (a === undefined || b === undefined) return [`  ${a === undefined ? "+" : "-"} ${name}: ${a ?? b}`];
  const line = `  ~ ${name}: ${a} -> ${b}`;
  return line.length <= WIDTH ? [line] : [`  ~ ${name}`, `      - ${a}`, `      + ${b}`];
}

function areaLines(areas: readonly AreaDifference[]): string[] {
  if (areas.length === 0) return [];
  const sum = (key: "changed" | "onlyA" | "onlyB"): number => areas.reduce((all, area) => all + area[key], 0);
  const rows = areas.slice(0, MAX_LISTED).map(({ task, area, same, changed, onlyA, onlyB }) => [
    ...[changed, onlyB, onlyA, same].map(String),
    task ? `task ${task} ${area}` : area,
  ]);
  const row = (cells: readonly string[]): string =>
    `  ${cells.map((cell, index) => index < 4 ? cell.padStart(8) : `  ${cell}`).join("")}`;
  return [
    `Pages: ${sum("onlyB")} came, ${sum("onlyA")} went, ${sum("changed")} changed`,
    row(["changed", "came", "went", "same", "mapping"]),
    ...rows.map(row),
    ...more(areas.length - MAX_LISTED),
  ];
}

function pageLines(pages: readonly PageDifference[]): string[] {
  if (pages.length === 0) return [];
  return [
    "Bytes",
    ...pages.slice(0, MAX_PAGES).flatMap(({ task, address, bytes, offsets, a, b }) => [
      `  ${task ? `task ${task} ` : ""}${address}: ${bytes} ${
        bytes === 1 ? "byte differs" : "bytes of the page differ"
      }` +
      ` (from ${offsets.a} of the first file, ${offsets.b} of the second)`,
      `    - ${a}`,
      `    + ${b}`,
    ]),
    ...more(pages.length - MAX_PAGES),
  ];
}

function more(count: number): string[] {
  return count > 0 ? [`  and ${count} more`] : [];
}
