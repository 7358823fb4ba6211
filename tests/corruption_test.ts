// SPDX-License-Identifier: MIT
/**
 * Broken images, each made from a good one by one change, and the finding that must name it: id, place, and
 * how bad it is. The numbers are those of the list that the rules were started from.
 */
import { assert, assertEquals } from "@std/assert";
import type { Finding } from "../lib/image/finding.ts";
import { findingText } from "../lib/image/finding.ts";
import { readNodes } from "../lib/image/image.ts";
import type { ImageNode, RecordNode } from "../lib/image/nodes.ts";
import { isStruct, type RecordDesc, type RecordName, RECORDS } from "../lib/image/records.ts";
import type { FieldDesc } from "../lib/image/struct_desc.ts";
import { RULES } from "../lib/image/rule_ids.ts";
import { checkImage } from "../lib/image/rules.ts";
import {
  DATA_DESCRIPTOR,
  RW_FLAGS,
  syntheticImage,
  type SyntheticOptions,
  type SyntheticVma,
} from "../lib/image/testing/synthetic_image.ts";

/** A good image that can be damaged at places named by record and field. */
class Patient {
  bytes: Uint8Array<ArrayBuffer>;
  readonly #nodes: readonly ImageNode[];

  constructor(options: SyntheticOptions) {
    this.bytes = syntheticImage(options);
    this.#nodes = readNodes(this.bytes.slice()).nodes;
  }

  /** The n-th record of a name. */
  record(name: RecordName, index = 0): RecordNode {
    const node = this.#nodes.filter((n): n is RecordNode => n.kind === "record" && n.name === name)[index];
    assert(node !== undefined, `no ${name} ${index}`);
    return node;
  }

  raw(kind: Exclude<ImageNode["kind"], "record">): ImageNode {
    const node = this.#nodes.find((n) => n.kind === kind);
    assert(node !== undefined, `no ${kind}`);
    return node;
  }

  /** Writes a field of a record; returns its offset. */
  set(name: RecordName, field: string, value: number | bigint, index = 0): number {
    const { payload }: RecordDesc = RECORDS[name];
    assert(isStruct(payload));
    const desc: FieldDesc | undefined = payload.fields.find((f) => f.name === field);
    assert(desc !== undefined, `${name} has no ${field}`);
    const at = this.record(name, index).offset + 8 + desc.offset;
    this.poke(at, value, desc.size);
    return at;
  }

  /** Writes a number of `size` bytes. */
  poke(at: number, value: number | bigint, size: number): void {
    for (let i = 0; i < size; i++) this.bytes[at + i] = Number((BigInt(value) >> BigInt(8 * i)) & 0xffn);
  }

  remove(node: ImageNode): void {
    this.splice(node.offset, node.length, new Uint8Array(0));
  }

  splice(at: number, length: number, replacement: Uint8Array): void {
    this.bytes = new Uint8Array([
      ...this.bytes.subarray(0, at),
      ...replacement,
      ...this.bytes.subarray(at + length),
    ]);
  }
}

interface Case {
  /** Number in the list, or a letter for what is not in it. */
  readonly no: string;
  readonly what: string;
  readonly options?: SyntheticOptions;
  readonly damage: (patient: Patient) => number | void;
  readonly id: keyof typeof RULES;
  readonly verdict: "malformed" | "invalid";
  readonly path: string;
  /** Ids of further findings that this damage cannot but cause. */
  readonly also?: readonly (keyof typeof RULES)[];
  /** Words of the finding. */
  readonly says?: string;
}

const START = 0x1000_0000n;
const VMA: SyntheticVma = { start: START, end: START + 0x100_0000n, flags: RW_FLAGS, pgoff: START >> 12n };

function pages(count: number): bigint[] {
  return Array.from({ length: count }, (_, i) => START + BigInt(i) * 4096n);
}

function vmaWith(changes: Partial<SyntheticVma>): SyntheticOptions {
  return { vmas: [{ ...VMA, ...changes }] };
}

function segments(...entries: (Uint8Array | undefined)[]): Uint8Array {
  const bytes = new Uint8Array(8 * entries.length);
  entries.forEach((entry, i) => entry && bytes.set(entry, 8 * i));
  return bytes;
}

/** A descriptor with some bits of its upper half changed. */
function descriptor(change: (high: number) => number): Uint8Array {
  const bytes = DATA_DESCRIPTOR.slice();
  const view = new DataView(bytes.buffer);
  view.setUint32(4, change(view.getUint32(4, true)), true);
  return bytes;
}

