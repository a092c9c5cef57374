"""Renders report.html: one file, nothing loaded from elsewhere."""

import base64
from collections.abc import Mapping, Sequence
import hashlib
import json
import math
import pathlib
import shlex
from typing import Any, NamedTuple

from lstm_variants.evidence import gallery
from lstm_variants.report import (
  answer,
  grids,
  markup,
  runs_table,
  series,
  settings,
  tables,
)
from lstm_variants.report import best as best_lib
from lstm_variants.report import parts as parts_lib
from lstm_variants.runs import results

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
    'The same, adjusted for all comparisons of its column within the task '
    '(Holm 1979): below 0.05 is significant at 5 % for these as a whole.',
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
# Populations that are shown without being asked for.
_FEW = 12
_ASSETS = pathlib.Path(__file__).parent / 'assets'
_LIBRARY = _ASSETS / 'uplot'


def _read(*paths: pathlib.Path) -> str:
  return '\n'.join(path.read_text(encoding='utf-8') for path in paths)


# What the page runs, each with its hash in the policy: the library that draws,
# and what is ours.
SCRIPTS = (
  _read(_LIBRARY / 'uPlot.iife.min.js'),
  _read(
    *(_ASSETS / f'{name}.js' for name in ('sort', 'filter', 'page', 'curves'))
  ),
)
# What it runs beside that where it is served and follows a study in training.
FOLLOWING = _read(_ASSETS / 'follow.js')
CSS = _read(_LIBRARY / 'uPlot.min.css', _ASSETS / 'page.css') + series.style()
CAPTIONS = {
  'loss': 'Held-out loss during training: median over the runs of a row that '
  'have a finite loss, and the range of those runs.',
  'success': 'Sequences to success, each run a dot; unsolved runs hollow, at '
  'the sequences they were trained on (diverged: the longest of its row).',
}


class Content(NamedTuple):
  """What a report is about.

  Attributes:
    study: what `results.read_study` returns.
    parts: its tasks, one at least.
    drawings: (task, 'loss' or 'success') -> SVG text.
    losses: the evaluations of its runs.
    best: label of a task -> its models at their best settings.
    provenance: what `results.read_provenance` returns.
    baseline: the model that others are compared with.
    analyses: what `analyse` has drawn of these runs.
  """

  study: Mapping[str, Any]
  parts: Sequence[parts_lib.Part]
  drawings: Mapping[tuple[str, str], str]
  losses: results.Losses
  best: Mapping[str, best_lib.Best]
  provenance: Mapping[str, Mapping[str, Any]]
  baseline: str
  analyses: Sequence[gallery.Shown] = ()


class Live(NamedTuple):
  """What a page that follows a study shows of what is not finished.

  Attributes:
    version: of the files that it was made of; the page asks for a newer one.
    lines: how far the study is.
    parts: tasks with runs in training, as they are by now.
    losses: the evaluations of those runs.
  """

  version: str
  lines: Sequence[str]
  parts: Sequence[parts_lib.Part]
  losses: results.Losses


class Piece(NamedTuple):
  """A piece of what is told of a task.

  Attributes:
    anchor: its id in the page.
    heading: a few words.
    html: what it shows; empty: there is nothing to show.
  """

  anchor: str
  heading: str
  html: str


def render(content: Content, live: Live | None = None) -> str:
  """Return the report as a page that needs nothing beside itself.

  Args:
    content: that it shows; without tasks, where nothing is finished, only with
      what is in training.
    live: what is in training; such a page asks its server for news.
  """
  budget = series.Budget(content.parts)
  pieces = [_pieces(part, content, budget) for part in content.parts]
  sections = ''.join(
    _task_section(part, own)
    for part, own in zip(content.parts, pieces, strict=True)
  )
  name = markup.escape(content.study['name'])
  run = SCRIPTS if live is None else (*SCRIPTS, FOLLOWING)
  scripts = ''.join(f'<script>{script}</script>\n' for script in run)
  policy = _policy(run, live is not None)
  return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{name}: comparison</title>
