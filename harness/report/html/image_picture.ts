// SPDX-License-Identifier: MIT

import { PAGE_SIZE, PAGE_SIZE_BIG } from "../../../lib/abi/arch.ts";
import { hexBytes } from "../../../lib/bytes.ts";
import { permissionText } from "../../../lib/abi/vm_flags.ts";
import type { Finding } from "../../../lib/image/finding.ts";
import { type CheckpointImage, readImage, type TaskImage, vmaPages } from "../../../lib/image/image.ts";
import { MalformedImageError } from "../../../lib/image/malformed_image_error.ts";
import { vmaName } from "../../../lib/image/show/show_image.ts";
import { ImageOutline } from "../../../lib/image/outline.ts";
import { formatBytes } from "../../run/quantity.ts";
import { taskView } from "./image_view.ts";
import { type Markup, markup, omitted, table } from "./markup.ts";
import { legend, type PageCell } from "./page_cells.ts";
import { describeDescriptor, DESCRIPTOR_SIZE } from "../../../lib/x86/descriptor.ts";

interface MappingPicture {
  readonly start: bigint;
  readonly end: bigint;
  /** Such as `rw-p`; empty for one that is not in the image. */
  readonly permissions: string;
  readonly name: string;
  readonly cells: readonly PageCell[];
  /** In words: how many pages the image holds, and how many findings are about. */
  readonly text: string;
  /** A finding is about its record or its pages. */
  readonly marked: boolean;
  /** A finding says that the image lacks it. */
  readonly missing: boolean;
}

const MAX_MAPPINGS = 60;
const MAX_CELLS = 128;
/** Up to here each page is a rectangle of its own, with a gap that lets it be counted. */
const MAX_SINGLE_CELLS = 80;

/**
 * What an image of a failure is shown by: its address space, a bar of pages for each mapping, and its LDT when a
 * finding is about that, with what differs marked.
 *
 * @param label the stop that it was made at
 * @param findings those about this image
 */
export function imagePicture(label: string, bytes: Uint8Array, findings: readonly Finding[]): Markup {
  const title = markup`<h4>Address space in image <code>${label}</code>, ${formatBytes(bytes.length)}</h4>`;
  let image: CheckpointImage;
  try {
    image = readImage(bytes);
  } catch (error) {
    if (!(error instanceof MalformedImageError)) throw error;
    return markup`${title}<p>The image cannot be taken apart: ${error.message}</p>`;
  }
  const task = image.tasks[0];
  if (!task) return markup`${title}<p>The image cannot be taken apart: it holds no task</p>`;
  const mappings = [...presentMappings(task, findings), ...missingMappings(findings)]
    .toSorted((a, b) => a.start < b.start ? -1 : 1);
  const shown = shownMappings(mappings);
  const rows = shown.map((mapping, index) => [gapRow(shown[index - 1], mapping), mappingRow(mapping)]);
  return markup`${title}
<table class="space"><tbody>${rows}</tbody></table>
${omitted(mappings.length - shown.length, "mappings, in which nothing differs, are left out")}
<p class="legend">${legend("saved", "in the image")}${legend("part", "some of them")}${
    legend("none", "not in the image")
  }${legend("differs", "differs or is missing")}</p>${ldtTable(task, findings)}
${imageDetails(image)}`;
}

function imageDetails({ nodes }: CheckpointImage): Markup {
  const outline = new ImageOutline();
  for (const node of nodes) outline.visit(node);
  const view = {
    outlines: [outline],
    changed: [],
    differences: [],
    maxMappings: MAX_MAPPINGS,
    isSearched: false,
  } as const;
  return markup`<details><summary>Page kinds, chunks, LDT, TLS, registers and FPU state of this image</summary>${
    taskView(view, 0)
  }</details>`;
}

