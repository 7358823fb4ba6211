// SPDX-License-Identifier: MIT

/** C types of fields. An array of characters or other opaque bytes has its size in the type. */
export type FieldType = "u16" | "s16" | "u32" | "s32" | "u64" | `char[${number}]`;

/** How a value is shown to a person, when not in decimal. */
export type DisplayHint = "hex" | "page-prot" | "time" | "vm-flags";

/** What a field is beside its bytes: padding has a name in C, or (`tail`) is what the compiler adds at the end. */
export type FieldHint = DisplayHint | "padding" | "tail";

/** One field as the tables have it: its C name, its C type, what it means, a hint. */
export type FieldRow = readonly [name: string, type: FieldType, doc: string, hint?: FieldHint];

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
  /** How it is shown; in decimal when left out. */
  readonly display: DisplayHint | undefined;
  /** Bytes that mean nothing: `named` has a C name, `tail` is what the compiler adds at the end. */
  readonly padding: "named" | "tail" | undefined;
}

/** A C struct of the image format. Its fields cover every byte of it, in order of their offsets. */
export interface StructDesc<R extends readonly FieldRow[] = readonly FieldRow[]> {
  /** Name of the C struct. */
  readonly cName: string;
  /** Bytes. */
  readonly size: number;
  /** The table that it was made from. */
  readonly rows: R;
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
  : T extends `char[${number}]` ? Uint8Array
  : number;

/** The decoded form of a struct: one property for each field, under its C name. */
export type FieldsOf<S extends StructDesc> = {
  readonly [Row in S["rows"][number] as Row[0]]: FieldValue<Row[1]>;
};

/** Decoded fields of which nothing but the table is known. */
export type AnyFields = Readonly<Record<string, number | bigint | Uint8Array>>;
