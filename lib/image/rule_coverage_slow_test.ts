// SPDX-License-Identifier: MIT
import { assert, assertEquals } from "@std/assert";
import type { Dialect } from "../abi/series.ts";
import { readImage } from "./image.ts";
import type { ImageNode } from "./nodes.ts";
import { OPAQUE_BITS } from "./testing/opaque_bits.ts";
import { isStruct, RECORDS } from "./records.ts";
import { checkImage } from "./rules.ts";
import { DATA_DESCRIPTOR, syntheticImage, type SyntheticOptions } from "./testing/synthetic_image.ts";

/** Where a bit lies, in the terms of OPAQUE_BITS. */
function place(node: ImageNode, bit: number): { where: string; mask: bigint } {
  if (node.kind === "record") {
    if (bit < 64) return { where: `${node.name}.header`, mask: 1n << BigInt(bit) };
    const { payload } = RECORDS[node.name];
    if (!isStruct(payload)) return { where: node.name, mask: 1n << BigInt(bit % 8) };
    const at = (bit >> 3) - 8;
    const field = payload.fields.find(({ offset, size }) => at >= offset && at < offset + size);
    assert(field !== undefined, `${node.name}: byte ${at} belongs to no field`);
    const inField = bit - 64 - 8 * field.offset;
    return {
      where: `${node.name}.${field.name}`,
      mask: 1n << BigInt(field.type.startsWith("char") ? inField % 8 : inField),
    };
  }
  const unit = node.kind === "pages" ? 8 * node.wordSize : 64;
  return { where: node.kind, mask: 1n << BigInt(bit % unit) };
}

/** Bits of a node that are tried: no page contents, and of long tables only the first entries. */
function* bitsOf(node: ImageNode): Generator<number> {
  const bytes = node.kind === "pages" ? node.count * node.wordSize : node.kind === "ldt" ? 16 : node.length;
  // Nearly all of the FPU state is opaque: one bit of each byte will do, another one in each.
  for (let bit = 0; bit < 8 * bytes; bit += node.kind === "xstate" ? 9 : 1) yield bit;
}

interface Coverage {
  flipped: number;
  /** Bits that nothing noticed, by place. */
  readonly unseen: Map<string, bigint>;
}

function flipEachBit(options: SyntheticOptions, only?: (node: ImageNode) => boolean): Coverage {
  const bytes = syntheticImage(options);
  assertEquals(checkImage(bytes).filter(({ verdict }) => verdict !== "note"), []);
  const coverage: Coverage = { flipped: 0, unseen: new Map() };
  for (const node of readImage(bytes).nodes) {
    if (only !== undefined && !only(node)) continue;
    for (const bit of bitsOf(node)) {
      const at = node.offset + (bit >> 3);
      const before = bytes[at] ?? 0;
      bytes[at] = before ^ (1 << (bit & 7));
      const seen = checkImage(bytes).some(({ verdict }) => verdict !== "note");
      bytes[at] = before;
      coverage.flipped++;
      if (seen) continue;
      const { where, mask } = place(node, bit);
      coverage.unseen.set(where, (coverage.unseen.get(where) ?? 0n) | mask);
    }
  }
  return coverage;
}

function undeclared({ unseen }: Coverage, dialect: Dialect): string[] {
  return [...unseen].flatMap(([where, mask]) => {
    const declared = OPAQUE_BITS.filter((opaque) =>
      opaque.where === where && (opaque.dialect ?? dialect) === dialect
    )
      .reduce((sum, opaque) => sum | opaque.mask, 0n);
    const rest = mask & ~declared;
    return rest === 0n ? [] : [`${where}: 0x${rest.toString(16)}`];
  });
}

function withSegments(entries: number): { tls: Uint8Array; ldt: Uint8Array } {
  const tls = new Uint8Array(24);
  const ldt = new Uint8Array(8 * entries);
  tls.set(DATA_DESCRIPTOR, 8);
  ldt.set(DATA_DESCRIPTOR, 8);
  return { tls, ldt };
}

/** Records that a word size of 4 touches, and those that only later patches of v11 write. */
const WORD_RECORDS = ["HEAD", "HEAD_ARCH", "MM", "VMA", "PGARR", "CPU"];
const LATER_RECORDS = [
  "HEAD",
  "HEAD_ARCH",
  "TREE",
  "TASK",
  "VMA",
  "MM_CONTEXT",
  "FILES",
  "FD_ENT",
  "FD_DATA",
  "THREAD",
];

function isOne(node: ImageNode, names: readonly string[]): boolean {
  return node.kind === "record" && names.includes(node.name);
}

const SAMPLES: readonly [name: string, dialect: Dialect, run: () => Coverage][] = [
  ["port, x86-64", "port", () => flipEachBit(withSegments(2))],
  [
    "port, i386",
    "port",
    () => {
      const options: SyntheticOptions = { ...withSegments(2), wordSize: 4, hasXsave: false };
      return flipEachBit(options, (node) => node.kind === "pages" || isOne(node, WORD_RECORDS));
    },
  ],
  ["v11", "v11", () => flipEachBit({ dialect: "v11", ...withSegments(512) })],
  [
    "v11 with a tree of tasks and files",
    "v11",
    () => {
      const options: SyntheticOptions = { dialect: "v11", revision: 3, tasks: 2, files: true };
      return flipEachBit(options, (node) => {
        const isSecond = node.path.startsWith("task[1]") && !isOne(node, ["FD_ENT"]);
        return node.kind === "pids" || (isOne(node, LATER_RECORDS) && !isSecond);
      });
    },
  ],
];

Deno.test("each flipped bit of metadata is reported or declared opaque", async (t) => {
  const used = new Set<string>();
  for (const [name, dialect, run] of SAMPLES) {
    await t.step(name, () => {
      const coverage = run();
      for (const where of coverage.unseen.keys()) used.add(where);
      assertEquals(undeclared(coverage, dialect), []);
      assert(coverage.flipped > 3000, `only ${coverage.flipped} bits were flipped`);
    });
  }
  await t.step("nothing is declared opaque that is always seen", () => {
    assertEquals(OPAQUE_BITS.filter(({ where }) => !used.has(where)).map(({ where }) => where), []);
  });
});

Deno.test("an undeclared bit is named", () => {
  const coverage: Coverage = { flipped: 1, unseen: new Map([["HEAD.flags", 0x10n], ["HEAD.time", 1n]]) };
  assertEquals(undeclared(coverage, "port"), ["HEAD.flags: 0x10"]);
});