function presentMappings(task: TaskImage, findings: readonly Finding[]): MappingPicture[] {
  const pages = differingPages(task, findings);
  const marked = new Set(findings.flatMap(({ path }) => /\bvma\[(\d+)\]/.exec(path)?.[1] ?? []).map(Number));
  return task.vmas.map((vma, index) => {
    const { vm_start: start, vm_end: end, vm_flags } = vma.record.fields;
    const saved = new Set([...vmaPages(vma)].map(({ vaddr }) => vaddr));
    const differing = [...pages].filter((page) => page >= start && page < end);
    const differ = differing.length > 0 ? `, ${differing.length} differ` : "";
    return {
      ...{ start, end, missing: false },
      permissions: permissionText(vm_flags),
      name: vmaName(vma.record, { fname: vma.fname, mm: task.mm }),
      cells: pageCells({ start, end, saved, differing }),
      text: `${saved.size} of ${pageCount(start, end)} pages${differ}`,
      marked: marked.has(index) || differing.length > 0,
    };
  });
}

function differingPages({ vmas }: TaskImage, findings: readonly Finding[]): Set<bigint> {
  const pages = new Set<bigint>();
  const nodes = vmas.flatMap(({ chunks }) => chunks.flatMap(({ pages }) => pages ?? []));
  for (const { id, path, offset, expected } of findings) {
    const named = /\bpage[[ ]0x([\da-f]+)/.exec(path)?.[1] ??
      (id === "E_PAGE_MISSING" ? /^0x([\da-f]+)$/.exec(expected ?? "")?.[1] : undefined);
    if (named !== undefined) pages.add(BigInt(`0x${named}`) / PAGE_SIZE_BIG * PAGE_SIZE_BIG);
    const [, chunk, place] = /^(.*)\/vaddr\[(\d+)\]$/.exec(path) ?? [];
    for (const node of nodes) {
      const end = node.pagesOffset + node.count * PAGE_SIZE;
      const inside = offset !== undefined && offset >= node.pagesOffset && offset < end;
      const index = inside
        ? Math.floor((offset - node.pagesOffset) / PAGE_SIZE)
        : node.path === chunk
        ? Number(place)
        : -1;
      const address = node.vaddrs[index];
      if (address !== undefined) pages.add(address / PAGE_SIZE_BIG * PAGE_SIZE_BIG);
    }
  }
  return pages;
}

/** A broken image may have a mapping that ends before it starts. */
function pageCount(start: bigint, end: bigint): number {
  return end > start ? Number((end - start) / PAGE_SIZE_BIG) : 0;
}

function pageCells({ start, end, saved, differing }: {
  start: bigint;
  end: bigint;
  saved: ReadonlySet<bigint>;
  differing: readonly bigint[];
}): PageCell[] {
  const total = pageCount(start, end);
  const count = Math.min(total, MAX_CELLS);
  const cellOf = (page: bigint): number =>
    Math.min(count - 1, Math.floor(Number((page - start) / PAGE_SIZE_BIG) * count / total));
  const held = new Array<number>(count).fill(0);
  // Not counted page by page: a broken image may say that there are any number of them.
  const firstOf = (cell: number): number => Math.ceil(cell * total / count);
  for (const page of saved) if (page >= start && page < end) held[cellOf(page)]!++;
  const cells = held.map((number, index): PageCell =>
    number === 0 ? "none" : number < firstOf(index + 1) - firstOf(index) ? "part" : "saved"
  );
  for (const page of differing) cells[cellOf(page)] = "differs";
  return cells;
}

function missingMappings(findings: readonly Finding[]): MappingPicture[] {
  return findings.flatMap(({ id, path }) => {
    const [, from, to] = /^(?:.*: )?vma 0x([\da-f]+)-0x([\da-f]+)$/.exec(path) ?? [];
    if (id !== "E_VMA_MISSING" || from === undefined || to === undefined) return [];
    const [start, end] = [BigInt(`0x${from}`), BigInt(`0x${to}`)];
    const text = `${pageCount(start, end)} pages, missing from the image`;
    return [{ start, end, permissions: "", name: "", cells: ["none"], text, marked: true, missing: true }];
  });
}

/** All of them, or where there are too many those that something is wrong with, and the first others. */
function shownMappings(mappings: readonly MappingPicture[]): MappingPicture[] {
  const wrong = mappings.filter(({ marked }) => marked).slice(0, MAX_MAPPINGS);
  const others = mappings.filter(({ marked }) => !marked).slice(0, MAX_MAPPINGS - wrong.length);
  const kept = new Set([...wrong, ...others]);
  return mappings.filter((mapping) => kept.has(mapping));
}

function gapRow(before: MappingPicture | undefined, { start }: MappingPicture): Markup | undefined {
  if (!before || start <= before.end) return undefined;
  const bytes = Number(start - before.end);
  const text = bytes < 2 ** 40 ? formatBytes(bytes) : `${(bytes / 2 ** 40).toFixed(1)} TiB`;
  return markup`<tr class="gap"><td colspan="5">gap of ${text}</td></tr>`;
}

function mappingRow(mapping: MappingPicture): Markup {
  const { start, end, permissions, name, text, marked } = mapping;
  const range = `${start.toString(16)}-${end.toString(16)}`;
  return markup`<tr${
    marked ? markup` class="marked"` : undefined
  }><td class="mono" title="${range}">${range}</td>
<td class="mono">${permissions}</td><td class="mono" title="${name}">${name}</td><td class="bar-cell">${
    bar(mapping)
  }</td><td>${text}</td></tr>`;
}

/** Pages, or of large mappings runs of equal cells. */
function bar({ cells, missing, text }: MappingPicture): Markup {
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

const MAX_ENTRIES = 48;

/**
 * The LDT of an image, decoded: entries in use, and those that findings are about beside what they must be; undefined
 * when no finding is about it.
 */
function ldtTable(task: TaskImage, findings: readonly Finding[]): Markup | undefined {
  const about = findings.filter(({ path }) => /\bldt\b|\bnldt\b/.test(path));
  if (about.length === 0) return undefined;
  const bytes = task.ldt?.bytes ?? new Uint8Array(0);
  const total = Math.floor(bytes.length / DESCRIPTOR_SIZE);
  const entryAt = (index: number): Uint8Array =>
    bytes.subarray(index * DESCRIPTOR_SIZE, (index + 1) * DESCRIPTOR_SIZE);
  const expected = new Map<number, Uint8Array>();
  for (const finding of about) {
    const index = /\bldt\[(\d+)\]/.exec(finding.path)?.[1];
    if (index !== undefined) expected.set(Number(index), parseBytes(finding.expected ?? ""));
  }
  const used = [...Array(total).keys()].filter((index) => entryAt(index).some((byte) => byte !== 0));
  const wanted = [...new Set([...expected.keys(), ...used])];
  const shown = wanted.slice(0, MAX_ENTRIES).toSorted((a, b) => a - b);
  const rows = shown.map((index) => entryRow(index, entryAt(index), expected.get(index)));
  return markup`<h4>LDT of ${total} ${total === 1 ? "entry" : "entries"}</h4>
${table({ columns: ["entry", "", "descriptor"], rows })}
${omitted(wanted.length - shown.length, "entries in use are not listed")}`;
}

function entryRow(index: number, bytes: Uint8Array, expected: Uint8Array | undefined): Markup {
  const [found, wanted] = [hexBytes(bytes), expected && hexBytes(expected)];
  return markup`<tr><td class="number">${index}</td><td>${
    expected && markup`<span class="badge fail">differs</span>`
  }</td><td>${
    expected &&
    markup`<p><span class="soft">expected</span> <code>${wanted}</code><br>${meaning(expected)}</p>`
  }<p>${expected && markup`<span class="soft">in image</span> `}<code>${
    wanted === undefined ? found : markDifferences(found, wanted)
  }</code><br>${meaning(bytes)}</p></td></tr>`;
}

function meaning(bytes: Uint8Array): string {
  return bytes.length < DESCRIPTOR_SIZE ? "not there" : describeDescriptor(bytes);
}

/** The bytes that a finding shows: pairs of hexadecimal digits, then perhaps words. */
function parseBytes(text: string): Uint8Array {
  const pairs = /^(?:[\da-f]{2}(?: |$))+/.exec(text)?.[0].trim().split(" ") ?? [];
  return Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16));
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
