// SPDX-License-Identifier: MIT
import { firstDifference, hex, wordsOf } from "../bytes.ts";
import type { ComparisonContext } from "./comparison_context.ts";
import { type Expectation, expected, type FieldExpectations } from "./finding_collector.ts";
import { STAT_ADDRESSES } from "./proc_stat.ts";
import { PAGE_SIZE } from "../abi/arch.ts";
import type { PagesNode, RecordNodeOf } from "../image/nodes.ts";
import { nameBytes } from "../model/state/file_model.ts";
import type { Refusal } from "../model/refusal.ts";
import { PageComparison } from "./compare_pages.ts";
import { vmaExpectations } from "./compare_vma.ts";
import { rangesWithin, shownAddress } from "../model/state/page_set.ts";
import { expectedMemory } from "./expected_memory.ts";
import type { ExpectedVma } from "./expected_vma.ts";

/** Compares the memory part of an image: MM, then VMA by VMA with names and pages. */
export class MemoryComparison {
  readonly #context: ComparisonContext;
  readonly #expected: readonly ExpectedVma[];
  readonly #byStart: ReadonlyMap<number, ExpectedVma>;
  readonly #seenStarts = new Set<number>();
  #vma: ExpectedVma | undefined;
  #pages: PageComparison | undefined;
  #hasContents = false;
  #lastStart = 0;

  constructor(context: ComparisonContext) {
    this.#context = context;
    this.#expected = expectedMemory(context);
    this.#byStart = new Map(this.#expected.map((vma) => [vma.start, vma]));
  }

  /** MM: where exec put the parts of the program, the break, and the number of VMAs. */
  mm(node: RecordNodeOf<"MM">): void {
    const { collector, target } = this.#context;
    const { brk, calledBrk } = target;
    if (brk !== undefined && calledBrk !== undefined) {
      const message = "brk(0) gives another break than the target reported";
      collector.agree("brk(0)", message, { expected: brk, actual: calledBrk });
    }
    collector.header(node, target.pid);
    collector.fields(node, {
      objref: expected(0, "format"),
      map_count: expected(target.maps.length, "maps"),
      ...execRanges(this.#context),
      brk: this.#break(),
    });
  }

  /** The break: what the target says of itself, when it called brk(2) or had to. */
  #break(): Expectation {
    const { brk, calledBrk, stat } = this.#context.target;
    if (brk !== undefined) return expected(brk, "results");
    if (calledBrk !== undefined) return expected(calledBrk, "calls");
    return {
      name: "mm.brk of a process that could not be asked",
      reason: "no file of /proc shows the break; it lies nowhere below the start of the heap",
      accept: (value) => value >= (stat.start_brk ?? 0n),
      wrong: "the break lies below the start of the heap",
    };
  }

