"""The first screen of a report: the answer, in words and in one table."""

from collections.abc import Callable, Iterable, Sequence
import math

from lstm_variants import names as names_lib
from lstm_variants.report import comparison, markup, settings, tables
from lstm_variants.report import parts as parts_lib
from lstm_variants.runs import grouping
from lstm_variants.statistics import ratios, speed

# Below it, adjusted for all comparisons of a column, a difference is called
# one.
LEVEL = 0.05
_Test = speed.Speed | ratios.Ratio


def words(part: parts_lib.Part, baseline: str) -> str:
  """Return what came of a task, as HTML.

  Args:
    part: of the task.
    baseline: the model that others are compared with.
  """
  rows = [
    row._replace(label=part.name(index)) for index, row in enumerate(part.rows)
  ]
  sentences = (
    _solved(rows),
    _fastest(rows),
    _compared(rows, baseline),
    _lowest(rows),
    _diverged(rows),
  )
  link = markup.jump(part.anchor, part.title)
  return f'<p><strong>{link}.</strong> {" ".join(filter(None, sentences))}</p>'


def _solved(rows: Sequence[comparison.Row]) -> str:
  solved, runs = sum(row.solved for row in rows), sum(row.runs for row in rows)
  if solved == runs:
    return f'All {runs:,} runs solved it.' if runs > 1 else 'Its run solved it.'
  if not solved:
    return f'None of {runs:,} runs solved it.'
  return f'{solved:,} of {runs:,} runs solved it.'


def _fastest(rows: Sequence[comparison.Row]) -> str:
  """Name the row with the shortest median time to success."""
  reached = [row for row in rows if math.isfinite(row.median.estimate)]
  if not reached:
    best = max(rows, key=lambda row: row.solved / row.runs)
    if not best.solved:
      return ''
    return (
      'No model solved it in half of its runs; most often '
      f'<strong>{markup.escape(best.label)}</strong>, {best.solved:,} of '
      f'{best.runs:,}.'
    )
  least = min(row.median.estimate for row in reached)
  first = [row.label for row in reached if row.median.estimate == least]
  row = next(row for row in reached if row.median.estimate == least)
  bounds = tables.sequences_interval(row)
  between = '' if bounds == tables.MISSING or first[1:] else f' {bounds}'
  return (
    f'Fastest: <strong>{_several(first)}</strong>, half of the runs within '
    f'{tables.sequences(least, row)} training sequences{between}.'
  )


def _several(labels: Iterable[str]) -> str:
  return markup.escape(names_lib.some(list(labels)))


def _compared(rows: Sequence[comparison.Row], baseline: str) -> str:
  """Say which rows differ from the baseline beyond chance."""
  questions: tuple[tuple[str, str, Callable[..., _Test], Callable], ...] = (
    ('slower', 'faster', lambda row: row.speed, lambda row: row.speed_holm),
    (
      'higher loss',
      'lower loss',
      lambda row: row.ratio,
      lambda row: row.loss_holm,
    ),
  )
  tested, differing = False, []
  for above, below, test, holm in questions:
    known = [row for row in rows if not math.isnan(holm(row))]
    tested = tested or bool(known)
    for name, side in ((above, 1), (below, 0)):
      labels = [
        f'{row.label} ({_times(test(row))})'
        for row in known
        if holm(row) < LEVEL and _side(test(row)) == side
      ]
      if labels:
        differing.append(f'{name}: {_several(labels)}')
  name = markup.escape(baseline)
  if differing:
    return f'Beside {name}, beyond chance: {"; ".join(differing)}.'
  if tested:
    return f'Beside {name} no difference is beyond chance.'
  return ''


def _times(test: _Test) -> str:
  """Return a ratio to the baseline with its interval."""
  bounds = (
    f' {tables.interval(test.ratio)}' if math.isfinite(test.ratio.high) else ''
  )
  return f'{tables.number(test.ratio.estimate)} ×{bounds}'


def _side(test: _Test) -> int:
  """Return 1 of a ratio above one, else 0; -1 where there is none."""
  estimate = test.ratio.estimate
  return -1 if math.isnan(estimate) else int(estimate > 1)


def _lowest(rows: Sequence[comparison.Row]) -> str:
  """Name the row with the lowest loss at equal training."""
  known = [row for row in rows if math.isfinite(row.loss.estimate)]
  if not known or known[0].compared_at is None:
    return ''
  best = min(known, key=lambda row: row.loss.estimate)
  return (
    f'Lowest loss, after {known[0].compared_at:,} sequences: '
    f'<strong>{markup.escape(best.label)}</strong>, '
    f'{tables.number(best.loss.estimate)}.'
  )


def _diverged(rows: Sequence[comparison.Row]) -> str:
  labels = [f'{row.label} ({row.diverged:,})' for row in rows if row.diverged]
  if not labels:
    return 'No run diverged.'
  return f'Diverged: {_several(labels)}.'


