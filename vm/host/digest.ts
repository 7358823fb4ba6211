// SPDX-License-Identifier: MIT
import { joinBytes } from "../../lib/bytes.ts";

/**
 * SHA-256 of parts, each preceded by its length so that no two lists of parts give the same input.
 *
 * @param digits how many of its 64 hexadecimal digits
 */
export async function digestOf(parts: Iterable<string | Uint8Array>, digits = 64): Promise<string> {
  const encoder = new TextEncoder();
  const chunks = [...parts].flatMap((part) => {
    const bytes = typeof part === "string" ? encoder.encode(part) : part;
    return [encoder.encode(`${bytes.length}:`), bytes];
  });
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joinBytes(chunks))).toHex().slice(0, digits);
}
