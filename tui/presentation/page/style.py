"""The style of the page: on a screen, on a phone, and printed."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b2430; --soft: #5b6675; --line: #d9dee5; --paper: #fff; --tile: #f4f6f9;
  --good: #2e7d4f; --bad: #b3261e; --part: #c77700; --none: #8b96a5; --accent: #2f5fa8; }
* { box-sizing: border-box; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e3e7ec; --soft: #9da8b5; --line: #38414d; --paper: #14181d; --tile: #1f252d; --good: #5fbd88;
    --bad: #f2777a; --part: #e5a548; --none: #8894a3; --accent: #74a4e6; }
}
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 3rem; color: var(--ink); background: var(--paper);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; padding-bottom: .25rem; border-bottom: 2px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p { margin: .3rem 0; }
.soft, caption, footer { color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.2rem, 1fr)); gap: .6rem; margin: 1.2rem 0; }
.tile { background: var(--tile); border-radius: .5rem; padding: .6rem .8rem; border-left: 4px solid var(--none); }
.tile b { display: block; font-size: 1.35rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tile { color: var(--soft); } .tile b { color: var(--ink); } .tile.bad b { color: var(--bad); }
.tile.good { border-color: var(--good); } .tile.bad { border-color: var(--bad); }
table { width: 100%; border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: break-word; }
.long, p, h1 { overflow-wrap: anywhere; }
th { font-weight: 600; color: var(--soft); font-size: .85rem; white-space: nowrap; overflow-wrap: normal; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.result { font-weight: 600; } .to-do, td .soft { font-size: .85rem; }
.word { white-space: nowrap; font-weight: 600; } .date { white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); } .part { color: var(--part); } .none { color: var(--none); }
.label { border: 1px solid currentColor; border-radius: .25rem; padding: 0 .3rem; font-size: .8rem;
  color: var(--soft); }
svg { display: block; max-width: 100%; } svg.bars { width: 100%; height: auto; }
svg text { font-size: 11px; fill: var(--soft); }
.axis { stroke: var(--none); } .grid { stroke: var(--line); stroke-dasharray: 3 3; }
.bar.good { fill: var(--good); } .bar.bad { fill: var(--bad); } .bar.part { fill: var(--part); }
.bar.none { fill: var(--none); } .bar.accent { fill: var(--accent); }
.line { fill: none; stroke: var(--accent); stroke-width: 1.6; } .end { fill: var(--accent); }
.legend span { margin-right: 1rem; white-space: nowrap; }
.legend i { display: inline-block; width: .7rem; height: .7rem; margin-right: .3rem; border-radius: .15rem; }
i.good { background: var(--good); } i.bad { background: var(--bad); } i.part { background: var(--part); }
i.none { background: var(--none); }
.layouts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 1rem;
  margin: .4rem 0; }
figure { margin: 0; } figcaption { font-size: .85rem; color: var(--soft); margin-bottom: .2rem; }
svg.layout { width: 100%; height: auto; background: var(--tile); }
.layout-legend span { white-space: normal; }
.layout-legend svg.layout { display: inline-block; width: .8rem; margin-right: .3rem; }
.layout .table { fill: var(--ink); } .layout .index { fill: var(--accent); } .long-values { fill: var(--soft); }
.layout .free { fill: var(--none); } .layout .internal { fill: var(--soft); } .layout .damaged { fill: var(--bad); }
.scattered { fill-opacity: .45; }
footer { margin-top: 2.5rem; font-size: .85rem; }
@media screen and (min-width: 55.01rem) { td:first-child { min-width: 6rem; } td .reason { min-width: 9rem; } }
@media screen and (max-width: 55rem) {
  thead { display: none; }
  table, tbody, tr, td { display: block; width: 100%; }
  tr { padding: .5rem 0; border-bottom: 1px solid var(--line); }
  td { display: grid; grid-template-columns: 7.5rem minmax(0, 1fr); gap: .5rem; padding: .1rem 0; border: 0; }
  td::before { content: attr(data-label); color: var(--soft); font-size: .85rem; grid-column: 1; }
  td > * { grid-column: 2; }
  td.number { text-align: left; white-space: normal; } .date { white-space: normal; }
  td:empty { display: none; }
}
@media screen and (max-width: 40rem) { svg.bars text { font-size: 20px; } }
@media print {
  @page { margin: 14mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  .tiles { grid-template-columns: repeat(6, 1fr); } .tile { padding: .4rem .5rem; }
  table { font-size: .85rem; } td:first-child { min-width: 5rem; } td .reason { min-width: 8rem; }
  td svg { width: 70px; }
  h2, h3 { break-after: avoid; } tr, .tile, svg, section { break-inside: avoid; }
  thead { display: table-header-group; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""
