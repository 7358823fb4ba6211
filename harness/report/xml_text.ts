// SPDX-License-Identifier: MIT

/** Stands for a character that XML cannot hold. */
const REPLACEMENT = "\ufffd";

/**
 * What is no character of XML 1.0 (section 2.2): control characters but for tab and line ends, halves of
 * surrogate pairs, and two noncharacters. No escape can name them either.
 */
// deno-lint-ignore no-control-regex
const ILLEGAL = /[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g;

/** Text of an element. Characters that XML cannot hold become U+FFFD. */
export function xmlText(text: string): string {
  return text.toWellFormed().replace(ILLEGAL, REPLACEMENT)
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    // A parser would make a line feed of it.
    .replaceAll("\r", "&#13;");
}

/** The value of an attribute, without its quotes. White space is kept as it is. */
export function xmlAttribute(text: string): string {
  return xmlText(text).replaceAll('"', "&quot;").replaceAll("\n", "&#10;").replaceAll("\t", "&#9;");
}
