// SPDX-License-Identifier: MIT
import { abiOf } from "../../abi/arch.ts";
import { permissionText, type VmFlagTable, vmFlagTableOf } from "../../abi/vm_flags.ts";
import { firstDifference, hex, hexBytes } from "../../bytes.ts";
import { describeDescriptor, DESCRIPTOR_SIZE } from "../../x86/descriptor.ts";
import { CPU_DEBUG_FIELDS, CPU_REGISTER_FIELDS } from "../../x86/registers.ts";
import { describeXstate } from "../../x86/xstate.ts";
import { isRecord, type RecordBase, type RecordNode } from "../nodes.ts";
import {
  type ImageOutline,
  mappingLabel,
  type MappingOutline,
  type OutlinePart,
  type TaskOutline,
} from "../outline.ts";
import { fieldsOf } from "../records.ts";
import { showField } from "../show/show_tree.ts";
import { actionText } from "../show/signal_text.ts";
import { displayText } from "../struct_codec.ts";
import { type Pair, pairMappings } from "./pair_mappings.ts";

/** What two images differ in, in the order in which a person asks for it. */
export const DIFF_SECTIONS = [
  "mappings",
  "chunks",
  "LDT",
  "TLS",
  "registers",
  "FPU",
  "signals",
  "task",
  "head",
  "other records",
] as const;

/** One thing that is not the same in two images; without `a` it is in the second alone, without `b` in the first. */
export interface ImageDifference {
  /** What it belongs to. */
  readonly section: typeof DIFF_SECTIONS[number];
  /** Which task, counted from 0; left out for what belongs to none. */
  readonly task?: number;
  /** What it is: a mapping, a register, an entry. */
  readonly what: string;
  /** What the first image says. */
  readonly a?: string;
  /** What the second image says. */
  readonly b?: string;
}

type Section = ImageDifference["section"];

/** Fields that need no name of a record before them. */
const REGISTERS: ReadonlySet<string> = new Set<string>([
  ...CPU_REGISTER_FIELDS,
  ...CPU_DEBUG_FIELDS,
  "fsbase",
  "gsbase",
]);
const SECTIONS: Readonly<Record<string, Section>> = {
  ...{ "mm_context": "LDT", "mm_context/ldt": "LDT", "thread": "TLS", "thread/tls": "TLS" },
  ...{ "cpu": "registers", "fsgsbase": "registers", "cpu/xstate": "FPU" },
  "signals": "signals",
  ...{ "task": "task", "comm": "task", "mm": "task", "head": "head", "head_arch": "head" },
};

/** What two images differ in beside the contents of their pages, in the order of the sections. */
export function diffOutlines(a: ImageOutline, b: ImageOutline): ImageDifference[] {
  const differ = new OutlineDiffer(a, b);
  return differ.all().toSorted((one, other) =>
    DIFF_SECTIONS.indexOf(one.section) - DIFF_SECTIONS.indexOf(other.section)
  );
}

class OutlineDiffer {
  readonly #a: ImageOutline;
  readonly #b: ImageOutline;
  readonly #flags: Pair<VmFlagTable>;
  readonly #found: ImageDifference[] = [];
  #task: number | undefined;

  constructor(a: ImageOutline, b: ImageOutline) {
    [this.#a, this.#b] = [a, b];
    this.#flags = [flagsOf(a), flagsOf(b)];
  }

  all(): readonly ImageDifference[] {
    this.#parts(this.#a.parts, this.#b.parts);
    const count = Math.max(this.#a.tasks.length, this.#b.tasks.length);
    for (let index = 0; index < count; index++) {
      this.#task = index;
      this.#tasks(this.#a.tasks[index], this.#b.tasks[index]);
    }
    this.#task = undefined;
    const [left, right] = [this.#a.trailing, this.#b.trailing];
    const text = (hash: typeof left): string | undefined =>
      hash.length > 0 ? `${hash.length} bytes, digest ${hash.hex()}` : undefined;
    this.#say("other records", "bytes after the image", [text(left), text(right)]);
    return this.#found;
  }

  #say(section: Section, what: string, [a, b]: Pair<string>): void {
    if (a === b) return;
    const task = this.#task === undefined ? {} : { task: this.#task };
    const values = { ...a === undefined ? {} : { a }, ...b === undefined ? {} : { b } };
    this.#found.push({ section, ...task, what, ...values });
  }

  #tasks(a: TaskOutline | undefined, b: TaskOutline | undefined): void {
    this.#mappings(a?.mappings ?? [], b?.mappings ?? []);
    this.#parts(a?.parts ?? new Map(), b?.parts ?? new Map());
  }

  #mappings(a: readonly MappingOutline[], b: readonly MappingOutline[]): void {
    for (const [left, right] of pairMappings(a, b)) {
      if (left && right) this.#mapping(left, right);
      else if (left) this.#say("mappings", mappingLabel(left), [summaryOf(left), undefined]);
      else if (right) this.#say("mappings", mappingLabel(right), [undefined, summaryOf(right)]);
    }
  }

