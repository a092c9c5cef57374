"""Every run of a task in a table, with its settings and its files."""

from collections.abc import Hashable, Sequence
import functools
import math

from lstm_variants.report import comparison, markup, settings, tables
from lstm_variants.report import parts as parts_lib
from lstm_variants.runs import grouping

# Of more runs a page shows some: it is to stay small. All are in the files
# of their populations.
MOST = 2000
# Rows that are shown without being asked for.
_OPEN = 24


def render(part: parts_lib.Part) -> str:
  """Return the table of the runs of a task, as HTML."""
  runs = part.runs
  fields = settings.columns(runs)
  heads = [
    markup.Cell(
      markup.escape(text) + markup.small([unit]),
      style='links' if text == 'files' else '',
    )
    for text, unit in (
      ('run', ''),
      ('model', ''),
      ('seed', ''),
      *((settings.heading(field), '') for field in fields),
      ('outcome', ''),
      ('to success', 'sequences'),
      ('trained', 'sequences'),
      ('time', ''),
      ('loss at the end', 'held out'),
      ('files', ''),
    )
  ]
  lines: list[markup.Line] = []
  links = functools.cache(_links)  # many runs lie in the same folder
  for index, group in enumerate(part.groups):
    model = parts_lib.label(part, index)
    # Of each row the first run at least: the answer links to it.
    room = MOST - len(lines) - (len(part.groups) - index - 1)
    shown = group.runs[: max(room, 1)]
    settings_of_runs = [_settings(shown, field) for field in fields]
    for place, (run, *own) in enumerate(
      zip(shown, *settings_of_runs, strict=True)
    ):
      anchor = '' if place else part.row_anchor(index)
      cells = _cells(run, model, own, links(run['population']))
      lines.append(markup.Line(cells, '', anchor))
  note = ''
  if len(lines) < len(runs):
    note = (
      f'<p class="note">{len(lines):,} of {len(runs):,} runs, the first of '
      'each row among them; all are in the files of their populations, below.'
      '</p>'
    )
  table = markup.table(heads, lines, 'Runs', 'sorted filtered runs')
  summary = f'{len(lines):,} runs with their settings and files'
  return note + markup.folded(summary, table, len(lines) <= _OPEN)


def _cells(
  run: grouping.Run,
  model: markup.Cell,
  settings_of_run: Sequence[markup.Cell],
  folder: markup.Cell,
) -> list[markup.Cell]:
  name = run['id']
  seed = run['config']['seed']
  success = run['sequences_to_success']
  seconds = comparison.seconds(run)
  loss = grouping.final_loss(run)
  return [
    markup.Cell(f'<code>{markup.escape(name)}</code>', name),
    model,
    markup.Cell(markup.escape(seed), str(seed)),
    *settings_of_run,
    markup.Cell(markup.escape(run['status']), run['status'], run['status']),
    _number(math.inf if success is None else success),
    _number(run['sequences']),
    markup.Cell(tables.duration(seconds), tables.key(seconds)),
    markup.Cell(
      tables.number(math.nan if loss is None else loss),
      tables.key(math.nan if loss is None else loss),
    ),
    folder,
  ]


def _links(population: str) -> markup.Cell:
  """Return links to the files of a run, by the name of its population."""
  files = ' '.join(
    markup.file_link(('populations', population, file), text)
    for file, text in (('metrics.jsonl', 'curve'), ('runs.jsonl', 'run'))
  )
  return markup.Cell(files, population, 'links')


def _settings(runs: Sequence[grouping.Run], field: str) -> list[markup.Cell]:
  """Return the cells of a field, those of equal values once."""
  cells: dict[Hashable, markup.Cell] = {}
  own = []
  values = grouping.field_values(runs, field)
  for run, value in zip(runs, values, strict=True):
    is_absent = value is grouping.ABSENT
    known_as = None if is_absent else grouping.hashable(value)
    if known_as not in cells:
      text, key = settings.of_group([run], field)
      cells[known_as] = markup.Cell(markup.escape(text), key)
    own.append(cells[known_as])
  return own


def _number(value: float) -> markup.Cell:
  text = f'{value:,.0f}' if math.isfinite(value) else tables.MISSING
  return markup.Cell(text, tables.key(float(value)))


def files(part: parts_lib.Part, figures: Sequence[str]) -> str:
  """Return links to all files that a task's numbers come from.

  Args:
    part: of the task.
    figures: names of its figures, without their ending.
  """
  folders = list(dict.fromkeys(run['population'] for run in part.runs))
  names = (
    ('runs.jsonl', 'runs: settings and outcome'),
    ('metrics.jsonl', 'evaluations: the curves'),
    ('provenance.json', 'commit, versions, machine'),
    ('params.npz', 'trained weights'),
  )
  lines = [
    markup.Line(
      [
        markup.Cell(f'<code>{markup.escape(folder)}</code>', folder),
        *(
          markup.Cell(markup.file_link(('populations', folder, name), text))
          for name, text in names
        ),
      ]
    )
    for folder in folders
  ]
  heads = [markup.Cell('population'), *(markup.Cell(name) for name, _ in names)]
  drawn = ''.join(
    f'<li><code>{markup.escape(name)}</code>: '
    + ', '.join(
      markup.file_link(('figures', f'{name}.{end}'), end)
      for end in ('csv', 'svg', 'png')
    )
    + '</li>'
    for name in figures
  )
  table = markup.table(heads, lines, 'Files of the populations', 'text')
  return f'<ul>{drawn}</ul>' + markup.folded(
    f'{len(folders):,} trained together, a folder each', table, len(folders) < 9
  )
