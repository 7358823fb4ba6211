// SPDX-License-Identifier: MIT
/**
 * Words that this project once used and has better ones for. A reader should not have to learn two words for one
 * thing, so they do not come back.
 *
 * @module
 */
import type { ProjectFile } from "./tidy_rules.ts";

/** A word that is not wanted. */
interface OldWord {
  /** Matches it in text as {@linkcode spell} writes it, or in code as it stands. */
  pattern: RegExp;
  /** What to write in its place. */
  better: string;
  /** Whether the pattern is held against the text as it stands: for what is old as a name only. */
  isName?: true;
}

/** The words, from most specific to least. */
export const OLD_WORDS: readonly OldWord[] = [
  { pattern: /\bwhom\b/, better: "call.pid" },
  { pattern: /\bstrangers?\b/, better: "unusable pid" },
  { pattern: /\blinger(s|ing)?\b/, better: "busy target" },
  { pattern: /\b[A-Z][a-z]+Words\b/, better: "...Spec", isName: true },
  { pattern: /\bnights?\b/, better: "nightly run" },
  { pattern: /\brooms\b/, better: "layers" },
  { pattern: /\blast words\b/, better: "console drain" },
  { pattern: /\blast look\b/, better: "final check" },
  { pattern: /\bMOST_\w+/, better: "MAX_...", isName: true },
  { pattern: /\b([A-Z]\w*)?Judge\b/, better: "check_..., FindingCollector", isName: true },
  { pattern: /\bplanted errors?\b|\bmutate\b/, better: "mutants" },
  { pattern: /\bplant tree\b/, better: "createLinkTree" },
  { pattern: /\bsettle file\b/, better: "syncFile" },
  { pattern: /\bfollow directory\b/, better: "syncSource" },
  { pattern: /\bbyte accounts?\b/, better: "byte coverage" },
  { pattern: /\baccount time\b/, better: "time breakdown" },
  { pattern: /\bhindrances?\b/, better: "SkipReason" },
  { pattern: /\bACCIDENTS\b/, better: "MAX_INFRA_FAILURES", isName: true },
  { pattern: /\bstanding\b/, better: "status" },
  { pattern: /\bown kernels?\b/, better: "user kernel" },
  {
    pattern: /TextDecoder\("(latin1|iso-8859-1|ascii)"\)/,
    better: "byteText(): this one is windows-1252",
    isName: true,
  },
];

/** Names taken apart: `lastWords`, `LAST_WORDS` and `last-words` become `last words`. */
export function spell(text: string): string {
  return text.replace(/([a-z0-9])([A-Z])/g, "$1 $2").replace(/([A-Z])([A-Z][a-z])/g, "$1 $2").replace(
    /[_-]+/g,
    " ",
  )
    .toLowerCase();
}

/** Old words in a file's name and text. The kernel code has words of its own, the change log tells history. */
export function oldWords({ path, text = "" }: ProjectFile): string[] {
  if (
    !/\.(ts|c|h|json|md|sh|html)$/.test(path) ||
    /^vm\/kernel\/(overlay|hooks)\/|^CHANGELOG|^tests\/tidy\//.test(path)
  ) {
    return [];
  }
  return [path, ...text.split("\n")].flatMap((line, index) =>
    OLD_WORDS.filter(({ pattern, isName }) => pattern.test(isName ? line : spell(line)))
      .map(({ pattern, better }) =>
        `${path}${index === 0 ? "" : `:${index}`} has ${pattern.source}: write "${better}"`
      )
  );
}
