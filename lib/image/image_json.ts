// SPDX-License-Identifier: MIT
import * as v from "valibot";
import { PAGE_SIZE_BIG } from "../abi/arch.ts";
import {
  either,
  integer,
  list,
  object,
  oneOf,
  optional,
  parseJson,
  record,
  SchemaError,
  text,
  variant,
} from "../schema.ts";
import { ImageWriter } from "./image_writer.ts";
import type { ImageNode, PagesNode } from "./nodes.ts";
import { fieldsOf, RECORD_NAMES } from "./records.ts";
import { displayText } from "./struct_codec.ts";
import type { AnyFields, FieldDesc } from "./struct_desc.ts";
import { byteText } from "../printable.ts";
import { bytesOfHex, hex, hexBytes } from "../bytes.ts";

/** What JSON.stringify takes as it is. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | {
  readonly [key: string]: JsonValue;
};

/** How to write an image as JSON. */
export interface JsonOptions {
  /** Leave out the contents of pages: there is no way back then. */
  readonly withoutPages?: boolean;
}

/** An object of JSON. */
export type JsonObject = { readonly [key: string]: JsonValue };
/** Bytes as text when there is nothing behind it but zeros, else in hexadecimal. */
type TextOrHex = { readonly text: string; readonly length: number } | { readonly hex: string };

const BYTES = text(/^(?:[0-9a-f]{2})*$/, "bytes in hexadecimal");
const WORD = text(/^0x[0-9a-f]{1,16}$/, "a 64-bit number such as 0x1000");
const STRING = v.string("a string");
const PLACE = { offset: optional(integer(0, Number.MAX_SAFE_INTEGER)), path: optional(STRING) };
const HEADER = { type: integer(-0x8000, 0x7fff), parent: integer(0, 0xffff_ffff), ...PLACE };
const VALUE = either("a number, a string or bytes", v.number(), v.string(), object({ hex: BYTES }));
const PARTS = [
  object({
    ...{ kind: v.literal("record"), name: oneOf(RECORD_NAMES), ...HEADER },
    ...{ fields: optional(record(STRING, VALUE)), hex: optional(BYTES) },
    ...{ text: optional(STRING), length: optional(integer(0, 0x7fff)) },
  }),
  object({ kind: v.literal("unknown"), ...HEADER, hex: BYTES }),
  object({
    ...{ kind: v.literal("pages"), ...PLACE, wordSize: oneOf([4, 8]) },
    pages: list(v.strictTuple([WORD, integer(1, 1 << 20)], "[first address, number of pages]")),
    contents: text(/^[A-Za-z0-9+/]*={0,2}$/, "the contents of the pages in base64"),
  }),
  ...(["ldt", "tls", "xstate", "pids", "trailing"] as const).map((kind) =>
    object({ kind: v.literal(kind), ...PLACE, hex: BYTES })
  ),
] as const;
type JsonNode = v.InferOutput<(typeof PARTS)[number]>;
const IMAGE = object({ nodes: list(variant<JsonNode>("kind", PARTS)) });

function textOrHex(bytes: Uint8Array): TextOrHex {
  const end = bytes.indexOf(0);
  const isText = end < 0 || bytes.subarray(end).every((byte) => byte === 0);
  return isText ? { text: displayText(bytes), length: bytes.length } : { hex: hexBytes(bytes, "") };
}

/** The bytes of what displayText() made, with zeros up to a length. */
function fromText(shown: string, length: number): Uint8Array {
  const encoder = new TextEncoder();
  const parts = shown.split(/(\\x[0-9a-f]{2})/);
  const bytes = parts.flatMap((part, i) => i % 2 ? parseInt(part.slice(2), 16) : [...encoder.encode(part)]);
  const out = new Uint8Array(length);
  out.set(bytes);
  return out;
}

function fieldToJson(value: number | bigint | Uint8Array): JsonValue {
  if (typeof value === "bigint") return hex(value);
  if (typeof value === "number") return value;
  const data = textOrHex(value);
  return "text" in data ? data.text : data;
}

function fieldFromJson({ type, size }: FieldDesc, value: v.InferOutput<typeof VALUE> | undefined): unknown {
  if (typeof value === "object") return bytesOfHex(value.hex);
  if (typeof value !== "string") return value;
  if (type.startsWith("char")) return fromText(value, size);
  return type === "u64" && /^0x[0-9a-f]+$/.test(value) ? BigInt(value) : value;
}

