// SPDX-License-Identifier: MIT
import { LDT_ENTRIES, LDT_ENTRY_SIZE, PAGE_SIZE, TLS_ENTRIES } from "../abi/arch.ts";
import {
  chunkLimit,
  type ChunkReading,
  chunkReadings,
  type ChunkState,
  isPlausible,
  newChunks,
  tooManyPages,
} from "./chunk_count.ts";
import { formatOfHead, type FormatOptions, type ImageFormat } from "./dialect.ts";
import { ImagePath } from "./image_path.ts";
import {
  type MalformedId,
  type MalformedImageDetails,
  MalformedImageError,
} from "./malformed_image_error.ts";
import {
  type BlockOwner,
  BLOCKS,
  BY_SIZE,
  type CountedBlock,
  isHeaderAt,
  TASK_LIMIT,
  TLS_ARRAY_SIZE,
  trueCount,
} from "./counted_block.ts";
import type { ImageNode, RecordHeader, RecordNode, RecordNodeOf } from "./nodes.ts";
import {
  fieldOf,
  FIRST_PORT_TYPE,
  isStruct,
  NAMES_BY_TYPE,
  type Numbering,
  type RecordDesc,
  type RecordName,
  RECORDS,
  recordType,
} from "./records.ts";
import { dataView, readStruct } from "./struct_codec.ts";
import { HEAD_MAGIC, PIDS, RECORD_HEADER } from "./structs.ts";

/** Bytes of a record header. */
const HEADER_SIZE = RECORD_HEADER.size;
const NO_BYTES = new Uint8Array(0);
/** How often a wrong count is looked for, which may take 16 MiB each time. */
const MAX_GUESSES = 8;

/** How to decode. */
export interface DecodeOptions extends FormatOptions {
  /** Byte offset at which the image starts, when it was appended to a file; 0 when left out. */
  readonly start?: number;
}

/** A demand of the decoder for bytes: its answer may be shorter only where the image ends. */
export interface Need {
  readonly kind: "need";
  /** How many bytes; Infinity for as many as are at hand, but at least one. */
  readonly count: number;
  /** Leave them to be asked for again. */
  readonly peek: boolean;
}

/** What the decoder yields: what it needs and what it found. It is answered with bytes. */
export type Steps<T> = Generator<Need | ImageNode, T, Uint8Array>;

type Fault = Omit<MalformedImageDetails, "offset"> & { readonly offset?: number };

/** What is wrong with a field of a record that was read. */
interface FieldFault {
  readonly id: MalformedId;
  readonly what: string;
  readonly expected: string;
}

/**
 * The decoder as a state machine without input of its own. The order of records is not its business but for
 * what it needs itself (the rules judge it), so that an image in disorder is still shown as far as possible.
 */
export class Decoder {
  readonly #options: DecodeOptions;
  readonly #path = new ImagePath();
  #offset: number;
  #lastPath = "";
  #format: ImageFormat = { dialect: "port", wordSize: 8 };
  #numbering: Numbering | undefined = "plain";
  #headArch: RecordNodeOf<"HEAD_ARCH"> | undefined;
  #chunks: ChunkState = newChunks(0n, 0n);
  #guesses = MAX_GUESSES;

  /** A decoder for one image. */
  constructor(options: DecodeOptions) {
    this.#options = options;
    this.#offset = options.start ?? 0;
  }

  /** All parts of the image, and what follows it. */
  *run(): Steps<void> {
    yield* this.#magic();
    while ((yield* this.#record()) !== "TAIL");
    for (;;) {
      const bytes = yield { kind: "need", count: Infinity, peek: false };
      if (bytes.length === 0) return;
      yield { kind: "trailing", offset: this.#offset, length: bytes.length, path: "trailing", bytes };
      this.#offset += bytes.length;
    }
  }

  /** Before anything else is believed, so that any other file ends here. */
  *#magic(): Steps<void> {
    const start = yield { kind: "need", count: HEADER_SIZE + 8, peek: true };
    if (start.length < HEADER_SIZE + 8) {
      this.#fail({ id: "E_TRUNCATED", path: "head", what: "the image ends", ...needHave(16, start.length) });
    }
    const view = dataView(start);
    const magic = view.getBigUint64(HEADER_SIZE, true);
    if (magic !== HEAD_MAGIC) {
      const isSwapped = view.getBigUint64(HEADER_SIZE, false) === HEAD_MAGIC;
      this.#fail({
        id: "E_MAGIC_HEAD",
        offset: this.#offset + HEADER_SIZE,
        path: "head.magic",
        what: isSwapped ? "the image is big-endian; only little-endian ones exist" : "not a checkpoint image",
        expected: hex(HEAD_MAGIC),
        actual: hex(magic),
      });
    }
    const { type } = readStruct(RECORD_HEADER, view);
    if (type === RECORDS.HEAD.type) return;
    const actual = NAMES_BY_TYPE.plain.get(type) ?? `type ${type}`;
    this.#fail({ id: "E_ORDER", path: "head", what: "wrong first record", expected: "HEAD", actual });
  }