const THREE: SyntheticOptions = {
  tls: segments(undefined, DATA_DESCRIPTOR, undefined),
  ldt: segments(DATA_DESCRIPTOR),
};

const HEAD_CASES: readonly Case[] = [
  {
    no: "1",
    what: "magic of HEAD changed",
    damage: (p) => p.set("HEAD", "magic", 1n),
    id: "E_MAGIC_HEAD",
    verdict: "malformed",
    path: "head.magic",
    says: "expected 0x00feed0cc0a2d200, got 0x0000000000000001",
  },
  {
    no: "40",
    what: "big-endian copy",
    damage: (p) => {
      p.bytes.subarray(8, 16).reverse();
      return 8;
    },
    id: "E_MAGIC_HEAD",
    verdict: "malformed",
    path: "head.magic",
    says: "big-endian",
  },
  {
    no: "2",
    what: "magic of TAIL changed",
    damage: (p) => p.set("TAIL", "magic", 5n),
    id: "E_MAGIC_TAIL",
    verdict: "invalid",
    path: "tail.magic",
  },
  {
    no: "10",
    what: "unknown revision",
    damage: (p) => p.set("HEAD", "rev", 50),
    id: "E_VERSION",
    verdict: "malformed",
    path: "head.rev",
  },
  {
    no: "10",
    what: "a revision that does not exist yet",
    damage: (p) => p.set("HEAD", "rev", 101),
    id: "E_VERSION",
    verdict: "invalid",
    path: "head.rev",
  },
  {
    no: "10",
    what: "unknown kernel",
    damage: (p) => p.set("HEAD", "minor", 2) - 2,
    id: "E_VERSION",
    verdict: "invalid",
    path: "head.major",
    says: "expected 5.10, 6.1 or 6.12, got 6.2.192",
  },
  {
    no: "a",
    what: "release of another kernel",
    damage: (p) => p.set("HEAD", "patch", 7) + 20,
    id: "E_VERSION",
    verdict: "invalid",
    path: "head.release",
  },
  {
    no: "b",
    what: "flags of HEAD",
    damage: (p) => p.set("HEAD", "flags", 3n),
    id: "E_HEAD_FLAGS",
    verdict: "invalid",
    path: "head.flags",
  },
  {
    no: "c",
    what: "bytes after the NUL of a string of HEAD",
    damage: (p) => p.poke(8 + 96 + 63, 0x41, 1),
    id: "E_HEAD_TEXT",
    verdict: "invalid",
    path: "head.version",
  },
  {
    no: "d",
    what: "machine that is no x86",
    damage: (p) => p.poke(8 + 160, 0x79, 1),
    id: "E_MACHINE",
    verdict: "malformed",
    path: "head.machine",
  },
  {
    no: "e",
    what: "has_xsave 2",
    damage: (p) => p.set("HEAD_ARCH", "has_xsave", 2),
    id: "E_ARCH_FLAGS",
    verdict: "invalid",
    path: "head_arch.has_xsave",
  },
  {
    no: "32",
    what: "has_xsave cleared: xstate_size does not fit",
    damage: (p) => p.set("HEAD_ARCH", "has_xsave", 0) + 2,
    id: "E_XSTATE_SIZE",
    verdict: "invalid",
    path: "head_arch.xstate_size",
  },
  {
    no: "f",
    what: "bytes after TAIL",
    damage: (p) => p.splice(p.bytes.length, 0, new Uint8Array(4)),
    id: "E_TRAILING",
    verdict: "invalid",
    path: "trailing",
  },
];

