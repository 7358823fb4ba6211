// SPDX-License-Identifier: MIT

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
