// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { decodeBytes, decodeStream, ImageDecoderStream } from "./decoder.ts";
import { encode } from "./image_writer.ts";
import { pageAt, readImage, readNodes, vmaPages } from "./image.ts";
import { MalformedImageError } from "./malformed_image_error.ts";
import { type ImageNode, isRecord } from "./nodes.ts";
import { DATA_DESCRIPTOR, RW_FLAGS, syntheticImage, syntheticPage } from "./testing/synthetic_image.ts";

const START = 0x1000_0000n;

function pagesFrom(count: number): bigint[] {
  return Array.from({ length: count }, (_, i) => START + BigInt(i) * 4096n);
}

function oneVma(
  count: number,
  spare = 0,
): { start: bigint; end: bigint; flags: bigint; pgoff: bigint; pages: bigint[] } {
  const end = START + BigInt(count + spare) * 4096n;
  return { start: START, end, flags: RW_FLAGS, pgoff: START >> 12n, pages: pagesFrom(count) };
}

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.slice(at, at + size));
}

function tls(): Uint8Array {
  const bytes = new Uint8Array(24);
  bytes.set(DATA_DESCRIPTOR, 16);
  return bytes;
}

Deno.test("decodeBytes() tiles the image: no gap, no overlap, up to its end", () => {
  const bytes = syntheticImage({ tls: tls(), ldt: DATA_DESCRIPTOR });
  let at = 0;
  for (const node of decodeBytes(bytes)) {
    assertEquals(node.offset, at, node.path);
    at += node.length;
  }
  assertEquals(at, bytes.length);
});

Deno.test("decodeBytes() names each node by its place", () => {
  const paths = [...decodeBytes(syntheticImage({ tls: tls(), ldt: DATA_DESCRIPTOR, unknownType: 1500 }))].map(
    (n) => n.path,
  );
  assertEquals(paths.slice(0, 7), [
    "head",
    "head_arch",
    "task[0]",
    "task[0]/comm",
    "task[0]/mm",
    "task[0]/vma[0]",
    "task[0]/vma[0]/fname",
  ]);
  assertEquals(paths.slice(-14), [
    "task[0]/vma[6]/pgarr[0]",
    "task[0]/mm_context",
    "task[0]/mm_context/ldt",
    "task[0]/thread",
    "task[0]/thread/tls",
    "task[0]/cpu",
    "task[0]/cpu/xstate",
    "task[0]/fsgsbase",
    "task[0]/auxv",
    "task[0]/signals",
    "task[0]/sigaction[0]",
    "task[0]/sigaction[1]",
    "task[0]/unknown[0]",
    "tail",
  ]);
});

Deno.test("decodeStream() gives the same nodes whatever the pieces", async () => {
  const bytes = syntheticImage({ tls: tls(), ldt: DATA_DESCRIPTOR });
  const expected = [...decodeBytes(bytes)];
  for (const size of [1, 7, 4096, bytes.length]) {
    const nodes = await Array.fromAsync(decodeStream(inPieces(bytes, size)));
    assertEquals(nodes, expected, `pieces of ${size}`);
  }
  assertEquals(await Array.fromAsync(decodeStream(new Blob([bytes]).stream())), expected);
});

Deno.test("decodeStream() with reused buffers gives pages that are right until the next node", async () => {
  const bytes = syntheticImage({ vmas: [oneVma(4100)] });
  let seen = 0;
  for await (const node of decodeStream(inPieces(bytes, 65536), { reuseBuffers: true })) {
    if (node.kind !== "pages") continue;
    assertEquals(node.pages.subarray(-4096), syntheticPage(node.vaddrs[node.count - 1] ?? 0n));
    seen += node.count;
  }
  assertEquals(seen, 4100);
});

Deno.test("decodeStream() lets its source go when the reader stops early", async () => {
  let released = false;
  async function* source(): AsyncGenerator<Uint8Array> {
    try {
      yield* inPieces(syntheticImage(), 64);
    } finally {
      released = true;
    }
  }
  for await (const node of decodeStream(source())) {
    if (node.path === "head") break;
  }
  assert(released);
});

Deno.test("decodeBytes() starts at an offset and gives what follows TAIL as a node", () => {
  const image = syntheticImage();
  const bytes = new Uint8Array(16 + image.length + 6).fill(0x58);
  bytes.set(image, 16);
  const read = readImage(bytes, { start: 16 });
  const rest = read.nodes.at(-1);
  assertEquals([read.head.offset, rest?.kind, rest?.offset, rest?.length], [
    16,
    "trailing",
    16 + image.length,
    6,
  ]);
  assertEquals(encode(read), bytes.subarray(16));
});

