// SPDX-License-Identifier: MIT

import { PAGE_SIZE } from "../../abi/arch.ts";
import { fillContent, type PageContent, withStore, ZERO_CONTENT } from "./page_content.ts";
import type { PageRun } from "./page_set.ts";

/** What backs a mapping that has a file. */
export type FileKind = "regular" | "memfd" | "zero" | "mem" | "sg" | "tcp";

/** Files that no step makes: devices, a SCSI one among them, and a TCP socket, whose mappings take what it receives. */
export const DEVICES = {
  ...{ "/dev/zero": "zero", "/dev/mem": "mem", "/dev/sg0": "sg", "tcp socket": "tcp" },
} as const satisfies Readonly<Record<string, FileKind>>;

/** 256 MiB: files of a guest lie in its memory. */
const MAX_FILE_PAGES = 2 ** 16;

/** A file that a scenario makes (whole pages of fill) or a device. Shared by every mapping of it. */
export class FileModel {
  readonly kind: FileKind;
  /** The path as the target's root sees it; see {@linkcode nameBytes}. */
  path: string;
  /** Pages in the file now; a device has no end. */
  pages: number;
  /** Set once the name under which it was opened is gone: unlink(2), or another file was renamed over it. */
  unlinked = false;
  /** Set once something is mounted over it or its directory. */
  hidden = false;
  readonly #contents = new Map<number, PageContent>();

  /** @throws {RangeError} when a guest has not the memory for it */
  constructor(kind: FileKind, path: string, pages: number) {
    if (pages > MAX_FILE_PAGES && pages !== Number.POSITIVE_INFINITY) {
      throw new RangeError(`A file has at most ${MAX_FILE_PAGES} pages here: found ${pages}`);
    }
    this.kind = kind;
    this.path = path;
    this.pages = pages;
  }

  /** /dev/zero: its private mappings are anonymous memory with a file (mmap_zero, drivers/char/mem.c). */
  get isZeroDevice(): boolean {
    return this.kind === "zero";
  }

  /**
   * Records ftruncate(2) to whole pages and some bytes more. What was cut off reads as zeros when the file grows again.
   */
  truncate(whole: number, bytes = 0): void {
    this.pages = whole + (bytes > 0 ? 1 : 0);
    for (const index of [...this.#contents.keys()]) if (index >= this.pages) this.#contents.delete(index);
    const last = this.#contents.get(whole);
    if (last) this.#contents.set(whole, withStore(last, bytes, new Uint8Array(PAGE_SIZE - bytes)));
  }

  /** Records that pages were filled through a mapping of them that starts at page `start` of the target. */
  fill({ first, count }: PageRun, { seed, start }: { readonly seed: number; readonly start: number }): void {
    for (let i = 0; i < count; i++) this.#contents.set(first + i, fillContent(seed, (start + i) * PAGE_SIZE));
  }

  /** What page `index` of the file holds. */
  contentAt(index: number): PageContent {
    return this.#contents.get(index) ?? ZERO_CONTENT;
  }
}

const encoder = new TextEncoder();

/** The bytes of a name in a scenario: UTF-8, with %xx (two hexadecimal digits) for a byte that is no text. */
export function nameBytes(name: string): Uint8Array {
  const bytes: number[] = [];
  for (const part of name.split(/(%[0-9a-fA-F]{2})/)) {
    if (/^%[0-9a-fA-F]{2}$/.test(part)) bytes.push(Number.parseInt(part.slice(1), 16));
    else bytes.push(...encoder.encode(part));
  }
  return Uint8Array.from(bytes);
}
