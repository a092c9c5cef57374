"""The curves of a task as data, which the script of the page draws.

What is computed is computed here, by `curves.learning_curve`, as for the figure
beside it: the script turns sequences into seconds, and draws.
"""

from collections.abc import Sequence
import json
import math
from typing import Any

import numpy as np

from lstm_variants.plots import theme
from lstm_variants.report import curves
from lstm_variants.report import parts as parts_lib
from lstm_variants.runs import grouping, results

# Numbers of the curves of all tasks of a page, at most: a megabyte or so.
_MOST = 150_000
# Evaluations that a curve keeps, at least, if need be fewer runs are drawn.
_LEAST = 25
# Of a row: its median, the lowest and the highest of its runs.
_OF_ROW = 3


class Budget:
  """How many runs and evaluations the curves of a page may show.

  Attributes:
    runs: of a row, at most.
    evaluations: of a curve, at most.
  """

  def __init__(self, parts: Sequence[parts_lib.Part]):
    """Divide the numbers of a page among its curves."""
    groups = [group for part in parts for group in part.groups]
    curves_of_page = sum(len(group.runs) + _OF_ROW for group in groups)
    self.evaluations = max(_LEAST, _MOST // max(curves_of_page, 1))
    self.runs = max((len(group.runs) for group in groups), default=0)
    if self.evaluations * curves_of_page > _MOST:
      each = _MOST // self.evaluations // len(groups)
      self.runs = max(min(self.runs, each - _OF_ROW), 0)


def left_out(part: parts_lib.Part, budget: Budget) -> str:
  """Return what the curves of a task do not show; empty: nothing.

  Args:
    part: of the task.
    budget: of the page.
  """
  if max(len(group.runs) for group in part.groups) <= budget.runs:
    return ''
  return (
    f'The first {budget.runs:,} runs of each row are drawn, at most '
    f'{budget.evaluations:,} evaluations of each.'
  )


def encode(part: parts_lib.Part, losses: results.Losses, budget: Budget) -> str:
  """Return the curves of a task as JSON that may stand in a page.

  Args:
    part: of the task.
    losses: the evaluations of all runs.
    budget: of the page.
  """
  rows = [_row(part, index, losses, budget) for index in range(len(part.rows))]
  content = {
    'title': part.title,
    'memoryless': (part.facts.get('baselines') or {}).get('loss'),
    'rows': rows,
  }
  text = json.dumps(content, separators=(',', ':'), allow_nan=False)
  # No text within it ends the element that it stands in.
  return text.replace('<', '\\u003c')


def _row(
  part: parts_lib.Part, index: int, losses: results.Losses, budget: Budget
) -> dict[str, Any]:
  group = part.groups[index]
  curve = curves.learning_curve(group.runs, losses)
  kept = _places(len(curve.sequences), budget.evaluations)
  color, dash = parts_lib.look(part, index)
  return {
    'label': part.name(index),
    'color': color,
    'dash': dash,
    'rate': _seconds_per_sequence(part, index),
    'x': curve.sequences[kept].astype(int).tolist(),
    'median': _numbers(curve.median[kept]),
    'low': _numbers(curve.low[kept]),
    'high': _numbers(curve.high[kept]),
    'runs': _runs(group.runs[: budget.runs], losses, budget.evaluations),
  }


def _runs(
  runs: Sequence[grouping.Run], losses: results.Losses, most: int
) -> list[dict[str, Any]]:
  """Return the curve of each run; equal numbers of sequences are told once."""
  lines, last = [], None
  each = losses.each(run['id'] for run in runs)
  for run in runs:
    if run['id'] not in each:
      continue
    sequences, values = each[run['id']]
    kept = _places(len(sequences), most)
    x = sequences[kept].tolist()
    line = {'id': run['id'], 'seed': run['config']['seed']}
    line['y'] = _numbers(values[kept])
    if x != last:
      line['x'] = last = x
    lines.append(line)
  return lines


def _places(count: int, most: int) -> np.ndarray:
  """Return which of a curve's points are kept, its ends among them."""
  if count <= most:
    return np.arange(count)
  return np.unique(np.linspace(0, count - 1, most).round().astype(int))


def _numbers(values: np.ndarray) -> list[float | None]:
  """Return numbers with the digits that can be seen, None for gaps."""
  return [
    float(f'{value:.4g}') if math.isfinite(value) else None
    for value in values.tolist()
  ]


def _seconds_per_sequence(part: parts_lib.Part, index: int) -> float | None:
  """Return what a row's training took, as its table tells it."""
  milliseconds = part.rows[index].milliseconds
  runs = part.groups[index].runs
  updates = sum(run['updates'] for run in runs)
  sequences = sum(run['sequences'] for run in runs)
  if not sequences or not math.isfinite(milliseconds):
    return None
  return milliseconds / 1e3 * updates / sequences


def style() -> str:
  """Return the colours and the dashes of the rows as rules of a style sheet."""
  light = ''.join(f'--c{n}:{color};' for n, color in enumerate(theme.PALETTE))
  dark = ''.join(
    f'--c{n}:{theme.DARK.get(color, color)};'
    for n, color in enumerate(theme.PALETTE)
  )
  colors = ''.join(
    f'.c{n}{{color:var(--c{n})}}' for n in range(len(theme.PALETTE))
  )
  dashes = ''.join(
    f'.d{n}{{background:{_gradient(dash)}}}'
    for n, dash in enumerate(dash_lengths())
  )
  return (
    f':root{{{light}}}\n@media screen and (prefers-color-scheme: dark)'
    f'{{:root{{{dark}}}}}\n{colors}\n{dashes}\n'
  )


def dash_lengths() -> list[list[float]]:
  """Return the drawn and blank lengths of each of `theme.LINE_STYLES`."""
  return [
    [] if isinstance(line, str) else list(line[1]) for line in theme.LINE_STYLES
  ]


def _gradient(lengths: Sequence[float]) -> str:
  """Return a dash as the background of an element."""
  if not lengths:
    return 'currentColor'
  stops, at = [], 0.0
  for place, length in enumerate(lengths):
    ink = 'transparent' if place % 2 else 'currentColor'
    stops.append(f'{ink} {at:g}px {at + length:g}px')
    at += length
  return f'repeating-linear-gradient(90deg,{",".join(stops)})'
