"""Figure of one task: which share of each model's runs is not yet solved."""

from collections.abc import Mapping, Sequence
import contextlib
import math
import textwrap
from typing import Any

from matplotlib import axes as axes_lib
from matplotlib import figure, lines, transforms
import numpy as np

from lstm_variants.plots import theme
from lstm_variants.statistics import survival

_LEGEND_CHARACTERS = 105  # in the width of the legend
_TITLE_CHARACTERS = 38  # in the width of a panel
# More lines with their bands are a tangle in one panel.
_TOGETHER = 4
_COLUMNS = 3
# Lines upon each other are drawn this many points beside each other.
_GAP = 1.7
# From this ratio of the end to a typical first success on, steps of most models
# would lie upon the axis.
_LOGARITHMIC = 30.0
_OTHER: dict[str, Any] = {'color': '#bbbbbb', 'linewidth': 0.7}
_PANEL: dict[str, Any] = {'color': theme.PALETTE[1], 'linewidth': 1.4}
_MARK = 'training ended unsolved'


def draw_survival(
  task: str,
  curves: Mapping[str, survival.Curve],
  *,
  p_values: Mapping[str, float] | None = None,
  baseline: str | None = None,
) -> figure.Figure:
  """Draw the share of runs not yet solved against training sequences.

  Args:
    task: label of the task, the title.
    curves: label of a model -> its `survival.kaplan_meier`, in the order
      wanted; one without points has no runs and no line.
    p_values: label -> p value of the log-rank test; NaN is not shown.
    baseline: the label that the tests compare with, if it is among the curves.

  Returns:
    A figure: a line steps down at each success, `|` marks runs whose training
    ended unsolved, and the band is pointwise. Up to four models share a panel;
    of more each has its own, beside the baseline and upon all others in gray.
    Lines of a panel are shifted by a few points, so that equal ones show.

  Raises:
    ValueError: there are no curves.
  """
  if not curves:
    raise ValueError('curves={}: must hold one model at least')
  labels = {
    name: _label(name, curve, (p_values or {}).get(name, math.nan))
    for name, curve in curves.items()
  }
  if baseline not in labels:
    baseline = None
  if baseline is not None:
    labels[baseline] += ' (baseline)'
  if len(curves) <= _TOGETHER:
    return _draw_together(task, curves, labels, baseline)
  return _draw_apart(task, curves, labels, baseline)


def _draw_together(
  task: str,
  curves: Mapping[str, survival.Curve],
  labels: Mapping[str, str],
  baseline: str | None,
) -> figure.Figure:
  entries = [*labels.values(), _MARK]
  with _page(task, 4.5, entries) as drawing:
    axes = drawing.add_subplot()
    handles = []
    for index, (name, curve) in enumerate(curves.items()):
      look = _look(index, name == baseline)
      _draw_curve(axes, curve, look, index)
      handles.append(lines.Line2D([], [], **look))
    _scale(axes, curves)
    axes.set_xlabel(_x_label(axes))
    axes.set_ylabel('share of runs not yet solved')
    _add_legend(drawing, handles, entries)
  return drawing


