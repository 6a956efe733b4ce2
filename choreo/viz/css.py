"""The look of the report page."""

STYLE = """\
:root {
  color-scheme: light dark;
  --ink: #1f2933; --faint: #616e7c; --rule: #e4e7eb; --edge: #cbd2d9; --page: #f5f7f9;
  --card: #fff; --accent: #0f766e; --good: #ecf7f5; --bad: #fcf0ee; --alarm: #c0392b;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --ink: #e4e8ec; --faint: #9fabb7; --rule: #2d353e; --edge: #4a5561; --page: #12161b;
    --card: #1a2027; --accent: #4fbfb1; --good: #17302d; --bad: #3a211e; --alarm: #e5786b;
  }
  img { background: #fff; padding: 8px; }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1080px; margin: 0 auto; padding: 40px 20px 56px; }
header { margin: 0 4px 28px; }
h1 { font-size: 2rem; line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 10px; }
h2 { font-size: 1.22rem; letter-spacing: -0.005em; margin: 0 0 6px; }
header p { font-size: 1.05rem; color: var(--faint); max-width: 46rem; margin: 0; }
section {
  background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: 24px 26px; margin: 0 0 18px;
}
section > p { max-width: 46rem; margin: 0 0 14px; color: var(--faint); }
.verdict {
  color: var(--ink); font-weight: 550; border-left: 4px solid #9aa5b1;
  padding: 7px 14px; background: var(--page); border-radius: 0 6px 6px 0;
}
.verdict.good { border-color: var(--accent); background: var(--good); }
.verdict.bad { border-color: var(--alarm); background: var(--bad); }
figure { margin: 18px 0 4px; }
img, video { display: block; max-width: 100%; height: auto; margin: 0 auto; border-radius: 4px; }
figcaption, .note { font-size: 0.875rem; color: var(--faint); margin: 8px 0 0; }
code { font-size: 0.92em; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: 14px 0 0; }
table {
  border-collapse: collapse; width: 100%; font-size: 0.925rem; font-variant-numeric: tabular-nums;
}
th, td {
  text-align: right; padding: 7px 10px; border-bottom: 1px solid var(--rule);
  white-space: nowrap;
}
thead th { font-size: 0.8rem; font-weight: 600; color: var(--faint); border-bottom-width: 2px; }
tbody th { font-weight: 500; }
th:first-child { text-align: left; padding-left: 0; white-space: normal; min-width: 8rem; }
td.strong { font-weight: 700; color: var(--accent); }
td.good { color: var(--accent); }
td.words, th.words {
  text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 9rem;
}
thead th.strong { color: var(--faint); }
tr.quiet > *, tr.quiet > .strong { color: var(--faint); font-weight: 400; }
h3 { font-size: 0.98rem; margin: 22px 0 -6px; }
.panels {
  display: grid; gap: 18px 22px;
  grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr));
}
@media (min-width: 760px) {
  .panels:has(> :nth-child(4):last-child) { grid-template-columns: repeat(2, 1fr); }
}
.panels svg { display: block; width: 100%; height: auto; max-width: 460px; }
.panels text { font-family: inherit; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0 0 12px; font-size: 0.875rem; }
.legend i {
  display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 7px;
}
td.bad { color: #b3261e; }
td.neutral { color: #7a5b00; }
tbody tr:last-child > * { border-bottom: 0; }
tfoot > tr > * { color: var(--faint); border-bottom: 0; }
tfoot > tr:first-child > * { border-top: 2px solid var(--rule); }
.sortable th:first-child { min-width: 7rem; }
.sortable thead th { white-space: normal; padding: 0; vertical-align: bottom; }
.sortable thead button {
  font: inherit; color: inherit; background: none; border: 0; padding: 9px 12px; cursor: pointer;
  text-align: inherit; width: 100%;
}
.sortable thead th:first-child button { padding-left: 0; }
th[aria-sort="descending"] button::after { content: " \\2193"; }
th[aria-sort="ascending"] button::after { content: " \\2191"; }
a { color: inherit; }
.films { display: grid; grid-template-columns: repeat(auto-fill, minmax(128px, 1fr)); gap: 12px; }
.film { margin: 0; scroll-margin-top: 12px; }
.film button {
  position: relative; display: block; width: 100%; padding: 0; border: 0; border-radius: 4px;
  background: var(--rule); cursor: pointer;
}
.film video { width: 100%; }
.film button::after {
  content: "\\25B6"; position: absolute; right: 6px; bottom: 6px; padding: 1px 8px;
  color: #fff; background: rgb(31 41 51 / 75%); border-radius: 4px; font-size: 0.8rem;
}
.film button[aria-pressed="true"]::after { content: none; }
.film:target button { outline: 3px solid var(--accent); }
.film figcaption { margin-top: 4px; }
footer { font-size: 0.85rem; color: var(--faint); margin: 22px 4px 0; }
@media (max-width: 640px) {
  main { padding: 24px 12px 36px; }
  section { padding: 18px 16px; }
  h1 { font-size: 1.55rem; }
  th, td { padding: 7px 6px; }
  thead th { white-space: normal; }
  th:first-child { min-width: 6.5rem; overflow-wrap: anywhere; }
}
@media print {
  body { background: #fff; }
  section { break-inside: avoid; border: 0; padding: 12px 0; }
}
"""
