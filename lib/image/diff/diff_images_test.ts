// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertRejects } from "@std/assert";
import { PAGE_SIZE } from "../../abi/arch.ts";
import { buildImage, type ImageSpec } from "../build_image.ts";
import { decodeBytes, decodeStream } from "../decoder.ts";
import { encode } from "../image_writer.ts";
import { readNodes } from "../image.ts";
import { MalformedImageError } from "../malformed_image_error.ts";
import { type ImageNode, isRecord } from "../nodes.ts";
import { diffLines } from "../show/show_diff.ts";
import { DATA_DESCRIPTOR, syntheticImage } from "../testing/synthetic_image.ts";
import { diffImages, type ImageDiff } from "./diff_images.ts";

async function* nodesOf(bytes: Uint8Array): AsyncGenerator<ImageNode> {
  for (const node of decodeBytes(bytes)) yield await Promise.resolve(node);
}

function diff(a: Uint8Array, b: Uint8Array): Promise<ImageDiff> {
  return diffImages([nodesOf(a), nodesOf(b)]);
}

function page(...bytes: number[]): Uint8Array {
  const contents = new Uint8Array(PAGE_SIZE);
  contents.set(bytes);
  return contents;
}

const HEAP = { start: 0x10000n, end: 0x20000n };
const STACK = { start: 0x7ffff000n, end: 0x80000000n };

function image(vmas: ImageSpec["vmas"], rest: ImageSpec = {}): Uint8Array {
  return buildImage({ vmas: vmas!, ...rest });
}

Deno.test("diffImages() of an image and itself finds nothing", async () => {
  const bytes = syntheticImage();
  assertEquals(await diff(bytes, bytes.slice()), { isEqual: true, differences: [], areas: [], pages: [] });
  assertEquals(diffLines(await diff(bytes, bytes)), ["no difference"]);
});

Deno.test("diffImages() says which mappings came, went and changed", async () => {
  const a = image([HEAP, { start: 0x30000n, end: 0x31000n }, STACK]);
  const b = image([
    { ...HEAP, flags: 0x10_0071n },
    { start: 0x40000n, end: 0x42000n, pages: [[0x40000n, page(1)]] },
    { ...STACK, start: 0x7fffe000n },
  ]);
  const lines = diffLines(await diff(a, b));
  const end = lines.findIndex((line) => line.startsWith("Pages"));
  assertEquals(lines[0], "Mappings: 1 came, 1 went, 3 changed");
  const text = lines.slice(0, end).join("\n");
  for (
    const part of [
      "~ 10000-20000 vm_flags",
      "- 30000-31000: rw-p, 0 pages saved",
      "+ 40000-42000: rw-p, 1 pages saved",
      "~ 7ffff000-80000000 [stack] range: 7ffff000-80000000 -> 7fffe000-80000000",
    ]
  ) assert(text.includes(part), `${part} in ${text}`);
});

Deno.test("diffImages() counts pages by mapping and shows the first bytes that differ", async () => {
  const at = (index: bigint): bigint => HEAP.start + index * BigInt(PAGE_SIZE);
  const a = image([{ ...HEAP, pages: [[at(0n), page(1)], [at(1n), page(2)], [at(3n), page(3)]] }, STACK]);
  const b = image([
    {
      ...HEAP,
      pages: [[at(0n), page(1)], [at(1n), page(2, 0, 7, 0, 9)], [at(2n), page(4)], [at(4n), page(5)]],
    },
  ]);
  const { areas, pages } = await diff(a, b);
  assertEquals(areas, [{ task: 0, area: "10000-20000 [stack]", same: 1, changed: 1, onlyA: 1, onlyB: 2 }]);
  const [one] = pages;
  assertEquals([pages.length, one?.address, one?.bytes], [1, "0x11002", 2]);
  assertEquals([one?.a.slice(0, 8), one?.b.slice(0, 8)], ["00 00 00", "07 00 09"]);
  assertEquals([a[one!.offsets.a], b[one!.offsets.b]], [0, 7]);
});

