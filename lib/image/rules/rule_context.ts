// SPDX-License-Identifier: MIT
import { type KernelAbi, type KernelArch } from "../../abi/arch.ts";
import { kernelSeries } from "../../abi/series.ts";
import { type VmFlagTable, vmFlagTable } from "../../abi/vm_flags.ts";
import { abiOf } from "../../abi/arch.ts";
import type { Finding, Verdict } from "../finding.ts";
import type { FormatOptions, ImageFormat } from "../dialect.ts";
import { formatOfHead } from "../dialect.ts";
import type { NodeBase, RecordNode, RecordNodeOf } from "../nodes.ts";
import { isStruct, type RecordDesc, RECORDS } from "../records.ts";
import { type RuleId, RULES } from "../rule_ids.ts";

const HEADER_SIZE = 8;

/** What a rule says when it is broken. */
export interface Report {
  /** In words. */
  readonly message: string;
  /** What a good image holds there. */
  readonly expected?: string;
  /** What this one holds. */
  readonly actual?: string;
  /** Byte offset inside the node, when no field is named. */
  readonly at?: number;
}

interface Tally {
  count: number;
  readonly findings: Finding[];
}

/** Collects findings, and so many of each id at most. */
export class Reporter {
  readonly #tallies = new Map<RuleId, Tally>();
  readonly #order: Finding[] = [];
  readonly #limit: number;

  /** `limit`: findings of one id at most. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Adds a finding. */
  add(id: RuleId, finding: Omit<Finding, "id" | "verdict">): void {
    // What the decoder could pass over is invalid, whatever the id is to the decoder.
    const verdict: Verdict = RULES[id].verdict === "note" ? "note" : "invalid";
    let tally = this.#tallies.get(id);
    if (tally === undefined) this.#tallies.set(id, tally = { count: 0, findings: [] });
    tally.count++;
    // As-posted behaviour is named once, with the number of its places.
    if (tally.findings.length >= (verdict === "note" ? 1 : this.#limit)) return;
    const whole: Finding = { id, verdict, ...finding };
    tally.findings.push(whole);
    this.#order.push(whole);
  }

  /** All findings in the order of the image; the last of an id tells how many were left out. */
  findings(): Finding[] {
    const words = new Map<Finding, string>();
    for (const { count, findings } of this.#tallies.values()) {
      const last = findings.at(-1);
      const more = count - findings.length;
      if (last === undefined || more === 0) continue;
      const text = last.verdict === "note" ? `(${count} places)` : `(and ${more} more of this kind)`;
      words.set(last, `${last.message} ${text}`);
    }
    return this.#order.map((finding) => ({ ...finding, message: words.get(finding) ?? finding.message }));
  }
}

/** What the rules know of the task whose records are being visited. */
export interface TaskContext {
  /** `parent` of the first record that carries the pid. */
  pid: number | undefined;
  /** Length of comm that TASK announced. */
  comm: { length: number; node: RecordNodeOf<"TASK"> } | undefined;
  /** The MM record. */
  mm: RecordNodeOf<"MM"> | undefined;
  /** Number of VMA records so far. */
  vmas: number;
  /** The last VMA record. */
  vma: RecordNodeOf<"VMA"> | undefined;
  /** The highest end of a VMA so far. */
  lastEnd: bigint;
  /** The raw LDT. */
  ldt: Uint8Array | undefined;
  /** The THREAD record. */
  thread: RecordNodeOf<"THREAD"> | undefined;
}

/** A new task's context. */
export function newTaskContext(): TaskContext {
  return {
    pid: undefined,
    comm: undefined,
    mm: undefined,
    vmas: 0,
    vma: undefined,
    lastEnd: 0n,
    ldt: undefined,
    thread: undefined,
  };
}

/** What all rules share: the format, the kernel's constants, what came before, and where findings go. */
export class RuleContext {
  readonly #reporter: Reporter;
  /** Overrides of what the head says. */
  readonly options: FormatOptions;
  /** How the image is read. */
  format: ImageFormat = { dialect: "port", wordSize: 8 };
  /** Revision of the format. */
  revision = 0;
  /** The HEAD_ARCH record. */
  headArch: RecordNodeOf<"HEAD_ARCH"> | undefined;
  /** The HEAD record. */
  head: RecordNodeOf<"HEAD"> | undefined;
  /** vm_flags of the kernel; undefined for a kernel without a table. */
  flags: VmFlagTable | undefined;
  /** The task that is being visited. */
  task: TaskContext = newTaskContext();

  /** A context for one image. */
  constructor(reporter: Reporter, options: FormatOptions) {
    this.#reporter = reporter;
    this.options = options;
  }

  /** Constants of the kernel. PAE or not cannot be told and makes no difference to them. */
  get abi(): KernelAbi {
    return abiOf(this.#arch);
  }

  get #arch(): KernelArch {
    return this.format.wordSize === 8 ? "x86_64" : "i386";
  }

  /** Whether the image is to be as the port writes it. */
  get isPort(): boolean {
    return this.format.dialect === "port";
  }

  /** Learns from HEAD how the rest is to be judged. */
  start(head: RecordNodeOf<"HEAD">): void {
    this.head = head;
    this.format = formatOfHead(head.fields, { ...this.options, payloadOffset: head.offset + HEADER_SIZE });
    this.revision = head.fields.rev;
    const series = kernelSeries(head.fields.major, head.fields.minor, head.fields.patch);
    this.flags = series && vmFlagTable(series, this.format.wordSize);
  }

  /** Reports about a whole node. */
  report(id: RuleId, node: NodeBase, report: Report): void {
    const { at, ...rest } = report;
    this.#reporter.add(id, { path: node.path, offset: node.offset + (at ?? 0), ...rest });
  }

  /** Reports about a field of a record. */
  reportField(id: RuleId, node: RecordNode, field: string, report: Report): void {
    const { payload }: RecordDesc = RECORDS[node.name];
    const desc = isStruct(payload) ? payload.fields.find(({ name }) => name === field) : undefined;
    const at = HEADER_SIZE + (desc?.offset ?? 0) + (report.at ?? 0);
    const { at: _, ...rest } = report;
    this.#reporter.add(id, { path: `${node.path}.${field}`, offset: node.offset + at, ...rest });
  }

  /** Reports a field unless it holds what is expected. */
  expectField(
    id: RuleId,
    node: RecordNode,
    field: string,
    value: number | bigint,
    expected: number | bigint,
  ): void {
    if (value === expected) return;
    this.reportField(id, node, field, {
      message: `wrong value of ${field}`,
      expected: show(expected),
      actual: show(value),
    });
  }
}

/** A number as reports show it: small ones in decimal, others in hexadecimal too. */
export function show(value: number | bigint): string {
  return value < 10 ? String(value) : `${value} (0x${value.toString(16)})`;
}

/** An address as reports show it. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}
