// SPDX-License-Identifier: MIT

/**
 * Quotes one word so that a POSIX shell reads it back unchanged. Words of harmless characters stay as they
 * are.
 */
export function shellQuote(word: string): string {
  if (word !== "" && /^[\w@%+=:,./-]+$/.test(word)) return word;
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Joins an argument list into one line that can be pasted into a shell. */
export function shellJoin(argv: readonly string[]): string {
  return argv.map(shellQuote).join(" ");
}
