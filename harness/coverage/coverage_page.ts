// SPDX-License-Identifier: MIT

import { escapeHtml } from "../report/html/markup.ts";
import { branchShare, type Coverage, type FileCoverage, formatShare, lineShare } from "./coverage.ts";

interface CoveragePage {
  readonly title: string;
  readonly coverage: Coverage;
  /** The lines of each file. */
  readonly sources: ReadonlyMap<string, readonly string[]>;
  /** By file, the reasons why lines cannot run. */
  readonly explained: ReadonlyMap<string, ReadonlyMap<number, string>>;
}

const STYLE = `
:root { color-scheme: light dark; --ran: #1a7f3722; --part: #bf870033; --not: #cf222e33; --why: #8881; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
table { border-collapse: collapse; } th, td { padding: .15rem .8rem; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
pre { font: 13px/1.35 ui-monospace, monospace; tab-size: 8; margin: 0; overflow-x: auto; }
pre span { display: block; } .ran { background: var(--ran); } .part { background: var(--part); }
.not { background: var(--not); } .why { background: var(--why); font-style: italic; }
b { display: inline-block; width: 14em; text-align: right; padding-right: 1em; font-weight: 400; opacity: .65; }
@media print { details { break-before: page; } }
`;

/** One HTML page that needs nothing else: the numbers, and each file with how often its lines ran. */
export function coveragePage({ title, coverage, sources, explained }: CoveragePage): string {
  const files = [...coverage].toSorted(([a], [b]) => a < b ? -1 : 1);
  const row = (name: string, some: FileCoverage[]): string =>
    `<tr><td>${name}</td><td class="number">${formatShare(lineShare(some))}</td>` +
    `<td class="number">${formatShare(branchShare(some))}</td></tr>`;
  const rows = files.map(([path, file]) =>
    row(`<a href="#${escapeHtml(path)}">${escapeHtml(path)}</a>`, [file])
  );
  const sections = files.map(([path, file]) =>
    `<details open id="${escapeHtml(path)}"><summary><h2 style="display:inline">${
      escapeHtml(path)
    }</h2></summary>` +
    `<pre>${sourceLines(sources.get(path) ?? [], file, explained.get(path) ?? new Map())}</pre></details>`
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${
    escapeHtml(title)
  }</title><style>${STYLE}</style></head><body>
<h1>${escapeHtml(title)}</h1>
<table><thead><tr><th>file</th><th>lines</th><th>branches</th></tr></thead>
<tbody>${rows.join("\n")}${row("all", files.map(([, file]) => file))}</tbody></table>
<p>Left of each line: how often it ran, and how many of its branches were taken.
<span class="ran">ran</span> <span class="part">ran, but not every branch</span>
<span class="not">never ran</span> <span class="why">never ran, and why</span></p>
${sections.join("\n")}
</body></html>
`;
}

function sourceLines(
  source: readonly string[],
  { lines }: FileCoverage,
  explained: ReadonlyMap<number, string>,
): string {
  return source.map((text, index) => {
    const number = index + 1;
    const line = lines.get(number);
    const reason = explained.get(number);
    const taken = line?.branches.filter((count) => count > 0).length ?? 0;
    const all = line?.branches.length ?? 0;
    const kind = !line
      ? ""
      : line.count === 0
      ? reason === undefined ? "not" : "why"
      : taken < all
      ? "part"
      : "ran";
    const counts = line ? `${line.count}${all > 0 ? ` (${taken}/${all})` : ""}` : "";
    const note = reason === undefined ? "" : `    -- ${reason}`;
    return `<span class="${kind}"><b>${counts} ${number}</b>${escapeHtml(text + note)}</span>`;
  }).join("");
}
