// SPDX-License-Identifier: MIT

import { PAGE_SIZE } from "../lib/abi/arch.ts";
import { readNodes } from "../lib/image/image.ts";
import { encode } from "../lib/image/image_writer.ts";
import type { ImageNode, PagesNode, RecordNode } from "../lib/image/nodes.ts";
import { fieldsOf } from "../lib/image/records.ts";
import { joinBytes } from "../lib/bytes.ts";

/** A uniform whole number from 0 to below a bound. */
type Random = (below: number) => number;

/** A damaged image, and where it is damaged. */
export interface Corruption {
  /** What was done, for people. */
  readonly what: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Path of the part or field. */
  readonly path: string;
  /** That of another part which may be told: the one before an insertion, or the one that counts what is left out. */
  readonly other?: string | undefined;
  /** The first byte that is not what it was. */
  readonly offset: number;
}

/** Mulberry32. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

type Make = (
  image: Uint8Array,
  nodes: readonly ImageNode[],
  random: Random,
) => Omit<Corruption, "offset"> | undefined;

const HEADER_SIZE = 8;
const HEADER = [["type", 0, 2], ["len", 2, 2], ["parent", 4, 4]] as const;

function pick<T>(values: readonly T[], random: Random): T | undefined {
  return values[random(values.length)];
}

function splice(
  image: Uint8Array,
  at: number,
  length: number,
  by = new Uint8Array(0),
): Uint8Array<ArrayBuffer> {
  return joinBytes([image.subarray(0, at), by, image.subarray(at + length)]);
}

function randomBytes(count: number, random: Random): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: count }, () => random(256));
}

/** Another value in place of some bytes: a bit of it, one more or less, nothing, all, anything. */
function otherValue(bytes: Uint8Array, random: Random): Uint8Array<ArrayBuffer> {
  const size = bytes.length;
  const old = bytes.reduceRight((value, byte) => value << 8n | BigInt(byte), 0n);
  const values = [
    old ^ 1n << BigInt(random(8 * size)),
    old ^ 1n << BigInt(random(8 * size)),
    old + 1n,
    old - 1n,
    0n,
    (1n << BigInt(8 * size)) - 1n,
    randomBytes(size, random).reduce((value, byte) => value << 8n | BigInt(byte), 0n),
  ];
  const value = BigInt.asUintN(8 * size, pick(values, random)!);
  return Uint8Array.from({ length: size }, (_, i) => Number(value >> BigInt(8 * i) & 0xffn));
}

function record(nodes: readonly ImageNode[], random: Random): RecordNode | undefined {
  // One of each kind as likely as any other.
  const records = nodes.filter((node) => node.kind === "record");
  const name = pick([...new Set(records.map(({ name }) => name))], random);
  return pick(records.filter((node) => node.name === name), random);
}

function pagesNode(nodes: readonly ImageNode[], random: Random): PagesNode | undefined {
  return pick(nodes.filter((node) => node.kind === "pages"), random);
}

/** Nodes again, in another order or number. */
function encoded(nodes: readonly ImageNode[]): Uint8Array<ArrayBuffer> {
  return encode(nodes);
}

/** A chunk with other pages, and a count that fits. */
function withPages(nodes: readonly ImageNode[], node: PagesNode, order: readonly number[]): ImageNode[] {
  const vaddrs = BigUint64Array.from(order, (i) => node.vaddrs[i]!);
  const pages = joinBytes(order.map((i) => node.pages.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE)));
  const count = order.length;
  return nodes.map((other, i) => {
    if (other === node) return { ...node, count, vaddrs, pages };
    if (nodes[i + 1] !== node || other.kind !== "record" || other.name !== "PGARR") return other;
    return { ...other, fields: { nr_pages: other.fields.nr_pages - BigInt(node.count - count) } };
  }).filter((other) => other.kind !== "pages" || other.count > 0);
}