Deno.test("cut at every byte, an image is E_TRUNCATED in the record that is cut", () => {
  const bytes = syntheticImage({ tls: tls(), ldt: DATA_DESCRIPTOR });
  const nodes = [...decodeBytes(bytes)];
  for (let cut = 0; cut < bytes.length; cut++) {
    const { nodes: whole, error } = readNodes(bytes.subarray(0, cut));
    assert(error !== undefined, `cut at ${cut}`);
    const broken = nodes[whole.length];
    const before = nodes[whole.length - 1];
    assert(
      broken !== undefined && cut >= broken.offset && cut < broken.offset + broken.length,
      `cut at ${cut}`,
    );
    // In its header a record has no name yet: the one before is named.
    const inHeader = (broken.kind === "record" || broken.kind === "unknown") && cut < broken.offset + 8;
    const path = inHeader && before !== undefined ? before.path : broken.path;
    assertEquals([error.finding.id, error.finding.path, error.finding.offset], [
      "E_TRUNCATED",
      path,
      cut === 0 || broken.path === "head" && cut < 16 ? 0 : cut,
    ]);
  }
});

Deno.test("nr_pages as posted, cumulative: the pages of each chunk are the difference", () => {
  for (const [count, spare] of [[4096, 0], [5000, 0], [5000, 3], [8192, 0], [9000, 0]] as const) {
    const image = readImage(syntheticImage({ dialect: "v11", vmas: [oneVma(count, spare)] }));
    const [vma] = image.tasks[0]?.vmas ?? [];
    assert(vma !== undefined);
    assertEquals([...vmaPages(vma)].length, count);
    assertEquals(vma.chunks.slice(1).every(({ pages }) => pages?.counted === "cumulative"), true);
  }
});

Deno.test("the empty header that ends a VMA with a clean tail as posted has no pages", () => {
  const vma = { ...oneVma(4096, 1), chunks: [[4096n, 4096], [4096n, 0]] as const };
  const image = readImage(syntheticImage({ dialect: "v11", vmas: [vma] }));
  const chunks = image.tasks[0]?.vmas[0]?.chunks ?? [];
  assertEquals(chunks.map(({ pages }) => pages?.count), [4096, undefined]);
});

Deno.test("each dialect still decodes what the other would write", () => {
  // Cumulative in the port, with and without data after the header.
  for (
    const [count, chunks] of [
      [3000, [[2048n, 2048], [3000n, 952]]],
      [2048, [[2048n, 2048], [2048n, 0]]],
      [4096, [[2048n, 2048], [4096n, 2048]]],
    ] as const
  ) {
    const image = readImage(syntheticImage({ vmas: [{ ...oneVma(count, 4096), chunks }] }));
    const vma = image.tasks[0]?.vmas[0];
    assertEquals(vma?.chunks.map(({ pages }) => pages?.count ?? 0), chunks.map(([, pages]) => pages));
  }
  // Absolute in v11.
  const chunks = [[4096n, 4096], [4096n, 4096], [808n, 808]] as const;
  const image = readImage(syntheticImage({ dialect: "v11", vmas: [{ ...oneVma(9000), chunks }] }));
  assertEquals(image.tasks[0]?.vmas[0]?.chunks.map(({ pages }) => pages?.count), [4096, 4096, 808]);
});

Deno.test("a huge nr_pages is refused before anything is read", () => {
  const bytes = syntheticImage({ vmas: [oneVma(2)] });
  const pgarr = readNodes(bytes).nodes.find((node) => isRecord(node, "PGARR"));
  assert(pgarr !== undefined);
  new DataView(bytes.buffer).setBigUint64(pgarr.offset + 8, 1n << 40n, true);
  const error = assertThrows(() => readImage(bytes), MalformedImageError);
  assertEquals([error.finding.id, error.finding.path, error.finding.offset], [
    "E_CHUNK_COUNT",
    "task[0]/vma[0]/pgarr[0].nr_pages",
    pgarr.offset + 8,
  ]);
  assertEquals([error.finding.expected, error.finding.actual], [
    "at most 2 (of the 2 pages of the VMA)",
    "1099511627776",
  ]);
});

Deno.test("a chunk that would need too much memory is refused", () => {
  const vma = { ...oneVma(0, 100_000), pages: [], chunks: [[5000n, 0]] as const };
  const error = assertThrows(() => readImage(syntheticImage({ vmas: [vma] })), MalformedImageError);
  assertEquals([error.finding.id, error.finding.expected], ["E_CHUNK_SIZE", "at most 4096"]);
});

Deno.test("patch 12's record numbers are told from patch 10's by the first record", () => {
  const flat = readImage(syntheticImage({ dialect: "v11", revision: 2, files: true }));
  assertEquals([flat.tree, flat.tasks[0]?.task.header.type, flat.tasks[0]?.files?.entries.length], [
    undefined,
    101,
    3,
  ]);
  const tree = readImage(syntheticImage({ dialect: "v11", revision: 3, tasks: 3 }));
  assertEquals([tree.tree?.pids?.entries.length, tree.tasks.length, tree.tasks[0]?.task.header.type], [
    3,
    3,
    102,
  ]);
});

