"""A sequence of a task as a person would draw it: as text, and as a picture."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib import axes as axes_lib
from matplotlib import figure, style, ticker
import numpy as np

from lstm_variants.plots import theme

# Characters of a line of text beside its label.
_WIDTH = 66
# Steps that are written out; of longer sequences the first and the last.
_STEPS = 120
# Rows of symbols whose names fit beside a panel.
_ROWS = 24
_ANSWER, _CHANNELS = theme.PALETTE[1], theme.PALETTE[::2]


class Axis(NamedTuple):
  """What the last axis stands for.

  Attributes:
    names: of its entries.
    one_hot: they are the classes of one symbol, not channels.
  """

  names: tuple[str, ...]
  one_hot: bool


class Sample(NamedTuple):
  """One sequence.

  Attributes:
    inputs: `[time, in_features]`.
    targets: `[time, out_features]`, or class indices `[time]`.
    mask: `[time]`; 0 where no answer is asked for.
    in_axis: what `inputs` hold.
    out_axis: what `targets` hold.
  """

  inputs: np.ndarray
  targets: np.ndarray
  mask: np.ndarray
  in_axis: Axis
  out_axis: Axis


def as_text(sample: Sample) -> str:
  """Return lines that show a sequence step by step.

  A symbol is its name, a number has two decimals. Padding and steps without an
  answer are left blank; of more than 120 steps the middle is left out.
  """
  steps = count_steps(sample)
  rows = [*_input_rows(sample, steps), *_target_rows(sample, steps)]
  if steps > _STEPS:
    half, left_out = _STEPS // 2, steps - _STEPS
    rows = [
      (name, [*cells[:half], f'({left_out} more)', *cells[-half:]])
      for name, cells in rows
    ]
  return '\n'.join(_wrap(rows))


def draw(title: str, samples: Sequence[Sample]) -> figure.Figure:
  """Return a figure with one panel for each sample."""
  with style.context(['default', theme.STYLE]):
    drawing = figure.Figure(
      figsize=(theme.WIDTH, 0.6 + 2.0 * len(samples)), layout='constrained'
    )
    drawing.suptitle(theme.plain(title), fontsize=10)
    panels = drawing.subplots(len(samples), squeeze=False)[:, 0]
    for axes, sample in zip(panels, samples, strict=True):
      _draw_one(axes, sample)
    panels[-1].set_xlabel('step')
  return drawing


def count_steps(sample: Sample) -> int:
  """Return the steps before the padding."""
  used = (sample.mask > 0) | np.any(sample.inputs != 0, axis=-1)
  return int(np.max(np.flatnonzero(used), initial=0)) + 1


def _input_rows(sample: Sample, steps: int) -> list[tuple[str, list[str]]]:
  inputs, (names, one_hot) = sample.inputs[:steps], sample.in_axis
  if one_hot:
    known = np.any(inputs > 0, axis=-1)
    symbols = np.argmax(inputs, axis=-1)
    return [
      (
        'input',
        [names[s] if k else '' for s, k in zip(symbols, known, strict=True)],
      )
    ]
  return [
    (name, [_number(value) for value in inputs[:, n]])
    for n, name in enumerate(names)
  ]


def _target_rows(sample: Sample, steps: int) -> list[tuple[str, list[str]]]:
  targets, asked = sample.targets[:steps], sample.mask[:steps] > 0
  names, one_hot = sample.out_axis
  if targets.ndim == 1:
    cells = [names[target] for target in targets]
    return [('target', _asked(cells, asked))]
  if one_hot:
    cells = [
      ''.join(name for name, there in zip(names, row, strict=True) if there > 0)
      for row in targets
    ]
    return [('target', _asked(cells, asked))]
  return [
    (
      'target' if len(names) == 1 else f'target {name}',
      _asked([_number(value) for value in targets[:, n]], asked),
    )
    for n, name in enumerate(names)
  ]


def _asked(cells: Sequence[str], asked: np.ndarray) -> list[str]:
  return [
    cell if wanted else '' for cell, wanted in zip(cells, asked, strict=True)
  ]


def _number(value: float) -> str:
  return f'{value:.0f}' if value == round(value) else f'{value:.2f}'


def _wrap(rows: Sequence[tuple[str, list[str]]]) -> list[str]:
  """Return lines with the cells of a step below each other."""
  label = max(len(name) for name, _ in rows)
  columns = list(zip(*(cells for _, cells in rows), strict=True))
  # Numbers stand below each other in every line.
  wide = max(max(map(len, column)) for column in columns)
  least = wide if any('.' in cell for cell in columns[0]) else 0
  lines, start = [], 0
  while start < len(columns):
    stop, used = start, 0
    while stop < len(columns):
      width = max(least, *map(len, columns[stop])) + 1
      if used + width > _WIDTH and stop > start:
        break
      used, stop = used + width, stop + 1
    for n, (name, _) in enumerate(rows):
      cells = (
        column[n].rjust(max(least, *map(len, column)))
        for column in columns[start:stop]
      )
      lines.append(f'  {name:<{label}}  {" ".join(cells)}'.rstrip())
    lines.append('')
    start = stop
  return lines[:-1]


def _draw_one(axes: axes_lib.Axes, sample: Sample) -> None:
  steps = count_steps(sample)
  inputs, (names, one_hot) = sample.inputs[:steps], sample.in_axis
  if one_hot:
    # Symbols of the answer share the rows of the inputs' symbols.
    names = tuple(dict.fromkeys((*names, *_answers(sample))))
    step, symbol = np.nonzero(inputs > 0)
    axes.plot(
      step, symbol, 's', markersize=3, color=_CHANNELS[0], label='input'
    )
    if len(names) <= _ROWS:
      axes.set_yticks(range(len(names)), names)
  else:
    for n, name in enumerate(names):
      axes.plot(
        inputs[:, n],
        drawstyle='steps-mid',
        linewidth=1,
        color=_CHANNELS[n % len(_CHANNELS)],
        label=name,
      )
  for step, value, label in _marks(sample, steps, names if one_hot else None):
    axes.plot(
      step,
      value,
      'o',
      markersize=5,
      fillstyle='none',
      color=_ANSWER,
      label=label,
    )
  axes.set_xlim(-0.5, steps - 0.5)
  axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
  axes.legend(
    loc='upper left', bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False
  )


def _answers(sample: Sample) -> tuple[str, ...]:
  names, one_hot = sample.out_axis
  return names if one_hot else ()


def _marks(sample: Sample, steps: int, rows: tuple[str, ...] | None):
  """Yield where the targets are drawn: steps, heights, label."""
  asked = np.flatnonzero(sample.mask[:steps] > 0)
  targets, (names, one_hot) = sample.targets[asked], sample.out_axis
  if not one_hot:
    for n, name in enumerate(names):
      yield asked, targets[:, n], f'target: {name}'
    return
  if targets.ndim > 1:
    where, classes = np.nonzero(targets > 0)
    asked = asked[where]
  else:
    classes = targets
  height = np.array([rows.index(names[k]) if rows else k for k in classes])
  yield asked, height, 'target'
