// SPDX-License-Identifier: MIT

import { PAGE_SIZE } from "../../abi/arch.ts";
import { vmFlagNames, vmFlagTable } from "../../abi/vm_flags.ts";
import type { PagesNode, RecordNodeOf } from "../../image/nodes.ts";
import { VMA_TYPE } from "../../image/structs.ts";
import { rawText } from "../../image/struct_codec.ts";
import { type FieldExpectation, observed, predicted, type VolatileField } from "../judge.ts";
import { UNKNOWN_NX } from "./compare_v11_cpu.ts";
import { compareV11Fname } from "./compare_v11_head.ts";
import { type ExpectedV11Page, type ExpectedV11Vma, type Owner, permissionBits } from "./expected_vmas.ts";
import { contentBytes } from "./page_content.ts";
import { type PostedChunk, postedChunks } from "./posted_chunks.ts";
import type { V11Context } from "./v11_context.ts";

const FLAGS = vmFlagTable("2.6.28", 4);

/** Pages whose contents the manifest does not tell. */
const UNTOLD: Readonly<Record<Owner, { readonly name: string; readonly reason: string }>> = {
  program: {
    name: "pages of the program's own data",
    reason: "the manifest tells which are present, not what the program keeps there",
  },
  stack: {
    name: "pages of the stack",
    reason: "the manifest tells which are present, not what calls and exec left there",
  },
  vdso: { name: "page of the vdso", reason: "the kernel's code, which the manifest does not have" },
  steps: {
    name: "pages that no step explains",
    reason: "they are present, but the steps tell what touched them in words only, or not at all",
  },
};

/** Compares VMAs and their pages in the order of the image. */
export class V11MemoryComparison {
  readonly #context: V11Context;
  readonly #pagesOf: readonly ReadonlySet<number>[];
  #index = -1;
  #pages: readonly ExpectedV11Page[] = [];
  #chunks: PostedChunk[] = [];
  #done = 0;
  #isOpen = false;
  #path = "";

  /** For one image. */
  constructor(context: V11Context) {
    this.#context = context;
    this.#pagesOf = pagesByVma(context);
    for (const vma of context.vmas) this.#checkAreas(vma);
  }

  /** How many VMA records there were. */
  get vmas(): number {
    return this.#index + 1;
  }

