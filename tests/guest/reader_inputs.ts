// SPDX-License-Identifier: MIT
/** What restart(2) and `image check` are both given to read. */
import { CORRUPTIONS } from "../../fixtures/corruptions/corruptions.ts";
import { PAGE_SIZE } from "../../lib/abi/arch.ts";
import { VM } from "../../lib/abi/vm_flags.ts";
import { joinBytes } from "../../lib/bytes.ts";
import { placeOf } from "../../lib/compare/restarted_image.ts";
import { readImage, readNodes } from "../../lib/image/image.ts";
import type { ImageNode } from "../../lib/image/nodes.ts";
import { VMA_TYPE } from "../../lib/image/structs.ts";
import { random } from "../../lib/image/testing/random.ts";
import { syntheticImage, type SyntheticOptions } from "../../lib/image/testing/synthetic_image.ts";
import { ImageEditor } from "../../lib/model/image_editor.ts";
import { AVX_COMPONENT } from "../../lib/x86/xstate.ts";
import type { RestartTry } from "../../vm/agent/agent_types.ts";

const AVX_END = AVX_COMPONENT.offset + AVX_COMPONENT.size;
const HEADER_BYTES = 8;

/** One thing that is wrong with an image that the guest has already. */
export interface SpoiltInput {
  readonly attempt: RestartTry;
  /** The path of the field that is wrong, or {@linkcode CUT}. */
  readonly path: string;
}

/** An image of its own. */
export interface WholeInput {
  readonly image: Uint8Array;
  /** How it came about: from this it can be made again. */
  readonly what: string;
  /** The fields that are not what a kernel wrote there. */
  readonly paths: readonly string[];
}

/** The path of an image that ends early. */
export const CUT = "the end";

/** Images that end early, every so many bytes. */
export function cuts(length: number, step: number): SpoiltInput[] {
  return Array.from(
    { length: Math.ceil(length / step) },
    (_, i) => ({ attempt: { offset: i * step, mask: 0, how: "pipe" }, path: CUT }),
  );
}

/** Flips of each bit of an image but those of its pages, and where each is: as file and as pipe. */
export function* metadataFlips(image: Uint8Array): Generator<SpoiltInput> {
  for (const node of readNodes(image).nodes) {
    const length = node.kind === "pages" ? node.pagesOffset - node.offset : node.length;
    for (let at = 0; at < length; at++) {
      // What lies behind AVX is large, and no rule of the format is about it.
      const bits = node.kind === "xstate" && at >= AVX_END ? 1 : 8;
      for (let bit = 0; bit < bits; bit++) {
        for (const how of ["file", "pipe"] as const) {
          yield { attempt: { offset: node.offset + at, mask: 1 << bit, how }, path: pathAt(node, at) };
        }
      }
    }
  }
}

function pathAt(node: ImageNode, at: number): string {
  return node.kind === "xstate" ? `${node.path}+${at}` : placeOf(node, at);
}

/** The part of an image that is the guest's own: its kernel, its CPU, its vdso. */
export function guestParts(image: Uint8Array): SyntheticOptions & { readonly xstate: Uint8Array } {
  const { head, wordSize, tasks: [task] } = readImage(image);
  const vdso = task!.vmas.map(({ record }) => record.fields)
    .find(({ vma_type, vm_flags }) => vma_type === VMA_TYPE.SPECIAL && (vm_flags & VM.PFNMAP) === 0n);
  const vdsoPages = Number(vdso!.vm_end - vdso!.vm_start) / PAGE_SIZE;
  return { head: head.fields, wordSize, xstate: task!.xstate!.bytes, vdsoPages };
}

/** The corruptions of images of this kernel's kind, each of an image that the guest would take. */
export function corruptedImages(guest: SyntheticOptions): WholeInput[] {
  const [major, minor] = [guest.head?.major, guest.head?.minor];
  return CORRUPTIONS.filter(({ options: { dialect, wordSize = guest.wordSize, head = guest.head } = {} }) =>
    dialect !== "v11" && wordSize === guest.wordSize && head?.major === major && head?.minor === minor
  ).flatMap(({ no, what, options, damage, id }) => {
    const good = syntheticImage({ ...guest, ...options, ...guest.head && { head: guest.head } });
    const image = new ImageEditor(good);
    try {
      damage(image);
    } catch (error) {
      // A record that only images of x86-64 have.
      if (error instanceof RangeError && guest.wordSize === 4) return [];
      throw error;
    }
    const paths = changedFields(good, image.bytes);
    return [{ image: image.bytes, what: `corruption ${no}, ${what}: ${id}`, paths }];
  });
}

function changedFields(good: Uint8Array, bad: Uint8Array): string[] {
  if (good.length !== bad.length) return [];
  const nodes = readNodes(good).nodes;
  return [...good.keys()].filter((at) => good[at] !== bad[at]).map((at) => {
    const node = nodes.findLast(({ offset }) => offset <= at)!;
    return pathAt(node, at - node.offset);
  });
}

/** A part of an image, and where it is. */
interface Part {
  readonly bytes: Uint8Array;
  readonly node: ImageNode;
}

function partsOf(image: Uint8Array): Part[] {
  return readNodes(image).nodes.map((node) => {
    return { node, bytes: image.slice(node.offset, node.offset + node.length) };
  });
}

function kindOf({ node }: Part): string {
  return node.kind === "record" ? node.name : node.kind;
}

