// SPDX-License-Identifier: MIT

import { type Markup, markup } from "./markup.ts";

/**
 * A table that scrolls sideways where the window is too narrow for it.
 *
 * @param rows each a `tr`
 * @param style class names
 */
export function table({ columns, rows, style = "" }: {
  readonly columns: readonly string[];
  readonly rows: readonly Markup[];
  readonly style?: string;
}): Markup {
  const head = columns.length === 0
    ? undefined
    : markup`<thead><tr>${columns.map((name) => markup`<th scope="col">${name}</th>`)}</tr></thead>`;
  return markup`<div class="scroll"><table class="${style}">${head}<tbody>${rows}</tbody></table></div>`;
}
