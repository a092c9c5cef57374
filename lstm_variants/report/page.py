"""Renders report.html: one file, nothing loaded from elsewhere."""

import base64
from collections.abc import Iterable, Mapping, Sequence
import hashlib
import html
import json
import shlex
from typing import Any

from lstm_variants.evidence import gallery
from lstm_variants.report import comparison, tables
from lstm_variants.runs import files

# What the columns of the tables mean.
NOTES = (
  (
    'model',
    'Followed by the fields, other than the seed, that vary among the runs of '
    'the task. Runs that differ by their seeds alone share a row, as do the '
    'trials of a random search.',
  ),
  (
    'runs, solved, diverged',
    'Number of runs; of them met the success criterion at some point of their '
    'training; of them ended with numbers that are not finite. A run can be '
    'both solved and diverged.',
  ),
  (
    'median to success',
    'Training sequences until the success criterion was met: the Kaplan-Meier '
    'median. An unsolved run is censored: known only to need more than the '
    'sequences it was trained on (one that diverged: more than the longest of '
    'its row was trained on). “> n”: not reached within the n sequences of the '
    'longest run. The interval inverts the pointwise 95 % beta product band of '
    'the Kaplan-Meier curve (Fay, Brittain & Proschan 2013), without '
    'censoring that of the sign test; of five runs it has no upper end, of '
    'fewer there is none.',
  ),
  (
    'trained',
    'Training sequences of its runs; the fewest and the most where they '
    'differ, as where a population stops when its runs are solved.',
  ),
  (
    'p, speed',
    'Two-sided log-rank test of the sequences to success against the row of '
    'the baseline model whose other fields are equal, by permutations of the '
    'runs (exact where they are few); pairs are swapped where both rows have '
    'the same seeds, six or more. Both rows are compared up to the fewest '
    'sequences that an unsolved run of them was trained on; one that diverged '
    'counts as unsolved to the end. “—” where there is no such row, or no '
    'success to compare. The ratio is the factor by which success takes '
    'longer, with the interval of this test (Wei & Gail 1983).',
  ),
  (
    'loss',
    'Geometric mean over runs of the held-out loss at equal training: after '
    'the largest number of sequences at which all runs of the task were '
    'evaluated, which the line “compared” tells; with its 95 % interval by '
    'Student’s t on logarithms. Runs that diverged, at any time, or whose loss '
    'there is not finite are left out; the number left is then given in '
    'parentheses. “—” where there is no such evaluation. (The mean, where '
    'losses are below zero.)',
  ),
  (
    'p, loss',
    'Two-sided t test of the logarithms of these losses against the row of the '
    'baseline model whose other fields are equal: of the differences of equal '
    'seeds where both rows have the same seeds, else Welch’s (1947). “—” where '
    'there is no such row or no equal training, where either side has fewer '
    'than two finite losses, or where nothing varies. The ratio is that of the '
    'geometric means.',
  ),
  (
    'p Holm',
    'The same, adjusted for all comparisons of its column (Holm 1979): below '
    '0.05 is significant at 5 % for that column as a whole.',
  ),
  (
    'bits, perplexity',
    'Of a text: the loss in bits per symbol, and how many equally likely '
    'symbols it stands for.',
  ),
  ('params', 'Parameters that the model reads, of one run.'),
  (
    'ms/update',
    'Training time of the population without compilation, divided by its '
    'updates and by its runs, evaluations included: models trained in one '
    'program share one figure, which does not tell them apart.',
  ),
)
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
.card img { display: block; width: 100%; min-width: 34rem; max-width: 54rem;
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


def render(
  study: Mapping[str, Any],
  rows: Sequence[comparison.Row],
  drawings: Mapping[tuple[str, str], str],
  provenance: Mapping[str, Mapping[str, Any]],
  baseline: str,
  analyses: Sequence[gallery.Shown] = (),
) -> str:
  """Return the report as a page that needs nothing beside itself.

  Args:
    study: what `results.read_study` returns.
    rows: what `comparison.compare` returns.
    drawings: (task, 'loss' or 'success') -> SVG text.
    provenance: what `results.read_provenance` returns.
    baseline: the model that others are compared with.
    analyses: what `analyse` has drawn of these runs.
  """
  tasks = list(dict.fromkeys(row.task for row in rows))
  finished = sum(row.runs for row in rows)
  sections = [
    _task_section(
      index,
      task,
      study,
      rows,
      drawings,
      [analysis for analysis in analyses if analysis.task == task],
    )
    for index, task in enumerate(tasks)
  ]
  links = _links(tasks)
  name = _escape(study['name'])
  return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_policy()}">
