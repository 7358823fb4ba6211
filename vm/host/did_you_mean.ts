// SPDX-License-Identifier: MIT

import { findSimilar } from "@optique/core/suggestion";

/** Names the words that are like a wrong one, behind a colon; nothing where none is. */
export function didYouMean(word: string, words: Iterable<string>): string {
  const similar = findSimilar(word, words, { maxDistance: 4, maxSuggestions: 3 });
  return similar.length === 0 ? "" : `: did you mean ${similar.join(" or ")}?`;
}
