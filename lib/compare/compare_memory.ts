// SPDX-License-Identifier: MIT

import { abiOf, PAGE_SIZE, PAGE_SIZE_BIG } from "../abi/arch.ts";
import { pageProt } from "../abi/page_prot.ts";
import { vmFlagNames, vmFlagTable } from "../abi/vm_flags.ts";
import type { PagesNode, RecordNodeOf } from "../image/nodes.ts";
import { VMA_TYPE } from "../image/structs.ts";
import { nameBytes } from "../model/state/file_model.ts";
import { predictedBytes } from "../model/predict_stop.ts";
import type { Refusal } from "../model/refusal.ts";
import { blockHash } from "../abi/block_hash.ts";
import type { ComparisonContext } from "./comparison_context.ts";
import { expectedMemory, type ExpectedVma } from "./expected_memory.ts";
import {
  type FieldExpectation,
  firstDifference,
  hexBytes,
  observed,
  predicted,
  type VolatileField,
} from "./judge.ts";

const STACK_FLAG = 0x100n;

const OWN_PAGES_OF_SELF = {
  name: "pages of the target's own program in a self checkpoint",
  reason: "its stack and variables went on changing until it stopped and could be looked at",
};

/** Compares the memory part of an image: MM, then VMA by VMA with names and pages. */
export class MemoryComparison {
  readonly #context: ComparisonContext;
  readonly #expected: readonly ExpectedVma[];
  readonly #seenStarts = new Set<number>();
  #vma: ExpectedVma | undefined;
  #vmaPath = "";
  #lastStart = 0;
  /** How many of the current VMA's expected pages the chunks so far have covered. */
  #pagesDone = 0;

  constructor(context: ComparisonContext) {
    this.#context = context;
    this.#expected = expectedMemory(context);
  }

  /** MM: the fields that /proc/PID/stat repeats, and the number of VMAs. */
  mm(node: RecordNodeOf<"MM">): void {
    const { judge, target } = this.#context;
    const { stat } = target;
    judge.header(node, target.pid);
    judge.fields(node, {
      objref: predicted(0),
      map_count: observed(target.maps.length),
      start_code: observed(stat.startCode),
      end_code: observed(stat.endCode),
      start_data: observed(stat.startData),
      end_data: observed(stat.endData),
      start_brk: observed(stat.startBrk),
      brk: target.brk === undefined ? this.#brkWithinHeap() : observed(target.brk),
      start_stack: observed(stat.startStack),
      arg_start: observed(stat.argStart),
      arg_end: observed(stat.argEnd),
      env_start: observed(stat.envStart),
      env_end: observed(stat.envEnd),
    });
  }

