// SPDX-License-Identifier: MIT

/** SHA-256 of parts, each preceded by its length so that no two lists of parts give the same input. Hex. */
export async function digestOf(parts: Iterable<string | Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  const encoder = new TextEncoder();
  for (const part of parts) {
    const bytes = typeof part === "string" ? encoder.encode(part) : part;
    chunks.push(encoder.encode(`${bytes.length}:`), bytes);
  }
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", all)).toHex();
}
