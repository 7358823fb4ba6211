// SPDX-License-Identifier: MIT

const PIECE = 8192;

/**
 * Text that cannot steer a terminal, break a line or hide what it says: control characters but newline and tab, line
 * and paragraph separators, controls of the writing direction and all else that shows as nothing become `\uXXXX`. So
 * printable JSON remains the same JSON.
 */
export function printable(text: string): string {
  return text.replaceAll(/[^\P{C}\n\t]|[\p{Zl}\p{Zp}]/gu, escapeUnits);
}

/** The same on one line: what a guest calls something must not look like a line of ours. */
export function printableLine(text: string): string {
  return text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, (c) => c === "\n" ? "\\n" : escapeUnits(c));
}

function escapeUnits(character: string): string {
  const units = Array.from({ length: character.length }, (_, index) => character.charCodeAt(index));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** One character for each byte, 0 to 255: names may hold any. `TextDecoder` calls windows-1252 "latin1". */
export function byteText(bytes: Uint8Array): string {
  // Most text is ASCII, and that is as good as free.
  const decoded = decoder.decode(bytes);
  if (!/[^\0-\x7f]/.test(decoded)) return decoded;
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