  /** Reads one record and what follows it raw. */
  *#record(): Steps<RecordName | undefined> {
    const offset = this.#offset;
    const after = this.#lastPath === "" ? "head" : this.#lastPath;
    const bytes = yield* this.#take(HEADER_SIZE, after, "the image ends where a record header should follow");
    const header: RecordHeader = readStruct(RECORD_HEADER, dataView(bytes));
    if (this.#numbering === undefined && header.type === 101) {
      // Patch 12 puts TREE at 101, where TASK was, and the revision does not always tell. Its length does.
      this.#numbering = header.len === 8 ? "tree" : "plain";
    }
    const known = NAMES_BY_TYPE[this.#numbering ?? "plain"].get(header.type);
    const isPort = this.#format.dialect === "port";
    const name = known === "X86_FSGSBASE" && !isPort ? undefined : known;
    if (name === undefined && !(isPort && header.type >= FIRST_PORT_TYPE)) {
      const [path, actual] = [`after ${after}`, String(header.type)];
      const expected = "a record type of the format";
      this.#fail({ id: "E_TYPE", offset, path, what: "unknown record type", expected, actual });
    }
    const path = name === undefined ? this.#path.nextUnknown() : this.#path.next(name);
    this.#checkLength(name, header, offset, path);
    const what = `the image ends in ${name === undefined ? "a" : "the"} ${name ?? "unknown"} record`;
    const payload = yield* this.#take(header.len, path, what);
    const length = HEADER_SIZE + header.len;
    this.#lastPath = path;
    if (name === undefined) {
      yield { kind: "unknown", offset, length, path, header, payload };
      return undefined;
    }
    const { payload: desc }: RecordDesc = RECORDS[name];
    const fields = isStruct(desc) ? readStruct(desc, dataView(payload)) : {};
    // The name was looked up in the same table as the fields.
    const node = { kind: "record", name, offset, length, path, header, fields, payload } as unknown;
    yield* this.#follow(node as RecordNode);
    return name;
  }