<title>{name}: comparison</title>
<style>{CSS}</style>
</head>
<body>
<h1>{name}</h1>
<p class="lead">{finished:,} of {len(study['runs']):,} runs finished, compared
with <strong>{_escape(baseline)}</strong>. Study of
{_escape(study['created'])}.</p>
<nav><ul>{links}</ul></nav>
{''.join(sections)}
<section><h2>How to read the tables</h2>
{_definitions(NOTES)}</section>
<section><h2>Provenance</h2>{_provenance(provenance)}
<details><summary>Config of the study, before its grid</summary>
<pre>{_escape(json.dumps(study['config'], indent=2))}</pre></details>
</section>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _links(tasks: Sequence[str]) -> str:
  return ''.join(
    f'<li><a href="#task-{index}">{_escape(task)}</a></li>'
    for index, task in enumerate(tasks)
  )


def _task_section(
  index: int,
  task: str,
  study: Mapping[str, Any],
  rows: Sequence[comparison.Row],
  drawings: Mapping[tuple[str, str], str],
  more: Sequence[gallery.Shown],
) -> str:
  captions = {
    'loss': 'Held-out loss during training: median over the runs of a row '
    'that have a finite loss, and the range of those runs.',
    'success': 'Sequences to success, each run a dot; unsolved runs hollow, '
    'at the sequences they were trained on (diverged: the longest of its row).',
  }
  figures = ''.join(
    _figure(drawings[task, kind], caption) for kind, caption in captions.items()
  )
  figures += ''.join(
    f'<h3>{_escape(drawing.heading)}</h3>'
    + _figure(drawing.svg, drawing.caption)
    + _numbers(drawing)
    for drawing in more
  )
  of_task = [row for row in rows if row.task == task]
  known = [
    *tables.facts(study['tasks'].get(task, {})),
    *tables.at_equal_training(of_task),
  ]
  return (
    f'<section id="task-{index}"><h2>{_escape(task)}</h2>'
    f'{_definitions(known)}{_table(of_task)}{figures}</section>\n'
  )


def _figure(svg: str, caption: str) -> str:
  """Return a figure as an image.

  What an image of SVG holds beside shapes, as scripts, links or addresses, a
  browser leaves alone: it may be from anywhere.
  """
  text = _escape(caption)
  content = base64.b64encode(files.encode(svg)).decode()
  return (
    f'<figure><div class="card"><img alt="{text}" '
    f'src="data:image/svg+xml;base64,{content}"></div>'
    f'<figcaption>{text}</figcaption></figure>'
  )


def _numbers(drawing: gallery.Shown) -> str:
  """Return the numbers of a drawing as a table that can be sorted."""
  if not drawing.numbers:
    return ''
  columns, *rows = drawing.numbers
  head = ''.join(
    f'<th scope="col">{_escape(column.replace("_", " "))}</th>'
    for column in columns
  )
  body = ''.join(
    '<tr>' + ''.join(map(_number, row)) + '</tr>\n' for row in rows
  )
  table = _scroll(
    f'<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody>', table='sorted'
  )
  return f'<details><summary>The numbers</summary>{table}</details>'


def _number(text: str) -> str:
  """Return a cell of a CSV file as one of a table."""
  try:
    value = float(text)
  except ValueError:
    return f'<td data-sort="{_escape(text)}">{_escape(text)}</td>'
  names = {'inf': 'Infinity', '-inf': '-Infinity', 'nan': 'NaN'}
  key = names.get(repr(value), repr(value))
  whole = value.is_integer() and abs(value) < 1e9
  amount = f'{value:,.0f}' if whole else tables.number(value)
  return f'<td data-sort="{key}">{amount}</td>'


