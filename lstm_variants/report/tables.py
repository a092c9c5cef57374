"""The comparison as tables: the texts of their cells, and the terminal."""

from collections.abc import Callable, Mapping, Sequence
import io
import math
from typing import Any, NamedTuple, TextIO

from rich import box
from rich import console as rich_console
from rich import table as rich_table
from rich import text as rich_text

from lstm_variants import console as console_lib
from lstm_variants.report import comparison
from lstm_variants.statistics import intervals, ratios, speed

MISSING = '—'
# What a script sorts last, either way.
NOTHING = 'NaN'
_LABEL_WIDTH = 10  # characters, below which labels are not squeezed
# Lines; nothing depends on it, but Rich takes a dumb terminal's width from us
# with a height alone.
_HEIGHT = 25
_PIPE_WIDTH = 160  # characters, when nobody sees the edge of the terminal


class Column(NamedTuple):
  """A column of a task's table.

  Attributes:
    heading: what it is.
    unit: of its numbers, or what they are of.
    text: of its cell in a row.
    key: what it is sorted by.
    below: on the page it stands below the column before it.
    stack: of `_STACKS`, in which of them a narrow terminal shows it; '': not.
    line: how it is called there, where that is not `heading`.
    wide: whether a wide terminal shows it.
  """

  heading: str
  unit: str
  text: Callable[[comparison.Row], str]
  key: Callable[[comparison.Row], float | str]
  below: bool = False
  stack: str = ''
  line: str = ''
  wide: bool = True


Form = Sequence[tuple[str, Sequence[int]]]
# The columns of a narrow terminal, from the left, with what they say on top.
_STACKS = {
  'model': '',
  'runs': '',
  'success': '',
  'loss': '',
  'p': 'p Holm:\n',
  'size': '',
}


def columns(rows: Sequence[comparison.Row]) -> list[Column]:
  """Return the columns of the table of one task.

  Args:
    rows: of the task, one at least.
  """
  symbol = rows[0].nats_per
  return [
    Column('model', '', _label, lambda row: row.label, stack='model'),
    Column(
      'runs', '', lambda row: str(row.runs), lambda row: row.runs, stack='runs'
    ),
    Column(
      'solved',
      'runs',
      lambda row: str(row.solved),
      lambda row: row.solved,
      stack='runs',
    ),
    Column(
      'diverged',
      'runs',
      lambda row: str(row.diverged),
      lambda row: row.diverged,
      stack='runs',
    ),
    Column('trained', 'sequences', trained, _most, stack='success'),
    *_speed_columns(),
    *_loss_columns(),
    *(_text_columns(symbol) if symbol else ()),
    Column(
      'params',
      'in use',
      lambda row: f'{row.params_in_use:,}',
      lambda row: row.params_in_use,
      stack='size',
    ),
    Column(
      'time',
      'ms/update',
      lambda row: number(row.milliseconds),
      lambda row: row.milliseconds,
      stack='size',
      line='ms/update',
    ),
  ]


def _speed_columns() -> list[Column]:
  """Return the columns of sequences to success."""
  return [
    Column(
      'median to success',
      'sequences',
      lambda row: sequences(row.median.estimate, row),
      lambda row: row.median.estimate,
      stack='success',
    ),
    Column(
      '95 % interval',
      'sequences',
      sequences_interval,
      lambda row: row.median.low,
      below=True,
      stack='success',
    ),
    *_test_columns(
      'speed',
      'of sequences',
      lambda row: row.speed,
      lambda row: row.speed_holm,
    ),
  ]


def _loss_columns() -> list[Column]:
  """Return the columns of losses at equal training."""
  return [
    Column(
      'loss',
      'held out',
      loss,
      lambda row: row.loss.estimate,
      stack='loss',
    ),
    Column(
      '95 % interval',
      'of the loss',
      lambda row: interval(row.loss),
      lambda row: row.loss.low,
      below=True,
      stack='loss',
    ),
    *_test_columns(
      'loss',
      'of losses',
      lambda row: row.ratio,
      lambda row: row.loss_holm,
    ),
  ]


def _test_columns(
  name: str,
  unit: str,
  test: Callable[[comparison.Row], speed.Speed | ratios.Ratio],
  holm: Callable[[comparison.Row], float],
) -> list[Column]:
  """Return the columns of a test against the baseline.

  Args:
    name: of what is tested.
    unit: of its ratio.
    test: of a row.
    holm: the p value of a row's test, adjusted.
  """
  return [
    Column(
      'ratio to the baseline',
      unit,
      lambda row: number(test(row).ratio.estimate),
      lambda row: test(row).ratio.estimate,
      wide=False,
    ),
    Column(
      '95 % interval',
      'of the ratio',
      lambda row: interval(test(row).ratio),
      lambda row: test(row).ratio.low,
      below=True,
      wide=False,
    ),
    Column(
      'p',
      name,
      lambda row: p_value(test(row).p_value),
      lambda row: test(row).p_value,
    ),
    Column(
      'p Holm',
      name,
      lambda row: p_value(holm(row)),
      holm,
      stack='p',
      line=name,
    ),
  ]


