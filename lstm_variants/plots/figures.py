"""Figures of one task: learning curves, and sequences to success."""

from collections.abc import Iterable, Mapping, Sequence
import io
import itertools
import math
from typing import Any, NamedTuple

from matplotlib import axes as axes_lib
from matplotlib import figure, lines, style
import numpy as np

from lstm_variants.report import comparison

# Told apart by the colour-blind too: Okabe & Ito, "Color Universal Design",
# 2008; without yellow, which is lost on white.
PALETTE = (
  '#0072B2',
  '#D55E00',
  '#009E73',
  '#CC79A7',
  '#E69F00',
  '#56B4E9',
  '#000000',
)
# With the palette 70 groups told apart: the colour changes first.
LINE_STYLES = (
  'solid',
  (0, (5, 2)),
  (0, (1, 1.5)),
  (0, (6, 2, 1, 2)),
  (0, (6, 2, 1, 2, 1, 2)),
  (0, (10, 2)),
  (0, (10, 2, 3, 2)),
  (0, (3, 4)),
  (0, (1, 4)),
  (0, (10, 2, 1, 2, 1, 2, 1, 2)),
)
_WIDTH = 7.5  # inches
_LEGEND_CHARACTERS = 100  # in the width of a legend, beside its handles
_LINE_HEIGHT = 0.21  # inches, of a legend or a group of dots
_MEMORYLESS = {'color': '#666666', 'linestyle': '--', 'linewidth': 1.0}
STYLE = {
  'font.size': 9.0,
  'svg.fonttype': 'none',
  'axes.spines.top': False,
  'axes.spines.right': False,
  'axes.grid': True,
  'grid.color': '#dddddd',
  'grid.linewidth': 0.6,
  'axes.axisbelow': True,
}


class Curve(NamedTuple):
  """The held-out loss of a group, each `[evaluations]`; NaN is a gap.

  Attributes:
    sequences: trained on.
    median: over the runs that have a finite loss there.
    low: the smallest of them.
    high: the largest of them.
  """

  sequences: np.ndarray
  median: np.ndarray
  low: np.ndarray
  high: np.ndarray


