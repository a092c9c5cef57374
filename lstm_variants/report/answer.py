"""The first screen of a report: the answer, in words and in one table."""

from collections.abc import Iterable, Sequence
import math

from lstm_variants import names as names_lib
from lstm_variants.report import comparison, markup, settings, tables
from lstm_variants.report import parts as parts_lib
from lstm_variants.runs import grouping
from lstm_variants.statistics import intervals, ratios, speed

# Below it, adjusted for all comparisons of a column, a difference is called
# one.
LEVEL = 0.05
_Test = speed.Speed | ratios.Ratio


def paragraph(part: parts_lib.Part, baseline: str) -> str:
  """Return what came of a task in sentences, as HTML.

  Args:
    part: of the task.
    baseline: the model that others are compared with.
  """
  rows = [
    row._replace(label=_name(part, index))
    for index, row in enumerate(part.rows)
  ]
  sentences = (
    _solved(rows),
    _fastest(rows),
    _compared(part, rows, baseline),
    _lowest(rows),
    _diverged(rows),
  )
  link = markup.jump(part.anchor, part.title)
  return f'<p><strong>{link}.</strong> {" ".join(filter(None, sentences))}</p>'


def _name(part: parts_lib.Part, index: int) -> str:
  """Return the name of a row within a sentence."""
  group, name = part.groups[index], part.name(index)
  if name == group.model or not group.others:
    return name
  return f'{group.model} ({settings.listed(group.others)})'


def _solved(rows: Sequence[comparison.Row]) -> str:
  solved, runs = sum(row.solved for row in rows), sum(row.runs for row in rows)
  if solved == runs:
    return f'All {runs:,} runs solved it.' if runs > 1 else 'Its run solved it.'
  if not solved:
    return f'None of {runs:,} runs solved it.'
  return f'{solved:,} of {runs:,} runs solved it.'


def _fastest(rows: Sequence[comparison.Row]) -> str:
  """Name the rows with the shortest median time to success."""
  reached = [row for row in rows if math.isfinite(row.median.estimate)]
  if not reached:
    return _most_often(rows)
  least = min(row.median.estimate for row in reached)
  first = [row for row in reached if row.median.estimate == least]
  bounds = tables.sequences_interval(first[0])
  between = '' if bounds == tables.MISSING or first[1:] else f' {bounds}'
  when = 'half of the runs within'
  if all(row.runs == 1 for row in first):
    when = 'after'
  text = f'{when} {tables.sequences(least, first[0])} training sequences'
  if not rows[1:]:
    return f'Solved: {text}{between}.'
  return f'Fastest: {_several(row.label for row in first)}, {text}{between}.'


def _most_often(rows: Sequence[comparison.Row]) -> str:
  """Name the rows with the largest share of solved runs, of small ones."""
  share = max(row.solved / row.runs for row in rows)
  if not share:
    return ''
  most = [
    f'{row.label} ({row.solved:,} of {row.runs:,})'
    for row in rows
    if row.solved / row.runs == share
  ]
  return f'No model solved it in half of its runs; most often {_several(most)}.'


def _several(labels: Iterable[str]) -> str:
  text = names_lib.some(list(labels))
  return f'<strong>{markup.escape(text)}</strong>'


def _compared(
  part: parts_lib.Part, rows: Sequence[comparison.Row], baseline: str
) -> str:
  """Say which rows differ from the baseline beyond chance."""
  pairs = _pairs(part, rows)
  tested = [(row, base) for row, base in pairs if base and _is_tested(row)]
  others = [row.label for row, base in pairs if not base or not _is_tested(row)]
  name, sentences = markup.escape(baseline), []
  differing = [
    f'{side}: {markup.escape(names_lib.some(labels))}'
    for side, labels in _sides(tested).items()
    if labels
  ]
  if differing:
    sentences.append(f'Beside {name}, beyond chance: {"; ".join(differing)}.')
  elif tested:
    sentences.append(f'Beside {name} no difference is beyond chance.')
  if others:
    labels = markup.escape(names_lib.some(others))
    sentences.append(f'Not tested beside {name}: {labels}.')
  if not pairs and rows[1:]:
    sentences.append(f'Differences were not tested: all rows are of {name}.')
  return ' '.join(sentences)


def _pairs(
  part: parts_lib.Part, rows: Sequence[comparison.Row]
) -> list[tuple[comparison.Row, comparison.Row | None]]:
  """Return each row but the baseline's, and the one that it is compared with.

  Args:
    part: of the task.
    rows: of it, labelled.
  """
  keys = [grouping.hashable(group.others) for group in part.groups]
  bases = {
    key: row for key, row in zip(keys, rows, strict=True) if row.is_baseline
  }
  return [
    (row, bases.get(key))
    for key, row in zip(keys, rows, strict=True)
    if not row.is_baseline
  ]


def _is_tested(row: comparison.Row) -> bool:
  return not (math.isnan(row.speed_holm) and math.isnan(row.loss_holm))