const RECORD_CASES: readonly Case[] = [
  {
    no: "5",
    what: "unknown record type",
    damage: (p) => {
      p.poke(p.record("MM").offset, 77, 2);
      return p.record("MM").offset;
    },
    id: "E_TYPE",
    verdict: "malformed",
    path: "after task[0]/comm",
    says: "got 77",
  },
  {
    no: "6",
    what: "MM left out: VMA comes before it",
    damage: (p) => {
      const at = p.record("MM").offset;
      p.remove(p.record("MM"));
      return at;
    },
    id: "E_ORDER",
    verdict: "invalid",
    path: "task[0]/vma[0]",
    says: "expected MM, got VMA",
  },
  {
    no: "g",
    what: "fs and gs bases left out",
    damage: (p) => p.remove(p.record("X86_FSGSBASE")),
    id: "E_ORDER",
    verdict: "invalid",
    path: "tail",
    says: "expected X86_FSGSBASE, got TAIL",
  },
  {
    no: "7",
    what: "negative length",
    damage: (p) => {
      p.poke(p.record("VMA", 2).offset + 2, 0xfff0, 2);
      return p.record("VMA", 2).offset + 2;
    },
    id: "E_LEN_NEGATIVE",
    verdict: "malformed",
    path: "task[0]/vma[2]",
    says: "got -16",
  },
  {
    no: "8",
    what: "length of VMA wrong",
    damage: (p) => {
      p.poke(p.record("VMA").offset + 2, 40, 2);
      return p.record("VMA").offset + 2;
    },
    id: "E_LEN",
    verdict: "malformed",
    path: "task[0]/vma[0]",
    says: "wrong length of VMA: expected 48, got 40",
  },
  {
    no: "8",
    what: "a name longer than PATH_MAX",
    damage: (p) => p.poke(p.record("FNAME").offset + 2, 4097, 2),
    id: "E_LEN",
    verdict: "malformed",
    path: "task[0]/vma[0]/fname",
  },
  {
    no: "h",
    what: "CPU of another pid",
    damage: (p) => p.poke(p.record("CPU").offset + 4, 77, 4),
    id: "E_PARENT",
    verdict: "invalid",
    path: "task[0]/cpu",
    says: "expected pid 321, got 77",
  },
  {
    no: "i",
    what: "VMA with a parent",
    damage: (p) => p.poke(p.record("VMA").offset + 4, 321, 4),
    id: "E_PARENT",
    verdict: "invalid",
    path: "task[0]/vma[0]",
  },
  {
    no: "33",
    what: "padding of TASK",
    damage: (p) => p.set("TASK", "_padding", 0x80),
    id: "E_PADDING",
    verdict: "invalid",
    path: "task[0]._padding",
  },
  {
    no: "33",
    what: "padding of the third VMA",
    damage: (p) => p.set("VMA", "_padding", 0x100, 2),
    id: "E_PADDING",
    verdict: "invalid",
    path: "task[0]/vma[2]._padding",
  },
  {
    no: "35",
    what: "comm length",
    damage: (p) => p.set("TASK", "task_comm_len", 15),
    id: "E_COMM",
    verdict: "invalid",
    path: "task[0].task_comm_len",
  },
  {
    no: "35",
    what: "comm without NUL",
    damage: (p) =>
      p.bytes.fill(0x41, p.record("STRING").offset + 8, p.record("STRING").offset + 24) && undefined,
    id: "E_COMM",
    verdict: "invalid",
    path: "task[0]/comm",
  },
  {
    no: "j",
    what: "a running task",
    damage: (p) => p.set("TASK", "state", 0x20),
    id: "E_TASK_STATE",
    verdict: "invalid",
    path: "task[0].state",
  },
  {
    no: "k",
    what: "a dead task",
    damage: (p) => p.set("TASK", "exit_state", 16),
    id: "E_TASK_EXIT",
    verdict: "invalid",
    path: "task[0].exit_state",
  },
];

