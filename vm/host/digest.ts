// SPDX-License-Identifier: MIT

/** SHA-256 of parts, each preceded by its length so that no two lists of parts give the same input. Hex. */
export async function digestOf(parts: Iterable<string | Uint8Array>): Promise<string> {
  const encoder = new TextEncoder();
  const chunks = [...parts].flatMap((part) => {
    const bytes = typeof part === "string" ? encoder.encode(part) : part;
    return [encoder.encode(`${bytes.length}:`), bytes];
  });
  return new Uint8Array(await crypto.subtle.digest("SHA-256", concatBytes(chunks))).toHex();
}

/** All these bytes, one chunk behind the other. */
export function concatBytes(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
