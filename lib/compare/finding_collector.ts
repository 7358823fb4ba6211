// SPDX-License-Identifier: MIT

import { type Finding, mismatch } from "../image/finding.ts";
import type { ImageNode, RecordNode } from "../image/nodes.ts";
import { isStruct, RECORDS } from "../image/records.ts";
import type { StructDesc } from "../image/struct_desc.ts";
import { ByteCoverage, type Source, SOURCES } from "./byte_coverage.ts";
import { firstDifference, hex, hexBytes } from "../bytes.ts";

/** What a field must hold, and who says so. */
export interface FieldExpectation {
  readonly value: bigint | number | Uint8Array;
  readonly by: Source;
}

/** How often a known error of the code under test showed in an image. */
export interface KnownError {
  /** How many places of the image show it. */
  readonly count: number;
  /** What it is, in words. */
  readonly message: string;
}

/** A field that may hold any value, or any that is accepted; `wrong` says of others what is wrong with them. */
export interface VolatileField {
  readonly name: string;
  readonly reason: string;
  readonly accept?: (value: bigint) => boolean;
  readonly wrong?: string;
  /** So many of its first bytes are known, as this source says. */
  readonly known?: { readonly bytes: number; readonly by: Source };
}

/** What is expected of one field. */
export type Expectation = FieldExpectation | VolatileField;

/** What is expected of the fields of one record; a field without an entry stays unexplained. */
export type FieldExpectations = Readonly<Record<string, Expectation>>;

/** Where a finding is, and the values that differ. */
type Place = Pick<Finding, "path" | "offset">;
type Values = Pick<Finding, "expected" | "actual">;

/** What a source says, as it is shown. */
type Said = string | number | bigint;

const HEADER_SIZE = 8;
const FINDINGS_PER_ID = 20;

/** Collects findings and the byte coverage while an image is compared. */
export class FindingCollector {
  readonly findings: Finding[] = [];
  readonly coverage: ByteCoverage;
  /** What must stand in fields of the next record that nothing else is expected of. */
  unused: FieldExpectations = {};
  readonly #counts = new Map<string, number>();
  /** Known errors by id, `N_...`: none of them fails. */
  readonly knownErrors = new Map<string, KnownError>();

  constructor(length: number) {
    this.coverage = new ByteCoverage(length);
  }

  /** Counts a known error of the code under test. */
  note(id: string, message: string, count = 1): void {
    if (count > 0) {
      this.knownErrors.set(id, { count: count + (this.knownErrors.get(id)?.count ?? 0), message });
    }
  }