  #mapping(a: MappingOutline, b: MappingOutline): void {
    const label = mappingLabel(a);
    const ends = (mapping: MappingOutline): string => mappingLabel({ ...mapping, name: "" });
    this.#say("mappings", `${label} range`, [ends(a), ends(b)]);
    this.#say("mappings", `${label} name`, [a.name, b.name]);
    this.#fields([a.record, b.record], {
      ...{ label, section: "mappings" },
      skip: new Set(["vm_start", "vm_end"]),
    });
    if (a.name === b.name) {
      this.#say("mappings", `${label} FNAME`, [a.fname && a.name, b.fname && b.name]);
      if (a.fname && b.fname) this.#payload([a.fname, b.fname], "mappings", `${label} name`);
    }
    for (let index = 0; index < Math.max(a.chunks.length, b.chunks.length); index++) {
      const pair = [a.chunks[index], b.chunks[index]] as const;
      const [left, right] = pair.map((chunk) => chunk && `nr_pages ${chunk.fields.nr_pages}`);
      this.#say("chunks", `${label} chunk ${index}`, [left, right]);
      this.#header(pair, "chunks", `${label} chunk ${index}`);
    }
  }

  #parts(a: ReadonlyMap<string, OutlinePart>, b: ReadonlyMap<string, OutlinePart>): void {
    for (const name of new Set([...a.keys(), ...b.keys()])) this.#part(name, [a.get(name), b.get(name)]);
    const order = (parts: ReadonlyMap<string, OutlinePart>, other: typeof parts): string =>
      [...parts.keys()].filter((name) => other.has(name)).join(" ");
    this.#say("other records", "order of records", [order(a, b), order(b, a)]);
  }

  #part(name: string, pair: Pair<OutlinePart>): void {
    const section = SECTIONS[name] ?? (name.startsWith("sigaction ") ? "signals" : "other records");
    const [a, b] = pair;
    if (a && b && isSame(a, b)) return;
    if (name === "mm_context/ldt") return this.#descriptors(pair, "LDT", [0, 0]);
    if (name === "thread/tls") {
      const first = ({ format: { wordSize } }: ImageOutline): number =>
        abiOf(wordSize === 8 ? "x86_64" : "i386").firstTlsSlot;
      return this.#descriptors(pair, "TLS", [first(this.#a), first(this.#b)]);
    }
    if (name === "cpu/xstate" && a && b) return this.#xstate(bytesOf(a), bytesOf(b));
    if (a?.kind !== "record" || b?.kind !== "record" || a.name !== b.name) {
      this.#say(section, name, [a && contentText(a), b && contentText(b)]);
      if (a && b) this.#payload([a, b], section, name);
      return;
    }
    if (fieldsOf(a.name).length === 0) this.#payload([a, b], section, name);
    else this.#fields([a, b], { section, label: name });
  }

  /** Fields of two records of one type. */
  #fields(
    [a, b]: readonly [RecordNode, RecordNode],
    { label, section, skip }: { label: string; section: Section; skip?: ReadonlySet<string> },
  ): void {
    if (isSame(a, b)) return;
    const before = this.#found.length;
    for (const field of fieldsOf(a.name)) {
      const show = (node: RecordNode, flags: VmFlagTable | undefined): string =>
        showField(
          field,
          (node.fields as Readonly<Record<string, number | bigint | Uint8Array>>)[field.name]!,
          flags,
        );
      if (skip?.has(field.name)) continue;
      const what = section === "registers" && REGISTERS.has(field.name)
        ? field.name
        : `${label} ${field.name}`;
      this.#say(section, what, [show(a, this.#flags[0]), show(b, this.#flags[1])]);
    }
    this.#header([a, b], section, label);
    // Behind its NUL a text may hold what is not shown.
    if (this.#found.length === before && !skip) this.#bytes(section, label, [a.payload, b.payload]);
  }

  #header([a, b]: Pair<RecordBase<"record" | "unknown">>, section: Section, label: string): void {
    for (const name of ["type", "parent"] as const) {
      if (a && b) {
        this.#say(section, `${label} header ${name}`, [`${a.header[name]}`, `${b.header[name]}`]);
      }
    }
  }

  /** Parts that no field tells apart: by their bytes. */
  #payload([a, b]: readonly [OutlinePart, OutlinePart], section: Section, label: string): void {
    const before = this.#found.length;
    if ("header" in a && "header" in b) this.#header([a, b], section, label);
    this.#say(section, label, [contentText(a), contentText(b)]);
    if (this.#found.length === before) this.#bytes(section, label, [bytesOf(a), bytesOf(b)]);
  }

  #bytes(section: Section, label: string, [a, b]: readonly [Uint8Array, Uint8Array]): void {
    const first = firstDifference(a, b);
    if (first < 0) return;
    const show = (bytes: Uint8Array): string =>
      first < bytes.length ? hex(bytes[first]!, 2) : `ends after ${bytes.length} bytes`;
    this.#say(section, `${label} byte ${first}`, [show(a), show(b)]);
  }

  #descriptors(
    [a, b]: Pair<OutlinePart>,
    section: Section,
    [firstA, firstB]: readonly [number, number],
  ): void {
    const [left, right] = [a ? bytesOf(a) : new Uint8Array(0), b ? bytesOf(b) : new Uint8Array(0)];
    const show = (bytes: Uint8Array, at: number): string | undefined =>
      at + DESCRIPTOR_SIZE <= bytes.length ? describeDescriptor(bytes, at) : undefined;
    for (let at = 0; at < Math.max(left.length, right.length); at += DESCRIPTOR_SIZE) {
      const [slotA, slotB] = [firstA, firstB].map((first) => first + at / DESCRIPTOR_SIZE);
      const slot = slotA === slotB ? `entry ${slotA}` : `entry ${slotA}, then ${slotB}`;
      const texts = [show(left, at), show(right, at)] as const;
      this.#say(section, slot, texts);
      const [one, other] = [left, right].map((bytes) => hexBytes(bytes.subarray(at, at + DESCRIPTOR_SIZE)));
      // Of a system descriptor not every bit has a word.
      if (texts[0] === texts[1]) this.#say(section, slot, [one, other]);
    }
  }

  #xstate(a: Uint8Array, b: Uint8Array): void {
    const lines = (outline: ImageOutline) => xstateLines(outline, outline.tasks[this.#task ?? 0]);
    const [left, right] = [lines(this.#a), lines(this.#b)];
    const before = this.#found.length;
    for (const name of new Set([...left.keys(), ...right.keys()])) {
      this.#say("FPU", name, [left.get(name), right.get(name)]);
    }
    if (this.#found.length === before) this.#bytes("FPU", "state", [a, b]);
  }
}

/** The FPU state of a task in words, by the register that each line is about; nothing where the image has none. */
export function xstateLines(
  { format }: ImageOutline,
  task: TaskOutline | undefined,
): ReadonlyMap<string, string> {
  const [state, cpu] = [task?.parts.get("cpu/xstate"), task?.parts.get("cpu")];
  if (!state) return new Map();
  const bytes = bytesOf(state);
  // 32-bit code has the low half of the vector registers.
  const isWide = format.wordSize === 8 && isRecord(cpu, "CPU") && cpu.fields.cs === 0x33n;
  try {
    return new Map(
      describeXstate(bytes, isWide ? "x86_64" : "i386").map((line) => {
        const [name = "", ...rest] = line.split(" ");
        return [name.replace(":", ""), rest.join(" ")];
      }),
    );
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return new Map([["state", `${bytes.length} bytes`]]);
  }
}

function summaryOf({ record: { fields }, pages }: MappingOutline): string {
  return `${permissionText(fields.vm_flags)}, ${pages} pages saved`;
}

function flagsOf({ parts, format }: ImageOutline): VmFlagTable | undefined {
  const head = parts.get("head");
  return isRecord(head, "HEAD") ? vmFlagTableOf(head.fields, format.wordSize) : undefined;
}

function bytesOf(part: OutlinePart): Uint8Array {
  return "payload" in part ? part.payload : part.bytes;
}

function isSame(a: OutlinePart, b: OutlinePart): boolean {
  const [left, right] = [a, b].map((part) => "header" in part ? part.header : undefined);
  return left?.type === right?.type && left?.parent === right?.parent &&
    firstDifference(bytesOf(a), bytesOf(b)) < 0;
}

/** A part on one line: text where it is one. */
function contentText(part: OutlinePart): string {
  const bytes = bytesOf(part);
  if (isRecord(part, "SIGACTION")) return actionText(part);
  if (part.kind === "record" && fieldsOf(part.name).length === 0) return JSON.stringify(displayText(bytes));
  if (part.kind === "record") return `${part.name}, ${bytes.length} bytes`;
  return part.kind === "unknown"
    ? `type ${part.header.type}, ${bytes.length} bytes`
    : `${bytes.length} bytes`;
}