def _sides(
  pairs: Iterable[tuple[comparison.Row, comparison.Row]],
) -> dict[str, list[str]]:
  """Return the rows on either side of the baseline, beyond chance.

  By what the tests saw: where one side is never solved there is no ratio, nor
  is there one of losses below zero.

  Args:
    pairs: of rows and those that they are compared with.
  """
  names = 'slower', 'faster', 'higher loss', 'lower loss'
  sides: dict[str, list[str]] = {name: [] for name in names}
  for row, base in pairs:
    if row.speed_holm < LEVEL:
      side = 'faster' if row.speed.lead > 0 else 'slower'
      sides[side].append(f'{row.label} ({_times(row.speed)})')
    if row.loss_holm < LEVEL:
      higher = row.loss.estimate > base.loss.estimate
      side = 'higher loss' if higher else 'lower loss'
      sides[side].append(f'{row.label} ({_loss_beside(row, base)})')
  return sides


def _times(test: _Test) -> str:
  """Return a ratio to the baseline with its interval, or what bounds it."""
  ratio, bounds = test.ratio, _bounds(test.ratio)
  if math.isnan(ratio.estimate):
    return bounds
  return f'{tables.number(ratio.estimate)} × {bounds}'.strip()


def _bounds(ratio: intervals.Interval) -> str:
  """Return the interval of a ratio, or the one bound that it has."""
  if math.isfinite(ratio.high):
    if ratio.low > 0:
      return tables.interval(ratio)
    return f'below {tables.number(ratio.high)} ×'
  return f'above {tables.number(ratio.low)} ×' if ratio.low > 0 else ''


def _loss_beside(row: comparison.Row, base: comparison.Row) -> str:
  """Return a loss beside the baseline's; those below zero have no ratio."""
  return _times(row.ratio) or (
    f'{tables.number(row.loss.estimate)} beside '
    f'{tables.number(base.loss.estimate)}'
  )


def _lowest(rows: Sequence[comparison.Row]) -> str:
  """Name the rows with the lowest loss at equal training."""
  known = [row for row in rows if math.isfinite(row.loss.estimate)]
  if not known or known[0].compared_at is None:
    return ''
  least = min(row.loss.estimate for row in known)
  best = [
    row.label
    if row.finite == row.runs
    else f'{row.label} (in {row.finite:,} of its {row.runs:,} runs)'
    for row in known
    if row.loss.estimate == least
  ]
  if not rows[1:]:
    loss = tables.loss(known[0])
    return f'Loss, after {known[0].compared_at:,} sequences: {loss}.'
  return (
    f'Lowest loss, after {known[0].compared_at:,} sequences: '
    f'{_several(best)}, {tables.number(least)}.'
  )


def _diverged(rows: Sequence[comparison.Row]) -> str:
  labels = [f'{row.label} ({row.diverged:,})' for row in rows if row.diverged]
  if not labels:
    return 'No run diverged.'
  return f'Diverged: {markup.escape(names_lib.some(labels))}.'


def table(parts: Sequence[parts_lib.Part], baseline: str) -> str:
  """Return one table of all rows of a study, as HTML.

  Args:
    parts: its tasks.
    baseline: the model that others are compared with.
  """
  runs = [run for part in parts for run in part.runs]
  # Other settings stand below the model, where they tell rows apart.
  rate = settings.LEARNING_RATE
  fields = [rate] if settings.is_recorded(runs, rate) else []
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
    _head('time to success', f'{beside}, p Holm')._replace(style='beside'),
    _head('trained', 'sequences, time'),
    _head('loss', '95 % interval'),
    _head('loss', f'{beside}, p Holm')._replace(style='beside'),
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
  reached, losses = _success(row), _losses(row)
  task = markup.Cell(markup.jump(part.anchor, part.title), part.title, 'words')
  return [
    _model(part, index, fields),
    *([task] if several else ()),
    *(_setting(runs, field) for field in fields),
    *reached,
    numbers(tables.trained(row), row.trained[1], tables.durations(row.seconds)),
    *losses,
  ]


def _model(
  part: parts_lib.Part, index: int, fields: Sequence[str]
) -> markup.Cell:
  """Return the model of a row, and below it what has no column of its own."""
  group = part.groups[index]
  rest = {
    name: value
    for name, value in group.others.items()
    if name not in fields and value is not None
  }
  cell = parts_lib.label(part, index, group.model)
  below = f' <small class="links">{links(part, index)}</small>'
  return cell._replace(
    content=cell.content + markup.small([settings.listed(rest)]) + below
  )


def outcome(row: comparison.Row) -> list[markup.Cell]:
  """Return what came of a row: whether, when and how well it was solved."""
  return [*_success(row), *_losses(row)]


def _success(row: comparison.Row) -> list[markup.Cell]:
  return [
    _solved_cell(row),
    numbers(
      tables.sequences(row.median.estimate, row),
      row.median.estimate,
      tables.sequences_interval(row),
    ),
    _test(row.speed, row.speed_holm),
  ]


def _losses(row: comparison.Row) -> list[markup.Cell]:
  return [
    numbers(tables.loss(row), row.loss.estimate, tables.interval(row.loss)),
    _test(row.ratio, row.loss_holm),
  ]


def _setting(runs: Sequence[grouping.Run], field: str) -> markup.Cell:
  text, count = settings.counted(runs, field)
  _, key = settings.of_group(runs, field)
  return markup.Cell(markup.escape(text) + markup.small([count]), key)


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
  return markup.Cell(
    markup.escape(', '.join(texts)) + markup.small([_bounds(ratio)]),
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
