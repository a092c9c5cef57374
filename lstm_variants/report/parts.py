"""The tasks of a study, as a report takes them one after the other."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lstm_variants.plots import theme
from lstm_variants.report import comparison, markup
from lstm_variants.runs import grouping


class Part(NamedTuple):
  """What a report tells of one task.

  Attributes:
    anchor: its id in the page.
    task: its label.
    title: the label in words.
    facts: what is known of it beforehand, of study.json.
    rows: of its table, the baseline's first.
    groups: the runs of each row.
    looks: the colour and the line style of each row (`theme.model_looks`).
  """

  anchor: str
  task: str
  title: str
  facts: Mapping[str, Any]
  rows: Sequence[comparison.Row]
  groups: Sequence[grouping.Group]
  looks: Sequence[Mapping[str, Any]]

  @property
  def runs(self) -> list[grouping.Run]:
    """The runs of all rows."""
    return [run for group in self.groups for run in group.runs]

  def name(self, index: int) -> str:
    """Return the name of a row: its model's, where no other has that one."""
    model = self.rows[index].model
    alone = sum(row.model == model for row in self.rows) == 1
    return model if alone else self.rows[index].label

  def row_anchor(self, index: int) -> str:
    """Return the id of the first run of a row."""
    return f'{self.anchor}-row-{index}'


def split(
  study: Mapping[str, Any],
  runs: Sequence[grouping.Run],
  groups: Sequence[grouping.Group],
  rows: Sequence[comparison.Row],
) -> list[Part]:
  """Divide what is known of a study by its tasks.

  Args:
    study: of `results.read_study`.
    runs: of `results.read_runs`.
    groups: what `grouping.group_runs` returns of them.
    rows: what `comparison.compare_tasks` returns of these.
  """
  labelled = {(group.task, group.label): group for group in groups}
  # In the order of the study, as figures of `analyse` have their colours.
  models = list(dict.fromkeys(run['model'] for run in runs))
  parts = []
  for index, task in enumerate(dict.fromkeys(row.task for row in rows)):
    own = [row for row in rows if row.task == task]
    of_rows = [labelled[task, row.label] for row in own]
    pairs = [
      (group.model, grouping.hashable(dict(group.others))) for group in of_rows
    ]
    parts.append(
      Part(
        f'task-{index}',
        task,
        _title(of_rows[0].runs[0], task),
        study['tasks'].get(task, {}),
        own,
        of_rows,
        theme.model_looks(models, pairs),
      )
    )
  return _with_unique_titles(parts)


def _title(run: grouping.Run, task: str) -> str:
  """Return the label of a task in words, by what a run of it records."""
  config = run['config'].get('task')
  config = config if isinstance(config, Mapping) else {}
  name, length = config.get('name'), config.get('length')
  if not isinstance(name, str) or not name:
    return task
  name = name.replace('_', ' ')
  title = name[:1].upper() + name[1:]
  if isinstance(length, int) and length > 0:
    title += f', {length:,} steps'
  return title


def _with_unique_titles(parts: Sequence[Part]) -> list[Part]:
  """Name the label of tasks that would have the same title."""
  titles = [part.title for part in parts]
  return [
    part._replace(title=f'{part.title} ({part.task})')
    if titles.count(part.title) > 1
    else part
    for part in parts
  ]


def label(part: Part, index: int, name: str = '') -> markup.Cell:
  """Return the heading of a row, with its colour and dash.

  Args:
    part: of the task.
    index: of the row.
    name: what it is called; empty: as `Part.name`.
  """
  row = part.rows[index]
  text = swatch(part, index) + markup.escape(name or part.name(index))
  # Of several each is compared with that of equal settings.
  if row.is_baseline and sum(other.is_baseline for other in part.rows) == 1:
    text += ' <em class="badge">baseline</em>'
  return markup.Cell(text, row.label, 'name')


def swatch(part: Part, index: int) -> str:
  """Return a piece of the line of a row, as HTML."""
  color, dash = look(part, index)
  return f'<i class="look c{color} d{dash}"></i>'


def look(part: Part, index: int) -> tuple[int, int]:
  """Return the places of a row's colour and dash in the lists of `theme`."""
  own = part.looks[index]
  return (
    theme.PALETTE.index(own['color']),
    theme.LINE_STYLES.index(own['linestyle']),
  )
