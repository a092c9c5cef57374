"""How report.html looks, and the one thing that it does: it sorts tables."""

import base64
import hashlib

CSS = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e;
  --paper: #ffffff; --line: #d5dae0; --wash: #f4f6f8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #9aa4af;
  --paper: #14171b; --line: #343b43; --wash: #1e2329; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 76rem;
  color: var(--ink); background: var(--paper);
  font: 1rem/1.5 system-ui, -apple-system, 'Segoe UI', sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .5rem;
  overflow-wrap: anywhere; }
h3 { font-size: 1.05rem; margin: 1.8rem 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; overflow-wrap: anywhere; }
.lead, figcaption, caption { color: var(--soft); }
nav ul { padding-left: 1.2rem; margin: .5rem 0; }
a { color: inherit; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem;
  margin: .5rem 0 1rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; width: 100%; font-size: .875rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .6rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { vertical-align: bottom; background: var(--wash); }
th small, td small { display: block; font-weight: normal; font-size: .8rem;
  color: var(--soft); }
tbody tr:last-child > * { border-bottom: 0; }
tbody th { font-weight: normal; }
tr > :first-child { text-align: left; position: sticky; left: 0;
  background: var(--paper); border-right: 1px solid var(--line); }
thead tr > :first-child { background: var(--wash); }
tr.baseline > * { font-weight: 600; }
th button { all: unset; cursor: pointer; }
th button:hover, th button:focus-visible { text-decoration: underline; }
th[aria-sort=ascending] button::after { content: ' ↑'; }
th[aria-sort=descending] button::after { content: ' ↓'; }
.text td, .text th { text-align: left; }
figure { margin: 1rem 0; }
.card { background: #fff; border: 1px solid var(--line); border-radius: 6px;
  padding: .5rem; overflow-x: auto; }
.card svg { display: block; width: 100%; min-width: 34rem; max-width: 54rem;
  height: auto; margin: 0 auto; }
figcaption { font-size: .875rem; margin-top: .3rem; }
pre { background: var(--wash); padding: .75rem; border-radius: 6px;
  overflow-x: auto; font-size: .8rem; }
code { overflow-wrap: anywhere; }
summary { cursor: pointer; }
@media (max-width: 40rem) {
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; }
  th, td { padding: .35rem .45rem; }
  tr > :first-child { white-space: normal; min-width: 7rem; }
}
"""
# A heading of a table becomes a button that sorts by its column. Cells carry
# what they are sorted by; what is missing (NaN) comes last, either way.
SCRIPT = """
for (const table of document.querySelectorAll('table.sorted')) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement('button');
    button.append(head.firstChild);
    head.prepend(button);
    button.addEventListener('click', () => {
      const up = head.getAttribute('aria-sort') !== 'ascending';
      const key = row => row.cells[column].dataset.sort;
      const order = (a, b) => {
        const [x, y] = [key(a), key(b)], [u, v] = [Number(x), Number(y)];
        if (x === 'NaN' || y === 'NaN') return (x === 'NaN') - (y === 'NaN');
        const less = isNaN(u) || isNaN(v) ? x.localeCompare(y) : u - v || 0;
        return up ? less : -less;
      };
      for (const other of table.tHead.rows[0].cells)
        other.removeAttribute('aria-sort');
      head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
      body.append(...[...body.rows].sort(order));
    });
  });
}
"""


def policy() -> str:
  """Return what a browser may load for the page: nothing but what is in it."""
  digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
  return (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    f"script-src 'sha256-{digest}'"
  )
