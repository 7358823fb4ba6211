// SPDX-License-Identifier: MIT

/** C types of fields. `bytes` is an array of characters or other opaque bytes. */
export type FieldType = "u16" | "s16" | "u32" | "s32" | "u64" | "bytes";

/** How a value is shown to a person. */
export type DisplayHint =
  | "address"
  | "bits"
  | "bool"
  | "bytes"
  | "count"
  | "decimal"
  | "hex"
  | "magic"
  | "page-prot"
  | "selector"
  | "text"
  | "time"
  | "vm-flags";

/** One field of a struct as it lies in the image, little-endian. */
export interface FieldDesc {
  /** The C name; for bytes that have none, a name that starts with `_`. */
  readonly name: string;
  /** Type in C terms. */
  readonly type: FieldType;
  /** Byte offset in the struct. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
  /** What the value means. */
  readonly doc: string;
  /** How it is shown; `decimal` when left out. */
  readonly display?: DisplayHint;
  /** Bytes that mean nothing: `named` has a C name, `tail` is what the compiler adds at the end. */
  readonly padding?: "named" | "tail";
}

/** A C struct of the image format. Its fields cover every byte of it, in order of their offsets. */
export interface StructDesc {
  /** Name of the C struct. */
  readonly cName: string;
  /** Bytes. */
  readonly size: number;
  /** All fields, padding included. */
  readonly fields: readonly FieldDesc[];
}

/** The payload of a record type that is plain bytes of a varying length. */
export interface BytesDesc {
  /** Fewest bytes. */
  readonly min: number;
  /** Most bytes. */
  readonly max: number;
  /** What the bytes are. */
  readonly doc: string;
}

/** The value of a field: bigint for 64 bits, a view for bytes, number for the rest. */
export type FieldValue<T extends FieldType> = T extends "u64" ? bigint
  : T extends "bytes" ? Uint8Array
  : number;

/** The decoded form of a struct: one property for each field, under its C name. */
export type FieldsOf<S extends StructDesc> = {
  readonly [F in S["fields"][number] as F["name"]]: FieldValue<F["type"]>;
};

/** Decoded fields of which nothing but the table is known. */
export type AnyFields = Readonly<Record<string, number | bigint | Uint8Array>>;