  get #vma(): ExpectedV11Vma | undefined {
    return this.#context.vmas[this.#index];
  }

  /** The steps and maps must agree about what may be done with memory. */
  #checkAreas({ entry, areas }: ExpectedV11Vma): void {
    const permissions = permissionBits(entry.perms);
    for (const area of areas) {
      if (area.isUncertain || area.isDescribed || (area.flags & 7n) === (permissions & 7n)) continue;
      this.#context.judge.report({
        id: "E_ORACLES_DISAGREE",
        path: `maps 0x${entry.start.toString(16)}`,
        message: `the steps give 0x${area.start.toString(16)} other permissions than maps shows`,
        expected: vmFlagNames(area.flags & 7n, FLAGS).join(" ") || "none",
        actual: entry.perms,
      });
    }
  }

  /** VMA: everything that maps tells, the flags by the rules of 2.6.28. */
  vma(node: RecordNodeOf<"VMA">): void {
    const { judge, vmas } = this.#context;
    this.#endVma();
    this.#index++;
    this.#path = node.path;
    judge.header(node, 0);
    const vma = this.#vma;
    if (!vma) {
      return judge.report({
        id: "E_VMA_EXTRA",
        path: node.path,
        offset: node.offset,
        message: "the program has no such VMA any more",
        expected: `${vmas.length} VMAs`,
        actual: `0x${node.fields.vm_start.toString(16)}`,
      });
    }
    const { entry, isFile } = vma;
    judge.fields(node, {
      vma_type: predicted(isFile ? VMA_TYPE.FILE : VMA_TYPE.ANON),
      // The first record of the buffer stands where MM was before, whose map_count was at this place.
      _padding: predicted(this.#index === 0 ? vmas.length : 0),
      vm_start: observed(entry.start),
      vm_end: observed(entry.end),
      vm_page_prot: vma.pageProt === undefined ? UNKNOWN_NX : predicted(vma.pageProt),
      vm_flags: flagsExpectation(vma),
      vm_pgoff: observed(entry.offset / BigInt(PAGE_SIZE)),
    });
    this.#startPages(vma);
  }

  #startPages(vma: ExpectedV11Vma): void {
    const inImage = this.#pagesOf[this.#index];
    this.#pages = vma.pages.filter(({ page, isOptional }) => !isOptional || inImage?.has(page));
    this.#chunks = postedChunks(this.#pages.map(({ page }) => page), Number(vma.entry.end) / PAGE_SIZE);
    this.#done = 0;
    this.#isOpen = true;
    for (const page of vma.swapped) {
      if (!vma.isFile || inImage?.has(page)) continue;
      this.#context.judge.findings.push({
        id: "N_SWAP_CACHE_LOST",
        verdict: "note",
        path: this.#path,
        message: "a written page of a file's mapping that was in swap is not in the image: as posted",
        actual: `0x${(page * PAGE_SIZE).toString(16)}`,
      });
    }
  }

  /** FNAME: the name in maps. */
  fname(node: RecordNodeOf<"FNAME">): void {
    compareV11Fname(node, this.#context, this.#vma?.entry.name ?? new Uint8Array(0));
  }

  /** PGARR: as posted, the count goes on from chunk to chunk. */
  pgarr(node: RecordNodeOf<"PGARR">): void {
    const { judge } = this.#context;
    judge.header(node, 0);
    const chunk = this.#chunks.shift();
    judge.fields(node, { nr_pages: predicted(chunk?.header ?? 0) });
  }

  /** The addresses and pages of a chunk. */
  pages(node: PagesNode): void {
    const { judge } = this.#context;
    const vma = this.#vma;
    if (!vma) return;
    const expected = new Map(this.#pages.map((page, index) => [page.page, { ...page, index }]));
    for (let i = 0; i < node.count; i++) {
      const address = node.vaddrs[i]!;
      const page = address % BigInt(PAGE_SIZE) === 0n ? expected.get(Number(address) / PAGE_SIZE) : undefined;
      const offset = node.offset + i * node.wordSize;
      const path = `${node.path}/vaddr[${i}]`;
      const actual = `0x${address.toString(16)}`;
      if (!page) {
        judge.report({
          id: "E_PAGE_EXTRA",
          path,
          offset,
          message: "the manifest does not have this page present, or it is the file's own, clean",
          actual,
        });
        continue;
      }
      judge.account.claim(offset, node.wordSize, page.content ? "predicted" : "observed");
      if (page.index !== this.#done + i) {
        judge.report({ id: "E_PAGE_ORDER", path, offset, message: "another page belongs here", actual });
      }
      this.#page(node, i, page, vma.owner);
    }
    this.#done += node.count;
  }

  #page(node: PagesNode, i: number, { page, content }: ExpectedV11Page, owner: Owner): void {
    const { account } = this.#context.judge;
    const offset = node.pagesOffset + i * PAGE_SIZE;
    if (!content) return account.claimVolatile(offset, PAGE_SIZE, UNTOLD[owner]);
    const address = `0x${(page * PAGE_SIZE).toString(16)}`;
    this.#context.judge.bytes(
      { path: `${node.path}/page[${address}]` },
      offset,
      node.pages.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE),
      {
        bytes: contentBytes(content),
        by: "predicted",
        id: "E_PAGE_BYTES",
        what: `page ${address} as the steps made it`,
      },
    );
  }

  /** The contents of a VMA are over: pages that did not come are missing. */
  #endVma(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    const inImage = this.#pagesOf[this.#index];
    for (const { page } of this.#pages) {
      if (inImage?.has(page)) continue;
      this.#context.judge.report({
        id: "E_PAGE_MISSING",
        path: this.#path,
        message: "the page is not in the image",
        expected: `0x${(page * PAGE_SIZE).toString(16)}`,
      });
    }
  }

  /**
   * The memory of the image is over.
   *
   * @param count how many VMAs it had to have
   * @param isCut the last VMA has its record only
   */
  end(count: number, isCut: boolean): void {
    if (isCut) this.#isOpen = false;
    this.#endVma();
    const { judge, vmas } = this.#context;
    for (const { entry } of vmas.slice(this.vmas, count)) {
      judge.report({
        id: "E_VMA_MISSING",
        path: `vma 0x${entry.start.toString(16)} ${rawText(entry.name)}`.trimEnd(),
        message: "the image does not have this VMA",
      });
    }
    if (this.vmas <= count) return;
    judge.report({
      id: "E_VMA_REFUSED",
      path: this.#path,
      message: `the call had to be refused before this VMA`,
      expected: `${count} VMAs`,
      actual: `${this.vmas}`,
    });
  }
}

function flagsExpectation({ flags, uncertainFlags }: ExpectedV11Vma): FieldExpectation | VolatileField {
  if (uncertainFlags === 0n) return predicted(flags);
  return {
    name: "vma.vm_flags after steps that are told in words",
    reason: "advice, locking and accounting may have been changed by them",
    accept: (value) =>
      (value & ~uncertainFlags) === (flags & ~uncertainFlags)
        ? undefined
        : `must be 0x${flags.toString(16)} but for bits of 0x${uncertainFlags.toString(16)}`,
  };
}

/** The pages that the image has, for each VMA record in turn. */
function pagesByVma({ nodes }: V11Context): Set<number>[] {
  const all: Set<number>[] = [];
  for (const node of nodes) {
    if (node.kind === "record" && node.name === "VMA") all.push(new Set());
    if (node.kind !== "pages") continue;
    for (const vaddr of node.vaddrs) all.at(-1)?.add(Number(vaddr) / PAGE_SIZE);
  }
  return all;
}