<style>{CSS}</style>
</head>
<body>
<div class="sheet">
{_contents(content.parts, pieces, live)}
<main>
{_first_screen(content)}
{_training(live)}{sections}<section><h2 id="notes">How to read the tables</h2>
{markup.definitions(NOTES)}</section>
<section><h2 id="provenance">Where the numbers come from</h2>
{_provenance(content.provenance)}</section>
</main>
</div>
{scripts}</body>
</html>
"""


def _first_screen(content: Content) -> str:
  """Return the name of the study and the answer to it."""
  study = content.study
  finished = sum(len(part.runs) for part in content.parts)
  names = ('study.json', 'compare.csv') if content.parts else ('study.json',)
  files = ', '.join(markup.file_link((name,), name) for name in names)
  answers = ''.join(
    answer.paragraph(part, content.baseline) for part in content.parts
  )
  if content.parts:
    answers += answer.table(content.parts, content.baseline)
  compared = (
    f', compared with <strong>{markup.escape(content.baseline)}</strong>'
    if content.parts
    else ''
  )
  return (
    f'<header id="answer"><h1>{markup.escape(study["name"])}</h1>\n'
    f'<p class="lead">{finished:,} of {len(study["runs"]):,} runs finished'
    f'{compared}. Study of {markup.escape(study["created"])}: {files}.</p>\n'
    f'{answers}</header>'
  )


def _training(live: Live | None) -> str:
  """Return what is told of runs in training, with their curves so far."""
  if live is None:
    return ''
  lines = ''.join(f'<li>{markup.escape(line)}</li>' for line in live.lines)
  budget = series.Budget(live.parts)
  drawn = ''.join(
    f'<h3>{markup.escape(part.title)}</h3>'
    f'{_drawing(part, live.losses, budget, f"training-{part.anchor}")}'
    for part in live.parts
  )
  return (
    f'<section class="training" data-version="{markup.escape(live.version)}">'
    '<h2 id="training">In training</h2><p class="follow note">'
    f'This page was made when it was asked for.</p><ul>{lines}</ul>{drawn}'
    '</section>\n'
  )


def _contents(
  parts: Sequence[parts_lib.Part],
  pieces: Sequence[Sequence[Piece]],
  live: Live | None,
) -> str:
  """Return links to the parts of the page."""
  entries = [markup.jump('answer', 'The answer')]
  if live is not None:
    entries.append(markup.jump('training', 'In training'))
  for part, own in zip(parts, pieces, strict=True):
    inner = ''.join(
      f'<li>{markup.jump(piece.anchor, piece.heading)}</li>' for piece in own
    )
    entries.append(f'{markup.jump(part.anchor, part.title)}<ul>{inner}</ul>')
  entries.append(markup.jump('notes', 'How to read the tables'))
  entries.append(markup.jump('provenance', 'Where the numbers come from'))
  items = ''.join(f'<li>{entry}</li>' for entry in entries)
  return (
    '<nav aria-label="Contents"><details open><summary>Contents</summary>'
    f'<ul>{items}</ul></details></nav>'
  )


def _task_section(part: parts_lib.Part, pieces: Sequence[Piece]) -> str:
  known = [*tables.facts(part.facts), *tables.at_equal_training(part.rows)]
  code = (
    f' <code>{markup.escape(part.task)}</code>'
    if part.task not in part.title
    else ''
  )
  content = ''.join(
    markup.section(piece.anchor, piece.heading, piece.html) for piece in pieces
  )
  return (
    f'<section><h2 id="{part.anchor}">{markup.escape(part.title)}{code}</h2>'
    f'{markup.definitions(known)}{content}</section>\n'
  )


def _pieces(
  part: parts_lib.Part, content: Content, budget: series.Budget
) -> list[Piece]:
  """Return what is told of a task, in its order, without what is empty."""
  task = part.task
  success = _drawn(content, task, 'success')
  best = content.best.get(task)
  analyses = [one for one in content.analyses if one.task == task]
  names = [gallery.file_name(task, kind) for kind in CAPTIONS]
  names += [one.name for one in analyses]
  of_task = [
    ('curves', 'Held-out loss during training', _curves(part, content, budget)),
    ('success', 'Sequences to success', success),
    ('grid', 'The grid of settings', grids.heat_map(part)),
    (
      'best',
      'Each model at its best settings',
      grids.best(best, content.baseline),
    ),
    ('numbers', 'All numbers', _table(part)),
    ('settings', 'Settings of the runs', _settings(part)),
    *(
      (f'more-{place}', one.heading, _analysis(one))
      for place, one in enumerate(analyses)
    ),
    ('runs', 'Runs', runs_table.render(part)),
    ('files', 'Files', runs_table.files(part, names)),
  ]
  return [
    Piece(f'{part.anchor}-{name}', heading, html)
    for name, heading, html in of_task
    if html
  ]


def _drawn(content: Content, task: str, kind: str) -> str:
  name = gallery.file_name(task, kind)
  data = markup.file_link(('figures', f'{name}.csv'), 'its numbers')
  return markup.figure(content.drawings[task, kind], CAPTIONS[kind], data)


def _curves(
  part: parts_lib.Part, content: Content, budget: series.Budget
) -> str:
  """Return the curves as data for the script, and the figure without it."""
  links = [
    markup.file_link(
      ('figures', f'{gallery.file_name(part.task, "loss")}.csv'),
      'medians and ranges as a table',
    ),
    markup.jump(f'{part.anchor}-runs', 'the file of each run'),
  ]
  return (
    f'{_drawing(part, content.losses, budget, part.anchor)}'
    f'<div class="still">{_drawn(content, part.task, "loss")}</div>'
    f'<p class="note">The data of these curves: {", ".join(links)}. '
    f'{series.left_out(part, budget)}</p>\n'
  )


def _drawing(
  part: parts_lib.Part,
  losses: results.Losses,
  budget: series.Budget,
  name: str,
) -> str:
  """Return the place where the script draws curves, with their data."""
  dashes = markup.escape(json.dumps(series.dash_lengths()))
  data = series.encode(part, losses, budget)
  return (
    f'<div class="curves" data-part="{name}" data-dashes="{dashes}">'
    f'<script type="application/json">{data}</script></div>'
  )


def _analysis(drawing: gallery.Shown) -> str:
  return markup.figure(drawing.svg, drawing.caption) + _numbers(drawing)


def _numbers(drawing: gallery.Shown) -> str:
  """Return the numbers of a drawing as a table that can be sorted."""
  if not drawing.numbers:
    return ''
  columns, *rows = drawing.numbers
  heads = [
    markup.Cell(markup.escape(tables.heading(column))) for column in columns
  ]
  lines = [markup.Line([_number(text) for text in row]) for row in rows if row]
  return markup.folded(
    'The numbers', markup.table(heads, lines, drawing.heading)
  )


def _number(text: str) -> markup.Cell:
  """Return a cell of a CSV file as one of a table."""
  try:
    value = float(text)
  except ValueError:
    return markup.Cell(markup.escape(text), text)
  whole = value.is_integer() and abs(value) < 1e9
  amount = f'{value:,.0f}' if whole else tables.number(value)
  return markup.Cell(amount, tables.key(value))


def _table(part: parts_lib.Part) -> str:
  """Return all columns of a task's table."""
  columns = tables.columns(part.rows)
  stacks: list[list[int]] = []
  for position, column in enumerate(columns):
    if column.below:
      stacks[-1].append(position)
    else:
      stacks.append([position])
  heads = []
  for first, *below in stacks:
    details = (columns[first].unit, *(columns[p].heading for p in below))
    text = markup.escape(columns[first].heading)
    heads.append(markup.Cell(text + markup.small(details)))
  lines = []
  for index, row in enumerate(part.rows):
    texts, keys = tables.cells(row, columns), tables.keys(row, columns)
    line = [parts_lib.label(part, index)]
    for first, *below in stacks[1:]:
      details = [texts[p] for p in below if texts[p] != tables.MISSING]
      text = markup.escape(texts[first]) + markup.small(details)
      line.append(markup.Cell(text, keys[first]))
    lines.append(markup.Line(line, 'baseline' if row.is_baseline else ''))
  return markup.table(heads, lines, f'All numbers: {part.title}')


