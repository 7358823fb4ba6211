// SPDX-License-Identifier: MIT

import { type Markup, markup } from "./markup.ts";

/** A run of pages: `part` holds pages that are in the image and others, `zero` only such as are and hold zeros. */
export type PageCell = "none" | "part" | "saved" | "zero" | "differs";

/** A colour of the pictures and what it stands for. */
export function legend(kind: PageCell, text: string): Markup {
  return markup`<span><svg viewBox="0 0 1 1" aria-hidden="true">
<rect class="c-${kind}" width="1" height="1"/></svg>${text}</span>`;
}
