"""Every run of a task in a table, with its settings and its files."""

from collections.abc import Sequence
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
  for index, group in enumerate(part.groups):
    model = parts_lib.label(part, index)
    # Of each row the first run at least: the answer links to it.
    room = MOST - len(lines) - (len(part.groups) - index - 1)
    for place, run in enumerate(group.runs[: max(room, 1)]):
      anchor = '' if place else part.row_anchor(index)
      lines.append(markup.Line(_cells(run, model, fields), '', anchor))
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
  run: grouping.Run, model: markup.Cell, fields: Sequence[str]
) -> list[markup.Cell]:
  name = run['id']
  seed = run['config']['seed']
  success = run['sequences_to_success']
  seconds = comparison.seconds(run)
  loss = grouping.final_loss(run)
  folder = ('populations', run['population'])
  files = ' '.join(
    markup.file_link((*folder, file), text)
    for file, text in (('metrics.jsonl', 'curve'), ('runs.jsonl', 'run'))
  )
  return [
    markup.Cell(f'<code>{markup.escape(name)}</code>', name),
    model,
    markup.Cell(markup.escape(seed), str(seed)),
    *(_setting(run, field) for field in fields),
    markup.Cell(markup.escape(run['status']), run['status'], run['status']),
    _number(math.inf if success is None else success),
    _number(run['sequences']),
    markup.Cell(tables.duration(seconds), tables.key(seconds)),
    markup.Cell(
      tables.number(math.nan if loss is None else loss),
      tables.key(math.nan if loss is None else loss),
    ),
    markup.Cell(files, run['population'], 'links'),
  ]


def _setting(run: grouping.Run, field: str) -> markup.Cell:
  text, key = settings.of_group([run], field)
  return markup.Cell(markup.escape(text), key)


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