const MEMORY_CASES: readonly Case[] = [
  {
    no: "12",
    what: "map_count",
    damage: (p) => p.set("MM", "map_count", 7),
    id: "E_MAP_COUNT",
    verdict: "invalid",
    path: "task[0]/mm.map_count",
    says: "expected 6, got 7",
  },
  {
    no: "l",
    what: "objref of MM",
    damage: (p) => p.set("MM", "objref", 1),
    id: "E_MM_OBJREF",
    verdict: "invalid",
    path: "task[0]/mm.objref",
  },
  {
    no: "m",
    what: "heap ends before it starts",
    damage: (p) => p.set("MM", "brk", 0x402fffn),
    id: "E_MM_RANGE",
    verdict: "invalid",
    path: "task[0]/mm.brk",
  },
  {
    no: "13",
    what: "VMA ends before it starts",
    damage: (p) => p.set("VMA", "vm_end", 0x400000n),
    id: "E_VMA_RANGE",
    verdict: "invalid",
    path: "task[0]/vma[0].vm_end",
  },
  {
    no: "14",
    what: "VMA not on a page boundary",
    damage: (p) => p.set("VMA", "vm_start", 0x400800n),
    id: "E_VMA_ALIGN",
    verdict: "invalid",
    path: "task[0]/vma[0].vm_start",
  },
  {
    no: "n",
    what: "VMAs overlap",
    damage: (p) => p.set("VMA", "vm_start", 0x401000n, 1),
    id: "E_VMA_ORDER",
    verdict: "invalid",
    path: "task[0]/vma[1].vm_start",
  },
  {
    no: "16",
    what: "type of VMA",
    damage: (p) => p.set("VMA", "vma_type", 3, 3),
    id: "E_VMA_TYPE",
    verdict: "invalid",
    path: "task[0]/vma[3].vma_type",
  },
  {
    no: "17",
    what: "FILE without FNAME",
    damage: (p) => {
      const at = p.record("VMA").offset;
      p.remove(p.record("FNAME"));
      return at;
    },
    id: "E_FNAME_MISSING",
    verdict: "invalid",
    path: "task[0]/vma[0]",
  },
  {
    no: "17",
    what: "ANON with FNAME",
    options: vmaWith({ name: "/x" }),
    damage: (p) => p.record("FNAME").offset,
    id: "E_FNAME_UNEXPECTED",
    verdict: "invalid",
    path: "task[0]/vma[0]/fname",
  },
  {
    no: "o",
    what: "name without NUL",
    damage: (p) => p.poke(p.record("FNAME").offset + p.record("FNAME").length - 1, 0x41, 1),
    id: "E_FNAME",
    verdict: "invalid",
    path: "task[0]/vma[0]/fname",
  },
  {
    no: "19",
    what: "unknown vm_flags",
    options: vmaWith({ flags: RW_FLAGS | 0x800n }),
    damage: () => {},
    id: "E_VM_FLAGS",
    verdict: "invalid",
    path: "task[0]/vma[0].vm_flags",
    says: "bits 0x800 are unknown in Linux 6.1",
  },
  {
    no: "19",
    what: "a shared mapping",
    options: vmaWith({ flags: RW_FLAGS | 0x80n }),
    damage: () => {},
    id: "E_VM_FLAGS",
    verdict: "invalid",
    path: "task[0]/vma[0].vm_flags",
    says: "MAYSHARE",
  },
  {
    no: "19",
    what: "WRITE without MAYWRITE",
    options: vmaWith({ flags: RW_FLAGS & ~0x20n }),
    damage: () => {},
    id: "E_VM_FLAGS",
    verdict: "invalid",
    path: "task[0]/vma[0].vm_flags",
    says: "WRITE without the MAY bit",
  },
  {
    no: "19",
    what: "device memory with pages",
    options: vmaWith({ flags: 0x404_4411n, type: 101, pgoff: 0n, pages: pages(1) }),
    damage: () => {},
    id: "E_PAGE_SPECIAL",
    verdict: "invalid",
    path: "task[0]/vma[0]/pgarr[0]/pages",
  },
  {
    no: "20",
    what: "vm_page_prot with the write bit",
    damage: (p) => p.set("VMA", "vm_page_prot", 0x8000000000000027n, 1),
    id: "E_PAGE_PROT",
    verdict: "invalid",
    path: "task[0]/vma[1].vm_page_prot",
    says: "expected 0x8000000000000025",
  },
  {
    no: "20",
    what: "NX on one VMA and not on another",
    damage: (p) => p.set("VMA", "vm_page_prot", 0x25n, 2),
    id: "E_PAGE_PROT",
    verdict: "invalid",
    path: "task[0]/vma[2].vm_page_prot",
  },
  {
    no: "p",
    what: "vm_pgoff of an anonymous mapping beyond user space",
    damage: (p) => p.set("VMA", "vm_pgoff", 1n << 40n, 2),
    id: "E_PGOFF",
    verdict: "invalid",
    path: "task[0]/vma[2].vm_pgoff",
  },
];

