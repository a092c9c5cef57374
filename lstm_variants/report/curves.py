"""Figures of one task: learning curves, and sequences to success."""

from collections.abc import Iterable, Mapping, Sequence
import math
from typing import Any, NamedTuple

from matplotlib import axes as axes_lib
from matplotlib import figure, lines
import numpy as np

from lstm_variants.plots import theme
from lstm_variants.runs import grouping, results, success_times

# Inches, of a legend or a group of dots.
_LINE_HEIGHT = 0.21
# Dots of a group, at most: of more runs some are drawn.
_DOTS = 500


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
  runs: Iterable[grouping.Run], metrics: results.Losses
) -> Curve:
  """Summarise the held-out losses of a group over its runs.

  Args:
    runs: of one group; each ends where its own training ended.
    metrics: the evaluations of all runs.
  """
  at, losses = metrics.of(run['id'] for run in runs)
  sequences, counts = np.unique(at, return_counts=True)
  parts = np.split(losses[np.argsort(at, kind='stable')], np.cumsum(counts))
  finite = [part[np.isfinite(part)] for part in parts[: len(sequences)]]
  summary = [
    (np.median(part), part.min(), part.max()) if part.size else (math.nan,) * 3
    for part in finite
  ]
  columns = np.reshape(np.asarray(summary, float), (-1, 3)).T
  return Curve(sequences.astype(float), *columns)


def loss_table(
  groups: Iterable[grouping.Group], metrics: results.Losses
) -> tuple[Sequence[str], list[Sequence[Any]]]:
  """Return the numbers of learning curves: columns, and rows of a CSV file."""
  rows: list[Sequence[Any]] = []
  for group in groups:
    curve = learning_curve(group.runs, metrics)
    for at, *losses in zip(*curve, strict=True):
      texts = ['' if math.isnan(loss) else float(loss) for loss in losses]
      rows.append((group.label, int(at), *texts))
  return ('model', 'sequences', 'median_loss', 'lowest', 'highest'), rows


def success_table(
  groups: Iterable[grouping.Group],
) -> tuple[Sequence[str], list[Sequence[Any]]]:
  """Return the numbers of `draw_successes`: columns, and rows of a CSV file."""
  rows: list[Sequence[Any]] = [
    (group.label, run['id'], run['config']['seed'], at, run['status'])
    for group in groups
    for run, at in zip(
      group.runs, success_times.times_to_success(group.runs), strict=True
    )
  ]
  return ('model', 'run', 'seed', 'sequences', 'outcome'), rows


def draw_learning_curves(
  title: str,
  groups: Sequence[grouping.Group],
  metrics: results.Losses,
  memoryless: float | None,
  looks: Sequence[Mapping[str, Any]] | None = None,
) -> figure.Figure:
  """Draw held-out loss against training sequences, one line per group.

  Args:
    title: of the figure.
    groups: of that task.
    metrics: the evaluations of all runs.
    memoryless: loss of the best predictor without memory, if known.
    looks: of the groups (`theme.model_looks`); None: in their order.

  Returns:
    A figure: lines are medians over runs, bands span all runs.
  """
  labels = [group.label for group in groups]
  curves = [learning_curve(group.runs, metrics) for group in groups]
  drawn_as: list[Mapping[str, Any]] = [
    {**line, 'linewidth': 1.3}
    for line in looks or theme.line_looks(len(groups))
  ]
  levels = []
  if memoryless is not None:
    levels.append(memoryless)
    drawn_as.append(theme.MEMORYLESS)
    labels.append('memoryless baseline')
  with theme.page(_height(4.0, labels), title) as drawing:
    axes = _add_axes(drawing)
    for level in levels:
      axes.axhline(level, **theme.MEMORYLESS)
    # Many bands lie upon each other: together they stay pale.
    alpha = min(0.15, 1 / len(groups))
    for curve, line in zip(curves, drawn_as, strict=False):
      _draw_curve(axes, curve, line, alpha)
    drawn = np.concatenate((levels, *(curve.median for curve in curves)))
    if np.any(drawn > 0):
      theme.scale_by_logarithm(axes.yaxis)
    axes.set_xlim(left=0)
    axes.set_xlabel('training sequences')
    axes.set_ylabel("held-out loss (the task's own unit)")
    handles = [lines.Line2D([], [], **line) for line in drawn_as]
    theme.add_legend(drawing, handles, labels)
  return drawing


def draw_successes(
  title: str,
  groups: Sequence[grouping.Group],
  medians: Mapping[str, float],
  looks: Sequence[Mapping[str, Any]] | None = None,
) -> figure.Figure:
  """Draw each run's sequences to success as a dot, one line per group.

  Args:
    title: of the figure.
    groups: of that task.
    medians: label of a group -> its median; inf is not drawn.
    looks: as of `draw_learning_curves`.

  Returns:
    A figure: solved runs are filled, unsolved ones hollow at their budget.
  """
  labels = ['solved', 'unsolved, at its budget', 'median, censored']
  height = 0.3 + 1.2 * _LINE_HEIGHT * len(groups)
  with theme.page(_height(height, labels), title) as drawing:
    axes = _add_axes(drawing)
    colors = [line['color'] for line in looks or theme.line_looks(len(groups))]
    for y, (group, color) in enumerate(zip(groups, colors, strict=True)):
      _draw_dots(axes, y, group, color)
      if math.isfinite(medians[group.label]):
        axes.vlines(medians[group.label], y - 0.42, y + 0.42, colors='black')
    axes.set_yticks(
      range(len(groups)), [theme.plain(group.label) for group in groups]
    )
    axes.set_ylim(len(groups) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.grid(visible=False, axis='y')
    axes.set_xlabel('training sequences')
    dot: dict[str, Any] = {
      'linestyle': 'none',
      'marker': 'o',
      'markersize': 4,
      'color': theme.GRAY,
    }
    handles = [
      lines.Line2D([], [], **dot),
      lines.Line2D([], [], markerfacecolor='none', **dot),
      lines.Line2D([], [], linestyle='none', marker='|', color='black'),
    ]
    theme.add_legend(drawing, handles, labels)
  return drawing


def _add_axes(drawing: figure.Figure) -> axes_lib.Axes:
  """Return the one pair of axes of a figure, sequences to the right."""
  axes = drawing.add_subplot()
  axes.xaxis.set_major_formatter('{x:,.0f}')
  return axes


def _height(axes_height: float, labels: Sequence[str]) -> float:
  """Return the height of a figure with room for a legend below, in inches."""
  return axes_height + 1.3 + _LINE_HEIGHT * theme.legend_rows(labels)


def _draw_curve(
  axes: axes_lib.Axes, curve: Curve, line: Mapping[str, Any], alpha: float
) -> None:
  band = {'color': line['color'], 'alpha': alpha, 'linewidth': 0}
  axes.fill_between(curve.sequences, curve.low, curve.high, **band)
  # A single evaluation is no line.
  marker = '.' if np.count_nonzero(np.isfinite(curve.median)) == 1 else ''
  axes.plot(curve.sequences, curve.median, marker=marker, **line)


def _draw_dots(
  axes: axes_lib.Axes, y: float, group: grouping.Group, color: str
) -> None:
  x = np.asarray(success_times.times_to_success(group.runs), float)
  solved = np.array(
    [run['sequences_to_success'] is not None for run in group.runs]
  )
  if len(x) > _DOTS:
    ranks = np.linspace(0, len(x) - 1, _DOTS).round().astype(int)
    chosen_runs = np.argsort(x, kind='stable')[ranks]
    x, solved = x[chosen_runs], solved[chosen_runs]
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
