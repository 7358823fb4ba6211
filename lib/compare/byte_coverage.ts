// SPDX-License-Identifier: MIT

/** Whether a source computes bytes without looking at the kernel, or another kernel interface shows them. */
type SourceKind = "predicted" | "observed";

/** Who can say what a byte of an image must be. */
export const SOURCES = {
  format: { kind: "predicted", text: "the format" },
  steps: { kind: "predicted", text: "the steps" },
  rules: { kind: "predicted", text: "the rules of that kernel" },
  posted: { kind: "predicted", text: "the code as posted" },
  program: { kind: "predicted", text: "the target's program file" },
  uname: { kind: "observed", text: "uname of the guest" },
  cpuinfo: { kind: "observed", text: "/proc/cpuinfo" },
  maps: { kind: "observed", text: "/proc/PID/maps" },
  smaps: { kind: "observed", text: "/proc/PID/smaps" },
  pagemap: { kind: "observed", text: "/proc/PID/pagemap" },
  stat: { kind: "observed", text: "/proc/PID/stat" },
  status: { kind: "observed", text: "/proc/PID/status" },
  comm: { kind: "observed", text: "/proc/PID/comm" },
  auxv: { kind: "observed", text: "/proc/PID/auxv, with the lengths of cmdline and environ" },
  memory: { kind: "observed", text: "the target's memory" },
  ptrace: { kind: "observed", text: "ptrace of the stopped target" },
  calls: { kind: "observed", text: "system calls that a tracer had the target make" },
  results: { kind: "observed", text: "what system calls returned to the target" },
} as const satisfies Readonly<Record<string, { kind: SourceKind; text: string }>>;

/** One of {@linkcode SOURCES}. */
export type Source = keyof typeof SOURCES;

/** Bytes of an image by what explains them. */
export interface ByteCounts {
  /** Bytes in the image. */
  total: number;
  /** Computed by the model or the format. */
  predicted: number;
  /** Shown by another kernel interface. */
  observed: number;
  /** Declared by name, with a reason. */
  volatile: number;
  /** Explained by nothing: one of them fails. */
  unexplained: number;
}

const NAMES = Object.keys(SOURCES) as readonly Source[];
/** Marks of the bytes: 0 for nothing, from 1 on the sources, this one for declared bytes. */
const VOLATILE = NAMES.length + 1;
/** That of bytes that nothing explains, and of which a finding of their own tells. */
const TOLD = VOLATILE + 1;

/** Counts which bytes of an image are explained, and by what. A byte claimed twice keeps its first source. */
export class ByteCoverage {
  readonly #marks: Uint8Array;
  /** No byte from here on is marked. */
  #markedEnd = 0;
  /** Bytes with each mark. */
  readonly #marked: number[] = new Array(TOLD + 1).fill(0);
  /** The volatile bytes by name. */
  readonly volatileNames = new Map<string, { bytes: number; reason: string }>();

  /**
   * The coverage of an image of which nothing is explained yet.
   *
   * @param length bytes in the image
   */
  constructor(length: number) {
    this.#marks = new Uint8Array(length);
  }

  /** Explains `length` bytes at `offset`. */
  claim(offset: number, length: number, source: Source): void {
    this.#mark(offset, length, NAMES.indexOf(source) + 1);
  }

  /** Declares bytes volatile, by name and reason. */
  claimVolatile(offset: number, length: number, declaration: { name: string; reason: string }): void {
    const marked = this.#mark(offset, length, VOLATILE);
    if (marked === 0) return;
    const entry = this.volatileNames.get(declaration.name) ?? { bytes: 0, reason: declaration.reason };
    entry.bytes += marked;
    this.volatileNames.set(declaration.name, entry);
  }

  /** Leaves bytes unexplained that a finding of their own tells of: they are no unexplained run beside it. */
  claimTold(offset: number, length: number): void {
    this.#mark(offset, length, TOLD);
  }

  /** The explained bytes by source, volatile ones left out. */
  get bySource(): ReadonlyMap<Source, number> {
    const entries = NAMES.map((name, index): [Source, number] => [name, this.#marked[index + 1]!]);
    return new Map(entries.filter(([, bytes]) => bytes > 0));
  }

  /** Bytes by class. */
  counts(): ByteCounts {
    const counts = { total: this.#marks.length, predicted: 0, observed: 0, volatile: 0, unexplained: 0 };
    for (const [source, bytes] of this.bySource) counts[SOURCES[source].kind] += bytes;
    counts.volatile = this.#marked[VOLATILE]!;
    counts.unexplained = counts.total - counts.predicted - counts.observed - counts.volatile;
    return counts;
  }

  /** The first unexplained runs, at most `most` of them. */
  unexplainedRuns(most = 8): { offset: number; length: number }[] {
    const runs: { offset: number; length: number }[] = [];
    const marked = this.#marked.reduce((sum, bytes) => sum + bytes, 0);
    let at = marked === this.#marks.length ? -1 : this.#marks.indexOf(0);
    while (at >= 0 && runs.length < most) {
      let end = at;
      while (end < this.#marks.length && this.#marks[end] === 0) end++;
      runs.push({ offset: at, length: end - at });
      at = this.#marks.indexOf(0, end);
    }
    return runs;
  }

  #mark(offset: number, length: number, mark: number): number {
    const part = this.#marks.subarray(offset, offset + length);
    if (part.length !== length) {
      throw new RangeError(`Bytes ${offset} to ${offset + length} lie outside the image`);
    }
    let marked = 0;
    if (offset >= this.#markedEnd) {
      // Images are explained from their beginning on: nearly always nothing is marked there yet.
      part.fill(mark);
      marked = length;
    } else {
      for (let i = 0; i < part.length; i++) {
        if (part[i] !== 0) continue;
        part[i] = mark;
        marked++;
      }
    }
    this.#markedEnd = Math.max(this.#markedEnd, offset + length);
    this.#marked[mark]! += marked;
    return marked;
  }
}

/** Adds `more` to `sum`. */
export function addCounts(sum: ByteCounts, more: ByteCounts): void {
  for (const key of Object.keys(sum) as (keyof ByteCounts)[]) sum[key] += more[key];
}