const KINDS: Readonly<Record<string, Make>> = {
  field(image, nodes, random) {
    const node = record(nodes, random);
    if (!node) return undefined;
    const fields = fieldsOf(node.name).map(({ name, offset, size }) =>
      [name, HEADER_SIZE + offset, size] as const
    );
    const [name, offset, size] = pick(random(5) === 0 || fields.length === 0 ? HEADER : fields, random)!;
    const at = node.offset + offset;
    // Of text a byte.
    const [from, count] = size > 8 ? [at + random(size), 1] : [at, size];
    const value = otherValue(image.subarray(from, from + count), random);
    return {
      what: `${name} = ${value.toHex()}`,
      bytes: splice(image, from, count, value),
      path: `${node.path}.${name}`,
    };
  },
  raw(image, nodes, random) {
    const kind = pick(["ldt", "tls", "xstate", "pids", "text"], random)!;
    const isText = (node: ImageNode) => node.kind === "record" && fieldsOf(node.name).length === 0;
    const node = pick(nodes.filter((one) => kind === "text" ? isText(one) : one.kind === kind), random);
    if (!node) return undefined;
    const start = kind === "text" ? HEADER_SIZE : 0;
    const at = node.offset + start + random(node.length - start);
    return {
      what: `byte ${at - node.offset} of ${kind}`,
      bytes: splice(image, at, 1, otherValue(image.subarray(at, at + 1), random)),
      path: node.path,
    };
  },
  address(image, nodes, random) {
    const node = pagesNode(nodes, random);
    if (!node) return undefined;
    const i = random(node.count);
    const at = node.offset + i * node.wordSize;
    const value = otherValue(image.subarray(at, at + node.wordSize), random);
    return {
      what: `address ${i} = ${value.toHex()}`,
      bytes: splice(image, at, node.wordSize, value),
      path: node.path,
    };
  },
  contents(image, nodes, random) {
    const node = pagesNode(nodes, random);
    if (!node) return undefined;
    const at = node.pagesOffset + random(node.count * PAGE_SIZE);
    const bytes = splice(image, at, 1, otherValue(image.subarray(at, at + 1), random));
    return { what: `byte ${at - node.pagesOffset} of pages`, bytes, path: node.path };
  },
  dropped(image, nodes, random) {
    const { path, offset, length } = pick(nodes, random)!;
    const [, task, kind] = /^(.*\/)(vma|sigaction)\[\d+\]$/.exec(path) ?? [];
    const other = kind === undefined ? undefined : task + (kind === "vma" ? "mm" : "signals");
    return { what: "left out", bytes: splice(image, offset, length), path, other };
  },
  doubled(image, nodes, random) {
    const node = pick(nodes, random)!;
    const at = node.offset + node.length;
    return { what: "twice", bytes: splice(image, at, 0, image.slice(node.offset, at)), path: node.path };
  },
  moved(_, nodes, random) {
    const [from, to] = [random(nodes.length), random(nodes.length)];
    const others = nodes.toSpliced(from, 1);
    const bytes = encoded(others.toSpliced(to, 0, nodes[from]!));
    return { what: `moved to before part ${to}`, bytes, path: nodes[from]!.path };
  },
  cut(image, _, random) {
    const at = random(image.length);
    return { what: `cut at ${at}`, bytes: image.slice(0, at), path: "" };
  },
  longer(image, _, random) {
    return {
      what: "more behind it",
      bytes: splice(image, image.length, 0, randomBytes(1 + random(40), random)),
      path: "trailing",
    };
  },
  inserted(image, nodes, random) {
    const node = pick(nodes, random)!;
    const bytes = randomBytes(1 + random(24), random);
    return {
      what: `${bytes.length} bytes inserted before`,
      bytes: splice(image, node.offset, 0, bytes),
      path: node.path,
      other: nodes[nodes.indexOf(node) - 1]?.path,
    };
  },
  shortened(image, nodes, random) {
    const node = pick(nodes, random)!;
    const count = 1 + random(Math.min(24, node.length));
    return { what: `${count} bytes less`, bytes: splice(image, node.offset, count), path: node.path };
  },
  extension(image, nodes, random) {
    const node = pick(nodes, random)!;
    const length = 8 * random(4);
    const bytes = randomBytes(HEADER_SIZE + length, random);
    const view = new DataView(bytes.buffer);
    view.setInt16(0, 1001 + random(31_000), true);
    view.setInt16(2, length, true);
    if (random(2) === 0) view.setUint32(4, parentOf(nodes), true);
    return {
      what: "an extension record before",
      bytes: splice(image, node.offset, 0, bytes),
      path: node.path,
      other: nodes[nodes.indexOf(node) - 1]?.path,
    };
  },
  lostPage(_, nodes, random) {
    const node = pagesNode(nodes, random);
    if (!node) return undefined;
    const gone = random(node.count);
    const order = Array.from({ length: node.count }, (_, i) => i).filter((i) => i !== gone);
    return { what: `page ${gone} less`, bytes: encoded(withPages(nodes, node, order)), path: node.path };
  },
  swappedPages(_, nodes, random) {
    const node = pagesNode(nodes, random);
    if (!node || node.count < 2) return undefined;
    const first = random(node.count - 1);
    const order = Array.from(
      { length: node.count },
      (_, i) => i === first ? i + 1 : i === first + 1 ? i - 1 : i,
    );
    return {
      what: `pages ${first} and ${first + 1} swapped`,
      bytes: encoded(withPages(nodes, node, order)),
      path: node.path,
    };
  },
  lostMapping(_, nodes, random) {
    const vma = pick(nodes.filter((node) => node.kind === "record" && node.name === "VMA"), random);
    if (!vma) return undefined;
    const [task] = vma.path.split("/");
    const rest = nodes.filter((node) => node !== vma && !node.path.startsWith(`${vma.path}/`)).map((node) =>
      node.kind === "record" && node.name === "MM" && node.path === `${task}/mm`
        ? { ...node, fields: { ...node.fields, map_count: node.fields.map_count - 1 } }
        : node
    );
    return { what: "a mapping less, and counted so", bytes: encoded(rest), path: vma.path };
  },
};

function parentOf(nodes: readonly ImageNode[]): number {
  const mm = nodes.find((node) => node.kind === "record" && node.name === "MM");
  return mm?.kind === "record" ? mm.header.parent : 0;
}

/** Draws a corruption of an image; undefined where the draw changed nothing. */
export function drawCorruption(
  image: Uint8Array,
  random: Random,
): Corruption & { readonly kind: string } | undefined {
  const { nodes } = readNodes(image);
  const kind = pick(Object.keys(KINDS), random)!;
  const made = KINDS[kind]!(image, nodes, random);
  if (!made) return undefined;
  const length = Math.max(image.length, made.bytes.length);
  let offset = 0;
  while (offset < length && image[offset] === made.bytes[offset]) offset++;
  return offset === length ? undefined : { kind, ...made, offset };
}
