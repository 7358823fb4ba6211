// SPDX-License-Identifier: MIT

import { PAGE_SIZE, PAGE_SIZE_BIG } from "../abi/arch.ts";
import { type Finding, mismatch } from "../image/finding.ts";
import { type CheckpointImage, type VmaImage, vmaPages } from "../image/image.ts";
import { VMA_TYPE } from "../image/structs.ts";
import { lowerBound } from "../model/state/page_set.ts";
import { firstDifference, hex, hexBytes } from "../bytes.ts";

/** A piece of a process's memory in a core file: the bytes that the file holds from an address on. */
interface CoreSegment {
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

/** Memory that the core's writer could not read: it stands there as zeros, whatever it holds. */
interface UnreadRange {
  readonly start: bigint;
  readonly end: bigint;
}

const FINDINGS = 20;

/**
 * Holds an image against a core file of the same stopped process. A page that both have must be the same; a
 * page of an anonymous mapping that the image leaves out must be zeros in the core.
 *
 * @param unread sections that the core's writer could not read, as it said itself
 */
export function compareCore(
  image: Pick<CheckpointImage, "tasks">,
  core: readonly CoreSegment[],
  unread: readonly UnreadRange[] = [],
): CoreComparison {
  const comparison = new CoreComparison(core, unread);
  for (const [index, task] of image.tasks.entries()) {
    task.vmas.forEach((vma, i) => comparison.vma(vma, `task[${index}]/vma[${i}]`));
  }
  return comparison;
}

/** What the comparison of an image with a core file showed. */
export class CoreComparison {
  readonly findings: Finding[] = [];
  /** Pages that image and core both hold, and that were compared. */
  compared = 0;
  /** Pages of anonymous memory that the image leaves out and the core shows as zeros. */
  zero = 0;
  notInCore = 0;
  /** Pages of the image that could not be judged, since the core's writer could not read their section. */
  unread = 0;
  readonly #core: readonly CoreSegment[];
  readonly #unreadRanges: readonly UnreadRange[];

  constructor(core: readonly CoreSegment[], unread: readonly UnreadRange[]) {
    this.#core = core.toSorted((a, b) => (a.address < b.address ? -1 : 1));
    this.#unreadRanges = unread;
  }

  vma(vma: VmaImage, path: string): void {
    const saved = new Set<bigint>();
    for (const page of vmaPages(vma)) {
      saved.add(page.vaddr);
      this.#page(page, path);
    }
    if (vma.record.fields.vma_type === VMA_TYPE.ANON) this.#holes(vma, saved, path);
  }

  #page({ vaddr, bytes, offset }: { vaddr: bigint; bytes: Uint8Array; offset: number }, path: string): void {
    if (this.#isUnread(vaddr)) {
      this.unread++;
      return;
    }
    const other = this.#pageAt(vaddr);
    if (!other) {
      this.notInCore++;
      return;
    }
    this.compared++;
    const at = firstDifference(bytes, other);
    if (at < 0) return;
    const from = at & ~15;
    const shown = (page: Uint8Array): string => hexBytes(page.subarray(from, from + 16));
    const place = { path: `${path}, page ${hex(vaddr)}`, offset: offset + at };
    const message = `byte ${at} of the page differs from the one that the debugger reads`;
    this.#report(
      mismatch("E_CORE_DIFFERS", { ...place, message, expected: shown(other), actual: shown(bytes) }),
    );
  }

  /** Pages of the core in an anonymous mapping that the image does not have. */
  #holes(vma: VmaImage, saved: ReadonlySet<bigint>, path: string): void {
    const { vm_start, vm_end } = vma.record.fields;
    for (const segment of this.#core) {
      const first = segment.address > vm_start ? segment.address : vm_start;
      const held = endOf(segment);
      const end = held < vm_end ? held : vm_end;
      for (let vaddr = first; vaddr + PAGE_SIZE_BIG <= end; vaddr += PAGE_SIZE_BIG) {
        if (saved.has(vaddr) || this.#isUnread(vaddr)) continue;
        const bytes = pageOf(segment, vaddr);
        if (bytes.every((byte) => byte === 0)) {
          this.zero++;
          continue;
        }
        const message = "the image leaves out a page that is not zero for the debugger";
        const found = { path: `${path}, page ${hex(vaddr)}`, message };
        const expected = `${hexBytes(bytes.subarray(0, 16))} ...`;
        this.#report(mismatch("E_CORE_PAGE_MISSING", { ...found, expected }));
      }
    }
  }

  #isUnread(vaddr: bigint): boolean {
    return this.#unreadRanges.some(({ start, end }) => vaddr >= start && vaddr < end);
  }

  #pageAt(vaddr: bigint): Uint8Array | undefined {
    const segment = this.#core[lowerBound(this.#core.length, (index) => endOf(this.#core[index]!) <= vaddr)];
    if (!segment || segment.address > vaddr) return undefined;
    const bytes = pageOf(segment, vaddr);
    return bytes.length === PAGE_SIZE ? bytes : undefined;
  }

  #report(finding: Finding): void {
    if (this.findings.length < FINDINGS) this.findings.push(finding);
  }
}

function endOf({ address, bytes }: CoreSegment): bigint {
  return address + BigInt(bytes.length);
}

function pageOf({ address, bytes }: CoreSegment, vaddr: bigint): Uint8Array {
  const at = Number(vaddr - address);
  return bytes.subarray(at, at + PAGE_SIZE);
}

/**
 * The sections that gdb says it could not read, and wrote as zeros, in the words of its `gcore` command: a
 * file mapped beyond its end, or [vvar].
 */
export function unreadSections(output: string): UnreadRange[] {
  const said = /Memory read failed for corefile section, (\d+) bytes at (0x[0-9a-f]+)/g;
  return Array.from(output.matchAll(said), ([, length, start]) => ({
    start: BigInt(start!),
    end: BigInt(start!) + BigInt(length!),
  }));
}