  #checkLength(name: RecordName | undefined, { len }: RecordHeader, at: number, path: string): void {
    const [offset, actual] = [at + 2, String(len)];
    if (len < 0) {
      const [what, expected] = ["negative length", "0 or more"];
      this.#fail({ id: "E_LEN_NEGATIVE", offset, path, what, expected, actual });
    }
    if (name === undefined) return;
    const { payload }: RecordDesc = RECORDS[name];
    const [min, max] = isStruct(payload) ? [payload.size, payload.size] : [payload.min, payload.max];
    if (len >= min && len <= max) return;
    const expected = min === max ? String(min) : `${min} to ${max}`;
    this.#fail({ id: "E_LEN", offset, path, what: `wrong length of ${name}`, expected, actual });
  }

  /** Yields a record, learns from it, and reads the raw bytes that belong to it. */
  *#follow(node: RecordNode): Steps<void> {
    if (node.name === "HEAD") {
      const payloadOffset = node.offset + HEADER_SIZE;
      this.#format = formatOfHead(node.fields, { ...this.#options, payloadOffset });
      if (this.#format.dialect === "v11" && node.fields.rev > 1) this.#numbering = undefined;
    } else if (node.name === "VMA") {
      const { vm_start, vm_end } = node.fields;
      this.#chunks = vm_end > vm_start ? newChunks(vm_start, vm_end) : newChunks(0n, 0n);
    } else if (node.name === "HEAD_ARCH") {
      this.#headArch = node;
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
    if (count > TASK_LIMIT) {
      const fault: FieldFault = {
        id: "E_TREE_COUNT",
        what: "too many tasks",
        expected: `at most ${TASK_LIMIT}`,
      };
      this.#failField(node, "tasks_nr", fault);
    }
    const [place, bytes] = yield* this.#block(node, count);
    const view = dataView(bytes);
    const entries = Array.from({ length: count }, (_, i) => readStruct(PIDS, view, i * PIDS.size));
    if (count > 0) yield { kind: "pids", ...place, entries, bytes };
  }

  *#pages(node: RecordNodeOf<"PGARR">): Steps<void> {
    const nrPages = node.fields.nr_pages;
    const chunks = this.#chunks;
    const { wordSize } = this.#format;
    const isEnd = nrPages === 0n;
    const none: ChunkReading = { count: 0, counted: "absolute" };
    const { count, counted } = isEnd ? none : yield* this.#reading(node, chunks);
    const [place, bytes] = yield* this.#block(node, count, {
      unit: wordSize + PAGE_SIZE,
      most: chunkLimit(wordSize),
      base: counted === "cumulative" ? Number(chunks.previous) : 0,
      next: ["PGARR"],
    });
    if (isEnd) this.#chunks = newChunks(chunks.start, chunks.end);
    chunks.previous = nrPages;
    chunks.emitted += BigInt(count);
    if (count === 0) return;
    const vaddrs = readAddresses(bytes, count, wordSize);
    chunks.lastAddress = vaddrs[count - 1] ?? 0n;
    const pagesOffset = place.offset + count * wordSize;
    const pages = bytes.subarray(count * wordSize);
    yield { kind: "pages", ...place, wordSize, count, counted, vaddrs, pagesOffset, pages };
  }

  /** How many pages a PGARR really announces. */
  *#reading(node: RecordNodeOf<"PGARR">, chunks: ChunkState): Steps<ChunkReading> {
    const { wordSize, dialect } = this.#format;
    const readings = chunkReadings(node.fields.nr_pages, chunks, this.#format);
    const [first, second] = readings;
    if (first === undefined) this.#tooManyPages(node, chunks);
    const isOwn = first.counted === "absolute" === (dialect === "port") || chunks.previous === 0n;
    if (isOwn && (second === undefined || first.count === second.count)) return first;
    const most = Math.max(first.count, second?.count ?? 0);
    const ahead = yield { kind: "need", count: most * wordSize, peek: true };
    const fitting = readings.find((reading) => isPlausible(reading, ahead, chunks, wordSize));
    // The other dialect's way to count is believed only where what follows agrees.
    return fitting ?? (isOwn ? first : this.#tooManyPages(node, chunks));
  }

  #tooManyPages(node: RecordNodeOf<"PGARR">, chunks: ChunkState): never {
    const { nr_pages } = node.fields;
    this.#failField(node, "nr_pages", tooManyPages(nr_pages, chunks, this.#format.wordSize));
  }

  *#ldt(node: RecordNodeOf<"MM_CONTEXT">): Steps<void> {
    const { nldt: count, ldt_entry_size } = node.fields;
    if (count < 0 || count > LDT_ENTRIES) {
      const expected = `0 to ${LDT_ENTRIES}`;
      this.#failField(node, "nldt", { id: "E_LDT_COUNT", what: "impossible size of the LDT", expected });
    }
    if (count > 0 && ldt_entry_size !== LDT_ENTRY_SIZE) {
      const what = "wrong size of an LDT entry";
      this.#failField(node, "ldt_entry_size", { id: "E_LDT_SIZE", what, expected: String(LDT_ENTRY_SIZE) });
    }
    const [place, bytes] = yield* this.#block(node, count);
    if (count > 0) yield { kind: "ldt", ...place, count, bytes };
  }

  *#tls(node: RecordNodeOf<"THREAD">): Steps<void> {
    const { ntls, sizeof_tls_array: size } = node.fields;
    if (ntls < 0 || ntls > TLS_ENTRIES) {
      const what = "impossible count of TLS entries";
      this.#failField(node, "ntls", { id: "E_TLS_COUNT", what, expected: `0 to ${TLS_ENTRIES}` });
    }
    if (ntls > 0 && size !== TLS_ARRAY_SIZE) {
      const what = "wrong size of the TLS array";
      this.#failField(node, "sizeof_tls_array", { id: "E_TLS_SIZE", what, expected: String(TLS_ARRAY_SIZE) });
    }
    const [place, bytes] = yield* this.#block(node, ntls > 0 ? 1 : 0);
    if (ntls > 0) yield { kind: "tls", ...place, bytes };
  }

  *#xstate(node: RecordNodeOf<"CPU">): Steps<void> {
    const arch = this.#headArch;
    const size = arch?.fields.xstate_size ?? 0;
    const { dialect, wordSize } = this.#format;
    const next: RecordName[] = dialect === "port" && wordSize === 8 ? ["X86_FSGSBASE"] : ["TAIL"];
    const [place, bytes] = node.fields.used_math === 0 || arch === undefined
      ? yield* this.#block(node, 0, { unit: size, next })
      // The count stands at the beginning of the image.
      : yield* this.#block(node, size, { ...BY_SIZE, node: arch, next });
    if (bytes.length > 0) yield { kind: "xstate", ...place, bytes };
  }

  /** Reads the raw bytes that a record counts. With a wrong count, all that follows is garbage. */
  *#block(
    node: RecordNodeOf<BlockOwner>,
    count: number,
    own: Partial<CountedBlock> = {},
  ): Steps<[place: { offset: number; length: number; path: string }, bytes: Uint8Array]> {
    const { kind, text, ...known } = BLOCKS[node.name];
    const block = { ...known, node, count, bytes: NO_BYTES, ...own } as CountedBlock;
    const length = count * block.unit;
    const offset = this.#offset;
    const path = `${node.path}/${kind}`;
    const bytes = length === 0 ? NO_BYTES : yield { kind: "need", count: length, peek: false };
    if (bytes.length < length) {
      this.#failCount({ ...block, bytes }, NO_BYTES);
      const end = { offset: offset + bytes.length, path, what: `the image ends in ${text}` };
      this.#fail({ id: "E_TRUNCATED", ...end, ...needHave(length, bytes.length) });
    }
    this.#offset += length;
    if (length > 0) this.#lastPath = path;
    yield* this.#checkCount({ ...block, bytes });
    return [{ offset, length, path }, bytes];
  }

  /** Where raw bytes are not followed by a record that may follow: looks whether their number explains that. */
  *#checkCount(block: CountedBlock): Steps<void> {
    const numbering = this.#numbering ?? "plain";
    const header = yield { kind: "need", count: HEADER_SIZE, peek: true };
    if (header.length < HEADER_SIZE) return;
    const { type, len } = readStruct(RECORD_HEADER, dataView(header));
    if (isHeaderAt(header, 0, numbering)) {
      const isNext = block.next.some((name) => recordType(name, numbering) === type);
      return isNext ? undefined : this.#failCount(block, NO_BYTES);
    }
    if (this.#guesses-- <= 0) return;
    const count = (block.most - block.count) * block.unit + 2 * HEADER_SIZE;
    const ahead = yield { kind: "need", count, peek: true };
    // A record of an unknown type ends where the next one begins, which no garbage does.
    const isUnknown = len > 0 && isHeaderAt(ahead, HEADER_SIZE + len, numbering);
    if (!isUnknown) this.#failCount(block, ahead);
  }

  #failCount(block: CountedBlock, ahead: Uint8Array): void {
    const found = trueCount(block, ahead, this.#numbering ?? "plain");
    if (found === undefined) return;
    const { node, field, id, base = 0, unit } = block;
    const what = `${found.name} stands behind ${found.count * unit} bytes of what it counts`;
    this.#failField(node, field, { id, what, expected: String(base + found.count) });
  }

  *#take(count: number, path: string, what: string): Steps<Uint8Array> {
    if (count === 0) return NO_BYTES;
    const bytes = yield { kind: "need", count, peek: false };
    if (bytes.length < count) {
      const offset = this.#offset + bytes.length;
      this.#fail({ id: "E_TRUNCATED", offset, path, what, ...needHave(count, bytes.length) });
    }
    this.#offset += count;
    return bytes;
  }

  #failField(node: RecordNode, field: string, fault: FieldFault): never {
    const offset = node.offset + HEADER_SIZE + (fieldOf(node.name, field)?.offset ?? 0);
    const actual = String((node.fields as Readonly<Record<string, unknown>>)[field]);
    this.#fail({ ...fault, offset, path: `${node.path}.${field}`, actual });
  }

  #fail(fault: Fault): never {
    throw new MalformedImageError({ ...fault, offset: fault.offset ?? this.#offset });
  }
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