const PAGE_CASES: readonly Case[] = [
  {
    no: "21",
    what: "page outside its VMA",
    damage: (p) => {
      p.poke(p.raw("pages").offset, 0x405000n, 8);
      return p.raw("pages").offset;
    },
    id: "E_PAGE_RANGE",
    verdict: "invalid",
    path: "task[0]/vma[1]/pgarr[0]/pages",
    says: "address of page 0 is outside the VMA: expected 0x402000 to 0x402fff, got 0x405000",
  },
  {
    no: "22",
    what: "page address not aligned",
    damage: (p) => p.poke(p.raw("pages").offset, 0x402008n, 8),
    id: "E_PAGE_ALIGN",
    verdict: "invalid",
    path: "task[0]/vma[1]/pgarr[0]/pages",
  },
  {
    no: "q",
    what: "pages out of order",
    options: vmaWith({ pages: [START + 0x2000n, START + 0x1000n] }),
    damage: () => {},
    id: "E_PAGE_ORDER",
    verdict: "invalid",
    path: "task[0]/vma[0]/pgarr[0]/pages",
  },
  {
    no: "24",
    what: "nr_pages of 2^40",
    damage: (p) => p.set("PGARR", "nr_pages", 1n << 40n, 1),
    id: "E_CHUNK_COUNT",
    verdict: "malformed",
    path: "task[0]/vma[1]/pgarr[0].nr_pages",
  },
  {
    no: "25",
    what: "chunk larger than 4 * TOTAL",
    options: vmaWith({ pages: pages(2049), chunks: [[2049n, 2049]] }),
    damage: (p) => p.record("PGARR").offset + 8,
    id: "E_CHUNK_SIZE",
    verdict: "invalid",
    path: "task[0]/vma[0]/pgarr[0].nr_pages",
    says: "expected at most 2048 pages, got 2049",
  },
  {
    no: "25",
    what: "chunk that is not the last smaller than 4 * TOTAL",
    options: vmaWith({ pages: pages(2049), chunks: [[2047n, 2047], [2n, 2]] }),
    damage: () => {},
    id: "E_CHUNK_SIZE",
    verdict: "invalid",
    path: "task[0]/vma[0]/pgarr[0].nr_pages",
  },
  {
    no: "25",
    what: "cumulative nr_pages in the port's dialect",
    options: vmaWith({ pages: pages(2560), chunks: [[2048n, 2048], [2560n, 512]] }),
    damage: () => {},
    id: "E_CHUNK_SIZE",
    verdict: "invalid",
    path: "task[0]/vma[0]/pgarr[1].nr_pages",
    says: "header says 2560, 512 pages are plausible",
  },
  {
    no: "r",
    what: "the PGARR of 0 pages left out after pages",
    options: { vmas: [{ ...VMA, pages: pages(1), open: true }] },
    damage: () => {},
    id: "E_PGARR_END",
    verdict: "invalid",
    path: "task[0]/vma[0]/pgarr[0]",
  },
  {
    no: "r",
    what: "the PGARR of 0 pages left out where there are no pages",
    options: { vmas: [{ ...VMA, open: true }] },
    damage: () => {},
    id: "E_PGARR_END",
    verdict: "invalid",
    path: "task[0]/vma[0]",
  },
];