/** Addresses as ranges: [first, number of pages] each. */
function pageRanges({ vaddrs }: PagesNode): JsonValue[] {
  const ranges: [bigint, number][] = [];
  for (const vaddr of vaddrs) {
    const last = ranges.at(-1);
    if (last !== undefined && last[0] + BigInt(last[1]) * PAGE_SIZE_BIG === vaddr) last[1]++;
    else ranges.push([vaddr, 1]);
  }
  return ranges.map(([start, count]) => [hex(start), count]);
}

/**
 * One part of an image as plain data for JSON. 64-bit numbers are 0x strings, raw blocks hexadecimal, page addresses
 * ranges of [first address, number of pages], their contents base64.
 */
export function nodeToJson(node: ImageNode, { withoutPages = false }: JsonOptions = {}): JsonObject {
  const { kind, offset, path } = node;
  const place = { offset, path };
  switch (node.kind) {
    case "record": {
      const { header: { type, parent }, name, payload } = node;
      const values = node.fields as AnyFields;
      const fields = fieldsOf(name).map(({ name }) => [name, fieldToJson(values[name] ?? 0)] as const);
      const data = fields.length > 0 ? { fields: Object.fromEntries(fields) } : textOrHex(payload);
      return { kind, name, type, parent, ...place, ...data };
    }
    case "unknown": {
      const { type, parent } = node.header;
      return { kind, type, parent, ...place, hex: hexBytes(node.payload, "") };
    }
    case "pages": {
      const contents = withoutPages ? {} : { contents: btoa(byteText(node.pages)) };
      return { kind, ...place, wordSize: node.wordSize, pages: pageRanges(node), ...contents };
    }
    default:
      return { kind, ...place, hex: hexBytes(node.bytes, "") };
  }
}

/**
 * An image as plain data for JSON, part by part: {@linkcode imageFromJson} goes back.
 *
 * @param nodes the parts of an image, or as many as could be decoded
 */
export function imageToJson(nodes: Iterable<ImageNode>, options: JsonOptions = {}): JsonObject {
  return { nodes: Array.from(nodes, (node) => nodeToJson(node, options)) };
}

function writePages(writer: ImageWriter, node: Extract<JsonNode, { kind: "pages" }>): void {
  const contents = Uint8Array.from(atob(node.contents), (character) => character.charCodeAt(0));
  const addresses = node.pages.flatMap(([start, count]) =>
    Array.from({ length: count }, (_, i) => BigInt(start) + BigInt(i) * PAGE_SIZE_BIG)
  );
  writer.pages(addresses, [contents], node.wordSize);
}

function writeNode(writer: ImageWriter, node: JsonNode): void {
  if (node.kind === "pages") return writePages(writer, node);
  if (node.kind === "unknown") return writer.bytes(undefined, bytesOfHex(node.hex), node);
  if (node.kind !== "record") return writer.raw(bytesOfHex(node.hex));
  const fields = fieldsOf(node.name);
  if (fields.length === 0) {
    const { hex, text = "", length = 0 } = node;
    return writer.bytes(node.name, hex === undefined ? fromText(text, length) : bytesOfHex(hex), node);
  }
  const values = fields.map((field) =>
    [field.name, fieldFromJson(field, node.fields?.[field.name])] as const
  );
  writer.record(node.name, Object.fromEntries(values) as AnyFields, node);
}

/**
 * The image that {@linkcode imageToJson} was made of, or another one where the data was changed: offsets and paths
 * are not looked at.
 *
 * @param json parsed JSON
 * @param file what errors call it
 * @throws {SchemaError} naming the JSON path, what was expected and what was found
 */
export function imageFromJson(json: unknown, file = "image"): Uint8Array<ArrayBuffer> {
  const writer = new ImageWriter();
  parseJson(IMAGE, json, { file }).nodes.forEach((node, i) => {
    try {
      writeNode(writer, node);
    } catch (error) {
      if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
      throw new SchemaError(`${file}: $.nodes[${i}]: ${error.message}`);
    }
  });
  return writer.finish();
}
