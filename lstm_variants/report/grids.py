"""A grid of settings as a heat map, and each model at its best of them."""

from collections.abc import Hashable, Mapping, Sequence
import math
from typing import Any

from lstm_variants.report import answer, comparison, markup, settings, tables
from lstm_variants.report import best as best_lib
from lstm_variants.report import parts as parts_lib
from lstm_variants.runs import grouping

# Values of a field that stand side by side.
_MOST = 24
# Shades of a heat map, from the highest loss to the lowest.
_SHADES = 6


def heat_map(part: parts_lib.Part) -> str:
  """Return the losses of a grid, models down and a setting across, as HTML.

  Nothing where no number varies among the rows of the task.
  """
  field = _across(part)
  if not field:
    return ''
  values: dict[Hashable, Any] = {}
  cells: dict[str, dict[Hashable, comparison.Row]] = {}
  for row, group in zip(part.rows, part.groups, strict=True):
    rest = dict(group.others)
    value = rest.pop(field)
    key = grouping.hashable(value)
    values[key] = value
    label = ', '.join(filter(None, (group.model, settings.listed(rest))))
    cells.setdefault(label, {})[key] = row
  # What is no number, as none, comes last.
  ordered = sorted(
    values, key=lambda key: values[key] if _is_number(values[key]) else math.inf
  )
  name = settings.heading(field)
  heads = [markup.Cell('model')] + [
    markup.Cell(
      markup.escape(settings.value(values[key])) + markup.small([name])
    )
    for key in ordered
  ]
  shades = _shades(part.rows)
  lines = [
    markup.Line(
      [
        markup.Cell(markup.escape(label), label),
        *(_cell(own.get(key), shades) for key in ordered),
      ]
    )
    for label, own in cells.items()
  ]
  title = f'Losses by model and {name}'
  return (
    markup.table(heads, lines, title, 'sorted heat')
    + f'<p class="note">{markup.escape(_legend(part.rows))}</p>'
  )


def _across(part: parts_lib.Part) -> str:
  """Return the number that varies among the rows, the learning rate first."""
  counts = {}
  for name in part.groups[0].others:
    own = {
      group.others.get(name)
      for group in part.groups
      if _is_number(group.others.get(name))
    }
    if 1 < len(own) <= _MOST:
      counts[name] = len(own)
  if settings.LEARNING_RATE in counts:
    return settings.LEARNING_RATE
  return max(counts, key=lambda name: counts[name], default='')


def _is_number(value: Any) -> bool:
  return type(value) in (int, float)


def _shades(rows: Sequence[comparison.Row]) -> Mapping[str, int]:
  """Return the shade of each row by its label: the lowest loss the strongest.

  By the logarithm, where losses have one.
  """
  losses = {
    row.label: row.loss.estimate
    for row in rows
    if math.isfinite(row.loss.estimate)
  }
  if not losses:
    return {}
  if min(losses.values()) > 0:
    losses = {label: math.log(loss) for label, loss in losses.items()}
  low, high = min(losses.values()), max(losses.values())
  width = (high - low) or 1.0
  return {
    label: min(int(_SHADES * (high - loss) / width), _SHADES - 1)
    for label, loss in losses.items()
  }


def _cell(row: comparison.Row | None, shades: Mapping[str, int]) -> markup.Cell:
  if row is None:
    return markup.Cell(tables.MISSING)
  below = f'{row.solved:,} of {row.runs:,} solved'
  if row.diverged:
    below += f', {row.diverged:,} diverged'
  return markup.Cell(
    markup.escape(tables.loss(row)) + markup.small([below]),
    tables.key(row.loss.estimate),
    f'h{shades.get(row.label, 0)}',
  )


def _legend(rows: Sequence[comparison.Row]) -> str:
  at = rows[0].compared_at
  when = '' if at is None else f' after {at:,} sequences'
  return (
    f'Held-out loss{when}, geometric mean over the runs (the mean, where '
    'losses are below zero); the stronger the shade, the lower it is. Below '
    'it, how many runs solved the task.'
  )


def best(chosen: best_lib.Best | None, baseline: str) -> str:
  """Return the table of the models at their best settings, as HTML.

  Args:
    chosen: what `best.compare` returns of it.
    baseline: the model that others are compared with.
  """
  if chosen is None:
    return ''
  of_fields = [
    markup.escape(settings.heading(field)) for field in chosen.fields
  ]
  beside = f'beside {markup.escape(baseline)}'
  heads = [
    *(markup.Cell(text) for text in ('model', *of_fields, 'chosen from')),
    *(markup.Cell(text) for text in ('solved', 'sequences to success')),
    markup.Cell(f'time to success {beside}', style='beside'),
    markup.Cell('loss'),
    markup.Cell(f'loss {beside}', style='beside'),
  ]
  lines = [_best_line(chosen, place) for place in range(len(chosen.rows))]
  title = 'Each model at its best settings'
  return f'<p class="note">{markup.escape(_how(chosen))}</p>' + markup.table(
    heads, lines, title
  )


def _best_line(chosen: best_lib.Best, place: int) -> markup.Line:
  row, group = chosen.rows[place], chosen.groups[place]
  values = [settings.of_group(group.runs, field) for field in chosen.fields]
  return markup.Line(
    [
      markup.Cell(
        markup.escape(row.model)
        + markup.small([settings.listed(group.others)]),
        row.label,
      ),
      *(markup.Cell(markup.escape(text), key) for text, key in values),
      answer.numbers(
        f'{chosen.candidates[place]:,} settings', chosen.candidates[place]
      ),
      *answer.outcome(row),
    ],
    'baseline' if row.is_baseline else '',
  )


def _how(chosen: best_lib.Best) -> str:
  """Say how settings were chosen, and whether that flatters."""
  what = (
    'the fewest runs without a loss, then the lowest held-out loss at equal '
    'training,'
  )
  if chosen.choosers:
    seeds = ', '.join(map(str, chosen.choosers))
    one = len(chosen.choosers) == 1
    return (
      f'Chosen by {what} of {"seed" if one else "seeds"} {seeds} alone; the '
      'numbers are of the other seeds, which did not choose.'
    )
  return (
    f'Chosen by {what} of the same runs whose numbers stand here, as no two '
    'seeds are common to all settings: the best of many looks better than it '
    'is, the more so the more it was chosen from. Train the chosen settings '
    'with new seeds before you believe a difference.'
  )