const DESCRIPTOR_CASES: readonly Case[] = [
  {
    no: "27",
    what: "ldt_entry_size 16",
    options: THREE,
    damage: (p) => p.set("MM_CONTEXT", "ldt_entry_size", 16),
    id: "E_LDT_SIZE",
    verdict: "malformed",
    path: "task[0]/mm_context.ldt_entry_size",
  },
  {
    no: "27",
    what: "ldt_entry_size 16 without an LDT",
    damage: (p) => p.set("MM_CONTEXT", "ldt_entry_size", 16),
    id: "E_LDT_SIZE",
    verdict: "invalid",
    path: "task[0]/mm_context.ldt_entry_size",
  },
  {
    no: "27",
    what: "nldt below 0",
    damage: (p) => p.set("MM_CONTEXT", "nldt", 0xffff),
    id: "E_LDT_COUNT",
    verdict: "malformed",
    path: "task[0]/mm_context.nldt",
    says: "got -1",
  },
  {
    no: "27",
    what: "nldt above 8192",
    damage: (p) => p.set("MM_CONTEXT", "nldt", 8193),
    id: "E_LDT_COUNT",
    verdict: "malformed",
    path: "task[0]/mm_context.nldt",
  },
  {
    no: "27",
    what: "nldt in v11 no multiple of 512",
    options: { dialect: "v11", ldt: DATA_DESCRIPTOR },
    damage: () => {},
    id: "E_LDT_COUNT",
    verdict: "invalid",
    path: "task[0]/mm_context.nldt",
  },
  ...([
    ["a system descriptor", (high) => high & ~0x1000, "E_LDT_ENTRY"],
    ["a kernel segment", (high) => high & ~0x6000, "E_LDT_ENTRY"],
    ["a 64-bit segment", (high) => high | 0x20_0000, "E_LDT_ENTRY"],
    ["a segment with its accessed bit clear", (high) => high & ~0x100, "E_LDT_ENTRY"],
    ["conforming code that is present", (high) => high | 0xc00, "E_LDT_ENTRY"],
  ] as const satisfies readonly (readonly [string, (high: number) => number, string])[]).map((
    [what, change, id],
  ): Case => ({
    no: "s",
    what: `LDT entry: ${what}`,
    options: { ldt: segments(undefined, descriptor(change)) },
    damage: (p) => p.raw("ldt").offset + 8,
    id,
    verdict: "invalid",
    path: "task[0]/mm_context/ldt",
  })),
  {
    no: "29",
    what: "gdt_entry_tls_entries",
    damage: (p) => p.set("THREAD", "gdt_entry_tls_entries", 4),
    id: "E_TLS_ENTRIES",
    verdict: "invalid",
    path: "task[0]/thread.gdt_entry_tls_entries",
  },
  {
    no: "29",
    what: "sizeof_tls_array with entries",
    options: THREE,
    damage: (p) => p.set("THREAD", "sizeof_tls_array", 32),
    id: "E_TLS_SIZE",
    verdict: "malformed",
    path: "task[0]/thread.sizeof_tls_array",
  },
  {
    no: "29",
    what: "sizeof_tls_array without",
    damage: (p) => p.set("THREAD", "sizeof_tls_array", 32),
    id: "E_TLS_SIZE",
    verdict: "invalid",
    path: "task[0]/thread.sizeof_tls_array",
  },
  {
    no: "29",
    what: "ntls too large",
    options: THREE,
    damage: (p) => p.set("THREAD", "ntls", 2),
    id: "E_TLS_COUNT",
    verdict: "invalid",
    path: "task[0]/thread.ntls",
    says: "expected 1, got 0x2",
  },
  {
    no: "29",
    what: "ntls impossible",
    damage: (p) => p.set("THREAD", "ntls", 4),
    id: "E_TLS_COUNT",
    verdict: "malformed",
    path: "task[0]/thread.ntls",
  },
  ...([
    ["16-bit", (high) => high & ~0x40_0000],
    ["code", (high) => high | 0x800],
    ["not present", (high) => high & ~0x8000],
  ] as const satisfies readonly (readonly [string, (high: number) => number])[]).map((
    [what, change],
  ): Case => ({
    no: "30",
    what: `TLS descriptor: ${what}`,
    options: { tls: segments(undefined, undefined, descriptor(change)) },
    damage: (p) => p.raw("tls").offset + 16,
    id: "E_TLS_DESC",
    verdict: "invalid",
    path: "task[0]/thread/tls",
  })),
];

