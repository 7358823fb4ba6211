// SPDX-License-Identifier: MIT

import { PAGE_SIZE, PAGE_SIZE_BIG } from "../../../lib/abi/arch.ts";
import { bytesOfHex, hexBytes } from "../../../lib/bytes.ts";
import type { Finding } from "../../../lib/image/finding.ts";
import { type CheckpointImage, readImage, type TaskImage } from "../../../lib/image/image.ts";
import { MalformedImageError } from "../../../lib/image/malformed_image_error.ts";
import { ImageOutline } from "../../../lib/image/outline.ts";
import { formatBytes } from "../../run/quantity.ts";
import { taskTables } from "./image_tables.ts";
import { addressSpace, type ImageMarks, type ImageView } from "./image_view.ts";
import { type Markup, markup, omitted, table } from "./markup.ts";
import { describeDescriptor, DESCRIPTOR_SIZE } from "../../../lib/x86/descriptor.ts";

/** Mappings that are drawn. */
const MAX_MAPPINGS = 60;

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
  const outline = new ImageOutline();
  for (const node of image.nodes) outline.visit(node);
  const changed = [...differingPages(task, findings)].sort((a, b) => a < b ? -1 : 1)
    .map((vaddr) => ({ vaddr, count: 1 }));
  const named = findings.flatMap(({ path }) => /\bvma\[(\d+)\]/.exec(path)?.[1] ?? []);
  const marked = new Set(named.flatMap((index) => outline.tasks[0]!.mappings[Number(index)] ?? []));
  const view: ImageView = {
    ...{ outlines: [outline], changed: [changed], differences: [] },
    ...{ maxMappings: MAX_MAPPINGS, isSearched: false },
  };
  return markup`${title}
${addressSpace(view, 0, { marked, missing: missingMappings(findings) })}${ldtTable(task, findings)}
<details><summary>LDT, TLS, registers, FPU state and signals of this image</summary>${
    taskTables(view.outlines, 0)
  }</details>`;
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

function missingMappings(findings: readonly Finding[]): ImageMarks["missing"] {
  return findings.flatMap(({ id, path }) => {
    const [, from, to] = /^(?:.*: )?vma 0x([\da-f]+)-0x([\da-f]+)$/.exec(path) ?? [];
    if (id !== "E_VMA_MISSING" || from === undefined || to === undefined) return [];
    return [{ start: BigInt(`0x${from}`), end: BigInt(`0x${to}`) }];
  });
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
  return bytesOfHex(/^(?:[\da-f]{2}(?: |$))+/.exec(text)?.[0].replaceAll(" ", "") ?? "");
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