  /** Reports a difference; the last that is kept of many of one id stands for all that follow. */
  report(id: string, { path, offset }: Place, message: string, values: Values = {}): void {
    const count = (this.#counts.get(id) ?? 0) + 1;
    this.#counts.set(id, count);
    if (count > FINDINGS_PER_ID) {
      const last = this.findings.findLastIndex((finding) => finding.id === id);
      this.findings[last] = { ...this.findings[last]!, count: count - FINDINGS_PER_ID + 1 };
      return;
    }
    this.findings.push(mismatch(id, { path, ...offset === undefined ? {} : { offset }, message, ...values }));
  }

  /** Reports two sources that say different things of the same: one of them is wrong. */
  agree(path: string, message: string, said: { expected: Said; actual?: Said }): void {
    if (said.expected === said.actual) return;
    const shown = Object.entries(said).map(([key, value]) => [
      key,
      typeof value === "string" ? value : show(value),
    ]);
    this.report("E_ORACLES_DISAGREE", { path }, message, Object.fromEntries(shown));
  }

  /** Checks a record's header. Type and length are the format's; the decoder has matched them to the record. */
  header(node: RecordNode, parent: number): void {
    if (node.header.parent !== parent) {
      const place = { path: `${node.path}.parent`, offset: node.offset + 4 };
      const values = { expected: String(parent), actual: String(node.header.parent) };
      this.report("E_PARENT", place, `${node.name} has another parent than it must`, values);
    }
    this.coverage.claim(node.offset, HEADER_SIZE, "format");
  }

  /**
   * Checks the fields of a record's payload and explains those that have an expectation. Padding must be
   * zero where nothing else is expected of it, here or of unused fields.
   */
  fields(node: RecordNode, expectations: FieldExpectations): void {
    const { payload } = RECORDS[node.name];
    if (!isStruct(payload)) throw new TypeError(`${node.name} has no fields`);
    const desc: StructDesc = payload;
    const found = node.fields as Readonly<Record<string, bigint | number | Uint8Array>>;
    for (const field of desc.fields) {
      const offset = node.offset + HEADER_SIZE + field.offset;
      const place = { path: `${node.path}.${field.name}`, offset };
      const actual = found[field.name]!;
      const expectation = expectations[field.name] ?? this.unused[field.name] ??
        (field.padding ? PADDING : undefined);
      if (expectation === undefined) continue;
      if ("reason" in expectation) {
        const { accept, wrong = "" } = expectation;
        if (!accept || accept(BigInt(actual as bigint | number))) {
          this.#claimVolatile(offset, field.size, expectation);
        } else this.report("E_FIELD", place, wrong, { actual: show(actual) });
        continue;
      }
      const { value, by } = expectation;
      this.coverage.claim(offset, field.size, by);
      if (sameValue(actual, value)) continue;
      const message = expectation === PADDING
        ? "unused bytes must be zero"
        : `${field.doc}: not as ${SOURCES[by].kind} (${SOURCES[by].text})`;
      const values = { expected: show(value), actual: show(actual) };
      this.report(field.padding ? "E_PADDING" : "E_FIELD", place, message, values);
    }
  }

  #claimVolatile(offset: number, size: number, field: VolatileField): void {
    if (field.known) this.coverage.claim(offset, field.known.bytes, field.known.by);
    this.coverage.claimVolatile(offset, size, field);
  }

  /** Checks raw bytes; the first difference is shown with the bytes around it. */
  bytes(
    node: Pick<ImageNode, "path">,
    offset: number,
    actual: Uint8Array,
    expected: { bytes: Uint8Array; by: Source; id: string; what: string; unit?: number },
  ): void {
    this.coverage.claim(offset, actual.length, expected.by);
    const at = firstDifference(actual, expected.bytes);
    if (at < 0) return;
    const { id, what, unit, bytes } = expected;
    const length = unit ?? 16;
    const start = at - at % length;
    const shown = (all: Uint8Array): string =>
      `${hexBytes(all.subarray(start, start + length))} (${all.length} bytes)`;
    const place = { path: unit ? `${node.path}[${at / unit | 0}]` : node.path, offset: offset + at };
    const { kind, text } = SOURCES[expected.by];
    const message = `${what}: byte ${at} differs from the ${kind} one (${text})`;
    this.report(id, place, message, { expected: shown(bytes), actual: shown(actual) });
  }
}

const PADDING: FieldExpectation = { value: 0n, by: "format" };

/** Makes an expectation. */
export function expected(value: bigint | number | Uint8Array, by: Source): FieldExpectation {
  return { value, by };
}

function sameValue(actual: bigint | number | Uint8Array, expected: bigint | number | Uint8Array): boolean {
  if (actual instanceof Uint8Array || expected instanceof Uint8Array) {
    return actual instanceof Uint8Array && expected instanceof Uint8Array &&
      firstDifference(actual, expected) < 0;
  }
  return BigInt(actual) === BigInt(expected);
}

function show(value: bigint | number | Uint8Array): string {
  if (value instanceof Uint8Array) return hexBytes(value.subarray(0, 24));
  const number = BigInt(value);
  return number < 10n && number > -10n ? String(number) : hex(BigInt.asUintN(64, number));
}
