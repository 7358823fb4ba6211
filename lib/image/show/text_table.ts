// SPDX-License-Identifier: MIT

/** Ways to set off text on a terminal. */
export interface TextStyle {
  /** For a line above others. */
  heading(text: string): string;
  /** For what matters less. */
  dim(text: string): string;
}

const ESCAPE = "\x1b[";

/** Escape sequences for a terminal, or nothing. */
export function textStyle(color: boolean): TextStyle {
  const style = (code: number) => (text: string): string =>
    color ? `${ESCAPE}${code}m${text}${ESCAPE}0m` : text;
  return { heading: style(1), dim: style(2) };
}

/** A column of a table. */
export interface Column {
  /** First cell. */
  readonly title: string;
  /** Where cells stand; left when left out. */
  readonly align?: "left" | "right";
}

/** Lines of a table with a line of titles; the last column is cut at `width` characters in all. */
export function textTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  options: { readonly width: number; readonly style: TextStyle },
): string[] {
  const widths = columns.map(({ title }, i) =>
    rows.reduce((most, row) => Math.max(most, (row[i] ?? "").length), title.length)
  );
  const line = (cells: readonly string[]): string => {
    const text = columns.map(({ align }, i) => {
      const cell = cells[i] ?? "";
      const width = i === columns.length - 1 && align !== "right" ? 0 : widths[i] ?? 0;
      return align === "right" ? cell.padStart(width) : cell.padEnd(width);
    }).join("  ");
    return text.length > options.width ? `${text.slice(0, options.width - 1)}…` : text.trimEnd();
  };
  return [options.style.dim(line(columns.map(({ title }) => title))), ...rows.map(line)];
}

/** Lines of cells of one width, side by side in columns, reading down. */
export function columnsOf(cells: readonly string[], width: number, indent = "  "): string[] {
  const cell = cells.reduce((most, text) => Math.max(most, text.length), 0) + 2;
  const perLine = Math.max(1, Math.floor((width - indent.length + 2) / cell));
  const lines = Math.ceil(cells.length / perLine);
  return Array.from({ length: lines }, (_, line) => {
    const inLine = cells.filter((_, i) => i % lines === line);
    return (indent + inLine.map((text) => text.padEnd(cell)).join("")).trimEnd();
  });
}
