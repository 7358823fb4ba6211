// SPDX-License-Identifier: MIT
import { LDT_ENTRIES, LDT_ENTRY_SIZE, PAGE_SIZE } from "../abi/arch.ts";
import {
  type ChunkReading,
  chunkReadings,
  type ChunkState,
  isPlausible,
  vmaPageCount,
} from "./chunk_count.ts";
import { chunkLimit } from "./chunk_count.ts";
import { formatOfHead, type FormatOptions, type ImageFormat } from "./dialect.ts";
import { ImagePath } from "./image_path.ts";
import { type MalformedImageDetails, MalformedImageError } from "./malformed_image_error.ts";
import type { ImageNode, RecordHeader, RecordNode, RecordNodeOf } from "./nodes.ts";
import { HEAD_MAGIC, PIDS } from "./structs.ts";
import {
  FIRST_PORT_TYPE,
  isStruct,
  NAMES_BY_TYPE,
  type Numbering,
  type RecordDesc,
  type RecordName,
  RECORDS,
} from "./records.ts";
import { dataView, readStruct } from "./struct_codec.ts";

const HEADER_SIZE = 8;
/** Most tasks of an image: the largest pid of a kernel of 2008. */
const TASK_LIMIT = 32768;
const TLS_ARRAY_SIZE = 24;
/** Only blocks of at least this many bytes, which are pages, go into a buffer that is used again. */
const REUSE_FROM = 1 << 17;

/** How to decode. */
export interface DecodeOptions extends FormatOptions {
  /** Byte offset at which the image starts, when it was appended to a file; 0 when left out. */
  readonly start?: number;
}

/** How to decode a stream. */
export interface StreamOptions extends DecodeOptions {
  /**
   * Use one buffer for all page contents, which a {@linkcode PagesNode} then owns only until the next node
   * is asked for. Without it the garbage of page buffers may add up to some hundred MiB.
   */
  readonly reuseBuffers?: boolean;
}

/** A demand of the decoder for bytes: its answer may be shorter only where the image ends. */
interface Need {
  readonly kind: "need";
  /** How many bytes; Infinity for as many as are at hand, but at least one. */
  readonly count: number;
  /** Leave them to be asked for again. */
  readonly peek: boolean;
}

type Steps<T> = Generator<Need | ImageNode, T, Uint8Array>;

/**
 * The decoder as a state machine without input of its own: it yields what it needs and what it found. The
 * order of records is not its business but for what it needs itself (the rules judge it), so that an image
 * in disorder is still shown as far as possible.
 */
class Decoder {
  readonly #options: DecodeOptions;
  readonly #path = new ImagePath();
  #offset: number;
  #lastPath = "";
  #format: ImageFormat = { dialect: "port", wordSize: 8 };
  #revision = 0;
  #numbering: Numbering | undefined = "plain";
  #xstateSize = 0;
  #chunks: ChunkState = newChunks(0n, 0n);

  constructor(options: DecodeOptions) {
    this.#options = options;
    this.#offset = options.start ?? 0;
  }

