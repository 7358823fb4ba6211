// SPDX-License-Identifier: MIT

/** The page's style: light and dark, for screens from 360 pixels on, and for paper. Colours are never alone. */
export const PAGE_STYLE = `
:root {
  color-scheme: light dark;
  --page: #f7f6f3; --card: #ffffff; --ink: #1d1f23; --soft: #5c616b; --line: #dedbd4; --code: #f0eee9;
  --fail: #a51d16; --fail-back: #fbe5e2; --pass: #14673a; --pass-back: #e2f1e7; --warn: #7a5200;
  --warn-back: #fbedcb; --flaky: #57389f; --flaky-back: #ece6fa; --none-back: #eceae5; --mark: #ffd9a8;
  --saved: #3f78b5; --part: #9dbddd; --zero: #7d9c86; --empty: #dfe3e8; --differs: #c8261c; --trend: #3f6fa3;
  --link: #1d5c99;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #16181c; --card: #1f2227; --ink: #e8e8e6; --soft: #a2a7b0; --line: #363a42; --code: #282c33;
    --fail: #ff9a90; --fail-back: #4a2220; --pass: #86d6a3; --pass-back: #1d3b2a; --warn: #f0c667;
    --warn-back: #43351a; --flaky: #c4b1f5; --flaky-back: #352c52; --none-back: #2b2f36; --mark: #70480f;
    --saved: #5b9bde; --part: #35587c; --zero: #4f6f5a; --empty: #3a4049; --differs: #ff6257; --trend: #7fb2e8;
  --link: #86bdf2;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1.6rem 1.4rem 4rem; max-width: 78rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: .2rem 0 .5rem; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .7rem; }
h3 { font-size: 1.05rem; margin: 0; }
h4 { font-size: .9rem; margin: 1.3rem 0 .4rem; }
p { margin: .3rem 0; } a { color: var(--link); text-underline-offset: .15em; }
code, pre, .mono { font-family: ui-monospace, "DejaVu Sans Mono", Consolas, monospace; font-size: .86em; }
pre { background: var(--code); border-radius: 5px; padding: .6rem .75rem; margin: .3rem 0; overflow-x: auto;
  line-height: 1.4; tab-size: 8; }
.soft { color: var(--soft); } small { font-size: .84em; }
.kicker { color: var(--soft); font-size: .9rem; margin: 0; }
.notice { background: var(--warn-back); color: var(--warn); border-radius: 6px; padding: .5rem .8rem;
  margin: .7rem 0; }
.tiles { display: flex; flex-wrap: wrap; gap: .4rem 1.8rem; margin: .8rem 0 0; padding: 0; list-style: none; }
.tiles li { font-size: .92rem; color: var(--soft); } .tiles b { color: var(--ink);
  font-variant-numeric: tabular-nums; }
nav { margin: .9rem 0 0; font-size: .92rem; display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .85rem 1.1rem;
  margin: 0 0 .8rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); gap: .8rem; }
.cards .card { margin: 0; } time { white-space: nowrap; }
.card.bad { border-left: 4px solid var(--differs); }
.problem-head { display: flex; flex-wrap: wrap; gap: .35rem .7rem; align-items: baseline; }
.badge { border-radius: 4px; padding: .08rem .5rem; font-size: .78rem; font-weight: 650; white-space: nowrap; }
.fail { color: var(--fail); background: var(--fail-back); } .pass { color: var(--pass);
  background: var(--pass-back); }
.warn { color: var(--warn); background: var(--warn-back); }
.flaky { color: var(--flaky); background: var(--flaky-back); }
.none { color: var(--soft); background: var(--none-back); }
.facts { display: grid; grid-template-columns: 5.6rem minmax(0, 1fr); gap: .15rem .8rem; margin: .55rem 0 0; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; overflow-wrap: anywhere; }
.facts code { background: var(--code); border-radius: 4px; padding: .08rem .35rem; user-select: all; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; } .wide { width: 100%; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .84rem; vertical-align: bottom; }
th, td { padding: .34rem .7rem .34rem 0; } td { vertical-align: top; border-top: 1px solid var(--line); }
.keep { white-space: nowrap; } td.number { text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
.matrix td, .matrix th { padding: .3rem .45rem; } .matrix tbody th { color: var(--ink); white-space: nowrap;
  border-top: 1px solid var(--line); font-weight: 500; vertical-align: middle; }
.cell { border-radius: 5px; padding: .3rem .55rem; min-width: 7.2rem; display: block; text-decoration: none;
  line-height: 1.25; }
.cell b { display: block; } .cell small { opacity: .85; white-space: nowrap; }
.dots td, .dots th { padding: .22rem .4rem; text-align: center; } .dots th:first-child, .dots td:first-child {
  text-align: left; padding-left: 0; } .dots .head { writing-mode: vertical-rl; transform: rotate(180deg);
  white-space: nowrap; font-weight: 500; text-align: left; }
.dots th:last-child, .dots td:last-child { text-align: left; padding-left: 1rem; width: 99%; font-size: .85rem; }
.dots .badge { padding: .05rem .35rem; }
.findings td { overflow-wrap: anywhere; }
  .findings td:nth-child(1), .findings td:nth-child(3) { white-space: nowrap; }
.findings td:nth-child(4), .findings td:nth-child(5) { min-width: 7.5rem; }
.findings td:nth-child(6) { width: 31%; }
.values th, .values td { padding: .1rem .9rem .1rem 0; } .values td:not(.keep) { overflow-wrap: anywhere;
  max-width: 34rem; }
.values tr.marked th { color: var(--fail); font-weight: 650; } .values tr.marked td { background: var(--fail-back); }
.map { border-top: 1px solid var(--line); } .map > summary { margin: 0; padding: .2rem .3rem; color: var(--ink);
  display: grid;
  grid-template-columns: 17rem 3rem minmax(6rem, 14rem) 1fr 13rem; gap: .6rem; align-items: center;
  list-style: none; }
.map > summary::-webkit-details-marker { display: none; }
  .map > summary:focus-visible { outline: 2px solid var(--link); }
.map.marked > summary .range { color: var(--fail); font-weight: 650; }
  .map.found > summary { background: var(--mark); }
.map .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; } .map .words { font-size: .84rem;
  color: var(--soft); }
.bars { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: .8rem; align-items: center; }
  .bars svg { width: 100%; display: block; }
.both { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(0, 1fr); gap: 1.4rem;
  padding: .3rem .8rem .8rem; font-size: .86rem;
  overflow-wrap: anywhere; } .gap { color: var(--soft); font-size: .78rem; padding-left: .3rem; }
@media (max-width: 900px) { .map > summary { grid-template-columns: 1fr auto; }
  .bars, .map .words { grid-column: 1 / -1; }
  .both { grid-auto-flow: row; } }
.files { list-style: none; margin: .2rem 0; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; }
.list td:last-child { width: 30%; overflow-wrap: anywhere; } .list + h3, .scroll + h3 { margin-top: 1.2rem; }
mark { background: var(--mark); color: inherit; border-radius: 2px; }
.c-none { fill: var(--empty); } .c-part { fill: var(--part); } .c-saved { fill: var(--saved); }
.c-zero { fill: var(--zero); } .c-differs { fill: var(--differs); }
.lost { height: 12px; outline: 1px dashed var(--differs); }
p.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; color: var(--soft); font-size: .84rem; margin: .4rem 0; }
.legend svg { width: .85em; height: .85em; vertical-align: -.08em; margin-right: .35em; }
.spark { width: 132px; height: 30px; display: block; overflow: visible; }
.spark path { fill: none; stroke: var(--trend); stroke-width: 1.5; } .spark circle { fill: var(--trend); }
.spark .c-differs { fill: var(--differs); } .spark rect { stroke: none; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); gap: 1rem 1.6rem;
  margin-bottom: 1.2rem; }
.plot { margin: 0; } .plot figcaption { font-size: .92rem; font-weight: 600; } .plot > svg { width: 100%;
  height: auto; display: block; }
.plot text { fill: var(--soft); font-size: 12px; } .plot .grid { stroke: var(--line); stroke-width: 1; }
.plot path { fill: none; stroke-width: 1.8; stroke: currentcolor; } .plot circle { fill: currentcolor; }
.plot .legend svg { width: 24px; height: 8px; } .line-0 { color: var(--trend); } .line-1 { color: var(--pass); }
  .line-2 { color: var(--warn); }
.line-3 { color: var(--flaky); } .line-4 { color: var(--fail); } .line-5 { color: var(--soft); }
  .line-1 path { stroke-dasharray: 7 3; }
.line-2 path { stroke-dasharray: 2 3; } .line-3 path { stroke-dasharray: 8 3 2 3; }
  .line-4 path { stroke-dasharray: 12 4; } .line-5 path { stroke-dasharray: 4 2 1 2; }
.bar { width: 100%; height: 16px; display: block; border-radius: 4px; }
details > summary { cursor: pointer; color: var(--link); margin: .5rem 0; }
.frames { list-style: none; margin: .3rem 0; padding: 0; } .frames li { padding: .06rem 0; overflow-wrap: anywhere; }
footer { margin-top: 3rem; color: var(--soft); font-size: .88rem; padding-top: .8rem;
  border-top: 1px solid var(--line); }
@media (max-width: 640px) {
  body { padding: 1rem .8rem 3rem; } h1 { font-size: 1.4rem; } .card { padding: .7rem .8rem; }
  .facts { grid-template-columns: 4.6rem minmax(0, 1fr); gap: .15rem .5rem; }
  .stack thead { display: none; } .stack, .stack tbody { display: block; } .stack tr { display: block;
    border-top: 1px solid var(--line); padding: .4rem 0; } .stack td { display: block; border: 0; padding: .05rem 0; }
  .stack td.number { text-align: left; } .list td:last-child { width: auto; }
  .stack td[data-name]:not(:empty)::before { content: attr(data-name) " "; color: var(--soft); font-size: .84em; }
}
@media print {
  :root { --page: #fff; --card: #fff; --code: #f4f4f4; color-scheme: light; }
  body { font-size: 10pt; max-width: none; padding: 0; } nav { display: none; }
  h2 { margin-top: 1.4rem; } h2, h3, h4 { break-after: avoid; } .card, tr, svg { break-inside: avoid; }
  .card.long { break-inside: auto; } pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  .scroll { overflow: visible; } a { color: inherit; text-decoration: none; }
  svg, .badge, .cell, mark, .notice { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .matrix .cell { min-width: 0; }
}
@page { margin: 14mm; }
`;