def _row(
  row: comparison.Row,
  columns: Sequence[tables.Column],
  stacks: Sequence[Sequence[int]],
) -> str:
  """Return a row of a table; cells of a stack stand below each other."""
  cells, keys = tables.cells(row, columns), tables.keys(row, columns)
  mark = ' class="baseline"' if row.is_baseline else ''
  key = f' data-sort="{_escape(keys[0])}"'
  parts = [f'<tr{mark}><th scope="row"{key}>{_escape(cells[0])}</th>']
  for first, *below in stacks[1:]:
    details = [cells[p] for p in below if cells[p] != tables.MISSING]
    key = f' data-sort="{_escape(keys[first])}"'
    parts.append(f'<td{key}>{_escape(cells[first])}{_small(details)}</td>')
  return ''.join((*parts, '</tr>\n'))


def _table(rows: Sequence[comparison.Row]) -> str:
  columns = tables.columns(rows)
  stacks: list[list[int]] = []
  for position, column in enumerate(columns):
    if column.below:
      stacks[-1].append(position)
    else:
      stacks.append([position])
  head = ''
  for first, *below in stacks:
    heading, unit = columns[first].heading, columns[first].unit
    details = (unit, *(columns[position].heading for position in below))
    head += f'<th scope="col">{_escape(heading)}{_small(details)}</th>'
  body = ''.join(_row(row, columns, stacks) for row in rows)
  return _scroll(
    f'<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody>', table='sorted'
  )


def _small(texts: Iterable[str]) -> str:
  return ''.join(f' <small>{_escape(text)}</small>' for text in texts)


def _provenance(provenance: Mapping[str, Mapping[str, Any]]) -> str:
  """Describe each program once, then each population in a line."""
  programs: dict[str, list[tuple[str, str]]] = {}
  for entry in provenance.values():
    described = _program(entry)
    programs.setdefault(json.dumps(described), described)
  numbers = {key: number for number, key in enumerate(programs, 1)}
  headings = ('population', 'program', 'devices', 'compile, s', 'train, s')
  head = (*headings, 'started', 'finished')
  lines = ''
  for name, entry in provenance.items():
    texts = (
      str(numbers[json.dumps(_program(entry))]),
      ', '.join(str(device) for device in entry.get('devices') or ()),
      _seconds(entry.get('compile_seconds')),
      _seconds(entry.get('train_seconds')),
      *(str(entry.get(key) or '') for key in ('started', 'finished')),
    )
    cells = ''.join(f'<td>{_escape(text)}</td>' for text in texts)
    lines += f'<tr><th scope="row">{_escape(name)}</th>{cells}</tr>\n'
  columns = ''.join(f'<th scope="col">{word}</th>' for word in head)
  described = (
    f'<h3>Program {number}</h3>{_definitions(programs[key])}'
    for key, number in numbers.items()
  )
  return ''.join(described) + _scroll(
    f'<thead><tr>{columns}</tr></thead>\n<tbody>{lines}</tbody>', 'scroll text'
  )


def _program(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
  commit = entry.get('commit') or 'unknown'
  changed = (
    ' with uncommitted changes' if entry.get('uncommitted_changes') else ''
  )
  packages = (entry.get('packages') or {}).items()
  versions = ', '.join(f'{name} {version}' for name, version in packages)
  return [
    ('command', shlex.join(str(word) for word in entry.get('command') or ())),
    ('commit', commit + changed),
    ('versions', f'Python {entry.get("python")}; {versions}'),
    (
      'machine',
      f'{entry.get("system")} {entry.get("machine")}, {entry.get("cpus")} CPUs',
    ),
  ]


def _definitions(pairs: Iterable[tuple[str, str]]) -> str:
  items = (
    f'<dt>{_escape(name)}</dt><dd>{_escape(text)}</dd>' for name, text in pairs
  )
  return f'<dl>{"".join(items)}</dl>'


def _scroll(content: str, classes: str = 'scroll', table: str = '') -> str:
  return (
    f'<div class="{classes}" tabindex="0"><table class="{table}">{content}'
    '</table></div>\n'
  )


def _seconds(value: float | None) -> str:
  return tables.MISSING if value is None else f'{value:,.1f}'


def _escape(value: Any) -> str:
  return html.escape(str(value), quote=True)


def _policy() -> str:
  """Return what a browser may load for the page: nothing but what is in it."""
  digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
  return (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
  )