def _text_columns(symbol: str) -> list[Column]:
  """Return the columns of a cross-entropy per symbol of a text."""
  return [
    Column(
      'bits',
      f'per {symbol}',
      lambda row: number(row.bits),
      lambda row: row.bits,
      stack='loss',
      line=f'bits per {symbol}',
    ),
    Column(
      'perplexity',
      f'of a {symbol}',
      lambda row: number(row.perplexity),
      lambda row: row.perplexity,
      stack='loss',
    ),
  ]


def wide(columns: Sequence[Column]) -> Form:
  """Return headings, and the column below each, of a wide terminal."""
  return [
    (f'{column.heading}\n{column.unit}', (position,))
    for position, column in enumerate(columns)
    if column.wide
  ]


def narrow(columns: Sequence[Column]) -> Form:
  """Return headings, and the columns below each, of a narrow terminal."""
  form = []
  for name, top in _STACKS.items():
    positions = [i for i, column in enumerate(columns) if column.stack == name]
    lines = (columns[i].line or columns[i].heading for i in positions)
    form.append((top + '\n'.join(lines), positions))
  return form


def cells(row: comparison.Row, columns: Sequence[Column]) -> list[str]:
  """Return the texts of a row's cells."""
  return [column.text(row) for column in columns]


def keys(row: comparison.Row, columns: Sequence[Column]) -> list[str]:
  """Return what the columns are sorted by.

  Numbers as JavaScript reads them: NaN where there is none.
  """
  return [key(column.key(row)) for column in columns]


def at_equal_training(rows: Sequence[comparison.Row]) -> list[tuple[str, str]]:
  """Return where the runs of a task are compared: headings and texts.

  Args:
    rows: of one task.
  """
  return [*_losses_at(rows), *_speed_at(rows)]


def _losses_at(rows: Sequence[comparison.Row]) -> list[tuple[str, str]]:
  at = rows[0].compared_at
  if at is None:
    return [
      (
        'compared',
        'not at all: the runs have no evaluation at one number of sequences',
      ),
      *_at_the_end(rows),
    ]
  if at == max(row.trained[1] for row in rows):
    return [('compared', f'at {at:,} sequences, where the runs ended')]
  note = f'at {at:,} sequences, the most at which all runs were evaluated'
  return [('compared', note), *_at_the_end(rows)]


def _speed_at(rows: Sequence[comparison.Row]) -> list[tuple[str, str]]:
  """Return that success was looked for unequally often, where it was."""
  looks = sorted({look for row in rows for look in row.looks})
  if len(looks) < 2:
    return []
  text = (
    f'success was looked for every {looks[0]:,} to {looks[-1]:,} updates; two '
    'rows are compared as if both were looked at as seldom as the one'
  )
  return [('speed', text)]


def _at_the_end(rows: Sequence[comparison.Row]) -> list[tuple[str, str]]:
  """Return the losses at their ends of rows that were trained longer."""
  later = [
    f'{row.label} {number(row.final.estimate)} at {trained(row)}'
    for row in rows
    if row.trained[1] > (row.compared_at or 0)
    and not math.isnan(row.final.estimate)
  ]
  return [('loss at the end', '; '.join(later))] if later else []


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
  """Return a number with three significant digits, large ones with commas."""
  if math.isnan(value):
    return MISSING
  rounded = float(f'{value:.3g}')
  return f'{rounded:,.0f}' if 1e3 <= abs(rounded) < 1e12 else f'{value:.3g}'


def setting(value: float) -> str:
  """Return the value of a setting as it was given, or close to it."""
  return repr(value) if len(repr(value)) < 8 else f'{value:.4g}'


def duration(seconds: float) -> str:
  """Return a time as it is read: seconds, minutes or hours."""
  if math.isnan(seconds):
    return MISSING
  if seconds < 90:
    return f'{seconds:.3g} s'
  if seconds < 5400:
    return f'{seconds / 60:.3g} min'
  return f'{seconds / 3600:.3g} h'


def durations(ends: tuple[float, float]) -> str:
  """Return the shortest and the longest of several times."""
  least, most = map(duration, ends)
  return most if least == most else f'{least} to {most}'