  /** Of a real program only the page of the break is known: the end of its heap in maps. */
  #brkWithinHeap(): VolatileField {
    const { target } = this.#context;
    // The end of .bss is shown as [heap] too: the heap proper is the last of that name.
    const heap = target.maps.findLast((entry) => new TextDecoder("latin1").decode(entry.name) === "[heap]");
    const pageAlign = (value: bigint): bigint => (value + PAGE_SIZE_BIG - 1n) & -PAGE_SIZE_BIG;
    return {
      name: "mm.brk",
      reason: "no interface shows the break of another task; it lies in the last page of [heap]",
      accept: (value) => {
        const end = heap?.end ?? pageAlign(target.stat.startBrk);
        return pageAlign(value) === end
          ? undefined
          : `the break does not lie in the last page of the heap, 0x${end.toString(16)}`;
      },
    };
  }

  /**
   * VMA: range and flags from smaps, protection and offset by rule, all of it by the model where steps made
   * it.
   */
  vma(node: RecordNodeOf<"VMA">): void {
    this.endVma();
    const { judge } = this.#context;
    const start = Number(node.fields.vm_start / PAGE_SIZE_BIG);
    const vma = this.#expected.find((candidate) => candidate.start === start);
    this.#vma = vma;
    this.#vmaPath = node.path;
    this.#pagesDone = 0;
    judge.header(node, 0);
    if (!vma) {
      this.#reportVma("E_VMA_EXTRA", node, "the target has no VMA that starts there");
      return;
    }
    if (this.#seenStarts.has(start)) {
      this.#reportVma("E_VMA_EXTRA", node, "the VMA is in the image twice");
    } else if (start < this.#lastStart) {
      this.#reportVma("E_VMA_ORDER", node, "VMAs come in ascending order: this one belongs before the last");
    }
    this.#lastStart = start;
    this.#seenStarts.add(start);
    judge.fields(node, {
      vma_type: observed(this.#vmaType(vma)),
      vm_start: observed(vma.entry.start),
      vm_end: observed(vma.entry.end),
      vm_page_prot: predicted(this.#pageProt(vma.flags)),
      vm_flags: this.#flags(vma, node),
      vm_pgoff: this.#pgoff(vma),
    });
  }

  #reportVma(id: string, node: RecordNodeOf<"VMA">, message: string): void {
    this.#context.judge.report({
      id,
      path: node.path,
      offset: node.offset,
      message,
      actual: `0x${node.fields.vm_start.toString(16)}`,
    });
  }

  #vmaType(vma: ExpectedVma): number {
    const name = new TextDecoder("latin1").decode(vma.entry.name);
    if (name === "[vdso]" || name === "[vvar]") return VMA_TYPE.SPECIAL;
    return vma.entry.inode !== 0n ? VMA_TYPE.FILE : VMA_TYPE.ANON;
  }

  #pageProt(flags: bigint): bigint {
    const { series, arch, kernel } = this.#context;
    return pageProt(flags, { series, arch, nx: kernel.cpuFlags.has("nx") });
  }

  #flags(vma: ExpectedVma, node: RecordNodeOf<"VMA">): FieldExpectation {
    const { judge, series, arch } = this.#context;
    for (const area of vma.areas) {
      if (area.flags === vma.flags) continue;
      const table = vmFlagTable(series, arch === "x86_64" ? 8 : 4);
      judge.report({
        id: "E_VM_FLAGS",
        path: `${node.path}.vm_flags`,
        offset: node.offset + 8 + 32,
        message: `smaps shows other flags than the steps that made "${area.label}" imply`,
        expected: vmFlagNames(area.flags, table).join(" "),
        actual: vmFlagNames(vma.flags, table).join(" "),
      });
    }
    return this.#isModelled(vma) ? predicted(vma.areas[0]!.flags) : observed(vma.flags);
  }

  /** Whether predicted areas cover the whole VMA. */
  #isModelled(vma: ExpectedVma): boolean {
    let covered = vma.start;
    for (const area of vma.areas) {
      if (area.start > covered) return false;
      covered = Math.max(covered, area.end);
    }
    return covered >= vma.end;
  }

  #pgoff(vma: ExpectedVma): FieldExpectation | VolatileField {
    const first = vma.areas[0];
    if (first && this.#isModelled(vma)) {
      const atStart = first.pgoff + vma.start - first.start;
      if (vma.areas.every((area) => area.pgoff - area.start === atStart - vma.start)) {
        return predicted(BigInt(atStart));
      }
    }
    if (vma.entry.inode !== 0n) return observed(vma.entry.offset / PAGE_SIZE_BIG);
    const type = this.#vmaType(vma);
    if (type === VMA_TYPE.SPECIAL) return predicted(0n);
    // The stack was made at the top of the address space and moved down: vm_pgoff plus its pages stays.
    if ((vma.flags & STACK_FLAG) !== 0n && this.#isStack(vma)) {
      const top = this.#context.arch === "x86_64" ? 0x7ffffffffn : 0xc0000n;
      return predicted(top - BigInt(vma.end - vma.start));
    }
    if (this.#context.prediction) return predicted(BigInt(vma.start));
    return {
      name: "vma.vm_pgoff of anonymous memory",
      reason: "shown by no other interface; its first page number unless mremap moved it",
      accept: () => undefined,
    };
  }

  #isStack(vma: ExpectedVma): boolean {
    return new TextDecoder("latin1").decode(vma.entry.name) === "[stack]";
  }

  /** FNAME: the name in maps, with its NUL. */
  fname(node: RecordNodeOf<"FNAME">): void {
    const { judge } = this.#context;
    const name = this.#nameWithinRoot(this.#vma?.entry.name ?? new Uint8Array(0));
    const bytes = new Uint8Array(name.length + 1);
    bytes.set(name);
    const path = this.#vma?.areas[0]?.path;
    const predictedName = path === undefined ? undefined : new Uint8Array([...nameBytes(path), 0]);
    judge.header(node, 0);
    judge.bytes(node, node.offset + 8, node.payload, {
      bytes: predictedName ?? bytes,
      by: predictedName ? "predicted" : "observed",
      id: "E_FNAME",
      what: "the file's name",
    });
  }

  /** A name in maps is from the agent's root directory on, one in the image from the target's. */
  #nameWithinRoot(name: Uint8Array): Uint8Array {
    const root = new TextEncoder().encode(this.#context.prediction?.root ?? "");
    return firstDifference(name.subarray(0, root.length), root) < 0 ? name.subarray(root.length) : name;
  }

  /** PGARR: the number of pages in the chunk, full chunks first; zero ends the VMA's contents. */
  pgarr(node: RecordNodeOf<"PGARR">): void {
    const { judge } = this.#context;
    judge.header(node, 0);
    if (!this.#vma) return;
    const left = this.#vma.pages.length - this.#pagesDone;
    const by = this.#context.prediction && this.#isModelled(this.#vma) ? "predicted" : "observed";
    judge.fields(node, { nr_pages: { value: BigInt(Math.max(0, Math.min(this.#pagesPerChunk, left))), by } });
  }

  /** The addresses and pages of a chunk. */
  pages(node: PagesNode): void {
    const { judge } = this.#context;
    const vma = this.#vma;
    if (!vma) return;
    if (node.counted === "cumulative") this.#reportCumulative(node);
    const wanted = new Map(vma.pages.map((page, index) => [page.page, index]));
    for (let i = 0; i < node.count; i++) {
      const page = Number(node.vaddrs[i]! / PAGE_SIZE_BIG);
      const index = wanted.get(page);
      const offset = node.offset + i * node.wordSize;
      if (index === undefined || node.vaddrs[i]! % PAGE_SIZE_BIG !== 0n) {
        judge.report({
          id: "E_PAGE_EXTRA",
          path: `${node.path}/vaddr[${i}]`,
          offset,
          message: this.#whyExtra(page, vma),
          actual: `0x${node.vaddrs[i]!.toString(16)}`,
        });
      } else {
        const expected = vma.pages[index]!;
        judge.account.claim(offset, node.wordSize, expected.predicted ? "predicted" : "observed");
        if (index !== this.#pagesDone + i) this.#reportOrder(node, i, this.#pagesDone + i);
        this.#page(node, i, expected);
      }
    }
    this.#pagesDone += node.count;
  }

  #reportCumulative(node: PagesNode): void {
    this.#context.judge.report({
      id: "E_CHUNK_COUNT",
      path: node.path.replace(/\/pages$/, ".nr_pages"),
      offset: node.offset - 8,
      message: "the count goes on from chunk to chunk: it must be that of this chunk alone",
      expected: String(node.count),
    });
  }

  #whyExtra(page: number, vma: ExpectedVma): string {
    if (page < vma.start || page >= vma.end) return "the page lies outside its VMA";
    const entry = this.#context.target.pagemap.find((candidate) => candidate.page === page);
    if (!entry) return "the page was never touched";
    if (entry.file) return "the page is the file's own, clean";
    return "the page is the zero page: it was only read";
  }

  #reportOrder(node: PagesNode, i: number, place: number): void {
    const expected = this.#vma?.pages[place];
    this.#context.judge.report({
      id: "E_PAGE_ORDER",
      path: `${node.path}/vaddr[${i}]`,
      offset: node.offset + i * node.wordSize,
      message: "another page belongs at this place of the chunk",
      expected: expected ? `0x${(expected.page * PAGE_SIZE).toString(16)}` : "no page",
      actual: `0x${node.vaddrs[i]!.toString(16)}`,
    });
  }

  #page(node: PagesNode, i: number, expected: ExpectedVma["pages"][number]): void {
    const { judge, target, self } = this.#context;
    const offset = node.pagesOffset + i * PAGE_SIZE;
    const bytes = node.pages.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE);
    const path = `${node.path}/page[0x${(expected.page * PAGE_SIZE).toString(16)}]`;
    if (expected.predicted) {
      judge.account.claim(offset, PAGE_SIZE, "predicted");
      const should = predictedBytes(expected.predicted);
      const at = firstDifference(bytes, should);
      if (at < 0) return;
      const start = at & ~15;
      judge.report({
        id: "E_PAGE_BYTES",
        path,
        offset: offset + at,
        message: `byte ${at} of the page differs from what the steps imply (${expected.predicted.why})`,
        expected: hexBytes(should.subarray(start, start + 16)),
        actual: hexBytes(bytes.subarray(start, start + 16)),
      });
      return;
    }
    for (const written of expected.written ?? []) this.#written({ bytes, path, offset }, written);
    const hash = target.pageHashes.get(expected.page);
    const [a, b] = blockHash(bytes);
    const isEqual = hash && hash[0] === a && hash[1] === b;
    if (hash && !isEqual && self) return judge.account.claimVolatile(offset, PAGE_SIZE, OWN_PAGES_OF_SELF);
    judge.account.claim(offset, PAGE_SIZE, "observed");
    if (isEqual) return;
    judge.report({
      id: "E_PAGE_BYTES",
      path,
      offset,
      message: hash ? "the page differs from what /proc/PID/mem shows" : "/proc/PID/mem shows no such page",
      expected: hash ? `hash ${hash.map(hex).join("")}` : "a page",
      actual: `hash ${hex(a)}${hex(b)}, first bytes ${hexBytes(bytes.subarray(0, 16))}`,
    });
  }

  /** Bytes that a debugger wrote, in a page whose other bytes are only observed. */
  #written(
    page: { bytes: Uint8Array; path: string; offset: number },
    written: { offset: number; bytes: Uint8Array },
  ): void {
    const actual = page.bytes.subarray(written.offset, written.offset + written.bytes.length);
    if (firstDifference(actual, written.bytes) < 0) return;
    this.#context.judge.report({
      id: "E_PAGE_BYTES",
      path: page.path,
      offset: page.offset + written.offset,
      message: "what a debugger wrote to the page is not there",
      expected: hexBytes(written.bytes),
      actual: hexBytes(actual),
    });
  }

  /** Called when a VMA's contents are over: pages that did not come are missing. */
  endVma(): void {
    const vma = this.#vma;
    if (!vma) return;
    const wanted = this.#pagesToCome(vma);
    if (this.#pagesDone > wanted) {
      this.#context.judge.report({
        id: "E_PAGE_REFUSED",
        path: this.#vmaPath,
        message: "a page that cannot be read, or one after it, was written",
        expected: `${wanted} pages`,
        actual: `${this.#pagesDone} pages`,
      });
    }
    for (const missing of vma.pages.slice(this.#pagesDone, wanted)) {
      this.#context.judge.report({
        id: "E_PAGE_MISSING",
        path: this.#vmaPath,
        message: missing.predicted
          ? `the page is not in the image (${missing.predicted.why})`
          : "the page is not in the image, though pagemap shows contents of its own",
        expected: `0x${(missing.page * PAGE_SIZE).toString(16)}`,
      });
    }
    this.#vma = undefined;
  }

  /** How many pages of a VMA the image must hold: a chunk with a page that cannot be read never comes. */
  #pagesToCome({ start, end, pages }: ExpectedVma): number {
    const unreadable = this.#context.prediction?.refusal?.page;
    if (unreadable === undefined || unreadable < start || unreadable >= end) return pages.length;
    const before = pages.filter(({ page }) => page < unreadable).length;
    return before - before % this.#pagesPerChunk;
  }

  get #pagesPerChunk(): number {
    return abiOf(this.#context.arch).pagesPerChunk;
  }

  /**
   * Called at the end of the image: VMAs that did not come are missing.
   *
   * @param refusal where the call had to be refused: only what comes before is expected
   */
  end({ atPage: before = Number.POSITIVE_INFINITY, page }: Partial<Refusal> = {}): void {
    this.endVma();
    for (const vma of this.#expected) {
      // The record of a VMA in which a page could not be read is there.
      const refused = page === undefined ? vma.end > before : vma.start > page;
      if (refused === this.#seenStarts.has(vma.start)) {
        this.#context.judge.report({
          id: refused ? "E_VMA_REFUSED" : "E_VMA_MISSING",
          path: `vma 0x${vma.entry.start.toString(16)}-0x${vma.entry.end.toString(16)}`,
          message: refused
            ? "the VMA had to be refused, but something of it, or of one after it, was written"
            : "the image does not hold this VMA of the target",
        });
      }
    }
    this.#areasWithoutVma(before);
  }

  #areasWithoutVma(before: number): void {
    for (const area of this.#context.prediction?.areas ?? []) {
      if (area.start >= before) continue;
      let covered = area.start;
      for (const vma of this.#expected) if (vma.start <= covered && vma.end > covered) covered = vma.end;
      if (covered >= area.end) continue;
      this.#context.judge.report({
        id: "E_ORACLES_DISAGREE",
        path: `area "${area.label}"`,
        message: "the steps mapped it, but /proc/PID/maps does not show all of it",
        expected: `0x${(area.start * PAGE_SIZE).toString(16)}-0x${(area.end * PAGE_SIZE).toString(16)}`,
      });
    }
  }
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}
