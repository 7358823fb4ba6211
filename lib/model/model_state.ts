// SPDX-License-Identifier: MIT

import { LdtModel } from "../x86/ldt_model.ts";
import { TlsModel } from "../x86/tls_model.ts";
import { AddressSpace } from "./address_space.ts";
import type { FileModel } from "./file_model.ts";
import { pageRuns, type PageSet } from "./page_set.ts";

/** What steps are compiled for. */
export interface CompileTarget {
  /** Word size of the kernel: size of a page address in an image. */
  readonly kernelWordSize: 4 | 8;
  /** Word size of the target program. */
  readonly targetWordSize: 4 | 8;
  /** Where the target's heap starts: the end of its .bss, page aligned. */
  readonly heapStart: bigint;
  /** First address above the target's stack. */
  readonly stackTop: bigint;
  /** Number of the checkpoint system call. */
  readonly checkpointNr: number;
}

/** A named range of pages; its pages are numbered from `start` whatever becomes of them. */
export interface NamedRange {
  readonly start: number;
  readonly pages: number;
}

const GAP_PAGES = 16;

/** The subject task as the steps so far have made it. */
export class ModelState {
  space = new AddressSpace();
  ldt: LdtModel;
  tls: TlsModel;
  readonly files = new Map<string, FileModel>();
  readonly names = new Map<string, NamedRange>();
  readonly target: CompileTarget;
  readonly pagesPerChunk: number;
  /** Set when the subject is multi-threaded or shares its memory, which the kernel code refuses. */
  sharedWith: "thread" | "process" | undefined;
  #next: number;
  readonly #end: number;

  constructor(target: CompileTarget) {
    this.target = target;
    this.pagesPerChunk = 4 * 4096 / target.kernelWordSize;
    const wide = target.targetWordSize === 8;
    this.#next = wide ? 0x1000000 : 0x20000;
    this.#end = wide ? 0x7000000 : 0xa0000;
    this.ldt = new LdtModel({
      dialect: "port",
      wordSize: target.kernelWordSize,
      compat: target.kernelWordSize !== target.targetWordSize,
    });
    this.tls = new TlsModel({
      firstSlot: target.kernelWordSize === 8 ? 12 : 6,
      wordSize: target.kernelWordSize,
    });
  }

  /** Picks the pages for a new area: after a gap, right after another area, or aligned. */
  place(pages: number, options: { after?: string | undefined; align?: number | undefined } = {}): number {
    if (options.after !== undefined) {
      const other = this.range(options.after);
      const start = other.start + other.pages;
      this.#next = Math.max(this.#next, start + pages + GAP_PAGES);
      return start;
    }
    const align = options.align ?? 1;
    const start = Math.ceil(this.#next / align) * align;
    this.#next = start + pages + GAP_PAGES;
    if (this.#next > this.#end) {
      throw new RangeError(`${pages} pages do not fit into the target's address space`);
    }
    return start;
  }

  /** The range of a named area. */
  range(name: string): NamedRange {
    const range = this.names.get(name);
    if (!range) {
      throw new RangeError(`No area "${name}": the areas so far are ${[...this.names.keys()].join(", ")}`);
    }
    return range;
  }

  /** The runs of pages that a step names, as absolute page numbers. */
  runs(area: string, set: PageSet): { first: number; count: number }[] {
    const { start, pages } = this.range(area);
    return pageRuns(set, pages, this.pagesPerChunk).map((run) => ({
      first: start + run.first,
      count: run.count,
    }));
  }

  /** A file that a scenario made. */
  file(name: string): FileModel {
    const file = this.files.get(name);
    if (!file) {
      throw new RangeError(`No file "${name}": the files so far are ${[...this.files.keys()].join(", ")}`);
    }
    return file;
  }
}
