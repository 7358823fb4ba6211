// SPDX-License-Identifier: MIT

import { PAGE_SIZE, PAGE_SIZE_BIG } from "../../lib/abi/arch.ts";
import { permissionText } from "../../lib/abi/vm_flags.ts";
import { vmaName } from "../../lib/image/show/show_image.ts";
import type { Finding } from "../../lib/image/finding.ts";
import { type CheckpointImage, readImage, type TaskImage, vmaPages } from "../../lib/image/image.ts";
import { MalformedImageError } from "../../lib/image/malformed_image_error.ts";
import { describeDescriptor, DESCRIPTOR_SIZE } from "../../lib/x86/descriptor.ts";

/** What a page shows an image of a failure by: its address space and its LDT, with what differs marked. */
export interface ImagePicture {
  /** The stop that it was made at. */
  readonly label: string;
  readonly bytes: number;
  /** Why it could not be taken apart; there is nothing to show then. */
  readonly error?: string;
  /** Mappings in ascending order, and those that a finding says are missing. */
  readonly mappings: readonly MappingPicture[];
  /** Only when a finding is about the LDT. */
  readonly ldt?: LdtPicture;
}

/** One mapping, its pages in cells of equal size. */
export interface MappingPicture {
  readonly start: bigint;
  readonly end: bigint;
  /** Such as `rw-p`; empty for one that is not in the image. */
  readonly permissions: string;
  readonly name: string;
  readonly pages: number;
  /** Pages that the image holds. */
  readonly saved: number;
  /** Pages that findings are about. */
  readonly differing: number;
  readonly cells: readonly PageCell[];
  /** A finding is about the record of the mapping. */
  readonly marked: boolean;
  /** A finding says that the image lacks it. */
  readonly missing: boolean;
}

/** A run of pages: `part` holds pages that are in the image and others. */
export type PageCell = "none" | "part" | "saved" | "differs";

/** The LDT: entries in use, and those that findings are about. */
export interface LdtPicture {
  readonly entries: readonly LdtEntryPicture[];
  /** Entries in the image, and how many of those in use are not listed. */
  readonly total: number;
  readonly omitted: number;
}

/** One descriptor. */
interface LdtEntryPicture {
  readonly index: number;
  /** As the image holds it, in hexadecimal; empty when it ends before. */
  readonly bytes: string;
  readonly text: string;
  readonly expected?: { readonly bytes: string; readonly text: string };
  readonly differs: boolean;
}

const MAX_CELLS = 128;
const MAX_ENTRIES = 48;

/**
 * Takes an image apart for a page.
 *
 * @param findings those about this image; what they name is marked
 */
export function imagePicture(label: string, bytes: Uint8Array, findings: readonly Finding[]): ImagePicture {
  let image: CheckpointImage;
  try {
    image = readImage(bytes);
  } catch (error) {
    if (!(error instanceof MalformedImageError)) throw error;
    return { label, bytes: bytes.length, error: error.message, mappings: [] };
  }
  const task = image.tasks[0];
  if (!task) return { label, bytes: bytes.length, error: "it holds no task", mappings: [] };
  const pages = differingPages(task, findings);
  const marked = new Set(findings.flatMap(({ path }) => /\bvma\[(\d+)\]/.exec(path)?.[1] ?? []).map(Number));
  const mappings = task.vmas.map((vma, index) => {
    const { vm_start: start, vm_end: end, vm_flags } = vma.record.fields;
    const saved = new Set([...vmaPages(vma)].map(({ vaddr }) => vaddr));
    const differing = [...pages].filter((page) => page >= start && page < end);
    return {
      start,
      end,
      permissions: permissionText(vm_flags),
      name: vmaName(vma.record, { fname: vma.fname, mm: task.mm }),
      pages: pageCount(start, end),
      saved: saved.size,
      differing: differing.length,
      cells: pageCells({ start, end, saved, differing: new Set(differing) }),
      marked: marked.has(index),
      missing: false,
    };
  });
  const ldt = ldtPicture(task, findings);
  const all = [...mappings, ...missingMappings(findings)].toSorted((a, b) => a.start < b.start ? -1 : 1);
  return { label, bytes: bytes.length, mappings: all, ...(ldt && { ldt }) };
}

/** Addresses of the pages that findings are about. */
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
  differing: ReadonlySet<bigint>;
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
    const start = BigInt(`0x${from}`);
    const end = BigInt(`0x${to}`);
    const pages = pageCount(start, end);
    const rest = { permissions: "", name: "", saved: 0, differing: 0, marked: true, missing: true };
    return [{ start, end, pages, cells: ["none" as const], ...rest }];
  });
}

function ldtPicture(task: TaskImage, findings: readonly Finding[]): LdtPicture | undefined {
  const about = findings.filter(({ path }) => /\bldt\b|\bnldt\b/.test(path));
  if (about.length === 0) return undefined;
  const bytes = task.ldt?.bytes ?? new Uint8Array(0);
  const total = Math.floor(bytes.length / DESCRIPTOR_SIZE);
  const expected = new Map<number, Uint8Array>();
  for (const finding of about) {
    const index = /\bldt\[(\d+)\]/.exec(finding.path)?.[1];
    if (index !== undefined) expected.set(Number(index), parseBytes(finding.expected ?? ""));
  }
  const used = [...Array(total).keys()].filter((index) => entryAt(bytes, index).some((byte) => byte !== 0));
  const wanted = [...new Set([...expected.keys(), ...used])];
  const shown = wanted.slice(0, MAX_ENTRIES).toSorted((a, b) => a - b);
  const entries = shown.map((index) => {
    const wantedBytes = expected.get(index);
    return {
      index,
      ...describeEntry(entryAt(bytes, index)),
      ...(wantedBytes && { expected: describeEntry(wantedBytes) }),
      differs: expected.has(index),
    };
  });
  return { entries, total, omitted: wanted.length - shown.length };
}

function entryAt(bytes: Uint8Array, index: number): Uint8Array {
  return bytes.subarray(index * DESCRIPTOR_SIZE, (index + 1) * DESCRIPTOR_SIZE);
}

function describeEntry(bytes: Uint8Array): { bytes: string; text: string } {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  const text = bytes.length < DESCRIPTOR_SIZE ? "not there" : describeDescriptor(bytes);
  return { bytes: hex, text };
}

/** The bytes that a finding shows: pairs of hexadecimal digits, then perhaps words. */
function parseBytes(text: string): Uint8Array {
  const pairs = /^(?:[\da-f]{2}(?: |$))+/.exec(text)?.[0].trim().split(" ") ?? [];
  return Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16));
}
