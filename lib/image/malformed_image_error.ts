// SPDX-License-Identifier: MIT
import type { Finding } from "./finding.ts";

/** Why an image cannot be decoded. The same ids name findings of the rules where both can see a fault. */
export type MalformedId =
  | "E_CHUNK_COUNT"
  | "E_CHUNK_SIZE"
  | "E_LDT_COUNT"
  | "E_LDT_SIZE"
  | "E_LEN"
  | "E_LEN_NEGATIVE"
  | "E_MACHINE"
  | "E_MAGIC_HEAD"
  | "E_ORDER"
  | "E_TLS_COUNT"
  | "E_TLS_SIZE"
  | "E_TREE_COUNT"
  | "E_TRUNCATED"
  | "E_TYPE"
  | "E_USED_MATH"
  | "E_VERSION"
  | "E_XSTATE_SIZE";

/** What a {@linkcode MalformedImageError} tells. */
export interface MalformedImageDetails {
  /** Stable id of the fault. */
  readonly id: MalformedId;
  /** Byte offset in the file at which it was noticed. */
  readonly offset: number;
  /** Path of the record or field in which it lies. */
  readonly path: string;
  /** What is wrong, in words, without place and values. */
  readonly what: string;
  /** What a good image holds there. */
  readonly expected: string;
  /** What this one holds. */
  readonly actual: string;
}

/** The image cannot be decoded from here on. */
export class MalformedImageError extends Error {
  /** The name of the class. */
  override readonly name = "MalformedImageError";
  /** Stable id of the fault. */
  readonly id: MalformedId;
  /** Byte offset in the file at which it was noticed. */
  readonly offset: number;
  /** Path of the record or field in which it lies. */
  readonly path: string;
  /** All that is known of the fault. */
  readonly details: MalformedImageDetails;

  /** Composes the message from the details. */
  constructor(details: MalformedImageDetails) {
    const { id, offset, path, what, expected, actual } = details;
    super(`${id} in ${path} at offset ${offset}: ${what}: expected ${expected}, got ${actual}`);
    this.details = details;
    [this.id, this.offset, this.path] = [id, offset, path];
  }

  /** The error as a finding, for reports that list it among others. */
  toFinding(): Finding {
    const { what, ...rest } = this.details;
    return { ...rest, verdict: "malformed", message: what };
  }
}
