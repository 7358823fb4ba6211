// SPDX-License-Identifier: MIT
import { abiOf, type KernelAbi } from "../../abi/arch.ts";
import type { PageProtOptions } from "../../abi/page_prot.ts";
import { type VmFlagTable, vmFlagTableOf } from "../../abi/vm_flags.ts";
import { formatOfHead, type FormatOptions, type ImageFormat } from "../dialect.ts";
import type { Finding, Verdict } from "../finding.ts";
import type { NodeBase, RecordNode, RecordNodeOf } from "../nodes.ts";
import { fieldOf } from "../records.ts";
import { type RuleId, ruleInfo } from "../rule_ids.ts";
import { displayText } from "../struct_codec.ts";
import { hex } from "../../bytes.ts";

const HEADER_SIZE = 8;

/** How to check. */
export interface CheckOptions extends FormatOptions {
  /** Findings of one id at most, 20 when left out; the last of them counts the rest. */
  readonly limit?: number;
  /** An extension record of an unknown type is a note where extension records may stand, not a fault. */
  readonly allowUnknown?: boolean;
}

/** What a rule says when it is broken: its words in RULES, unless there are better ones. */
interface Report {
  readonly message?: string;
  /** What a good image holds there. */
  readonly expected?: string;
  /** What this one holds; of a field its value when left out. */
  readonly actual?: string;
  /** Byte offset inside the node, or inside the field when one is named. */
  readonly at?: number;
}

/** More mappings than a process has, unless it was made to have them. What is beyond is not remembered. */
const MAX_AREAS = 1 << 17;

/** The mappings of a task, for rules about addresses: areas that touch are one. Its memory is bounded. */
class Areas {
  readonly #starts: bigint[] = [];
  readonly #ends: bigint[] = [];
  #isComplete = true;

  /** Adds one above all before; anything else makes the areas useless. */
  add(start: bigint, end: bigint): void {
    const last = this.#ends.length - 1;
    if (last >= 0 && this.#ends[last] === start) this.#ends[last] = end;
    else if (last >= MAX_AREAS || start >= end || (last >= 0 && start < this.#ends[last]!)) {
      this.#isComplete = false;
    } else {
      this.#starts.push(start);
      this.#ends.push(end);
    }
  }

  /** Whether an address lies in none of them; false when not all of them are known. */
  lacks(address: bigint): boolean {
    if (!this.#isComplete) return false;
    const index = this.#starts.findLastIndex((start) => start <= address);
    return index < 0 || address >= this.#ends[index]!;
  }
}

/** What the rules know of the task whose records are being visited. */
export class TaskContext {
  /** `parent` of the first record that carries the pid. */
  pid: number | undefined;
  task: RecordNodeOf<"TASK"> | undefined;
  mm: RecordNodeOf<"MM"> | undefined;
  /** Number of VMA records so far. */
  vmas = 0;
  vma: RecordNodeOf<"VMA"> | undefined;
  /** The one that ends highest so far. */
  highest: RecordNodeOf<"VMA"> | undefined;
  readonly areas: Areas = new Areas();
  /** Those of them that can be executed. */
  readonly code: Areas = new Areas();
  ldt: Uint8Array | undefined;
  thread: RecordNodeOf<"THREAD"> | undefined;
  signals: RecordNodeOf<"SIGNALS"> | undefined;
  /** Numbers of the signals whose actions were seen so far. */
  readonly actions: number[] = [];
}

/** What all rules share: the format, the kernel's constants, what came before, and where findings go. */
export class RuleContext {
  readonly options: CheckOptions;
  format: ImageFormat = { dialect: "port", wordSize: 8 };
  revision = 0;
  headArch: RecordNodeOf<"HEAD_ARCH"> | undefined;
  /** vm_flags of the kernel; undefined for a kernel without a table. */
  flags: VmFlagTable | undefined;
  /** The kinds of page table that the VMAs seen so far allow: with or without NX, PAE or not. */
  pageTables: readonly PageProtOptions[] | undefined;
  task: TaskContext = new TaskContext();
  readonly #counts = new Map<RuleId, { count: number; last: Finding }>();
  readonly #findings: Finding[] = [];

  constructor(options: CheckOptions) {
    this.options = options;
  }

  /** Constants of the kernel. PAE or not cannot be told and makes no difference to them. */
  get abi(): KernelAbi {
    return abiOf(this.format.wordSize === 8 ? "x86_64" : "i386");
  }

  /** Whether the image is to be as the port writes it. */
  get isPort(): boolean {
    return this.format.dialect === "port";
  }

  /** Learns from HEAD how the rest is to be judged. */
  start(head: RecordNodeOf<"HEAD">): void {
    this.revision = head.fields.rev;
    this.format = formatOfHead(head.fields, { ...this.options, payloadOffset: head.offset + HEADER_SIZE });
    this.flags = vmFlagTableOf(head.fields, this.format.wordSize);
  }

  report(id: RuleId, node: NodeBase, { at = 0, ...report }: Report = {}): void {
    this.#add(id, { path: node.path, offset: node.offset + at, ...report });
  }

  reportField(id: RuleId, node: RecordNode, field: string, { at = 0, ...report }: Report = {}): void {
    const desc = fieldOf(node.name, field);
    const value = (node.fields as Readonly<Record<string, number | bigint | Uint8Array>>)[field] ?? 0;
    const actual = value instanceof Uint8Array
      ? JSON.stringify(displayText(value))
      : desc?.display === undefined
      ? show(value)
      : hex(value);
    const offset = node.offset + HEADER_SIZE + (desc?.offset ?? 0) + at;
    this.#add(id, { path: `${node.path}.${field}`, offset, actual, ...report });
  }

  /** Reports a field unless it holds what is expected. */
  expectField(id: RuleId, node: RecordNode, field: string, expected: number | bigint): void {
    const value = (node.fields as Readonly<Record<string, number | bigint>>)[field];
    if (value === expected) return;
    this.reportField(id, node, field, { message: `wrong value of ${field}`, expected: show(expected) });
  }

  /** All findings in the order of the image; the last of an id tells how many were left out. */
  findings(): Finding[] {
    const words = new Map([...this.#counts.values()].map(({ count, last }) => [last, count]));
    return this.#findings.map((finding) => {
      const count = words.get(finding) ?? 0;
      const listed = finding.verdict === "note" ? 1 : this.#limit;
      if (count <= listed) return finding;
      if (finding.verdict === "note") return { ...finding, count };
      return { ...finding, message: `${finding.message} (and ${count - listed} more of this kind)` };
    });
  }

  get #limit(): number {
    return Math.max(1, this.options.limit ?? 20);
  }

  #add(id: RuleId, { message, ...place }: Report & Pick<Finding, "path" | "offset">): void {
    const { verdict: own, doc } = ruleInfo(id);
    // What the decoder could pass over is invalid, whatever the id is to the decoder.
    const verdict: Verdict = own === "note" ? "note" : "invalid";
    const finding = { id, verdict, message: message ?? doc, ...place };
    const count = (this.#counts.get(id)?.count ?? 0) + 1;
    // As-posted behaviour is named once, with the number of its places.
    const isListed = count <= (verdict === "note" ? 1 : this.#limit);
    const last: Finding = isListed ? finding : this.#counts.get(id)!.last;
    if (isListed) this.#findings.push(last);
    this.#counts.set(id, { count, last });
  }
}

/** A number as reports show it: small ones in decimal, others in hexadecimal too. */
function show(value: number | bigint): string {
  return value < 10 ? String(value) : `${value} (${hex(value)})`;
}