def table(parts: Sequence[parts_lib.Part], baseline: str) -> str:
  """Return one table of all rows of a study, as HTML.

  Args:
    parts: its tasks.
    baseline: the model that others are compared with.
  """
  runs = [run for part in parts for run in part.runs]
  # Other settings stand below the model, where they tell rows apart.
  fields = [f for f in settings.columns(runs) if f == settings.LEARNING_RATE]
  several = len(parts) > 1
  # Of several rows of the baseline each is compared with that of its settings.
  single = all(sum(row.is_baseline for row in part.rows) == 1 for part in parts)
  beside = f'beside {baseline}' + ('' if single else ' at equal settings')
  heads = [
    _head('model'),
    *([_head('task')._replace(style='words')] if several else ()),
    *(_head(settings.heading(name)) for name in fields),
    _head('solved', 'runs'),
    _head('sequences to success', 'median, 95 % interval'),
    _head('time to success', f'{beside}, p Holm'),
    _head('trained', 'sequences, time'),
    _head('loss', '95 % interval'),
    _head('loss', f'{beside}, p Holm'),
  ]
  lines = [
    markup.Line(
      _cells(part, index, fields, several),
      'baseline' if row.is_baseline else '',
    )
    for part in parts
    for index, row in enumerate(part.rows)
  ]
  return markup.table(
    heads, lines, 'The answer, a row for each model', 'sorted filtered cards'
  )


def _head(text: str, *more: str) -> markup.Cell:
  return markup.Cell(f'{markup.escape(text)}{markup.small(more)}')


def _cells(
  part: parts_lib.Part, index: int, fields: Sequence[str], several: bool
) -> list[markup.Cell]:
  """Return the cells of a row, from the left."""
  row, runs = part.rows[index], part.groups[index].runs
  task = markup.Cell(markup.jump(part.anchor, part.title), part.title, 'words')
  return [
    _model(part, index, fields),
    *([task] if several else ()),
    *(_setting(runs, field) for field in fields),
    *outcome(row)[:3],
    numbers(tables.trained(row), row.trained[1], tables.durations(row.seconds)),
    *outcome(row)[3:],
  ]


def _model(
  part: parts_lib.Part, index: int, fields: Sequence[str]
) -> markup.Cell:
  """Return the model of a row, and below it what has no column of its own."""
  group = part.groups[index]
  rest = [
    f'{settings.heading(name)} {settings.value(value)}'
    for name, value in group.others.items()
    if name not in fields and value is not None
  ]
  cell = parts_lib.label(part, index, group.model)
  below = f' <small class="links">{links(part, index)}</small>'
  return cell._replace(
    content=cell.content + markup.small([', '.join(rest)]) + below
  )


def outcome(row: comparison.Row) -> list[markup.Cell]:
  """Return what came of a row: whether, when and how well it was solved."""
  return [
    _solved_cell(row),
    numbers(
      tables.sequences(row.median.estimate, row),
      row.median.estimate,
      tables.sequences_interval(row),
    ),
    _test(row.speed, row.speed_holm),
    numbers(tables.loss(row), row.loss.estimate, tables.interval(row.loss)),
    _test(row.ratio, row.loss_holm),
  ]


def _setting(runs: Sequence[grouping.Run], field: str) -> markup.Cell:
  text, key = settings.of_group(runs, field)
  words, _, count = text.partition(' (')
  more = [count.rstrip(')')]
  return markup.Cell(markup.escape(words) + markup.small(more), key)


def _solved_cell(row: comparison.Row) -> markup.Cell:
  below = f'{row.diverged:,} diverged' if row.diverged else ''
  text = f'{row.solved:,} of {row.runs:,}'
  return numbers(text, row.solved / row.runs, below)


def numbers(text: str, value: float, below: str = '') -> markup.Cell:
  """Return a cell of a number, with what stands below it."""
  more = [] if below == tables.MISSING else [below]
  return markup.Cell(
    markup.escape(text) + markup.small(more), tables.key(float(value))
  )


def _test(test: _Test, holm: float) -> markup.Cell:
  """Return a ratio to the baseline, its interval and how sure it is."""
  ratio = test.ratio
  if math.isnan(ratio.estimate) and math.isnan(holm):
    return markup.Cell(tables.MISSING)
  texts = []
  if not math.isnan(ratio.estimate):
    texts.append(f'{tables.number(ratio.estimate)} ×')
  if not math.isnan(holm):
    texts.append(f'p {tables.p_value(holm)}')
  below = [tables.interval(ratio)] if math.isfinite(ratio.high) else []
  return markup.Cell(
    markup.escape(', '.join(texts)) + markup.small(below),
    tables.key(ratio.estimate),
    'sure' if holm < LEVEL else '',
  )


def links(part: parts_lib.Part, index: int) -> str:
  """Return where the runs, the curves and the files of a row are."""
  populations = {run['population'] for run in part.groups[index].runs}
  anchor = part.row_anchor(index)
  if len(populations) == 1:
    where = ('populations', populations.pop(), 'metrics.jsonl')
    data = markup.file_link(where, 'data')
  else:
    data = markup.jump(f'{part.anchor}-files', 'data')
  return ' '.join(
    (
      markup.jump(f'{part.anchor}-curves', 'curve', f' data-row="{index}"'),
      markup.jump(anchor, 'runs'),
      data,
    )
  )