/** The same image of another pid, so that it goes together with one of that. */
function withPid(image: Uint8Array, pid: number): Uint8Array {
  const parts = partsOf(image);
  for (const { node, bytes } of parts) {
    if (node.kind === "record" && node.header.parent !== 0) {
      new DataView(bytes.buffer).setUint32(4, pid, true);
    }
  }
  return joinBytes(parts.map(({ bytes }) => bytes));
}

/** Two images in one: the beginning of one, the end of the other, from a like record on, or from anywhere. */
export function* splices(images: readonly Uint8Array[], count: number, seed: number): Generator<WholeInput> {
  const next = random(seed);
  const pid = readImage(images[0]!).tasks[0]!.cpu.header.parent;
  const all = images.map((image) => withPid(image, pid));
  const parts = all.map(partsOf);
  for (let i = 0; i < count; i++) {
    const [first, second] = [next(all.length), next(all.length)];
    if (i % 4 === 3) {
      const [end, begin] = [next(all[first]!.length), next(all[second]!.length)];
      const image = joinBytes([all[first]!.subarray(0, end), all[second]!.subarray(begin)]);
      yield { image, what: `${end} bytes of image ${first}, image ${second} from ${begin} on`, paths: [] };
      continue;
    }
    const end = next(parts[first]!.length);
    const kind = kindOf(parts[first]![end]!);
    const like = parts[second]!.flatMap((part, at) => kindOf(part) === kind ? [at] : []);
    const begin = like.length > 0 ? like[next(like.length)]! : next(parts[second]!.length);
    const joined = [...parts[first]!.slice(0, end), ...parts[second]!.slice(begin)];
    const what = `${end} records of image ${first}, image ${second} from ${begin} on`;
    yield { image: joinBytes(joined.map(({ bytes }) => bytes)), what, paths: [] };
  }
}

const VALUES = [
  0n,
  1n,
  2n,
  3n,
  7n,
  8n,
  0x1000n,
  0x7fffn,
  0xffffn,
  0x7fff_f000n,
  0xffff_ffffn,
  0x7fff_ffff_f000n,
];
const WIDE_VALUES = [...VALUES, 0x8000_0000_0000n, 1n << 63n, 0xffff_ffff_ffff_f000n, 0xffff_ffff_ffff_ffffn];

/** Streams of records: those of images, lost, doubled, exchanged, changed, and others between them. */
export function* streams(images: readonly Uint8Array[], count: number, seed: number): Generator<WholeInput> {
  for (let i = 0; i < count; i++) {
    const next = random(seed + i * 7919);
    const parts = partsOf(images[next(images.length)]!);
    const paths: string[] = [];
    for (let changes = 1 + next(3); changes > 0; changes--) paths.push(...changeOne(parts, next));
    const image = joinBytes(parts.map(({ bytes }) => bytes));
    yield { image, what: `stream ${seed + i * 7919}: ${paths.join(", ")}`, paths };
  }
}

function changeOne(parts: Part[], next: (below: number) => number): string[] {
  const at = next(Math.max(1, parts.length));
  const part = parts[at];
  if (part === undefined) return [];
  const { node, bytes } = part;
  switch (next(8)) {
    case 0:
      parts.splice(at, 1);
      return [`without ${node.path}`];
    case 1:
      parts.splice(next(parts.length), 0, part);
      return [`${node.path} twice`];
    case 2:
      parts[at] = parts[(at + 1) % parts.length]!;
      parts[(at + 1) % parts.length] = part;
      return [`${node.path} later`];
    case 3:
      parts.splice(at, 0, { node, bytes: unknownRecord(next) });
      return [`a record before ${node.path}`];
    case 4:
      parts.splice(at, parts.length, { node, bytes: bytes.slice(0, next(bytes.length)) });
      return [`the end in ${node.path}`];
    case 5: {
      const changed = bytes.slice();
      const place = next(Math.min(bytes.length, node.kind === "pages" ? 8 * node.count : AVX_END));
      changed[place] = next(256);
      parts[at] = { node, bytes: changed };
      return [pathAt(node, place)];
    }
    default:
      return [changeField(parts, at, next)];
  }
}

/** A header of any type, or of a type that readers skip, and what it says of its length. */
function unknownRecord(next: (below: number) => number): Uint8Array {
  const bytes = Uint8Array.from({ length: HEADER_BYTES + next(300) }, () => next(256));
  const view = new DataView(bytes.buffer);
  view.setInt16(0, next(2) === 0 ? 1001 + next(20) : next(320), true);
  view.setInt16(2, next(8) === 0 ? next(0x10000) : bytes.length - HEADER_BYTES, true);
  view.setUint32(4, 0, true);
  return bytes;
}

/** Gives one field, or the header, of a record a value that is at the end of something. */
function changeField(parts: Part[], at: number, next: (below: number) => number): string {
  const { node, bytes } = parts[at]!;
  const changed = bytes.slice();
  const view = new DataView(changed.buffer);
  const words = bytes.length >> 3;
  const word = next(Math.max(1, Math.min(words, 128)));
  if (word === 0 || bytes.length < 16) {
    const place = [0, 2, 4][next(3)]!;
    if (changed.length >= place + 2) view.setUint16(place, Number(VALUES[next(9)]!), true);
    parts[at] = { node, bytes: changed };
    return pathAt(node, Math.min(place, bytes.length - 1));
  }
  if (next(2) === 0) view.setBigUint64(8 * word, WIDE_VALUES[next(WIDE_VALUES.length)]!, true);
  else view.setUint32(8 * word + 4 * next(2), Number(VALUES[next(11)]!), true);
  parts[at] = { node, bytes: changed };
  return pathAt(node, 8 * word);
}