def _draw_apart(
  task: str,
  curves: Mapping[str, survival.Curve],
  labels: Mapping[str, str],
  baseline: str | None,
) -> figure.Figure:
  others = [name for name in curves if name != baseline]
  entries = ['model of the panel', 'the other models', _MARK]
  looks = [_PANEL, _OTHER]
  if baseline is not None:
    entries.insert(0, labels[baseline])
    looks.insert(0, _look(0, True))
  rows = -(-len(others) // _COLUMNS)
  with _page(task, 0.5 + 1.75 * rows, entries) as drawing:
    grid = drawing.subplots(
      rows, _COLUMNS, sharex=True, sharey=True, squeeze=False
    ).ravel()
    for axes, name in zip(grid, others, strict=False):
      for other in others:
        _draw_curve(axes, curves[other], _OTHER, None)
      if baseline is not None:
        _draw_curve(axes, curves[baseline], _look(0, True), 0)
      _draw_curve(axes, curves[name], _PANEL, 1)
      axes.set_title(_wrap(name, labels[name]), loc='left', fontsize=8)
    _scale(grid[0], curves)
    for axes in grid[max(0, len(others) - _COLUMNS) : len(others)]:
      # The lowest of its column, where the last row is not full.
      axes.tick_params(labelbottom=True)
      axes.set_xlabel(_x_label(axes))
      if axes.get_xscale() == 'linear':
        axes.locator_params(axis='x', nbins=4)
    for axes in grid[len(others) :]:
      axes.set_visible(False)
    drawing.supylabel('share of runs not yet solved', fontsize=9)
    handles = [lines.Line2D([], [], **look) for look in looks]
    _add_legend(drawing, handles, entries)
  return drawing


def _page(
  task: str, height: float, entries: Sequence[str]
) -> contextlib.AbstractContextManager[figure.Figure]:
  """Give a figure with room for its title and the legend below."""
  rows = -(-len(entries) // _columns(entries))
  return theme.page(height + 0.2 * rows, task, size='large')


def _draw_curve(
  axes: axes_lib.Axes,
  curve: survival.Curve,
  look: Mapping[str, Any],
  index: int | None,
) -> None:
  """Draw a curve, with band, marks and shift unless it has no index."""
  if not curve.times.size:
    return
  times = np.concatenate(([0.0], curve.times))
  share, low, high = (
    np.concatenate(([first], edge))
    for first, edge in (
      (1.0, curve.survival),
      (curve.first_low, curve.low),
      (1.0, curve.high),
    )
  )
  if index is None:
    axes.step(times, share, where='post', **look)
    return
  color = look['color']
  axes.fill_between(
    times, low, high, step='post', color=color, alpha=0.13, linewidth=0
  )
  # The first stays, the others go to both sides of it in turn.
  side = 1 if index % 2 else -1
  inches = side * ((index + 1) // 2) * _GAP / 72
  figure_ = axes.get_figure()
  assert figure_ is not None
  moved = axes.transData + transforms.ScaledTranslation(
    inches, inches, figure_.dpi_scale_trans
  )
  axes.step(times, share, where='post', transform=moved, **look)
  ended = curve.censored > 0
  mark = {'linestyle': 'none', 'marker': '|', 'markersize': 8, 'color': color}
  axes.plot(curve.times[ended], curve.survival[ended], transform=moved, **mark)


def _scale(axes: axes_lib.Axes, curves: Mapping[str, survival.Curve]) -> None:
  """Let sequences begin at 0, or be logarithmic where most steps come early."""
  ends = [curve.times[-1] for curve in curves.values() if curve.times.size]
  finite = [end for end in ends if math.isfinite(end)]
  first = [
    curve.times[curve.solved > 0].min()
    for curve in curves.values()
    if curve.solved.any()
  ]
  last = max([*finite, 1.0])
  if first and 0 < np.median(first) * _LOGARITHMIC <= last:
    axes.set_xscale('log', nonpositive='clip')
    axes.set_xlim(max(min(first), last / 1e6) / 1.5, last * 1.15)
  else:
    axes.set_xlim(0, last * 1.04)
  axes.xaxis.set_major_formatter('{x:,.0f}')
  axes.set_ylim(-0.06, 1.06)


def _x_label(axes: axes_lib.Axes) -> str:
  if axes.get_xscale() == 'log':
    return 'training sequences, logarithmic'
  return 'training sequences'


def _label(name: str, curve: survival.Curve, p_value: float) -> str:
  runs = curve.at_risk[0] if curve.times.size else 0
  text = f'{name}: {curve.solved.sum()} of {runs} solved'
  if math.isnan(p_value):
    return text
  amount = f'= {p_value:.3f}' if p_value >= 0.0005 else '< 0.001'
  return f'{text}, log-rank p {amount}'


def _wrap(name: str, label: str) -> str:
  """Give the name lines of its own above what is said of it."""
  start = len(name) + 1
  parts = (textwrap.fill(label[:start], _TITLE_CHARACTERS), label[start:])
  return theme.plain('\n'.join(part.strip() for part in parts))


def _look(index: int, is_baseline: bool) -> dict[str, Any]:
  return {
    'color': theme.PALETTE[index],
    'linestyle': theme.LINE_STYLES[index],
    'linewidth': 2.2 if is_baseline else 1.4,
  }


def _add_legend(
  drawing: figure.Figure,
  handles: Sequence[lines.Line2D],
  entries: Sequence[str],
) -> None:
  """Write the entries, the last of which is the mark of an unsolved run."""
  mark = lines.Line2D([], [], linestyle='none', marker='|', color=theme.GRAY)
  theme.add_legend(
    drawing, [*handles, mark], entries, columns=_columns(entries)
  )


def _columns(entries: Sequence[str]) -> int:
  return theme.legend_columns(entries, _LEGEND_CHARACTERS)
