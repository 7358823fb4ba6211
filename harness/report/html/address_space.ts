// SPDX-License-Identifier: MIT

import { formatBytes } from "../../run/quantity.ts";
import type { ImagePicture, LdtPicture, MappingPicture, PageCell } from "../image_picture.ts";
import { type Markup, markup } from "./markup.ts";
import { table } from "./table.ts";

const MAX_MAPPINGS = 60;

/** The address space of an image: a bar of pages for each mapping, with what differs marked. */
export function addressSpace(picture: ImagePicture): Markup {
  const title = markup`<h4>Address space in image <code>${picture.label}</code>, ${
    formatBytes(picture.bytes)
  }</h4>`;
  if (picture.error !== undefined) {
    return markup`${title}<p>The image cannot be taken apart: ${picture.error}</p>`;
  }
  const shown = shownMappings(picture.mappings);
  const rows = shown.map((mapping, index) => [gapRow(shown[index - 1], mapping), mappingRow(mapping)]);
  const omitted = picture.mappings.length - shown.length;
  return markup`${title}
<table class="space"><tbody>${rows}</tbody></table>
${
    omitted > 0
      ? markup`<p class="soft">${omitted} more mappings, in which nothing differs, are left out</p>`
      : undefined
  }
<p class="legend">${legend("saved", "in the image")}${legend("part", "some of them")}${
    legend("none", "not in the image")
  }${legend("differs", "differs or is missing")}</p>`;
}

/** All of them, or where there are too many those that something is wrong with, and the first others. */
function shownMappings(mappings: readonly MappingPicture[]): MappingPicture[] {
  const isWrong = (mapping: MappingPicture): boolean => mapping.marked || mapping.differing > 0;
  const wrong = mappings.filter(isWrong).slice(0, MAX_MAPPINGS);
  const others = mappings.filter((mapping) => !isWrong(mapping)).slice(0, MAX_MAPPINGS - wrong.length);
  const kept = new Set([...wrong, ...others]);
  return mappings.filter((mapping) => kept.has(mapping));
}

function gapRow(before: MappingPicture | undefined, { start }: MappingPicture): Markup | undefined {
  if (!before || start <= before.end) return undefined;
  return markup`<tr class="gap"><td colspan="5">gap of ${formatGap(Number(start - before.end))}</td></tr>`;
}

function formatGap(bytes: number): string {
  return bytes < 2 ** 40 ? formatBytes(bytes) : `${(bytes / 2 ** 40).toFixed(1)} TiB`;
}

function mappingRow(mapping: MappingPicture): Markup {
  const { start, end, permissions, name, pages, saved, differing, cells, marked, missing } = mapping;
  const range = `${start.toString(16)}-${end.toString(16)}`;
  const words = missing
    ? `${pages} pages, missing from the image`
    : `${saved} of ${pages} pages${differing > 0 ? `, ${differing} differ` : ""}`;
  const isMarked = marked || differing > 0;
  return markup`<tr${
    isMarked ? markup` class="marked"` : undefined
  }><td class="mono" title="${range}">${range}</td>
<td class="mono">${permissions}</td><td class="mono" title="${name}">${name}</td><td class="bar-cell">${
    bar(cells, missing, words)
  }</td><td>${words}</td></tr>`;
}

/** Up to here each page is a rectangle of its own, with a gap that lets it be counted. */
const MAX_SINGLE_CELLS = 80;

/** Pages, or of large mappings runs of equal cells. */
function bar(cells: readonly PageCell[], missing: boolean, text: string): Markup {
  const rectangles: Markup[] = [];
  const isSingle = cells.length <= MAX_SINGLE_CELLS;
  const gap = isSingle ? Math.min(cells.length * 0.004, 0.15) : 0;
  for (let at = 0; at < cells.length;) {
    let end = at + 1;
    while (!isSingle && end < cells.length && cells[end] === cells[at]) end++;
    const kind = missing ? "missing" : cells[at] ?? "none";
    rectangles.push(
      markup`<rect class="c-${kind}" x="${at}" y="0" width="${(end - at - gap).toFixed(3)}" height="1"/>`,
    );
    at = end;
  }
  const box = missing ? markup` style="outline:1px dashed var(--differs)"` : undefined;
  return markup`<svg viewBox="0 0 ${
    Math.max(cells.length, 1)
  } 1" preserveAspectRatio="none" role="img" aria-label="${text}"${box}>${rectangles}</svg>`;
}

/** A colour of the pictures and what it stands for. */
export function legend(kind: PageCell, text: string): Markup {
  return markup`<span><svg viewBox="0 0 1 1" aria-hidden="true">
<rect class="c-${kind}" width="1" height="1"/></svg>${text}</span>`;
}

/** The LDT of an image, decoded; entries that findings are about beside what they must be. */
export function ldtTable({ entries, total, omitted }: LdtPicture): Markup {
  const rows = entries.map(({ index, bytes, text, expected, differs }) =>
    markup`<tr><td class="number">${index}</td><td>${
      differs ? markup`<span class="badge fail">differs</span>` : undefined
    }</td><td>${
      expected &&
      markup`<p><span class="soft">expected</span> <code>${expected.bytes}</code><br>${expected.text}</p>`
    }<p>${differs ? markup`<span class="soft">in image</span> ` : undefined}<code>${
      expected ? markDifferences(bytes, expected.bytes) : bytes
    }</code><br>${text}</p></td></tr>`
  );
  return markup`<h4>LDT of ${total} ${total === 1 ? "entry" : "entries"}</h4>
${table({ columns: ["entry", "", "descriptor"], rows })}
${omitted > 0 ? markup`<p class="soft">${omitted} more entries in use are not listed</p>` : undefined}`;
}

/** Bytes in hexadecimal that are not those at the same place of another text are marked. */
export function markDifferences(text: string, other: string): Markup {
  const others = other.split(" ");
  const words = text.split(" ");
  const isHex = (word: string | undefined): boolean => word !== undefined && /^[\da-f]{2}$/.test(word);
  if (!isHex(words[0]) || !isHex(words[1]) || !isHex(others[0])) return markup`${text}`;
  return markup`${
    words.map((word, index) => {
      const space = index > 0 ? " " : "";
      const isEqual = others[index] === word || !isHex(word);
      return isEqual ? `${space}${word}` : markup`${space}<mark>${word}</mark>`;
    })
  }`;
}
