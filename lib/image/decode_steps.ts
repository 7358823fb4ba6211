// SPDX-License-Identifier: MIT
import { PAGE_SIZE } from "../abi/arch.ts";
import { ChunkCounter, type ChunkReading } from "./chunk_counter.ts";
import {
  type BlockOwner,
  BLOCKS,
  BY_SIZE,
  type CountedBlock,
  isHeaderAt,
  trueCount,
} from "./counted_block.ts";
import { formatOfHead, type FormatOptions, type ImageFormat } from "./dialect.ts";
import { ImagePath } from "./image_path.ts";
import { type MalformedFinding, MalformedImageError } from "./malformed_image_error.ts";
import type { ImageNode, RecordHeader, RecordNode, RecordNodeOf } from "./nodes.ts";
import {
  fieldOf,
  FIRST_PORT_TYPE,
  isStruct,
  NAMES_BY_TYPE,
  type Numbering,
  type RecordName,
  RECORDS,
  recordType,
} from "./records.ts";
import { isStateSize } from "../x86/xstate.ts";
import { readStruct } from "./struct_codec.ts";
import { HEAD_MAGIC, PIDS, RECORD_HEADER } from "./structs.ts";
import { dataView, hex, wordsOf } from "../bytes.ts";

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

/** What is wrong with a field of a record that was read. */
type FieldFault = Pick<MalformedFinding, "id" | "message" | "expected">;

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
  #chunks = new ChunkCounter(this.#format);
  #guesses = MAX_GUESSES;

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
      this.#fail({
        id: "E_TRUNCATED",
        path: "head",
        message: "the image ends",
        ...needHave(16, start.length),
      });
    }
    const view = dataView(start);
    const magic = view.getBigUint64(HEADER_SIZE, true);
    if (magic !== HEAD_MAGIC) {
      const isSwapped = view.getBigUint64(HEADER_SIZE, false) === HEAD_MAGIC;
      this.#fail({
        id: "E_MAGIC_HEAD",
        offset: this.#offset + HEADER_SIZE,
        path: "head.magic",
        message: isSwapped
          ? "the image is big-endian; only little-endian ones exist"
          : "not a checkpoint image",
        expected: hex(HEAD_MAGIC, 16),
        actual: hex(magic, 16),
      });
    }
    const { type } = readStruct(RECORD_HEADER, view);
    if (type === RECORDS.HEAD.type) return;
    const actual = NAMES_BY_TYPE.plain.get(type) ?? `type ${type}`;
    this.#fail({ id: "E_ORDER", path: "head", message: "wrong first record", expected: "HEAD", actual });
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
    const name = known && RECORDS[known].since === "port" && !isPort ? undefined : known;
    if (name === undefined && !(isPort && header.type >= FIRST_PORT_TYPE)) {
      const [path, actual] = [`after ${after}`, String(header.type)];
      const expected = "a record type of the format";
      this.#fail({ id: "E_TYPE", offset, path, message: "unknown record type", expected, actual });
    }
    const path = this.#path.next(name ?? "unknown");
    this.#checkLength(name, header, offset, path);
    // What no record ends behind is garbage, and began with the header.
    const payload = name === undefined
      ? yield* this.#takeUnknown(header, { offset, path })
      : yield* this.#take(header.len, path, `the image ends in the ${name} record`);
    const length = HEADER_SIZE + header.len;
    this.#lastPath = path;
    if (name === undefined) {
      yield { kind: "unknown", offset, length, path, header, payload };
      return undefined;
    }
    const { payload: desc } = RECORDS[name];
    const fields = isStruct(desc) ? readStruct(desc, dataView(payload)) : {};
    // The name was looked up in the same table as the fields.
    const node = { kind: "record", name, offset, length, path, header, fields, payload } as unknown;
    yield* this.#follow(node as RecordNode);
    return name;
  }

  *#takeUnknown({ type, len }: RecordHeader, place: { offset: number; path: string }): Steps<Uint8Array> {
    const bytes = len === 0 ? NO_BYTES : yield { kind: "need", count: len, peek: false };
    if (bytes.length < len) {
      const message = "a record of an unknown type, in which the image ends";
      const values = { expected: "a type that is known", actual: `type ${type}, ${len} bytes` };
      this.#fail({ id: "E_UNKNOWN_RECORD", ...place, message, ...values });
    }
    this.#offset += len;
    return bytes;
  }

  #checkLength(name: RecordName | undefined, { len }: RecordHeader, at: number, path: string): void {
    const [offset, actual] = [at + 2, String(len)];
    if (len < 0) {
      const [message, expected] = ["negative length", "0 or more"];
      this.#fail({ id: "E_LEN_NEGATIVE", offset, path, message, expected, actual });
    }
    if (name === undefined) return;
    const { payload } = RECORDS[name];
    const [min, max] = isStruct(payload) ? [payload.size, payload.size] : [payload.min, payload.max];
    if (len >= min && len <= max) return;
    const expected = min === max ? String(min) : `${min} to ${max}`;
    this.#fail({ id: "E_LEN", offset, path, message: `wrong length of ${name}`, expected, actual });
  }

  /** Yields a record, learns from it, and reads the raw bytes that belong to it. */
  *#follow(node: RecordNode): Steps<void> {
    if (node.name === "HEAD") {
      const payloadOffset = node.offset + HEADER_SIZE;
      this.#format = formatOfHead(node.fields, { ...this.#options, payloadOffset });
      if (this.#format.dialect === "v11" && node.fields.rev > 1) this.#numbering = undefined;
    } else if (node.name === "VMA") {
      this.#chunks = new ChunkCounter(this.#format, node.fields);
    } else if (node.name === "HEAD_ARCH") {
      this.#headArch = node;
    }
    yield node;
    switch (node.name) {
      case "PGARR":
        return yield* this.#pages(node);
      case "TREE":
      case "MM_CONTEXT":
      case "THREAD":
        return yield* this.#units(node);
      case "CPU":
        return yield* this.#xstate(node);
    }
  }

  *#pages(node: RecordNodeOf<"PGARR">): Steps<void> {
    const nrPages = node.fields.nr_pages;
    const { wordSize } = this.#format;
    const none: ChunkReading = { count: 0, counted: "absolute" };
    const { count, counted } = nrPages === 0n ? none : yield* this.#reading(node);
    const [place, bytes] = yield* this.#block(node, count, {
      unit: wordSize + PAGE_SIZE,
      most: this.#chunks.limit,
      base: counted === "cumulative" ? Number(this.#chunks.previous) : 0,
      next: ["PGARR"],
    });
    const vaddrs = wordsOf(bytes.subarray(0, count * wordSize), wordSize);
    this.#chunks.next(nrPages, vaddrs);
    if (count === 0) return;
    const pagesOffset = place.offset + count * wordSize;
    const pages = bytes.subarray(count * wordSize);
    yield { kind: "pages", ...place, wordSize, count, counted, vaddrs, pagesOffset, pages };
  }

  *#reading(node: RecordNodeOf<"PGARR">): Steps<ChunkReading> {
    const { wordSize, dialect } = this.#format;
    const { nr_pages } = node.fields;
    const readings = this.#chunks.readings(nr_pages);
    const [first, second] = readings;
    if (first === undefined) this.#failField(node, "nr_pages", this.#chunks.tooMany(nr_pages));
    const isOwn = first.counted === "absolute" === (dialect === "port") || this.#chunks.previous === 0n;
    if (isOwn && (second === undefined || first.count === second.count)) return first;
    const most = Math.max(first.count, second?.count ?? 0);
    const ahead = yield { kind: "need", count: most * wordSize, peek: true };
    const fitting = readings.find((reading) => this.#chunks.isPlausible(reading, ahead));
    // The other dialect's way to count is believed only where what follows agrees.
    return fitting ?? (isOwn ? first : this.#failField(node, "nr_pages", this.#chunks.tooMany(nr_pages)));
  }

  *#units(node: Extract<RecordNode, { name: "TREE" | "MM_CONTEXT" | "THREAD" }>): Steps<void> {
    const { field, id, limit, text, most, unit, ...block } = BLOCKS[node.name];
    const values = node.fields as Readonly<Record<string, number>>;
    const number = values[field]!;
    if (number < 0 || number > limit) {
      this.#failField(node, field, { id, message: `impossible size of ${text}`, expected: `0 to ${limit}` });
    }
    if (number > 0 && "size" in block && values[block.size[0]] !== unit) {
      const message = `wrong size of ${text}`;
      this.#failField(node, block.size[0], { id: block.size[1], message, expected: String(unit) });
    }
    const count = Math.min(number, most);
    const [place, bytes] = yield* this.#block(node, count);
    if (count === 0) return;
    if (block.kind !== "pids") return void (yield { kind: block.kind, ...place, bytes });
    const view = dataView(bytes);
    const entries = Array.from({ length: count }, (_, i) => readStruct(PIDS, view, i * PIDS.size));
    yield { kind: "pids", ...place, entries, bytes };
  }

  *#xstate(node: RecordNodeOf<"CPU">): Steps<void> {
    const arch = this.#headArch;
    const size = arch?.fields.xstate_size ?? 0;
    const { dialect, wordSize } = this.#format;
    const next: RecordName[] = [
      dialect !== "port" ? "TAIL" : wordSize === 8 ? "X86_FSGSBASE" : "AUXV",
    ];
    const [place, bytes] = node.fields.used_math === 0 || arch === undefined
      ? yield* this.#block(node, 0, { unit: size, next })
      // The count stands at the beginning of the image.
      : yield* this.#block(node, size, { ...BY_SIZE, node: arch, next, sizeOf: node });
    if (bytes.length > 0) yield { kind: "xstate", ...place, bytes };
  }

  /** Reads the raw bytes that a record counts. With a wrong count, all that follows is garbage. */
  *#block(
    node: RecordNodeOf<BlockOwner>,
    count: number,
    own: Partial<CountedBlock> = {},
  ): Steps<[place: { offset: number; length: number; path: string }, bytes: Uint8Array]> {
    const { kind, text, ...known } = BLOCKS[node.name];
    const path = `${node.path}/${kind}`;
    const block = { ...known, node, path, count, bytes: NO_BYTES, ...own } as CountedBlock;
    const length = count * block.unit;
    const offset = this.#offset;
    const bytes = length === 0 ? NO_BYTES : yield { kind: "need", count: length, peek: false };
    if (bytes.length < length) {
      this.#failCount({ ...block, bytes }, NO_BYTES);
      const end = { offset: offset + bytes.length, path, message: `the image ends in ${text}` };
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
    const { node, path, field, id, base = 0, unit, sizeOf } = block;
    const message = `${found.name} stands behind ${found.count * unit} bytes of ${path}`;
    if (sizeOf && found.count === 0) {
      this.#failField(sizeOf, "used_math", { id: "E_USED_MATH", message, expected: "0" });
    }
    // Bytes that are lost or too many there: no state has that size.
    if (sizeOf && !isStateSize(found.count)) return;
    this.#failField(node, field, { id, message, expected: String(base + found.count) });
  }

  *#take(count: number, path: string, message: string): Steps<Uint8Array> {
    if (count === 0) return NO_BYTES;
    const bytes = yield { kind: "need", count, peek: false };
    if (bytes.length < count) {
      const offset = this.#offset + bytes.length;
      this.#fail({ id: "E_TRUNCATED", offset, path, message, ...needHave(count, bytes.length) });
    }
    this.#offset += count;
    return bytes;
  }

  #failField(node: RecordNode, field: string, fault: FieldFault): never {
    const offset = node.offset + HEADER_SIZE + (fieldOf(node.name, field)?.offset ?? 0);
    const actual = String((node.fields as Readonly<Record<string, unknown>>)[field]);
    this.#fail({ ...fault, offset, path: `${node.path}.${field}`, actual });
  }

  /** Ends the image, here unless the fault names another offset. */
  #fail(fault: FieldFault & Pick<MalformedFinding, "path" | "actual"> & { readonly offset?: number }): never {
    throw new MalformedImageError({ offset: this.#offset, ...fault });
  }
}

function needHave(need: number, have: number): { expected: string; actual: string } {
  return { expected: `${need} bytes`, actual: `${have} bytes` };
}