Deno.test("diffImages() decodes LDT, TLS, registers and FPU state", async () => {
  const tls = new Uint8Array(24);
  tls.set(DATA_DESCRIPTOR, 8);
  const a = syntheticImage({ ldt: DATA_DESCRIPTOR });
  const other = DATA_DESCRIPTOR.slice();
  other[2] = 0x10;
  const b = buildImage();
  const { differences } = await diff(a, syntheticImage({ ldt: other, tls }));
  const found = differences.map(({ section, what, a, b }) => `${section} ${what}: ${a} -> ${b}`);
  const words = "limit 0xffffffff (page), 32-bit, DPL 3, present, accessed";
  assertEquals(found, [
    `LDT entry 0: data read-write, base 0x00000000, ${words} -> data read-write, base 0x00000010, ${words}`,
    "TLS thread ntls: 0 -> 1",
    "TLS entry 12: undefined -> empty",
    `TLS entry 13: undefined -> data read-write, base 0x00000000, ${words}`,
    "TLS entry 14: undefined -> empty",
  ]);
  const registers = (await diff(buildImage({ registers: { ax: 7n } }), b)).differences;
  assertEquals(registers, [{ section: "registers", task: 0, what: "ax", a: "0x7", b: "0x0" }]);
  const xstate = readNodes(a).nodes.find((node) => node.kind === "xstate")!.bytes.slice();
  xstate[160] = 0;
  const fpu = (await diff(a, syntheticImage({ ldt: DATA_DESCRIPTOR, xstate }))).differences;
  assertEquals(fpu.map(({ section, what, b }) => [section, what, b]), [["FPU", "ymm0", undefined]]);
});

Deno.test("diffImages() pairs actions by their signals", async () => {
  const ignored = (signr: number) => ({ signr, sa_handler: 1n });
  const a = buildImage({ actions: [ignored(2), ignored(12)], signals: { blocked: 1n } });
  const b = buildImage({ actions: [ignored(1), { ...ignored(2), sa_flags: 4n }, ignored(12)] });
  const { differences } = await diff(a, b);
  assertEquals(differences.map(({ section, what, a, b }) => `${section} ${what}: ${a} -> ${b}`), [
    "signals signals blocked: 0x1 -> 0x0",
    "signals signals nactions: 2 -> 3",
    "signals sigaction SIGINT sa_flags: 0x0 -> 0x4",
    "signals sigaction SIGHUP: undefined -> ignored, flags 0",
  ]);
});

Deno.test("diffImages() notices another order of records, and bytes after the image", async () => {
  const bytes = syntheticImage();
  const { nodes } = readNodes(bytes);
  const thread = nodes.find((node) => isRecord(node, "THREAD"))!;
  const others = nodes.filter((node) => node !== thread);
  const moved = encode(others.toSpliced(others.length - 1, 0, thread));
  const { differences: [one, ...more] } = await diff(bytes, moved);
  assertEquals([one?.section, one?.what, more.length], ["other records", "order of records", 0]);
  const longer = new Uint8Array([...bytes, 1, 2, 3]);
  const [rest] = (await diff(bytes, longer)).differences;
  assertEquals([rest?.what, rest?.a, rest?.b?.slice(0, 7)], ["bytes after the image", undefined, "3 bytes"]);
  assert(!(await diff(longer, new Uint8Array([...bytes, 1, 2, 4]))).isEqual);
});

Deno.test("diffImages() refuses an image that is cut", async () => {
  const bytes = syntheticImage();
  await assertRejects(() => diff(bytes, bytes.subarray(0, 600)), MalformedImageError);
});

Deno.test("diffImages() needs little memory for 64 MiB", async () => {
  const start = 0x1000_0000n;
  const addresses = Array.from({ length: 16_384 }, (_, index) => start + BigInt(index * PAGE_SIZE));
  const one = page(1);
  const pages = addresses.map((address): [bigint, Uint8Array] => [address, one]);
  const spec = { vmas: [{ start, end: start + 0x800_0000n, pages }] };
  const bytes = buildImage(spec);
  const changed = bytes.slice();
  changed[changed.length - 3_000_000]! ^= 1;
  let most = 0;
  const before = Deno.memoryUsage();
  async function* pieces(image: Uint8Array): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < image.length; at += 65_536) {
      const { heapTotal, external } = Deno.memoryUsage();
      most = Math.max(most, heapTotal + external - before.heapTotal - before.external);
      yield await Promise.resolve(image.subarray(at, at + 65_536));
    }
  }
  const read = (image: Uint8Array) => decodeStream(pieces(image), { reuseBuffers: true });
  const { areas, pages: [first] } = await diffImages([read(bytes), read(changed)]);
  assertEquals([areas[0]?.changed, areas[0]?.same, first?.bytes], [1, 16_383, 1]);
  assert(most < 100 << 20, `memory grew by ${most >> 20} MiB`);
});