  /** VMA: matched by its start. */
  vma(node: RecordNodeOf<"VMA">): void {
    this.endVma();
    const { collector } = this.#context;
    const start = Number(node.fields.vm_start / BigInt(PAGE_SIZE));
    const vma = this.#byStart.get(start);
    const actual = hex(node.fields.vm_start);
    collector.header(node, 0);
    if (!vma) {
      return collector.report("E_VMA_EXTRA", node, "the target has no VMA that starts there", { actual });
    }
    if (this.#seenStarts.has(start)) {
      collector.report("E_VMA_EXTRA", node, "the VMA is in the image twice", { actual });
    } else if (start < this.#lastStart) {
      const message = "VMAs come in ascending order: this one belongs before the last";
      collector.report("E_VMA_ORDER", node, message, { actual });
    }
    this.#vma = vma;
    this.#pages = new PageComparison(this.#context, vma, node.path);
    this.#lastStart = start;
    this.#seenStarts.add(start);
    collector.fields(node, vmaExpectations(vma, node, this.#context));
  }

  #reportAbsent(id: string, { entry: { start, end } }: ExpectedVma, message: string): void {
    this.#context.collector.report(id, { path: `vma ${hex(start)}-${hex(end)}` }, message);
  }

  /** FNAME: the name in maps, with its NUL. */
  fname(node: RecordNodeOf<"FNAME">): void {
    const { collector } = this.#context;
    const path = this.#vma?.areas[0]?.path;
    const name = path === undefined
      ? this.#nameWithinRoot(this.#vma?.entry.name ?? new Uint8Array(0))
      : nameBytes(path);
    this.#hasContents = true;
    collector.header(node, 0);
    collector.bytes(node, node.offset + 8, node.payload, {
      bytes: new Uint8Array([...name, 0]),
      by: path === undefined ? "maps" : "steps",
      id: "E_FNAME",
      what: "the file's name",
    });
  }

  /** A name in maps is from the agent's root directory on, one in the image from the target's. */
  #nameWithinRoot(name: Uint8Array): Uint8Array {
    const root = new TextEncoder().encode(this.#context.prediction?.root ?? "");
    return firstDifference(name.subarray(0, root.length), root) < 0 ? name.subarray(root.length) : name;
  }

  /** PGARR: the number of pages in the chunk; zero ends the VMA's contents. */
  pgarr(node: RecordNodeOf<"PGARR">): void {
    this.#hasContents = true;
    if (this.#pages) this.#pages.pgarr(node);
    else this.#context.collector.header(node, 0);
  }

  pages(node: PagesNode): void {
    this.#pages?.pages(node);
  }

  /** Called when a VMA's contents are over: pages that did not come are missing, unless the image breaks off. */
  endVma(isWhole = true): void {
    this.#pages?.end(isWhole);
    this.#vma = this.#pages = undefined;
    this.#hasContents = false;
  }

  /**
   * Called at the end of the image: VMAs that did not come are missing.
   *
   * @param refusal where the call had to be refused: only what comes before is expected
   */
  end({ atPage: before = Number.POSITIVE_INFINITY, page, afterRecord }: Partial<Refusal> = {}): void {
    // The first VMA that is refused: of a file where its name is the reason.
    const refused = this.#expected.find(({ end, entry }) =>
      end > before && (!afterRecord || entry.inode !== 0n)
    );
    if (afterRecord && this.#vma && this.#vma === refused) this.#endAfterRecord(this.#vma);
    else this.endVma();
    for (const vma of this.#expected) {
      // The record of a VMA in which a page could not be read is there, and one whose name could not be written.
      const isRefused = page !== undefined
        ? vma.start > page
        : refused !== undefined && (afterRecord ? vma.start > refused.start : vma.start >= refused.start);
      if (isRefused === this.#seenStarts.has(vma.start)) {
        const message = isRefused
          ? "the VMA had to be refused, but something of it, or of one after it, was written"
          : "the image does not hold this VMA of the target";
        this.#reportAbsent(isRefused ? "E_VMA_REFUSED" : "E_VMA_MISSING", vma, message);
      }
    }
    this.#areasWithoutVma(before);
  }

  #endAfterRecord(vma: ExpectedVma): void {
    const message = "the call had to end behind the VMA's record, but its name or pages were written";
    if (this.#hasContents) this.#reportAbsent("E_VMA_REFUSED", vma, message);
    this.endVma(false);
  }

  #areasWithoutVma(before: number): void {
    for (const area of this.#context.prediction?.areas ?? []) {
      if (area.start >= before) continue;
      let covered = area.start;
      for (const vma of rangesWithin(this.#expected, area)) if (vma.start <= covered) covered = vma.end;
      if (covered >= area.end) continue;
      const message = "the steps mapped it, but /proc/PID/maps does not show all of it";
      const expected = `${shownAddress(area.start)}-${shownAddress(area.end)}`;
      this.#context.collector.agree(`area "${area.label}"`, message, { expected });
    }
  }
}

/**
 * The fields of MM that exec sets. /proc/PID/stat has them all since Linux 3.5; before, the program's file tells
 * those of the data, and the auxiliary vector where arguments and environment lie.
 */
export function execRanges(context: ComparisonContext): FieldExpectations {
  const { target: { stat }, program } = context;
  const block = argumentRanges(context);
  const fields: FieldExpectations = {
    ...program
      ? {
        start_data: expected(program.startData, "program"),
        end_data: expected(program.endData, "program"),
        start_brk: expected(program.startBrk, "program"),
      }
      : {},
    ...block,
  };
  const shown = STAT_ADDRESSES.flatMap((name) => {
    const value = stat[name];
    return value === undefined ? [] : [[name, expected(value, "stat")]];
  });
  return { ...fields, ...Object.fromEntries(shown) };
}

/** The program's name as exec was given it: it lies right behind the environment (since Linux 2.6.27). */
const AT_EXECFN = 31n;

/** Arguments, environment and the program's name lie one behind the other (fs/exec.c, do_execve). */
function argumentRanges(
  { arch, target: { auxv, cmdline, environ } }: ComparisonContext,
): FieldExpectations | undefined {
  // The auxiliary vector of a 32-bit program has words of 32 bits, but no 64-bit kernel is that old.
  if (!auxv || !cmdline || !environ || arch === "x86_64") return undefined;
  const words = wordsOf(auxv, 4);
  const at = words.findIndex((word, index) => index % 2 === 0 && word === AT_EXECFN);
  const envEnd = words[at + 1];
  if (at < 0 || envEnd === undefined) return undefined;
  const argEnd = envEnd - BigInt(environ.length);
  return {
    arg_start: expected(argEnd - BigInt(cmdline.length), "auxv"),
    arg_end: expected(argEnd, "auxv"),
    env_start: expected(argEnd, "auxv"),
    env_end: expected(envEnd, "auxv"),
  };
}
