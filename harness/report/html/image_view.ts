// SPDX-License-Identifier: MIT

import { PAGE_SIZE_BIG } from "../../../lib/abi/arch.ts";
import { permissionText, vmFlagNames, vmFlagTableOf } from "../../../lib/abi/vm_flags.ts";
import { hex } from "../../../lib/bytes.ts";
import type { ImageDifference } from "../../../lib/image/diff/diff_outlines.ts";
import { pairMappings } from "../../../lib/image/diff/pair_mappings.ts";
import { isRecord } from "../../../lib/image/nodes.ts";
import type { ImageOutline, MappingOutline, PageRun } from "../../../lib/image/outline.ts";
import { formatBytes, formatCount } from "../../run/quantity.ts";
import { legend, type Markup, markup, omitted, type PageCell, table } from "./markup.ts";

/** One or two images, and in what they differ. */
export interface ImageView {
  readonly outlines: readonly [ImageOutline] | readonly [ImageOutline, ImageOutline];
  /** Pages with other contents in the second image, by task. */
  readonly changed: readonly (readonly Pick<PageRun, "vaddr" | "count">[])[];
  readonly differences: readonly ImageDifference[];
  /** Mappings that are drawn, of each task. */
  readonly maxMappings: number;
  /** Whether a mapping is looked for by its id in the page. */
  readonly isSearched: boolean;
}

type ChangedPages = ImageView["changed"][number];

/** What findings about one image say of its mappings. */
export interface ImageMarks {
  readonly marked: ReadonlySet<MappingOutline>;
  /** Those that the image lacks. */
  readonly missing: readonly { readonly start: bigint; readonly end: bigint }[];
}

interface MappingRow {
  readonly start: bigint;
  readonly end: bigint;
  readonly isMarked: boolean;
  /** Of each image the one that it has. */
  readonly mappings: readonly (MappingOutline | undefined)[];
  readonly changed: ChangedPages;
}

/** Rectangles of a bar; rows of a table. */
const MAX_CELLS = 160;
const MAX_ROWS = 256;
const NO_MARKS: ImageMarks = { marked: new Set(), missing: [] };

/** The address space of a task of the images, a bar of pages for each mapping. */
export function addressSpace(view: ImageView, task: number, marks: ImageMarks = NO_MARKS): Markup {
  const all = rowsOf(view, task, marks);
  const rows = shownRows(all, view.maxMappings);
  const isCompared = view.outlines.length === 2 || marks !== NO_MARKS;
  const kinds = [
    legend("saved", "data"),
    legend("zero", "zeros"),
    legend("part", "some pages"),
    legend("none", "not in the image"),
    isCompared ? legend("differs", marks === NO_MARKS ? "differs" : "differs or is missing") : undefined,
  ];
  const views = rows.map((row, index) => {
    const before = rows[index - 1]?.end ?? row.start;
    return markup`${
      before < row.start ? markup`<p class="gap">gap of ${gapText(row.start - before)}</p>` : ""
    }${mappingView(view, row, view.isSearched ? `t${task}-${row.start.toString(16)}` : undefined)}`;
  });
  return markup`<p class="legend">${kinds}<span>A bar's height grows with the logarithm of the
mapping's size.</span></p><div class="maps">${views}</div>${
    omitted(
      all.length - rows.length,
      view.isSearched ? "mappings are not drawn; the search knows them" : "mappings are not drawn",
    )
  }`;
}

function rowsOf(view: ImageView, task: number, { marked, missing }: ImageMarks): MappingRow[] {
  const [a, b] = view.outlines.map((outline) => outline.tasks[task]?.mappings ?? []);
  const changedIn = pagesByRange(view.changed[task] ?? []);
  const changedRecords = new Set(
    view.differences.filter((one) => one.section === "mappings" && one.task === task)
      .map(({ what }) => what.split(" ", 1)[0]!),
  );
  const rows = pairMappings(a!, b ?? []).map((pair): MappingRow => {
    const shown = (pair[0] ?? pair[1])!;
    const { vm_start: start, vm_end: end } = shown.record.fields;
    const mappings = b ? pair : pair.slice(0, 1);
    const changed = changedIn(start, end);
    const isMarked = changed.length > 0 || changedRecords.has(rangeOf(start, end)) ||
      mappings.some((mapping) => mapping?.pages !== shown.pages || marked.has(mapping));
    return { start, end, mappings, changed, isMarked };
  });
  const lost = missing.map((range): MappingRow => ({ ...range, mappings: [], changed: [], isMarked: true }));
  return lost.length === 0 ? rows : [...rows, ...lost].sort((one, other) => one.start < other.start ? -1 : 1);
}

/** All of them, or where there are too many those that something is wrong with, and the first others. */
function shownRows(rows: readonly MappingRow[], most: number): readonly MappingRow[] {
  if (rows.length <= most) return rows;
  const wrong = rows.filter(({ isMarked }) => isMarked).slice(0, most);
  const others = rows.filter(({ isMarked }) => !isMarked).slice(0, most - wrong.length);
  const kept = new Set([...wrong, ...others]);
  return rows.filter((row) => kept.has(row));
}

function gapText(bytes: bigint): string {
  const number = Number(bytes);
  return number < 2 ** 40 ? formatBytes(number) : `${(number / 2 ** 40).toFixed(1)} TiB`;
}

function rangeOf(start: bigint, end: bigint): string {
  return `${start.toString(16)}-${end.toString(16)}`;
}