const CPU_CASES: readonly Case[] = [
  {
    no: "t",
    what: "cs of ring 0",
    damage: (p) => p.set("CPU", "cs", 0x30n),
    id: "E_CPU_SELECTOR",
    verdict: "invalid",
    path: "task[0]/cpu.cs",
  },
  {
    no: "t",
    what: "ss in an LDT that is not there",
    damage: (p) => p.set("CPU", "ss", 0xfn),
    id: "E_CPU_SELECTOR",
    verdict: "invalid",
    path: "task[0]/cpu.ss",
  },
  {
    no: "u",
    what: "a selector of 32 bits",
    damage: (p) => p.set("CPU", "gs", 0x10000n),
    id: "E_CPU_WIDTH",
    verdict: "invalid",
    path: "task[0]/cpu.gs",
  },
  {
    no: "u",
    what: "a register of 33 bits on i386",
    options: { wordSize: 4 },
    damage: (p) => p.set("CPU", "ax", 1n << 32n),
    id: "E_CPU_WIDTH",
    verdict: "invalid",
    path: "task[0]/cpu.ax",
  },
  {
    no: "u",
    what: "r8 on i386",
    options: { wordSize: 4 },
    damage: (p) => p.set("CPU", "r8", 1n),
    id: "E_CPU_WIDTH",
    verdict: "invalid",
    path: "task[0]/cpu.r8",
  },
  {
    no: "v",
    what: "interrupts off",
    damage: (p) => p.set("CPU", "flags", 0x46n),
    id: "E_CPU_FLAGS",
    verdict: "invalid",
    path: "task[0]/cpu.flags",
    says: "bits 0x200",
  },
  {
    no: "w",
    what: "dr4",
    damage: (p) => p.set("CPU", "debugreg4", 1n),
    id: "E_CPU_DEBUG",
    verdict: "invalid",
    path: "task[0]/cpu.debugreg4",
  },
  {
    no: "w",
    what: "a breakpoint without uses_debug",
    damage: (p) => p.set("CPU", "debugreg7", 1n) + 8,
    id: "E_CPU_DEBUG",
    verdict: "invalid",
    path: "task[0]/cpu.uses_debug",
  },
  {
    no: "x",
    what: "used_math 2",
    damage: (p) => p.set("CPU", "used_math", 2),
    id: "E_USED_MATH",
    verdict: "invalid",
    path: "task[0]/cpu.used_math",
  },
  {
    no: "32",
    what: "compacted FPU state",
    damage: (p) => p.poke(p.raw("xstate").offset + 520, (1n << 63n) | 7n, 8),
    id: "E_XSTATE_COMPACTED",
    verdict: "invalid",
    path: "task[0]/cpu/xstate",
  },
  {
    no: "32",
    what: "reserved bits of MXCSR",
    damage: (p) => p.poke(p.raw("xstate").offset + 24, 0x1_1f80, 4),
    id: "E_XSTATE_MXCSR",
    verdict: "invalid",
    path: "task[0]/cpu/xstate",
  },
  {
    no: "32",
    what: "component outside XCR0",
    damage: (p) => p.poke(p.raw("xstate").offset + 512, 0x202n, 8),
    id: "E_XSTATE_FEATURES",
    verdict: "invalid",
    path: "task[0]/cpu/xstate",
  },
  {
    no: "32",
    what: "stale bytes of a component in its initial state",
    damage: (p) => p.poke(p.raw("xstate").offset + 600, 9, 1),
    id: "E_XSTATE_INIT",
    verdict: "invalid",
    path: "task[0]/cpu/xstate",
  },
  {
    no: "32",
    what: "reserved bytes of the XSAVE header",
    damage: (p) => p.poke(p.raw("xstate").offset + 530, 9, 1),
    id: "E_XSTATE_RESERVED",
    verdict: "invalid",
    path: "task[0]/cpu/xstate",
  },
  {
    no: "y",
    what: "fsbase not canonical",
    damage: (p) => p.set("X86_FSGSBASE", "fsbase", 1n << 60n),
    id: "E_FSGSBASE",
    verdict: "invalid",
    path: "task[0]/fsgsbase.fsbase",
  },
];

const FILES: SyntheticOptions = { dialect: "v11", revision: 3, tasks: 2, files: true };

const FILES_CASES: readonly Case[] = [
  {
    no: "z",
    what: "tasks_nr too large for any machine",
    options: FILES,
    damage: (p) => p.set("TREE", "tasks_nr", 1 << 20),
    id: "E_TREE_COUNT",
    verdict: "malformed",
    path: "tree.tasks_nr",
  },
  {
    no: "z",
    what: "a task left out",
    options: FILES,
    damage: (p) => {
      const from = p.record("TASK", 1).offset;
      p.splice(from, p.record("TAIL").offset - from, new Uint8Array(0));
    },
    id: "E_TREE_COUNT",
    verdict: "invalid",
    path: "tree.tasks_nr",
    says: "expected 1, got 2",
  },
  {
    no: "z",
    what: "a pid of the tree",
    options: FILES,
    damage: (p) => p.poke(p.raw("pids").offset, 999, 4),
    id: "E_TREE_PIDS",
    verdict: "invalid",
    path: "task[0]/mm",
  },
  {
    no: "z",
    what: "nfds",
    options: FILES,
    damage: (p) => p.set("FILES", "nfds", 4),
    id: "E_FD_COUNT",
    verdict: "invalid",
    path: "task[0]/files.nfds",
  },
  {
    no: "z",
    what: "descriptors out of order",
    options: FILES,
    damage: (p) => p.set("FD_ENT", "fd", 1, 2),
    id: "E_FD_ENTRY",
    verdict: "invalid",
    path: "task[0]/files/fd[2].fd",
  },
  {
    no: "z",
    what: "type of an open file",
    options: FILES,
    damage: (p) => p.set("FD_DATA", "fd_type", 3),
    id: "E_FD_TYPE",
    verdict: "invalid",
    path: "task[0]/files/fd[0]/data.fd_type",
  },
];

