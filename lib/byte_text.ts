// SPDX-License-Identifier: MIT

const PIECE = 8192;

/** One character for each byte, 0 to 255: names may hold any. `TextDecoder` calls windows-1252 "latin1". */
export function byteText(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += PIECE) {
    text += String.fromCharCode(...bytes.subarray(at, at + PIECE));
  }
  return text;
}

/** What {@linkcode byteText} made, for a person: bytes beyond ASCII and control characters become `\\xNN`. */
export function shownByteText(text: string): string {
  return text.replaceAll(/[^\x20-\x7e\t]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