  *run(): Steps<void> {
    yield* this.#head();
    for (;;) {
      const name = yield* this.#record();
      if (name === "TAIL") break;
    }
    for (;;) {
      const bytes = yield { kind: "need", count: Infinity, peek: false };
      if (bytes.length === 0) return;
      yield { kind: "trailing", offset: this.#offset, length: bytes.length, path: "trailing", bytes };
      this.#offset += bytes.length;
    }
  }

  *#head(): Steps<void> {
    const start = yield { kind: "need", count: HEADER_SIZE + 8, peek: true };
    if (start.length < HEADER_SIZE + 8) {
      this.#fail({ id: "E_TRUNCATED", path: "head", what: "the image ends", ...needHave(16, start.length) });
    }
    const magic = dataView(start).getBigUint64(HEADER_SIZE, true);
    if (magic !== HEAD_MAGIC) {
      const swapped = dataView(start).getBigUint64(HEADER_SIZE, false) === HEAD_MAGIC;
      this.#fail({
        id: "E_MAGIC_HEAD",
        offset: this.#offset + HEADER_SIZE,
        path: "head.magic",
        what: swapped ? "the image is big-endian; only little-endian ones exist" : "not a checkpoint image",
        expected: hex(HEAD_MAGIC),
        actual: hex(magic),
      });
    }
    yield* this.#record("HEAD");
  }

  /** Reads one record and what follows it raw. */
  *#record(only?: RecordName): Steps<RecordName | undefined> {
    const offset = this.#offset;
    const after = this.#lastPath === "" ? "head" : this.#lastPath;
    const bytes = yield* this.#take(HEADER_SIZE, after, "the image ends where a record header should follow");
    const view = dataView(bytes);
    const header: RecordHeader = {
      type: view.getInt16(0, true),
      len: view.getInt16(2, true),
      parent: view.getUint32(4, true),
    };
    const name = this.#nameOf(header, offset, after);
    if (only !== undefined && name !== only) {
      this.#fail({
        id: "E_ORDER",
        offset,
        path: only.toLowerCase(),
        what: "wrong first record",
        expected: only,
        actual: name ?? `type ${header.type}`,
      });
    }
    if (name === undefined) return yield* this.#unknown(header, offset);
    const path = this.#path.next(name);
    this.#checkLength(name, header, offset, path);
    const payload = yield* this.#take(header.len, path, `the image ends in the ${name} record`);
    const desc: RecordDesc = RECORDS[name];
    const fields = isStruct(desc.payload) ? readStruct(desc.payload, dataView(payload)) : {};
    const length = HEADER_SIZE + header.len;
    const node = { kind: "record", name, type: header.type, offset, length, path, header, fields, payload };
    this.#lastPath = path;
    // The name was looked up in the same table as the fields.
    yield* this.#follow(node as unknown as RecordNode);
    return name;
  }

  *#unknown(header: RecordHeader, offset: number): Steps<undefined> {
    const path = this.#path.nextUnknown();
    if (header.len < 0) this.#negativeLength(header, offset, path);
    const payload = yield* this.#take(header.len, path, `the image ends in a record of type ${header.type}`);
    const length = HEADER_SIZE + header.len;
    this.#lastPath = path;
    yield { kind: "unknown", offset, length, path, type: header.type, header, payload };
  }

  #nameOf(header: RecordHeader, offset: number, after: string): RecordName | undefined {
    // Patch 12 puts TREE at 101, where TASK was, and the revision does not always tell. Its length does.
    if (this.#numbering === undefined && header.type === 101) {
      this.#numbering = header.len === 8 ? "tree" : "plain";
    }
    const name = NAMES_BY_TYPE[this.#numbering ?? "plain"].get(header.type);
    const isPort = this.#format.dialect === "port";
    if (name !== undefined && (isPort || name !== "X86_FSGSBASE")) return name;
    if (isPort && header.type >= FIRST_PORT_TYPE) return undefined;
    this.#fail({
      id: "E_TYPE",
      offset,
      path: `after ${after}`,
      what: "unknown record type",
      expected: "a record type of the format",
      actual: String(header.type),
    });
  }

  #checkLength(name: RecordName, header: RecordHeader, offset: number, path: string): void {
    if (header.len < 0) this.#negativeLength(header, offset, path);
    const { payload }: RecordDesc = RECORDS[name];
    const good = isStruct(payload)
      ? header.len === payload.size
      : header.len >= payload.min && header.len <= payload.max;
    if (good) return;
    this.#fail({
      id: "E_LEN",
      offset: offset + 2,
      path,
      what: `wrong length of ${name}`,
      expected: isStruct(payload) ? String(payload.size) : `${payload.min} to ${payload.max}`,
      actual: String(header.len),
    });
  }

  #negativeLength(header: RecordHeader, offset: number, path: string): never {
    this.#fail({
      id: "E_LEN_NEGATIVE",
      offset: offset + 2,
      path,
      what: "negative length",
      expected: "0 or more",
      actual: String(header.len),
    });
  }

  /** Yields a record, learns from it, and reads the raw bytes that belong to it. */
  *#follow(node: RecordNode): Steps<void> {
    switch (node.name) {
      case "HEAD":
        this.#format = formatOfHead(node.fields, {
          ...this.#options,
          payloadOffset: node.offset + HEADER_SIZE,
        });
        this.#revision = node.fields.rev;
        if (this.#format.dialect === "v11" && this.#revision > 1) this.#numbering = undefined;
        break;
      case "HEAD_ARCH":
        this.#xstateSize = node.fields.xstate_size;
        break;
      case "VMA": {
        const { vm_start, vm_end } = node.fields;
        this.#chunks = vm_end > vm_start ? newChunks(vm_start, vm_end) : newChunks(0n, 0n);
        break;
      }
    }
    yield node;
    switch (node.name) {
      case "TREE":
        return yield* this.#pids(node);
      case "PGARR":
        return yield* this.#pages(node);
      case "MM_CONTEXT":
        return yield* this.#ldt(node);
      case "THREAD":
        return yield* this.#tls(node);
      case "CPU":
        return yield* this.#xstate(node);
    }
  }

  *#pids(node: RecordNodeOf<"TREE">): Steps<void> {
    const count = node.fields.tasks_nr;
    const path = `${node.path}/pids`;
    if (count > TASK_LIMIT) {
      this.#failField(node, "tasks_nr", "E_TREE_COUNT", "too many tasks", `at most ${TASK_LIMIT}`, count);
    }
    if (count === 0) return;
    const offset = this.#offset;
    const bytes = yield* this.#take(count * PIDS.size, path, "the image ends in the table of tasks");
    const view = dataView(bytes);
    const entries = Array.from({ length: count }, (_, i) => readStruct(PIDS, view, i * PIDS.size));
    this.#lastPath = path;
    yield { kind: "pids", offset, length: bytes.length, path, entries, bytes };
  }

  *#pages(node: RecordNodeOf<"PGARR">): Steps<void> {
    const nrPages = node.fields.nr_pages;
    const chunks = this.#chunks;
    if (nrPages === 0n) {
      this.#chunks = newChunks(chunks.start, chunks.end);
      return;
    }
    const { count, counted } = yield* this.#reading(node, chunks);
    chunks.previous = nrPages;
    chunks.emitted += BigInt(count);
    if (count === 0) return;
    const { wordSize } = this.#format;
    const offset = this.#offset;
    const path = `${node.path}/pages`;
    const bytes = yield* this.#take(
      count * (wordSize + PAGE_SIZE),
      path,
      "the image ends in the pages of a chunk",
    );
    const vaddrs = readAddresses(bytes, count, wordSize);
    chunks.lastAddress = vaddrs[count - 1] ?? 0n;
    this.#lastPath = path;
    yield {
      kind: "pages",
      offset,
      length: bytes.length,
      path,
      wordSize,
      count,
      counted,
      vaddrs,
      pagesOffset: offset + count * wordSize,
      pages: bytes.subarray(count * wordSize),
    };
  }

  /** How many pages a PGARR really announces. */
  *#reading(node: RecordNodeOf<"PGARR">, chunks: ChunkState): Steps<ChunkReading> {
    const { wordSize } = this.#format;
    const readings = chunkReadings(node.fields.nr_pages, chunks, this.#format);
    const [first, second] = readings;
    if (first === undefined) this.#tooManyPages(node, chunks);
    if (second === undefined || first.count === second.count) return first;
    const most = Math.max(first.count, second.count);
    const ahead = yield { kind: "need", count: most * wordSize, peek: true };
    return readings.find((reading) => isPlausible(reading, ahead, chunks, wordSize)) ?? first;
  }

  #tooManyPages(node: RecordNodeOf<"PGARR">, chunks: ChunkState): never {
    const limit = chunkLimit(this.#format.wordSize);
    const total = vmaPageCount(chunks);
    const actual = node.fields.nr_pages;
    if (total !== undefined && actual > total - chunks.emitted) {
      const room = `at most ${total - chunks.emitted} (of the ${total} pages of the VMA)`;
      this.#failField(node, "nr_pages", "E_CHUNK_COUNT", "more pages than the VMA has left", room, actual);
    }
    this.#failField(node, "nr_pages", "E_CHUNK_SIZE", "chunk too large", `at most ${limit}`, actual);
  }

  *#ldt(node: RecordNodeOf<"MM_CONTEXT">): Steps<void> {
    const { nldt, ldt_entry_size } = node.fields;
    if (nldt < 0 || nldt > LDT_ENTRIES) {
      this.#failField(node, "nldt", "E_LDT_COUNT", "impossible size of the LDT", `0 to ${LDT_ENTRIES}`, nldt);
    }
    if (nldt === 0) return;
    if (ldt_entry_size !== LDT_ENTRY_SIZE) {
      this.#failField(
        node,
        "ldt_entry_size",
        "E_LDT_SIZE",
        "wrong size of an LDT entry",
        "8",
        ldt_entry_size,
      );
    }
    const offset = this.#offset;
    const path = `${node.path}/ldt`;
    const bytes = yield* this.#take(nldt * LDT_ENTRY_SIZE, path, "the image ends in the LDT");
    this.#lastPath = path;
    yield { kind: "ldt", offset, length: bytes.length, path, count: nldt, bytes };
  }

  *#tls(node: RecordNodeOf<"THREAD">): Steps<void> {
    const { ntls, sizeof_tls_array } = node.fields;
    if (ntls < 0 || ntls > 3) {
      this.#failField(node, "ntls", "E_TLS_COUNT", "impossible count of TLS entries", "0 to 3", ntls);
    }
    if (ntls === 0) return;
    if (sizeof_tls_array !== TLS_ARRAY_SIZE) {
      const expected = String(TLS_ARRAY_SIZE);
      this.#failField(
        node,
        "sizeof_tls_array",
        "E_TLS_SIZE",
        "wrong size of the TLS array",
        expected,
        sizeof_tls_array,
      );
    }
    const offset = this.#offset;
    const path = `${node.path}/tls`;
    const bytes = yield* this.#take(sizeof_tls_array, path, "the image ends in the TLS array");
    this.#lastPath = path;
    yield { kind: "tls", offset, length: bytes.length, path, bytes };
  }

  *#xstate(node: RecordNodeOf<"CPU">): Steps<void> {
    if (node.fields.used_math === 0 || this.#xstateSize === 0) return;
    const offset = this.#offset;
    const path = `${node.path}/xstate`;
    const bytes = yield* this.#take(this.#xstateSize, path, "the image ends in the FPU state");
    this.#lastPath = path;
    yield { kind: "xstate", offset, length: bytes.length, path, bytes };
  }

  *#take(count: number, path: string, what: string): Steps<Uint8Array> {
    if (count === 0) return new Uint8Array(0);
    const bytes = yield { kind: "need", count, peek: false };
    if (bytes.length < count) {
      const offset = this.#offset + bytes.length;
      this.#fail({ id: "E_TRUNCATED", offset, path, what, ...needHave(count, bytes.length) });
    }
    this.#offset += count;
    return bytes;
  }

  #failField(
    node: RecordNode,
    field: string,
    id: MalformedImageDetails["id"],
    what: string,
    expected: string,
    actual: number | bigint,
  ): never {
    const { payload }: RecordDesc = RECORDS[node.name];
    const desc = isStruct(payload) ? payload.fields.find((candidate) => candidate.name === field) : undefined;
    const offset = node.offset + HEADER_SIZE + (desc?.offset ?? 0);
    this.#fail({ id, offset, path: `${node.path}.${field}`, what, expected, actual: String(actual) });
  }

  #fail(details: Omit<MalformedImageDetails, "offset"> & { offset?: number }): never {
    throw new MalformedImageError({ ...details, offset: details.offset ?? this.#offset });
  }
}

