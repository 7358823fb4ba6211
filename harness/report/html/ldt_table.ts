// SPDX-License-Identifier: MIT

import type { Finding } from "../../../lib/image/finding.ts";
import type { TaskImage } from "../../../lib/image/image.ts";
import { describeDescriptor, DESCRIPTOR_SIZE } from "../../../lib/x86/descriptor.ts";
import { type Markup, markup, table } from "./markup.ts";
import { hexBytes } from "../../../lib/bytes.ts";

const MAX_ENTRIES = 48;

/**
 * The LDT of an image, decoded: entries in use, and those that findings are about beside what they must be; undefined
 * when no finding is about it.
 */
export function ldtTable(task: TaskImage, findings: readonly Finding[]): Markup | undefined {
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
  const omitted = wanted.length - shown.length;
  const rows = shown.map((index) => entryRow(index, entryAt(index), expected.get(index)));
  return markup`<h4>LDT of ${total} ${total === 1 ? "entry" : "entries"}</h4>
${table({ columns: ["entry", "", "descriptor"], rows })}
${omitted > 0 ? markup`<p class="soft">${omitted} more entries in use are not listed</p>` : undefined}`;
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
