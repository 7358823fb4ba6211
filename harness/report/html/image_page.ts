// SPDX-License-Identifier: MIT

import { PAGE_SIZE_BIG } from "../../../lib/abi/arch.ts";
import { firstDifference, hex } from "../../../lib/bytes.ts";
import { diffOutlines } from "../../../lib/image/diff/diff_outlines.ts";
import { mergePages } from "../../../lib/image/diff/page_merge.ts";
import type { FormatOptions } from "../../../lib/image/dialect.ts";
import type { ImageNode } from "../../../lib/image/nodes.ts";
import { ImageOutline, mappingLabel } from "../../../lib/image/outline.ts";
import { formatCount } from "../../run/quantity.ts";
import { headTable, taskTables } from "./image_tables.ts";
import { addressSpace, type ImageView } from "./image_view.ts";
import { htmlPage, type Markup, Markup as MarkupText, markup, omitted, table } from "./markup.ts";

/** An image to be shown: what it is called, and its parts as they are decoded. */
interface ShownImage {
  readonly name: string;
  readonly nodes: AsyncIterable<ImageNode>;
}

/** Mappings that are drawn; the search knows all. */
const MAX_MAPPINGS = 2000;
/** Runs of pages of each image that the search of the page knows. */
const MAX_RUNS = 300_000;
const MAX_DIFFERENCES = 300;

const STYLE = `
h1, .tiles li { overflow-wrap: anywhere; min-width: 0; } h1 { font-size: 1.2rem; }
#search { position: sticky; top: 0; background: var(--page);
  padding: .5rem 0; z-index: 1; }
#search input { font: inherit; font-family: ui-monospace, "DejaVu Sans Mono", monospace; padding: .3rem .5rem;
  width: 16rem; max-width: 100%;
  background: var(--card); color: var(--ink); border: 1px solid var(--line); border-radius: 5px; }
#search button { font: inherit; padding: .3rem .7rem; } #answer { white-space: pre-wrap; margin: .3rem 0 0;
  min-height: 1.5em; }
kbd { background: var(--code); border: 1px solid var(--line); border-radius: 3px; padding: 0 .3em; font-size: .84em;
  } h3 { margin: 1.6rem 0 .3rem; }
`;

/**
 * One image, or two side by side, as one HTML page that needs nothing else. All in it that comes from an image is
 * text; the only script that the page's policy lets run is its own, by digest.
 *
 * @throws {MalformedImageError} when an image cannot be decoded
 */
export async function imagePage(images: readonly ShownImage[], options: FormatOptions = {}): Promise<string> {
  const view = await readView(images, options);
  const names = images.map(({ name }) => name);
  const script = await Deno.readTextFile(new URL("./image_page.js", import.meta.url));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(script)))
    .toBase64();
  const count = Math.max(...view.outlines.map(({ tasks }) => tasks.length));
  const tasks = Array.from(
    { length: count },
    (_, task) =>
      markup`<section>${count > 1 ? markup`<h2>Task ${task}</h2>` : undefined}<h3>Address space</h3>${
        addressSpace(view, task)
      }${taskTables(view.outlines, task)}</section>`,
  );
  const body = markup`<header><p class="kicker">ckptest image html</p><h1>${names.join(" and ")}</h1>
<ul class="tiles">${view.outlines.map((outline, image) => summary(names[image]!, outline))}</ul></header>
<form id="search" role="search"><label>Address <input id="address" autocomplete="off" spellcheck="false"
 placeholder="7ffff7ffe000"></label>
<button>Look</button> <span class="soft"><kbd>/</kbd> search, <kbd>j</kbd> <kbd>k</kbd> next and previous mapping${
    names.length === 2 ? markup`, <kbd>n</kbd> <kbd>p</kbd> the same that differs` : undefined
  }, <kbd>Enter</kbd> opens it</span><p id="answer" class="mono" role="status"></p></form>
<main>${tasks}${headTable(view.outlines)}${differenceList(view, names)}</main>
<script type="application/json" id="data">${new MarkupText(searchData(view, names))}</script>
<script>${new MarkupText(script)}</script>`;
  return htmlPage({ title: `${names.join(" and ")} - ckptest`, style: STYLE, script: digest, body });
}

async function readView([a, b]: readonly ShownImage[], options: FormatOptions): Promise<ImageView> {
  const shared = { maxMappings: MAX_MAPPINGS, isSearched: true };
  if (!b) {
    const outline = new ImageOutline(options);
    for await (const node of a!.nodes) outline.visit(node);
    return { ...shared, outlines: [outline], changed: [], differences: [] };
  }
  const changed: { vaddr: bigint; count: number }[][] = [];
  const outlines = await mergePages([a!.nodes, b.nodes], options, ({ a, b }) => {
    if (!a || !b || firstDifference(a.bytes, b.bytes) < 0) return;
    const runs = changed[a.task] ??= [];
    const last = runs.at(-1);
    if (last && last.vaddr + BigInt(last.count) * PAGE_SIZE_BIG === a.vaddr) last.count++;
    else runs.push({ vaddr: a.vaddr, count: 1 });
  });
  return { ...shared, outlines, changed, differences: diffOutlines(...outlines) };
}

function summary(name: string, { tasks }: ImageOutline): Markup {
  const mappings = tasks.flatMap(({ mappings }) => mappings);
  const sum = (isWanted: (isZero: boolean) => boolean): string =>
    formatCount(
      mappings.flatMap(({ runs }) => runs).reduce(
        (all, run) => all + (isWanted(run.isZero) ? run.count : 0),
        0,
      ),
    );
  return markup`<li>${name}: <b>${formatCount(mappings.length)}</b> mappings, <b>${
    sum(() => true)
  }</b> pages in the image, <b>${sum((isZero) => isZero)}</b> of them zeros</li>`;
}

function differenceList(
  { outlines, changed, differences }: ImageView,
  names: readonly string[],
): Markup | undefined {
  if (outlines.length === 1) return undefined;
  const pages = changed.flat().reduce((sum, { count }) => sum + count, 0);
  const rows = differences.slice(0, MAX_DIFFERENCES).map(({ section, task, what, a = "-", b = "-" }) =>
    markup`<tr><td>${
      task ? `task ${task} ` : ""
    }${section}</td><td>${what}</td><td class="mono">${a}</td><td class="mono">${b}</td></tr>`
  );
  return markup`<h3>Differences: ${formatCount(differences.length)} beside pages, ${
    formatCount(pages)
  } pages with other contents</h3>${
    rows.length > 0 && table({ columns: ["", "", ...names], rows, style: "values" })
  }${omitted(differences.length - rows.length, "are not listed")}`;
}

/** What the search looks through; JSON in which no text can end the element that it stands in. */
function searchData({ outlines }: ImageView, names: readonly string[]): string {
  const images = outlines.map(({ tasks }, image) => {
    let left = MAX_RUNS;
    return {
      name: names[image],
      tasks: tasks.map(({ mappings }) =>
        mappings.map((mapping) => {
          const { vm_start, vm_end } = mapping.record.fields;
          const runs = mapping.runs.slice(0, left);
          left -= runs.length;
          return [
            ...[hex(vm_start), hex(vm_end), mappingLabel(mapping)],
            runs.map(({ vaddr, count, offset, isZero }) => [hex(vaddr), count, offset, isZero ? 1 : 0]),
            runs.length === mapping.runs.length ? 1 : 0,
          ];
        })
      ),
    };
  });
  return JSON.stringify(images).replaceAll("<", "\\u003c");
}