def learning_curve(
  runs: Iterable[comparison.Run],
  metrics: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Curve:
  """Summarise the held-out losses of a group over its runs.

  Args:
    runs: of one group; each ends where its own training ended.
    metrics: run id -> its rows of `results.read_metrics`.
  """
  at: dict[int, list[float]] = {}
  for run in runs:
    for row in metrics.get(run['id'], ()):
      loss = row.get('loss')
      values = at.setdefault(row['sequences'], [])
      if loss is not None and math.isfinite(loss):
        values.append(loss)
  sequences = sorted(at)
  summary = [
    (np.median(at[x]), min(at[x]), max(at[x])) if at[x] else (math.nan,) * 3
    for x in sequences
  ]
  columns = np.reshape(np.asarray(summary, float), (-1, 3)).T
  return Curve(np.asarray(sequences, float), *columns)


def draw_learning_curves(
  task: str,
  groups: Sequence[comparison.Group],
  metrics: Mapping[str, Sequence[Mapping[str, Any]]],
  memoryless: float | None,
) -> figure.Figure:
  """Draw held-out loss against training sequences, one line per group.

  Args:
    task: label of the task, the title.
    groups: of that task.
    metrics: run id -> its rows of `results.read_metrics`.
    memoryless: loss of the best predictor without memory, if known.

  Returns:
    A figure: lines are medians over runs, bands span all runs.
  """
  labels = [group.label for group in groups]
  curves = [learning_curve(group.runs, metrics) for group in groups]
  looks = [
    {'color': color, 'linestyle': line, 'linewidth': 1.3}
    for color, line in _looks(len(groups))
  ]
  levels = [] if memoryless is None else [memoryless]
  with style.context(['default', STYLE]):
    looks += [_MEMORYLESS] * len(levels)
    labels += ['memoryless baseline'] * len(levels)
    drawing, axes = _new_figure(task, 4.0, labels)
    for level in levels:
      axes.axhline(level, **looks[-1])
    # Many bands lie upon each other: together they stay pale.
    alpha = min(0.15, 1 / len(groups))
    for curve, look in zip(curves, looks, strict=False):
      _draw_curve(axes, curve, look, alpha)
    drawn = np.concatenate((levels, *(curve.median for curve in curves)))
    if np.any(drawn > 0):
      axes.set_yscale('log', nonpositive='mask')
    axes.set_xlim(left=0)
    axes.set_xlabel('training sequences')
    axes.set_ylabel("held-out loss (the task's own unit)")
    handles = [lines.Line2D([], [], **look) for look in looks]
    _add_legend(drawing, handles, labels)
  return drawing


def draw_successes(
  task: str,
  groups: Sequence[comparison.Group],
  medians: Mapping[str, float],
) -> figure.Figure:
  """Draw each run's sequences to success as a dot, one line per group.

  Args:
    task: label of the task, the title.
    groups: of that task.
    medians: label of a group -> its median; inf is not drawn.

  Returns:
    A figure: solved runs are filled, unsolved ones hollow at their budget.
  """
  labels = ['solved', 'unsolved, at its budget', 'median, censored']
  with style.context(['default', STYLE]):
    height = 0.3 + 1.2 * _LINE_HEIGHT * len(groups)
    drawing, axes = _new_figure(task, height, labels)
    looks = _looks(len(groups))
    for y, (group, (color, _)) in enumerate(zip(groups, looks, strict=True)):
      _draw_dots(axes, y, group, color)
      if math.isfinite(medians[group.label]):
        axes.vlines(medians[group.label], y - 0.42, y + 0.42, colors='black')
    axes.set_yticks(
      range(len(groups)), [_plain(group.label) for group in groups]
    )
    axes.set_ylim(len(groups) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.grid(visible=False, axis='y')
    axes.set_xlabel('training sequences')
    gray = '#444444'
    dot = {'linestyle': 'none', 'marker': 'o', 'markersize': 4, 'color': gray}
    handles = [
      lines.Line2D([], [], **dot),
      lines.Line2D([], [], markerfacecolor='none', **dot),
      lines.Line2D([], [], linestyle='none', marker='|', color='black'),
    ]
    _add_legend(drawing, handles, labels)
  return drawing


def svg(drawing: figure.Figure, salt: str) -> str:
  """Return a figure as SVG text, equal for equal figures and salts."""
  text = io.StringIO()
  with style.context(['default', STYLE, {'svg.hashsalt': salt}]):
    drawing.savefig(
      text,
      format='svg',
      metadata=dict.fromkeys(('Date', 'Creator', 'Format', 'Type')),
    )
  return text.getvalue()


def png(drawing: figure.Figure) -> bytes:
  """Return a figure as PNG bytes, equal for equal figures."""
  image = io.BytesIO()
  with style.context(['default', STYLE]):
    drawing.savefig(image, format='png', dpi=150, metadata={'Software': None})
  return image.getvalue()


def _new_figure(
  title: str, axes_height: float, labels: Sequence[str]
) -> tuple[figure.Figure, axes_lib.Axes]:
  """Return a figure with one pair of axes and room for a legend below."""
  rows = -(-len(labels) // _legend_columns(labels))
  height = axes_height + 1.3 + _LINE_HEIGHT * rows
  drawing = figure.Figure(figsize=(_WIDTH, height), layout='constrained')
  axes = drawing.add_subplot()
  axes.set_title(_plain(title), loc='left', fontweight='bold')
  axes.xaxis.set_major_formatter('{x:,.0f}')
  return drawing, axes


def _draw_curve(
  axes: axes_lib.Axes, curve: Curve, look: Mapping[str, Any], alpha: float
) -> None:
  band = {'color': look['color'], 'alpha': alpha, 'linewidth': 0}
  axes.fill_between(curve.sequences, curve.low, curve.high, **band)
  # A single evaluation is no line.
  marker = '.' if np.count_nonzero(np.isfinite(curve.median)) == 1 else ''
  axes.plot(curve.sequences, curve.median, marker=marker, **look)


def _draw_dots(
  axes: axes_lib.Axes, y: float, group: comparison.Group, color: str
) -> None:
  x = np.asarray(comparison.times_to_success(group.runs), float)
  solved = np.array(
    [run['sequences_to_success'] is not None for run in group.runs]
  )
  # Spread over the height of the line, so that equal numbers show.
  spread = y + (np.linspace(-0.25, 0.25, len(x)) if len(x) > 1 else np.zeros(1))
  for chosen, face in ((solved, color), (~solved, 'none')):
    axes.scatter(
      x[chosen],
      spread[chosen],
      s=16,
      facecolors=face,
      edgecolors=color,
      linewidths=0.9,
    )


def _add_legend(
  drawing: figure.Figure, handles: Sequence[Any], labels: Sequence[str]
) -> None:
  drawing.legend(
    handles,
    [_plain(label) for label in labels],
    loc='outside lower left',
    ncols=_legend_columns(labels),
    frameon=False,
    fontsize=8,
    handlelength=3.2,
  )


def _legend_columns(labels: Sequence[str]) -> int:
  longest = max(len(label) for label in labels) + 8  # its handle and a gap
  return max(1, min(len(labels), _LEGEND_CHARACTERS // longest))


def _looks(count: int) -> list[tuple[str, Any]]:
  """Return the colour and the line style of each group."""
  pairs = [(color, line) for line in LINE_STYLES for color in PALETTE]
  return list(itertools.islice(itertools.cycle(pairs), count))


def _plain(text: str) -> str:
  """Keep Matplotlib from reading dollars as mathematics."""
  return text.replace('$', r'\$')
