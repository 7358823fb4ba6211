// SPDX-License-Identifier: MIT

import { PAGE_STYLE } from "./page_style.ts";

/** HTML that is safe to put into a page: made by {@linkcode markup} alone. */
export class Markup {
  readonly #text: string;

  /** Use {@linkcode markup}, which escapes; this takes HTML as it is. */
  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

/** What may stand in a template: text is escaped, nothing at all stands for undefined and false. */
type MarkupValue = string | number | Markup | undefined | false | readonly MarkupValue[];

/** Characters that a page cannot hold or that would be seen as nothing. */
// deno-lint-ignore no-control-regex
const UNSEEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]/g;

/** Text as HTML, fit for elements and for attributes in quotes. */
export function escapeHtml(text: string): string {
  return text.toWellFormed().replace(UNSEEN, "\ufffd")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

/**
 * A template of HTML. Whatever is put into it is escaped unless it is markup itself, so that no text from a
 * guest, a scenario or a file can become an element. Attributes must have double quotes.
 */
export function markup(strings: TemplateStringsArray, ...values: MarkupValue[]): Markup {
  return new Markup(strings.reduce((text, part, index) => text + show(values[index - 1]) + part));
}

function show(value: MarkupValue): string {
  if (value === undefined || value === false) return "";
  if (value instanceof Markup) return value.toString();
  if (Array.isArray(value)) return value.map(show).join("");
  return escapeHtml(String(value));
}

/**
 * One page that needs nothing else and loads nothing, whatever it holds.
 *
 * @param style CSS that comes after the one of all pages
 * @param script the digest of the only script that may run
 */
export function htmlPage({ title, style = "", script, body }: {
  readonly title: string;
  readonly style?: string;
  readonly script?: string;
  readonly body: Markup;
}): string {
  const policy = `default-src 'none'; style-src 'unsafe-inline'; ${
    script === undefined ? "" : `script-src 'sha256-${script}'; `
  }img-src data:; base-uri 'none'; form-action 'none'`;
  return String(markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>${title}</title>
<style>${new Markup(PAGE_STYLE + style)}</style>
</head>
<body>
${body}
</body>
</html>
`);
}

/** Makes links to files of the results, by their paths from the directory of these. */
export type FileLink = (path: string, text?: string) => Markup;

/**
 * Links to files below a directory. A path that leads out of it is no link, wherever it comes from.
 *
 * @param base the directory, from that of the page
 */
export function fileLinks(base: string): FileLink {
  const encode = (path: string): string => path.toWellFormed().split("/").map(encodeURIComponent).join("/");
  return (path, text = path) => {
    if (path.startsWith("/") || path.split("/").includes("..")) return markup`<code>${text}</code>`;
    return markup`<a href="${encode(base)}/${encode(path)}">${text}</a>`;
  };
}

/**
 * A table that scrolls sideways where the window is too narrow for it.
 *
 * @param rows each a `tr`
 * @param style class names
 */
export function table({ columns, rows, style = "" }: {
  readonly columns: readonly (string | Markup)[];
  readonly rows: readonly Markup[];
  readonly style?: string;
}): Markup {
  const head = columns.length > 0 &&
    markup`<thead><tr>${columns.map((name) => markup`<th scope="col">${name}</th>`)}</tr></thead>`;
  return markup`<div class="scroll"><table class="${style}">${head}<tbody>${rows}</tbody></table></div>`;
}

/** That there is more than a part of the page shows; nothing where there is not. */
export function omitted(count: number, what: string): Markup | undefined {
  return count > 0 ? markup`<p class="soft">${count} more ${what}</p>` : undefined;
}

/** A run of pages: `part` holds pages that are in the image and others, `zero` only such as are and hold zeros. */
export type PageCell = "none" | "part" | "saved" | "zero" | "differs";

/** A colour of the pictures and what it stands for. */
export function legend(kind: PageCell, text: string): Markup {
  return markup`<span><svg viewBox="0 0 1 1" aria-hidden="true">
<rect class="c-${kind}" width="1" height="1"/></svg>${text}</span>`;
}
