// SPDX-License-Identifier: MIT

import { htmlPage, type Markup, markup, table } from "../report/html/markup.ts";
import { branchShare, type Coverage, type FileCoverage, formatShare, lineShare } from "./coverage.ts";

interface CoveragePage {
  readonly title: string;
  readonly coverage: Coverage;
  readonly sources: ReadonlyMap<string, readonly string[]>;
  /** By file, the reasons why lines cannot run. */
  readonly explained: ReadonlyMap<string, ReadonlyMap<number, string>>;
}

const STYLE = `
:root { --ran: #1a7f3722; --part: #bf870033; --not: #cf222e33; --why: #8881; }
pre span { display: block; } .ran { background: var(--ran); } .part { background: var(--part); }
.not { background: var(--not); } .why { background: var(--why); font-style: italic; }
b { display: inline-block; width: 14em; text-align: right; padding-right: 1em; font-weight: 400; opacity: .65; }
@media print { details { break-before: page; } }
`;

/** One HTML page that needs nothing else: the numbers, and each file with how often its lines ran. */
export function coveragePage({ title, coverage, sources, explained }: CoveragePage): string {
  const files = [...coverage].toSorted(([a], [b]) => a < b ? -1 : 1);
  const row = (name: string | Markup, some: FileCoverage[]): Markup =>
    markup`<tr><td>${name}</td><td class="number">${formatShare(lineShare(some))}</td><td class="number">${
      formatShare(branchShare(some))
    }</td></tr>`;
  const rows = files.map(([path, file]) => row(markup`<a href="#${path}">${path}</a>`, [file]));
  const all = row("all", files.map(([, file]) => file));
  const sections = files.map(([path, file]) =>
    markup`<details open id="${path}"><summary><h2 style="display:inline">${path}</h2></summary><pre>${
      sourceLines(sources.get(path) ?? [], file, explained.get(path) ?? new Map())
    }</pre></details>
`
  );
  const body = markup`<h1>${title}</h1>
${table({ columns: ["file", "lines", "branches"], rows: [...rows, all] })}
<p>Left of each line: how often it ran, and how many of its branches were taken.
<span class="ran">ran</span> <span class="part">ran, but not every branch</span>
<span class="not">never ran</span> <span class="why">never ran, and why</span></p>
${sections}`;
  return htmlPage({ title, style: STYLE, body });
}

function sourceLines(
  source: readonly string[],
  { lines }: FileCoverage,
  explained: ReadonlyMap<number, string>,
): Markup[] {
  return source.map((text, index) => {
    const number = index + 1;
    const line = lines.get(number);
    const reason = explained.get(number);
    const taken = line?.branches.filter((count) => count > 0).length ?? 0;
    const all = line?.branches.length ?? 0;
    const never = reason === undefined ? "not" : "why";
    const kind = !line ? "" : line.count === 0 ? never : taken < all ? "part" : "ran";
    const counts = line ? `${line.count}${all > 0 ? ` (${taken}/${all})` : ""}` : "";
    const note = reason === undefined ? "" : `    -- ${reason}`;
    return markup`<span class="${kind}"><b>${counts} ${number}</b>${text + note}</span>`;
  });
}