function newChunks(start: bigint, end: bigint): ChunkState {
  return { start, end, previous: 0n, emitted: 0n, lastAddress: -1n };
}

function needHave(need: number, have: number): { expected: string; actual: string } {
  return { expected: `${need} bytes`, actual: `${have} bytes` };
}

function hex(value: bigint): string {
  return `0x${value.toString(16).padStart(16, "0")}`;
}

function readAddresses(bytes: Uint8Array, count: number, wordSize: 4 | 8): BigUint64Array {
  // Copied: in the image they need not lie on a multiple of 8.
  if (wordSize === 8) return new BigUint64Array(bytes.slice(0, 8 * count).buffer);
  return BigUint64Array.from(new Uint32Array(bytes.slice(0, 4 * count).buffer), BigInt);
}

/**
 * Decodes an image that is in memory. Payloads and pages are views of `bytes`, not copies.
 *
 * @param bytes the file, whole
 * @param options overrides of dialect and word size; where the image starts
 * @throws {MalformedImageError} from the iterator, after the nodes that could be read
 */
export function* decodeBytes(
  bytes: Uint8Array,
  options: DecodeOptions = {},
): Generator<ImageNode, void, void> {
  let at = options.start ?? 0;
  const steps = new Decoder(options).run();
  let step = steps.next();
  while (!step.done) {
    if (step.value.kind !== "need") {
      yield step.value;
      step = steps.next();
      continue;
    }
    const { count, peek } = step.value;
    const given = bytes.subarray(at, Math.min(at + count, bytes.length));
    if (!peek) at += given.length;
    step = steps.next(given);
  }
}

