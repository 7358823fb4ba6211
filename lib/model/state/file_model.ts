// SPDX-License-Identifier: MIT

import { PAGE_SIZE } from "../../abi/arch.ts";
import { fillContent, type PageContent, ZERO_CONTENT } from "./page_content.ts";

/** What backs a mapping that has a file. */
type FileKind = "regular" | "memfd" | "zero" | "mem";

/** Files that no step makes. */
export const DEVICES = { "/dev/zero": "zero", "/dev/mem": "mem" } as const;

/** How {@linkcode FileModel} is made. */
interface FileModelOptions {
  /** The path as the target's root sees it; bytes that are no text are written %xx. */
  readonly path: string;
  readonly kind?: FileKind;
  readonly pages: number;
  readonly seed: number;
  /** The address at which the target maps the file to fill it; the contents follow from it. */
  readonly fillAddress: number;
}

/** 256 MiB: files of a guest lie in its memory. */
const MAX_FILE_PAGES = 2 ** 16;

/** A file that a scenario makes (whole pages of fill) or a device. Shared by every mapping of it. */
export class FileModel {
  /** What it is. */
  readonly kind: FileKind;
  #path: string;
  #pages: number;
  #unlinked = false;
  readonly #contents = new Map<number, PageContent>();

  constructor(options: FileModelOptions) {
    this.kind = options.kind ?? "regular";
    if (options.pages > MAX_FILE_PAGES) {
      throw new RangeError(`A file has at most ${MAX_FILE_PAGES} pages here: found ${options.pages}`);
    }
    this.#path = options.path;
    this.#pages = options.pages;
    for (let index = 0; index < options.pages && this.kind === "regular"; index++) {
      this.#contents.set(index, fillContent(options.seed, options.fillAddress + index * PAGE_SIZE));
    }
  }

  /** The path as the target's root sees it; see {@linkcode nameBytes}. */
  get path(): string {
    return this.#path;
  }

  /** Records rename(2). */
  rename(path: string): void {
    this.#path = path;
  }

  /** Pages in the file now; a device has no end. */
  get pages(): number {
    return this.isDevice ? Number.POSITIVE_INFINITY : this.#pages;
  }

  /** Whether it is a device rather than a file with an end. */
  get isDevice(): boolean {
    return this.kind === "zero" || this.kind === "mem";
  }

  /** /dev/zero: its private mappings are anonymous memory with a file (mmap_zero, drivers/char/mem.c). */
  get isZeroDevice(): boolean {
    return this.kind === "zero";
  }

  /** Whether the name under which it was opened is gone. */
  get unlinked(): boolean {
    return this.#unlinked;
  }

  /** Set once something is mounted over it or its directory. */
  hidden = false;

  /**
   * Records that the name under which it was opened is gone: unlink(2), or another file was renamed over it.
   */
  unlink(): void {
    this.#unlinked = true;
  }

  /** Records ftruncate(2) to whole pages. Pages that were cut off read as zeros when the file grows again. */
  truncate(pages: number): void {
    this.#pages = pages;
    for (const index of [...this.#contents.keys()]) if (index >= pages) this.#contents.delete(index);
  }

  /** Records a store to the file itself: every page of a mapping that is no copy shows it. */
  store(index: number, content: PageContent): void {
    this.#contents.set(index, content);
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