def key(value: float | str) -> str:
  """Return what a cell is sorted by, a number as JavaScript reads it."""
  if isinstance(value, str):
    return value
  names = {'inf': 'Infinity', '-inf': '-Infinity', 'nan': NOTHING}
  try:
    text = repr(float(value))
  except OverflowError:  # a whole number that somebody wrote
    text = 'inf' if value > 0 else '-inf'
  return names.get(text, text)


def heading(column: str) -> str:
  """Return the name of a column of a CSV file as it is read."""
  return column.replace('_', ' ').replace(' percent', ' %')


def p_value(value: float) -> str:
  """Return a p value with three decimals."""
  if math.isnan(value):
    return MISSING
  return f'{value:.3f}' if value >= 0.0005 else '< 0.001'


def render(
  rows: Sequence[comparison.Row],
  is_narrow: bool = False,
  missing: str = MISSING,
) -> rich_table.Table:
  """Return the rows of one task as a table for the terminal.

  Args:
    rows: of one task.
    is_narrow: whether several columns share one.
    missing: stands for what is not known.
  """
  table = rich_table.Table(
    title=rich_text.Text(console_lib.clean(rows[0].task)),
    title_justify='left',
    title_style='bold',
    box=box.SIMPLE_HEAD,
    pad_edge=False,
    show_edge=False,
    padding=(0, 0 if is_narrow else 1, 0, 0),
    leading=int(is_narrow),
  )
  of_task = columns(rows)
  form = narrow(of_task) if is_narrow else wide(of_task)
  stacks = [_stack(cells(row, of_task), form, missing) for row in rows]
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
  console = rich_console.Console(
    file=file,
    highlight=False,
    markup=False,
    # Notebooks set FORCE_COLOR for what their programs print; here it would
    # put commands to a terminal into text.
    force_terminal=console_lib.is_terminal(file),
    # In a notebook rich would show what is printed, and leave the file empty.
    force_jupyter=False,
  )
  missing = '-' if console.options.ascii_only else MISSING
  visible = console.width if console.is_terminal else _PIPE_WIDTH
  unlimited = rich_console.Console(
    file=file, width=10_000, height=_HEIGHT, force_jupyter=False
  )
  for task in dict.fromkeys(row.task for row in rows):
    chosen = [row for row in rows if row.task == task]
    table = render(chosen, missing=missing)
    natural = unlimited.measure(table).maximum
    width = max(visible, natural)
    if natural > visible and console.is_terminal:
      table = render(chosen, is_narrow=True, missing=missing)
      width = max(visible, unlimited.measure(table).minimum)
    console.size = (width, _HEIGHT)
    console.print(table)
    known = facts(study['tasks'].get(task, {}))
    for heading, text in (*at_equal_training(chosen), *known):
      line = console_lib.clean(f'  {heading}: {text}')
      console.print(line, soft_wrap=True)
    console.print()


def _stack(texts: Sequence[str], form: Form, missing: str) -> list[str]:
  """Join the texts that share a column."""
  plain = [text.replace(MISSING, missing) for text in texts]
  return ['\n'.join(plain[i] for i in positions) for _, positions in form]


def _baselines(baselines: Mapping[str, float]) -> str:
  return ', '.join(
    f'{metric} {value:.4g}'
    for metric, value in baselines.items()
    if value is not None
  )


def _label(row: comparison.Row) -> str:
  return f'{row.label} (baseline)' if row.is_baseline else row.label


def trained(row: comparison.Row) -> str:
  """Return how long the runs of a row were trained."""
  least, most = row.trained
  return f'{most:,}' if least == most else f'{least:,} to {most:,}'


def _most(row: comparison.Row) -> int:
  return row.trained[1]


def loss(row: comparison.Row) -> str:
  """Return the loss of a row, and of how many runs where some have none."""
  some = f' ({row.finite})' if row.finite < row.runs else ''
  return number(row.loss.estimate) + some


def sequences(value: float, row: comparison.Row) -> str:
  """Return a time to success of a row, `>` where it was not reached."""
  if math.isnan(value):
    return MISSING
  return f'> {_most(row):,}' if math.isinf(value) else f'{value:,.0f}'


def sequences_interval(row: comparison.Row) -> str:
  """Return the interval of the median time to success of a row."""
  _, low, high = row.median
  if not math.isfinite(low):
    return MISSING
  return f'[{sequences(low, row)}, {sequences(high, row)}]'


def interval(bounds: intervals.Interval) -> str:
  """Return an interval by its bounds."""
  if math.isnan(bounds.low):
    return MISSING
  return f'[{number(bounds.low)}, {number(bounds.high)}]'