const STALE: readonly Case[] = [
  {
    no: "33",
    what: "v11: padding that the code as posted does not leave",
    options: { dialect: "v11" },
    damage: (p) => p.set("HEAD_ARCH", "_padding", 0xff),
    id: "E_PADDING",
    verdict: "invalid",
    path: "head_arch._padding",
    says: "expected 0xfe, got 0xff",
  },
  {
    no: "33",
    what: "v11: r11 is not the stale brk",
    options: { dialect: "v11" },
    damage: (p) => p.set("CPU", "r11", 0n),
    id: "E_PADDING",
    verdict: "invalid",
    path: "task[0]/cpu.r11",
  },
];

const CASES: readonly Case[] = [
  ...HEAD_CASES,
  ...RECORD_CASES,
  ...MEMORY_CASES,
  ...PAGE_CASES,
  ...DESCRIPTOR_CASES,
  ...CPU_CASES,
  ...FILES_CASES,
  ...STALE,
];

function faults(bytes: Uint8Array): Finding[] {
  return checkImage(bytes).filter(({ verdict }) => verdict !== "note");
}

for (const { no, what, options, damage, id, verdict, path, says } of CASES) {
  Deno.test(`corruption ${no}, ${what}: ${id}`, () => {
    const patient = new Patient(options ?? {});
    const offset = damage(patient);
    const all = faults(patient.bytes);
    const finding = all.find((candidate) => candidate.id === id && candidate.path === path);
    assert(finding !== undefined, `no ${id} in ${path}, but:\n${all.map(findingText).join("\n")}`);
    assertEquals(finding.verdict, verdict);
    if (typeof offset === "number") assertEquals(finding.offset, offset);
    const text = findingText(finding);
    if (says !== undefined) assert(text.includes(says), `"${says}" is not in: ${text}`);
  });
}

Deno.test("every fault that the rules know is caused by a corruption of the list", () => {
  const caused = new Set<string>(CASES.map(({ id }) => id));
  // Cut images: lib/image/decoder_test.ts cuts at every byte.
  const missing = Object.keys(RULES).filter((id) =>
    id.startsWith("E_") && id !== "E_TRUNCATED" && !caused.has(id)
  );
  assertEquals(missing, []);
});

Deno.test("one broken rule does not hide another", () => {
  const patient = new Patient({});
  patient.set("HEAD", "flags", 0n);
  patient.set("VMA", "vm_page_prot", 0n, 1);
  patient.set("CPU", "debugreg5", 1n);
  patient.set("TAIL", "magic", 0n);
  const ids = faults(patient.bytes).map(({ id }) => id);
  assertEquals(ids, ["E_HEAD_FLAGS", "E_PAGE_PROT", "E_CPU_DEBUG", "E_MAGIC_TAIL"]);
});

Deno.test("a fault that comes many times is reported so often at most, with a count", () => {
  const bad = { ...VMA, pages: pages(100).map((vaddr) => vaddr + 1n) };
  const all = checkImage(syntheticImage({ vmas: [bad] }), { limit: 5 });
  assertEquals(all.map(({ id }) => id), Array(5).fill("E_PAGE_ALIGN"));
  assert(all[4]?.message.endsWith("(and 95 more of this kind)"), all[4]?.message);
});

Deno.test("an image as posted, judged as the port's, has each of its differences named", () => {
  const ldt = new Uint8Array(512 * 8);
  ldt.set(DATA_DESCRIPTOR);
  const many = { ...VMA, end: START + 5000n * 4096n, pages: pages(5000) };
  const vdso = { start: 0xb7ff_f000n, end: 0xb800_0000n, flags: 0x404_0075n, pgoff: 0xb7fffn };
  const bytes = syntheticImage({ dialect: "v11", ldt, vmas: [many, vdso] });
  assertEquals(faults(bytes), []);
  const asPort = checkImage(bytes, { dialect: "port" });
  const ids = new Set(asPort.map(({ id }) => id));
  for (const id of ["E_VERSION", "E_PADDING", "E_CHUNK_SIZE", "E_CPU_WIDTH"]) assert(ids.has(id), `no ${id}`);
  const places = asPort.filter(({ id }) => id === "E_PADDING" || id === "E_CHUNK_SIZE").map(({ path }) =>
    path
  );
  assertEquals(places, ["head_arch._padding", "task[0]/vma[0]._padding", "task[0]/vma[0]/pgarr[1].nr_pages"]);
});