/** Finds the changed pages of one range after the other, which ascend as the pages do. */
function pagesByRange(changed: ChangedPages): (start: bigint, end: bigint) => ChangedPages {
  const endOf = ({ vaddr, count }: ChangedPages[number]): bigint => vaddr + BigInt(count) * PAGE_SIZE_BIG;
  let next = 0;
  return (start, end) => {
    while (next < changed.length && endOf(changed[next]!) <= start) next++;
    let last = next;
    while (last < changed.length && changed[last]!.vaddr < end) last++;
    return changed.slice(next, last);
  };
}

function mappingView(
  { outlines }: ImageView,
  { start, end, mappings, changed, isMarked }: MappingRow,
  id: string | undefined,
): Markup {
  const shown = mappings.find((mapping) => mapping !== undefined);
  const total = formatCount(pagesBetween(start, end));
  const bars = mappings.map((mapping) =>
    mapping ? bar(mapping, changed) : markup`<span class="soft">no such mapping</span>`
  );
  const words = mappings.map((mapping) => mapping ? `${formatCount(mapping.pages)} of ${total} pages` : "-");
  const isLost = shown === undefined;
  // Of one image findings say which pages differ, each by itself.
  const differ = mappings.length === 1 && changed.length > 0 ? `, ${changed.length} differ` : "";
  return markup`<details class="map${isMarked ? " marked" : ""}"${id && markup` id="${id}"`}>
<summary><span class="mono range">${rangeOf(start, end)}</span><span class="mono">${
    shown && permissionText(shown.record.fields.vm_flags)
  }</span><span class="mono name" title="${shown?.name}">${shown?.name}</span><span class="bars">${
    isLost ? markup`<span class="lost"></span>` : bars
  }</span>
<span class="words">${
    isLost ? `${total} pages, missing from the image` : [...new Set(words)].join(" | ") + differ
  }</span></summary>
<div class="both">${
    mappings.map((mapping, image) => mapping && mappingBody(mapping, outlines[image]!))
  }</div></details>`;
}

function mappingBody(mapping: MappingOutline, { parts, format }: ImageOutline): Markup {
  const head = parts.get("head");
  const flags = isRecord(head, "HEAD") ? vmFlagTableOf(head.fields, format.wordSize) : undefined;
  const { vm_flags, vm_pgoff, vma_type } = mapping.record.fields;
  const chunks = mapping.chunks.slice(0, MAX_ROWS).map(({ fields, offset }, index) =>
    markup`<tr><td>chunk ${index}</td><td class="number">${
      String(fields.nr_pages)
    }</td><td class="number">${offset}</td></tr>`
  );
  const runs = mapping.runs.slice(0, MAX_ROWS).map(({ vaddr, count, offset, isZero }) =>
    markup`<tr><td class="mono">${hex(vaddr)}</td><td class="number">${count}</td><td>${
      isZero ? "zeros" : "data"
    }</td><td class="number">${offset}</td></tr>`
  );
  return markup`<div><p>${mapping.record.path}, type ${vma_type}, flags ${hex(vm_flags)} ${
    flags && vmFlagNames(vm_flags, flags).join(" ")
  }, pgoff ${hex(vm_pgoff)}, record at byte ${mapping.record.offset}</p>${
    table({ columns: ["", "nr_pages", "at byte"], rows: chunks })
  }${omitted(mapping.chunks.length - chunks.length, "chunks")}${
    runs.length > 0 && table({ columns: ["address", "pages", "hold", "at byte"], rows: runs })
  }${omitted(mapping.runs.length - runs.length, "runs of pages")}</div>`;
}

/** A broken image may have a mapping that ends before it starts. */
function pagesBetween(start: bigint, end: bigint): number {
  return end > start ? Number((end - start) / PAGE_SIZE_BIG) : 0;
}

/** The pages of a mapping as rectangles, each for one or more of them; equal neighbours are one. */
function bar(mapping: MappingOutline, changed: ChangedPages): Markup {
  const { vm_start: start, vm_end: end } = mapping.record.fields;
  const total = pagesBetween(start, end);
  const count = Math.min(total, MAX_CELLS);
  const firstOf = (cell: number): number => Math.ceil(cell * total / count);
  const cellOf = (page: number): number => Math.min(count - 1, Math.floor(page * count / total));
  const sums = Array.from({ length: count }, () => ({ zero: 0, data: 0, differs: 0 }));
  const add = (
    key: "zero" | "data" | "differs",
    { vaddr, count: pages }: Pick<PageRun, "vaddr" | "count">,
  ): void => {
    const from = Number((vaddr - start) / PAGE_SIZE_BIG);
    const to = from + pages;
    for (let page = Math.max(from, 0); page < Math.min(to, total);) {
      const cell = cellOf(page);
      const next = Math.max(Math.min(to, firstOf(cell + 1)), page + 1);
      sums[cell]![key] += next - page;
      page = next;
    }
  };
  for (const run of mapping.runs) add(run.isZero ? "zero" : "data", run);
  for (const run of changed) add("differs", run);
  const cells = sums.map(({ zero, data, differs }, cell): PageCell => {
    if (differs > 0) return "differs";
    if (zero + data === 0) return "none";
    return zero + data < firstOf(cell + 1) - firstOf(cell) ? "part" : data > 0 ? "saved" : "zero";
  });
  const rectangles: Markup[] = [];
  for (let at = 0; at < count;) {
    let next = at + 1;
    while (next < count && cells[next] === cells[at]) next++;
    rectangles.push(markup`<rect class="c-${cells[at]}" x="${at}" width="${next - at}" height="1"/>`);
    at = next;
  }
  const height = Math.min(12 + 3 * Math.log2(total + 1), 72).toFixed(0);
  return markup`<svg viewBox="0 0 ${
    Math.max(count, 1)
  } 1" height="${height}" preserveAspectRatio="none" role="img"
 aria-label="${mapping.pages} pages">${rectangles}</svg>`;
}