/** Bytes of a stream, by count. */
class ByteQueue {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #reuse: boolean;
  #scratch = new Uint8Array(0);
  #chunk: Uint8Array = new Uint8Array(0);
  #ended = false;

  constructor(source: AsyncIterable<Uint8Array>, reuse: boolean) {
    this.#source = source[Symbol.asyncIterator]();
    this.#reuse = reuse;
  }

  #space(count: number): Uint8Array {
    if (!this.#reuse || count < REUSE_FROM) return new Uint8Array(count);
    if (this.#scratch.length < count) this.#scratch = new Uint8Array(count);
    return this.#scratch.subarray(0, count);
  }

  async #more(): Promise<boolean> {
    while (!this.#ended) {
      const next = await this.#source.next();
      if (next.done) this.#ended = true;
      else if (next.value.length > 0) {
        this.#chunk = next.value;
        return true;
      }
    }
    return false;
  }

  /** The next bytes; fewer only at the end of the stream. */
  async take(count: number): Promise<Uint8Array> {
    if (this.#chunk.length === 0 && !(await this.#more())) return this.#chunk;
    if (this.#chunk.length >= count || count === Infinity) return this.#cut(count);
    const all = this.#space(count);
    let filled = 0;
    while (filled < count && (this.#chunk.length > 0 || await this.#more())) {
      const part = this.#cut(count - filled);
      all.set(part, filled);
      filled += part.length;
    }
    return all.subarray(0, filled);
  }

  /** The same without taking them. */
  async peek(count: number): Promise<Uint8Array> {
    const taken = await this.take(count);
    const joined = new Uint8Array(taken.length + this.#chunk.length);
    joined.set(taken);
    joined.set(this.#chunk, taken.length);
    this.#chunk = joined;
    return joined.subarray(0, taken.length);
  }

  /** Lets the stream go. */
  async close(): Promise<void> {
    if (!this.#ended) await this.#source.return?.();
  }

  #cut(count: number): Uint8Array {
    const part = this.#chunk.subarray(0, count);
    this.#chunk = this.#chunk.subarray(part.length);
    return part;
  }
}

/**
 * Decodes an image as it comes in. At most one page-array chunk is held, beside what the stream itself
 * hands over at once.
 *
 * @param source the image's bytes in pieces of any size, each piece left alone once handed over
 * @param options overrides of dialect and word size; `start` bytes are skipped first; how to keep buffers
 * @throws {MalformedImageError} from the iterator, after the nodes that could be read
 */
export async function* decodeStream(
  source: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>,
  options: StreamOptions = {},
): AsyncGenerator<ImageNode, void, void> {
  const queue = new ByteQueue(source, options.reuseBuffers ?? false);
  try {
    let skip = options.start ?? 0;
    while (skip > 0) {
      const skipped = (await queue.take(Math.min(skip, 65536))).length;
      if (skipped === 0) break;
      skip -= skipped;
    }
    const steps = new Decoder(options).run();
    let step = steps.next();
    while (!step.done) {
      if (step.value.kind !== "need") {
        yield step.value;
        step = steps.next();
        continue;
      }
      const { count, peek } = step.value;
      step = steps.next(await (peek ? queue.peek(count) : queue.take(count)));
    }
  } finally {
    await queue.close();
  }
}