Deno.test("unknown records from 1001 up are skipped in the port only", () => {
  const image = readImage(syntheticImage({ unknownType: 1500 }));
  const unknown = image.nodes.filter((node) => node.kind === "unknown");
  assertEquals(unknown.map(({ header, payload }) => [header.type, payload.length]), [[1500, 24]]);
  for (
    const options of [{ unknownType: 999 }, { unknownType: 1500, dialect: "v11" }, {
      unknownType: 1001,
      dialect: "v11",
    }] as const
  ) {
    assertEquals(
      assertThrows(() => readImage(syntheticImage(options)), MalformedImageError).finding.id,
      "E_TYPE",
    );
  }
});

Deno.test("dialect and word size come from the head and can be overridden", () => {
  const bytes = syntheticImage({ wordSize: 4 });
  assertEquals([readImage(bytes).dialect, readImage(bytes).wordSize], ["port", 4]);
  assertEquals(readImage(syntheticImage({ dialect: "v11" }), { dialect: "port" }).dialect, "port");
  assertThrows(() => readImage(bytes, { wordSize: 8 }), MalformedImageError);
  const foreign = syntheticImage();
  foreign.set(new TextEncoder().encode("aarch64"), 8 + 160);
  assertEquals(assertThrows(() => readImage(foreign), MalformedImageError).finding.id, "E_MACHINE");
  assertEquals(readImage(foreign, { wordSize: 8 }).wordSize, 8);
  const readAs = (machine: string): number => {
    foreign.fill(0, 168, 232).set(new TextEncoder().encode(machine), 168);
    return readImage(foreign).wordSize;
  };
  assertEquals(readAs("x86_64"), 8);
  for (const machine of ["i786", "i286", "xi386", ""]) {
    assertThrows(() => readAs(machine), MalformedImageError);
  }
  const small = syntheticImage({ wordSize: 4 });
  for (const machine of ["i386", "i486", "i686"]) {
    small.fill(0, 168, 232).set(new TextEncoder().encode(machine), 168);
    assertEquals(readImage(small).wordSize, 4);
  }
});

Deno.test("an error of the stream's source comes through", async () => {
  async function* source(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(syntheticImage().subarray(0, 500));
    throw new TypeError("the disk is gone");
  }
  await assertRejects(() => Array.fromAsync(decodeStream(source())), TypeError, "the disk is gone");
});

Deno.test("vmaPages() gives addresses, contents and their offsets", () => {
  const bytes = syntheticImage({ vmas: [oneVma(3)] });
  const vma = readImage(bytes).tasks[0]?.vmas[0];
  assert(vma !== undefined);
  const pages = [...vmaPages(vma)];
  assertEquals(pages.map(({ vaddr }) => vaddr), pagesFrom(3));
  for (const { vaddr, bytes: contents, offset } of pages) {
    assertEquals(contents, syntheticPage(vaddr));
    assertEquals(bytes.subarray(offset, offset + 4096), contents);
  }
});

Deno.test("pageAt() finds the page of an address, and nothing where the image has none", () => {
  const vmas = [oneVma(4100, 5), { start: START + 0x200_0000n, end: START + 0x201_0000n, flags: RW_FLAGS }];
  const bytes = syntheticImage({ vmas });
  const task = readImage(bytes).tasks[0]!;
  for (const page of [0n, 1n, 2047n, 2048n, 4095n, 4096n, 4099n]) {
    const vaddr = START + page * 4096n;
    for (const address of [vaddr, vaddr + 4095n]) {
      const found = pageAt(task, address)!;
      assertEquals([found.vaddr, bytes.subarray(found.offset, found.offset + 4096)], [
        vaddr,
        syntheticPage(vaddr),
      ]);
    }
  }
  const none = [0n, START - 1n, START + 4100n * 4096n, START + 4105n * 4096n, START + 0x200_0000n, 1n << 63n];
  for (const address of none) assertEquals(pageAt(task, address), undefined, `0x${address.toString(16)}`);
});

Deno.test("readImage() refuses records in the wrong order", () => {
  const bytes = syntheticImage();
  const { nodes } = readNodes(bytes);
  const without = nodes.filter((node) => !isRecord(node, "MM"));
  const error = assertThrows(() => readImage(encode(without)), MalformedImageError);
  assertEquals([error.finding.id, error.finding.expected, error.finding.actual], ["E_ORDER", "MM", "VMA"]);
});

Deno.test("ImageDecoderStream gives the nodes, and ends with the error of an image that is cut", async () => {
  const bytes = syntheticImage({ tls: tls() });
  const through = (image: Uint8Array<ArrayBuffer>): ReadableStream<ImageNode> =>
    ReadableStream.from(inPieces(image, 1000)).pipeThrough(new ImageDecoderStream());
  assertEquals(await Array.fromAsync(through(bytes)), [...decodeBytes(bytes)]);
  const cut = bytes.slice(0, 400);
  const { nodes: whole } = readNodes(cut);
  const seen: ImageNode[] = [];
  await assertRejects(async () => {
    for await (const node of through(cut)) seen.push(node);
  }, MalformedImageError);
  assertEquals(seen, whole);
});
