// SPDX-License-Identifier: MIT

import type { PagemapEntry } from "../../lib/compare/pagemap.ts";
import { blockHash } from "../../lib/abi/block_hash.ts";
import { PAGE_SIZE } from "../../lib/abi/arch.ts";
import {
  findRoots,
  type PageRange,
  PAGING_MODES,
  type PagingMode,
  type PhysicalMemory,
  type TablePage,
  walkPageTables,
} from "../../lib/x86/page_tables.ts";

/** What page tables and /proc/PID/pagemap say of a page: where it is, "elsewhere", or nothing. */
interface PageDifference {
  readonly page: number;
  readonly host: string;
  readonly guest: string;
}

/** A process's pages as the host sees them. */
export interface LookedAt {
  readonly pages: readonly TablePage[];
  /** Where pagemap says otherwise. */
  readonly differences: readonly PageDifference[];
}

/** Roots that are tried before the memory is searched: the frames of earlier ones are soon used again. */
const MAX_ROOTS = 64;

/**
 * Looks at processes of a guest from outside, in its memory, by page tables that nobody names: what pagemap says of one
 * page finds them, all other pages then must be where it says.
 */
export class HostLook {
  readonly #memory: PhysicalMemory;
  /** What is read of a page; to make it anew each time takes longer than the reading. */
  readonly #page = new Uint8Array(PAGE_SIZE);
  #modes: readonly PagingMode[];
  /** Those that were right, the last one first. */
  #roots: number[] = [];

  /** @param machine as uname says */
  constructor(memory: PhysicalMemory, machine: string) {
    this.#memory = memory;
    this.#modes = PAGING_MODES[machine === "x86_64" ? "x86_64" : "i386"];
  }

  /**
   * The pages of a process that does not run.
   *
   * @param entries what pagemap says, which is taken for a lie where it does not fit the page tables
   * @returns undefined where no page tables are like it
   */
  pagesOf(entries: readonly PagemapEntry[], ranges: readonly PageRange[]): LookedAt | undefined {
    const own = entries.filter((entry) => entry.present && !entry.file && this.#isInMemory(entry));
    // The stack is the last, and of this process alone; what one lie hides, another page may show.
    const samples = [own.at(-1), own[0]].filter((entry) => entry !== undefined);
    let best: LookedAt | undefined;
    const look = (mode: PagingMode, root: number): boolean => {
      const pages = walkPageTables(this.#memory, { mode, root, ranges });
      if (!pages) return false;
      const found = { pages, differences: differencesOf(pages, entries) };
      if (!best || found.differences.length < best.differences.length) {
        best = found;
        this.#keep(root);
      }
      return best.differences.length === 0;
    };
    const [mode] = this.#modes;
    for (const root of this.#modes.length === 1 ? [...this.#roots] : []) {
      if (samples.some((sample) => this.#leads(mode!, root, sample)) && look(mode!, root)) return best;
    }
    for (const sample of samples) {
      for (const mode of this.#modes) {
        for (const root of this.#search(mode, sample)) {
          if (!look(mode, root)) continue;
          this.#modes = [mode];
          return best;
        }
      }
    }
    return best && best.differences.length * 2 < entries.length ? best : undefined;
  }

  /** The digest of a page, as `blockHash()` gives it; undefined where it does not lie in memory. */
  pageHash({ frame }: TablePage): bigint | undefined {
    if (frame === undefined || frame >= this.#memory.size / PAGE_SIZE) return undefined;
    this.#memory.read(frame * PAGE_SIZE, this.#page);
    return blockHash(this.#page);
  }

  #isInMemory({ frame }: PagemapEntry): boolean {
    return frame > 0n && frame < BigInt(this.#memory.size / PAGE_SIZE);
  }

  #search(mode: PagingMode, { page, frame: big }: PagemapEntry): Iterable<number> {
    const frame = Number(big);
    // Tables lie near other tables, and not near what they lead to.
    const near = this.#roots.length > 0 ? this.#roots : [frame * PAGE_SIZE];
    return findRoots(this.#memory, mode, { page, frame, near });
  }

  #leads(mode: PagingMode, root: number, { page, frame }: PagemapEntry): boolean {
    const found = walkPageTables(this.#memory, { mode, root, ranges: [{ start: page, end: page + 1 }] });
    return found?.[0]?.frame === Number(frame);
  }

  #keep(root: number): void {
    this.#roots = [root, ...this.#roots.filter((known) => known !== root)].slice(0, MAX_ROOTS);
  }
}

/** Where the entries of page tables and those of pagemap are not the same. */
function differencesOf(pages: readonly TablePage[], entries: readonly PagemapEntry[]): PageDifference[] {
  const told = new Map(entries.map((entry) => [entry.page, entry]));
  const differences: PageDifference[] = [];
  for (const { page, frame } of pages) {
    const entry = told.get(page);
    told.delete(page);
    const [host, guest] = [placeOf(frame), entry ? guestPlace(entry) : "absent"];
    if (host !== guest) differences.push({ page, host, guest });
  }
  for (const entry of told.values()) {
    differences.push({ page: entry.page, host: "absent", guest: guestPlace(entry) });
  }
  return differences;
}

function guestPlace({ present, frame }: PagemapEntry): string {
  return placeOf(present ? Number(frame) : undefined);
}

function placeOf(frame: number | undefined): string {
  return frame === undefined ? "not in memory" : `in frame 0x${frame.toString(16)}`;
}