def _settings(part: parts_lib.Part) -> str:
  """Return the settings that runs of a task had, those that vary first."""
  known = settings.values(part.runs)
  varying = [name for name, own in known.items() if len(own) > 1]
  heads = [markup.Cell('setting'), markup.Cell('values')]
  lines = [
    markup.Line(
      [
        markup.Cell(f'<code>{markup.escape(name)}</code>', name),
        markup.Cell(markup.escape(settings.several(known[name]))),
      ]
    )
    for name in (*varying, *(name for name in known if name not in varying))
  ]
  common = settings.common(part.runs, known)
  note = f'<p>All runs: {markup.escape(common)}.</p>' if common else ''
  if varying:
    texts = ', '.join(settings.heading(name) for name in varying)
    note += f'<p>What varies: {markup.escape(texts)}.</p>'
  table = markup.table(heads, lines, 'Settings', 'text filtered')
  return note + markup.folded(
    f'All {len(lines):,} settings, as the runs recorded them', table
  )


def _provenance(provenance: Mapping[str, Mapping[str, Any]]) -> str:
  """Describe each program once, then each population in a line."""
  programs: dict[str, list[tuple[str, str]]] = {}
  for entry in provenance.values():
    described = _program(entry)
    programs.setdefault(json.dumps(described), described)
  numbers = {key: number for number, key in enumerate(programs, 1)}
  headings = ('population', 'program', 'devices', 'compile', 'train')
  heads = [markup.Cell(word) for word in (*headings, 'started', 'finished')]
  lines = []
  for name, entry in provenance.items():
    texts = (
      str(numbers[json.dumps(_program(entry))]),
      ', '.join(str(device) for device in entry.get('devices') or ()),
      *(
        tables.duration(math.nan if seconds is None else seconds)
        for seconds in map(entry.get, ('compile_seconds', 'train_seconds'))
      ),
      *(str(entry.get(key) or '') for key in ('started', 'finished')),
    )
    cells = [markup.Cell(markup.escape(text)) for text in (name, *texts)]
    lines.append(markup.Line(cells))
  described = ''.join(
    f'<h3>Program {number}</h3>{markup.definitions(programs[key])}'
    for key, number in numbers.items()
  )
  return described + markup.folded(
    f'{len(lines):,} populations, each trained in one program',
    markup.table(heads, lines, 'Populations', 'text filtered'),
    len(lines) < _FEW,
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


def _policy(scripts: Sequence[str], asks: bool) -> str:
  """Return what a browser may load for the page: nothing but what is in it.

  Args:
    scripts: that it runs.
    asks: it may ask its own server for news.
  """
  digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
  hashes = ' '.join(
    f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests
  )
  return (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    f"script-src {hashes}; base-uri 'none'; form-action 'none'"
    + ("; connect-src 'self'" if asks else '')
  )
