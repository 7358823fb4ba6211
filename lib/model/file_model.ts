// SPDX-License-Identifier: MIT

import { fillContent, type PageContent, ZERO_CONTENT } from "./page_content.ts";

/** How {@linkcode FileModel} is made. */
export interface FileModelOptions {
  /** The path as the target's root sees it. */
  readonly path: string;
  readonly pages: number;
  readonly seed: number;
  /** The address at which the target maps the file to fill it; the contents follow from it. */
  readonly fillAddress: number;
}

/** A file that a scenario makes: whole pages of fill. Shared by every mapping of it. */
export class FileModel {
  #path: string;
  #fillPages: number;
  readonly #seed: number;
  readonly #fillAddress: number;
  #pages: number;
  #unlinked = false;

  constructor(options: FileModelOptions) {
    this.#path = options.path;
    this.#pages = options.pages;
    this.#fillPages = options.pages;
    this.#seed = options.seed;
    this.#fillAddress = options.fillAddress;
  }

  /** The path as the target's root sees it. */
  get path(): string {
    return this.#path;
  }

  /** Records rename(2). */
  rename(path: string): void {
    this.#path = path;
  }

  /** Pages in the file now. */
  get pages(): number {
    return this.#pages;
  }

  /** Whether its name is gone. */
  get unlinked(): boolean {
    return this.#unlinked;
  }

  /** Records unlink(2). */
  unlink(): void {
    this.#unlinked = true;
  }

  /** Records ftruncate(2) to whole pages. Pages that were cut off read as zeros when the file grows again. */
  truncate(pages: number): void {
    this.#pages = pages;
    this.#fillPages = Math.min(this.#fillPages, pages);
  }

  /** What page `index` of the file holds. */
  contentAt(index: number): PageContent {
    return index < this.#fillPages ? fillContent(this.#seed, this.#fillAddress + index * 4096) : ZERO_CONTENT;
  }
}
