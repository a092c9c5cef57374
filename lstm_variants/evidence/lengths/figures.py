"""A picture of length generalisation: error against length."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import axes as axes_lib
from matplotlib import figure, lines, patches, ticker
import numpy as np
import numpy.typing as npt

from lstm_variants.plots import theme

_TRAINED: dict[str, Any] = {'facecolor': '#e8e8e8', 'edgecolor': 'none'}
# Characters of the shortest label that room is left for: that of training.
_SHORTEST = 14
# Lengths, or values, whose largest is so many times the smallest are spread by
# their logarithms.
_WIDE = 10


def draw_lengths(
  title: str,
  models: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]],
  *,
  metric: str,
  trained: tuple[int, int],
  chance: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
) -> figure.Figure:
  """Draw a metric against the length, one line for each model.

  Args:
    title: of the figure: the task.
    models: label -> (lengths `[lengths]`, values `[runs, lengths]`); a value
      that is not finite is left out.
    metric: what the values are, with its unit.
    trained: the smallest and the largest length of training, shaded.
    chance: (lengths, levels) of the best predictor without memory; None: no
      line.

  Returns:
    A figure: lines are medians over runs, bands span all of them.

  Raises:
    ValueError: no models, values that do not fit their lengths.
  """
  curves = {label: _summarise(label, *curve) for label, curve in models.items()}
  if not curves:
    raise ValueError('no models to draw')
  every = [curve for curve, _ in curves.values()]
  labels = list(curves)
  entries = len(labels) + (1 if chance is None else 2)
  columns = _columns(labels)
  with theme.page(4.3 + 0.21 * -(-entries // columns)) as drawing:
    axes = drawing.add_subplot()
    axes.set_title(theme.plain(title), loc='left', fontweight='bold')
    axes.axvspan(trained[0] - 0.5, trained[1] + 0.5, zorder=0, **_TRAINED)
    handles: list[Any] = []
    looks: list[dict[str, Any]] = [
      {**line, 'linewidth': 1.3, 'marker': 'o', 'markersize': 3}
      for line in theme.line_looks(len(curves))
    ]
    for (lengths, values), look in zip(curves.values(), looks, strict=True):
      handles.append(lines.Line2D([], [], **look))
      _draw_curve(axes, lengths, values, look, min(0.15, 1 / len(curves)))
    handles.append(patches.Patch(**_TRAINED))
    low, high = trained
    several = f' to {high:,}' if high > low else ''
    labels.append(f'trained: {low:,}{several}')
    if chance is not None:
      level = np.broadcast_arrays(*map(np.asarray, chance))
      axes.plot(*level, **theme.MEMORYLESS)
      handles.append(lines.Line2D([], [], **theme.MEMORYLESS))
      labels.append('without memory')
    _scale(axes, np.concatenate([*every, np.asarray(trained)]), curves.values())
    axes.set_xlabel('length T (steps)')
    axes.set_ylabel(theme.plain(metric))
    theme.add_legend(drawing, handles, labels, columns=columns)
  return drawing


def _summarise(label: str, lengths: Any, values: Any):
  """Return sorted lengths, and the values of their order.

  Raises:
    ValueError: values that do not fit.
  """
  lengths, values = np.asarray(lengths), np.asarray(values, float)
  if values.ndim != 2 or not values.size or values.shape[1:] != lengths.shape:
    raise ValueError(
      f'values of {label} {values.shape} must be (runs, {lengths.size}), of at '
      'least one run and one length'
    )
  order = np.argsort(lengths, kind='stable')
  return lengths[order], np.where(np.isfinite(values), values, np.nan)[:, order]


def _draw_curve(
  axes: axes_lib.Axes,
  lengths: np.ndarray,
  values: np.ndarray,
  look: Mapping[str, Any],
  alpha: float,
) -> None:
  """Draw median and range over the runs that have a finite value."""
  seen = np.any(np.isfinite(values), axis=0)
  lengths, values = lengths[seen], values[:, seen]
  if not len(lengths):
    return
  band = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
  axes.fill_between(
    lengths, *band, color=look['color'], alpha=alpha, linewidth=0
  )
  axes.plot(lengths, np.nanmedian(values, axis=0), **look)


def _scale(axes: axes_lib.Axes, lengths: np.ndarray, curves: Any) -> None:
  """Choose linear or logarithmic axes."""
  if np.max(lengths) >= _WIDE * np.min(lengths):
    axes.set_xscale('log')
    axes.xaxis.set_major_formatter('{x:,.0f}')
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
  values = np.concatenate([values.ravel() for _, values in curves])
  above = values[values > 0]
  if len(above) and np.max(above) >= 10 * _WIDE * np.min(above):
    if np.nanmin(values) > 0:
      axes.set_yscale('log')
      axes.yaxis.set_major_formatter('{x:,g}')
  elif np.all((values >= 0) | np.isnan(values)):
    axes.set_ylim(bottom=0)


def _columns(labels: Sequence[str]) -> int:
  longest = max(_SHORTEST, *map(len, labels)) + 8  # its handle and a gap
  return max(1, theme.LEGEND_CHARACTERS // longest)
