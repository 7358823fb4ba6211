// SPDX-License-Identifier: MIT
import type { WordSize } from "../abi/arch.ts";
import type { Dialect } from "../abi/series.ts";
import type { RecordFields } from "./records.ts";
import { displayText, rawText } from "./struct_codec.ts";
import { MalformedImageError } from "./malformed_image_error.ts";

/** Revisions from here up are the port's. */
export const FIRST_PORT_REVISION = 100;

/** The last revision of v11. */
export const LAST_V11_REVISION = 3;

/** What reading an image depends on beside its bytes. */
export interface ImageFormat {
  /** Whose conventions hold. */
  readonly dialect: Dialect;
  /** Bytes of a page address. */
  readonly wordSize: WordSize;
}

/** Overrides of what the head says. */
export interface FormatOptions {
  /** Read and judge as this dialect, whatever `head.rev` is. */
  readonly dialect?: Dialect;
  /** Bytes of a page address, whatever `head.machine` is. */
  readonly wordSize?: WordSize;
}

/** The dialect of a format revision, or undefined for one that does not exist. */
export function dialectOfRevision(revision: number): Dialect | undefined {
  if (revision >= FIRST_PORT_REVISION) return "port";
  return revision >= 1 && revision <= LAST_V11_REVISION ? "v11" : undefined;
}

/**
 * How an image must be read, by its head.
 *
 * @param head decoded HEAD record
 * @param options overrides, and where the record's payload lies, for error messages
 * @throws {MalformedImageError} E_VERSION or E_MACHINE when the head does not tell
 */
export function formatOfHead(
  head: RecordFields<"HEAD">,
  options: FormatOptions & { readonly payloadOffset?: number } = {},
): ImageFormat {
  const at = options.payloadOffset ?? 8;
  const dialect = options.dialect ?? dialectOfRevision(head.rev);
  if (dialect === undefined) {
    throw new MalformedImageError({
      id: "E_VERSION",
      offset: at + 14,
      path: "head.rev",
      message: "unknown revision of the format",
      expected: `1 to ${LAST_V11_REVISION} (v11), or ${FIRST_PORT_REVISION} and up (port)`,
      actual: String(head.rev),
    });
  }
  const machine = rawText(head.machine);
  const isNarrow = /^i[3-6]86$/.test(machine);
  const wordSize = options.wordSize ?? (machine === "x86_64" ? 8 : isNarrow ? 4 : undefined);
  if (wordSize === undefined) {
    throw new MalformedImageError({
      id: "E_MACHINE",
      offset: at + 160,
      path: "head.machine",
      message: "the machine decides the size of page addresses, and this one is unknown",
      expected: "x86_64 or i386 to i686",
      actual: JSON.stringify(displayText(head.machine)),
    });
  }
  return { dialect, wordSize };
}
