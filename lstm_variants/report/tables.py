"""The comparison as tables: the texts of their cells, and the terminal."""

from collections.abc import Mapping, Sequence
import io
import math
from typing import Any, TextIO

from rich import box
from rich import console as rich_console
from rich import table as rich_table
from rich import text as rich_text

from lstm_variants import console as console_lib
from lstm_variants.report import comparison
from lstm_variants.statistics import intervals

# Heading, unit.
COLUMNS = (
  ('model', ''),
  ('runs', ''),
  ('solved', 'runs'),
  ('diverged', 'runs'),
  ('median to success', 'sequences'),
  ('95 % interval', 'sequences'),
  ('final loss', 'mean, held out'),
  ('95 % interval', 'Student'),
  ('p', 'Welch'),
  ('p', 'Holm'),
  ('params', 'in use'),
  ('time', 'ms/update'),
)
# Forms of the table in a terminal: headings, and the columns below each.
WIDE = tuple(
  (f'{heading}\n{unit}', (position,))
  for position, (heading, unit) in enumerate(COLUMNS)
)
NARROW = (
  ('model', (0,)),
  ('runs\nsolved\ndiverged', (1, 2, 3)),
  ('median sequences\n95 % interval', (4, 5)),
  ('final loss\n95 % interval', (6, 7)),
  ('p Welch\np Holm', (8, 9)),
  ('params\nms/update', (10, 11)),
)
MISSING = '—'
_LABEL_WIDTH = 10  # characters, below which labels are not squeezed
# Lines; nothing depends on it, but Rich takes a dumb terminal's width from us
# with a height alone.
_HEIGHT = 25
_PIPE_WIDTH = 160  # characters, when nobody sees the edge of the terminal


def cells(row: comparison.Row) -> list[str]:
  """Return the texts of a row's cells, in the order of `COLUMNS`."""
  some = f' ({row.finite})' if row.finite < row.runs else ''
  return [
    f'{row.label} (baseline)' if row.is_baseline else row.label,
    str(row.runs),
    str(row.solved),
    str(row.diverged),
    _sequences(row.median.estimate, row.budget),
    _sequences_interval(row.median, row.budget),
    number(row.loss.estimate) + some,
    _interval(row.loss),
    p_value(row.welch),
    p_value(row.holm),
    f'{row.params_in_use:,}',
    number(row.milliseconds),
  ]


def keys(row: comparison.Row) -> list[str]:
  """Return what the columns are sorted by, in the order of `COLUMNS`.

  Numbers as JavaScript reads them: NaN where there is none.
  """
  values = (
    row.runs,
    row.solved,
    row.diverged,
    row.median.estimate,
    row.median.low,
    row.loss.estimate,
    row.loss.low,
    row.welch,
    row.holm,
    row.params_in_use,
    row.milliseconds,
  )
  names = {'inf': 'Infinity', '-inf': '-Infinity', 'nan': 'NaN'}
  texts = [repr(float(value)) for value in values]
  return [row.label, *(names.get(text, text) for text in texts)]


def facts(task: Mapping[str, Any]) -> list[tuple[str, str]]:
  """Return what is known of a task beforehand: a heading and a text each.

  Args:
    task: an entry of `tasks` in study.json.
  """
  known = [
    ('task', task.get('summary')),
    ('reference', task.get('reference')),
    ('success', task.get('success')),
    ('memoryless baseline', _baselines(task.get('baselines') or {})),
  ]
  known += [
    ('published', published(result)) for result in task.get('published') or ()
  ]
  return [(heading, text) for heading, text in known if text]


def published(result: Mapping[str, Any]) -> str:
  """Return a published result with its unit and source."""
  value = result['value']
  amount = f'{value:,.0f}' if float(value).is_integer() else number(value)
  note = f'; {result["note"]}' if result.get('note') else ''
  return (
    f'{amount} {result["unit"]}, {result["source"]} '
    f'(T = {result["length"]:,}{note})'
  )


def number(value: float) -> str:
  """Return a number with three significant digits."""
  return MISSING if math.isnan(value) else f'{value:.3g}'


def p_value(value: float) -> str:
  """Return a p value with three decimals."""
  if math.isnan(value):
    return MISSING
  return f'{value:.3f}' if value >= 0.0005 else '< 0.001'


def render(
  rows: Sequence[comparison.Row],
  form: Sequence[tuple[str, Sequence[int]]] = WIDE,
  missing: str = MISSING,
) -> rich_table.Table:
  """Return the rows of one task as a table for the terminal.

  Args:
    rows: of one task.
    form: `WIDE` or `NARROW`.
    missing: stands for what is not known.
  """
  table = rich_table.Table(
    title=rich_text.Text(console_lib.clean(rows[0].task)),
    title_justify='left',
    title_style='bold',
    box=box.SIMPLE_HEAD,
    pad_edge=False,
    show_edge=False,
    padding=(0, 1, 0, 0),
    leading=int(form is NARROW),
  )
  stacks = [_stack(cells(row), form, missing) for row in rows]
  for column, (heading, _) in enumerate(form):
    column_text = '\n'.join((heading, *(stack[column] for stack in stacks)))
    width = max(len(line) for line in column_text.splitlines())
    table.add_column(
      rich_text.Text(heading),
      justify='right' if column else 'left',
      # Labels may break; numbers stay whole.
      no_wrap=column > 0,
      min_width=width if column else min(width, _LABEL_WIDTH),
      overflow='fold',
    )
  for row, stack in zip(rows, stacks, strict=True):
    style = 'bold' if row.is_baseline else ''
    # Labels may be of a directory that somebody made.
    table.add_row(
      *(rich_text.Text(console_lib.clean(cell), style) for cell in stack)
    )
  return table


def show(
  study: Mapping[str, Any], rows: Sequence[comparison.Row], file: TextIO
) -> None:
  """Print a table per task, and below it what to compare it with.

  Args:
    study: what `results.read_study` returns.
    rows: what `comparison.compare` returns.
    file: to print to; what it cannot encode is replaced.
  """
  if isinstance(file, io.TextIOWrapper):
    file.reconfigure(errors='replace')
  console = rich_console.Console(file=file, highlight=False, markup=False)
  missing = '-' if console.options.ascii_only else MISSING
  visible = console.width if console.is_terminal else _PIPE_WIDTH
  unlimited = rich_console.Console(file=file, width=10_000, height=_HEIGHT)
  for task in dict.fromkeys(row.task for row in rows):
    chosen = [row for row in rows if row.task == task]
    table = render(chosen, WIDE, missing)
    natural = unlimited.measure(table).maximum
    width = max(visible, natural)
    if natural > visible and console.is_terminal:
      table = render(chosen, NARROW, missing)
      width = max(visible, unlimited.measure(table).minimum)
    console.size = (width, _HEIGHT)
    console.print(table)
    for heading, text in facts(study['tasks'].get(task, {})):
      line = console_lib.clean(f'  {heading}: {text}')
      console.print(line, soft_wrap=True)
    console.print()


def _stack(
  texts: Sequence[str],
  form: Sequence[tuple[str, Sequence[int]]],
  missing: str,
) -> list[str]:
  """Join the texts that share a column."""
  plain = [text.replace(MISSING, missing) for text in texts]
  return ['\n'.join(plain[i] for i in positions) for _, positions in form]


def _baselines(baselines: Mapping[str, float]) -> str:
  return ', '.join(
    f'{metric} {value:.4g}'
    for metric, value in baselines.items()
    if value is not None
  )


def _sequences(value: float, budget: int) -> str:
  return f'> {budget:,}' if math.isinf(value) else f'{value:,.0f}'


def _sequences_interval(median: intervals.Interval, budget: int) -> str:
  beyond = math.isinf(median.estimate) and median.low >= budget
  if beyond or math.isnan(median.low):
    return MISSING
  low, high = (_sequences(value, budget) for value in median[1:])
  return f'[{low}, {high}]'


def _interval(interval: intervals.Interval) -> str:
  if math.isnan(interval.low):
    return MISSING
  return f'[{number(interval.low)}, {number(interval.high)}]'
