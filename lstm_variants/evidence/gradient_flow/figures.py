"""Figures of gradients: over the steps of a sequence, and over lags.

All have a logarithmic axis of their own making: values come as log10, so that
1e-60 is a number like any other.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import contextlib
import itertools
import math
from typing import Any, NamedTuple

from matplotlib import axes as axes_lib
from matplotlib import figure, lines, patches, ticker
import numpy as np

from lstm_variants.evidence.gradient_flow import curves
from lstm_variants.plots import theme

# What is farther below the top of a panel leaves it at the bottom; lag norms
# above HIGHEST leave it at the top, both log10.
_DECADES = 16
HIGHEST = 6
GRAY = '#555555'
# The order of the rows; other states follow.
_FIRST_STATES = ('c', 'h')
DOTTED = (0, (1, 1.2))
WHOLE = {'color': '#888888', 'linewidth': 0.7, 'zorder': 1}


class Moment(NamedTuple):
  """A time of training, a column of a figure.

  Attributes:
    title: as 'after 1,000 updates'.
    models: what was measured then, `curves.Flow`, or of all `Lags`.
  """

  title: str
  models: Sequence[Any]


def draw_gradient_flow(
  title: str,
  moments: Sequence[Moment],
  *,
  normalised: bool = False,
  marks: Mapping[str, Sequence[float]] | None = None,
) -> figure.Figure:
  """Draw the error that arrives at each step, a panel per state and moment.

  Args:
    title: of the figure.
    moments: the columns, of `curves.Flow`.
    normalised: the curves are shares, see `curves.normalise`.
    marks: label -> steps to mark in all panels, as those of the inputs that
      count.

  Returns:
    A figure: lines are medians over seeds, bands span all seeds.

  Raises:
    ValueError: no moment, or no model in any of them.
  """

  def rows(model: curves.Flow, state: str) -> list[tuple[Any, str]]:
    norms = model.norms.get(state)
    return [] if norms is None else [(_log10(norms), '')]

  marks = marks or {}
  with _page(title, moments, len(marks)) as drawing:
    grid, looks = _new_grid(drawing, moments)
    for state, row in grid.items():
      norm = rf'$\Vert\partial L/\partial {_symbol(state)}_t\Vert$'
      row[0].set_ylabel(f'share of the step in {norm}' if normalised else norm)
      _draw_row(row, moments, looks, lambda model, s=state: rows(model, s))
    extra = []
    for n, (label, steps) in enumerate(marks.items()):
      look: Any = {'color': GRAY, 'linestyle': theme.LINE_STYLES[2 + n % 8]}
      for axes, step in itertools.product(np.ravel(list(grid.values())), steps):
        axes.axvline(step, linewidth=1.2, zorder=1, **look)
      extra.append((lines.Line2D([], [], linewidth=1.2, **look), label))
    # There is no room for more below many panels.
    note = '   (the error travels ←)' if len(moments) < 3 else '  (error ←)'
    _label_steps(grid, f'step t{note}')
    _add_legend(drawing, moments, looks, extra)
  return drawing


def draw_lags(title: str, moments: Sequence[Moment]) -> figure.Figure:
  """Draw what is left of a state after k steps, a panel per state and moment.

  Args:
    title: of the figure.
    moments: the columns, of `curves.Lags`.

  Returns:
    A figure: lines are medians over seeds, bands span all seeds; dotted, the
    product of the forget gates.

  Raises:
    ValueError: no moment, or no model in any of them.
  """

  def rows(model: curves.Lags, state: str) -> list[tuple[Any, str]]:
    lines_of = []
    if state in model.norms:
      lines_of.append((model.norms[state], ''))
    if model.path is not None and model.path_state == state:
      lines_of.append((model.path, 'dotted'))
    return lines_of

  with _page(title, moments, 1) as drawing:
    grid, looks = _new_grid(drawing, moments)
    for state, row in grid.items():
      row[0].set_ylabel(lag_label(_symbol(state)))
      for axes in row:
        axes.axhline(0, **WHOLE)
      _draw_row(
        row, moments, looks, lambda model, s=state: rows(model, s), HIGHEST
      )
    models = [model for moment in moments for model in moment.models]
    extra = []
    if any(model.path is not None for model in models):
      dotted = lines.Line2D([], [], color=GRAY, linestyle=DOTTED)
      extra.append((dotted, 'forget gates alone'))
    _label_steps(grid, 'lag k (steps)')
    _add_legend(drawing, moments, looks, extra)
  return drawing


def _page(
  title: str, moments: Sequence[Moment], more: int
) -> contextlib.AbstractContextManager[figure.Figure]:
  """Give a figure with room for its rows, and for `more` in the legend.

  Raises:
    ValueError: no moment, or no model in any of them.
  """
  labels, states = _labels(moments), _states(moments)
  if not labels:
    raise ValueError(f'{title!r} has nothing to draw: give at least one model')
  columns = theme.legend_columns(labels)
  rows = -(-(len(labels) + more + 1) // columns)
  return theme.page(1.0 + 2.1 * len(states) + 0.2 * rows, title)


def _labels(moments: Sequence[Moment]) -> list[str]:
  """Return the labels of the models in the order of the legend."""
  models = (model for moment in moments for model in moment.models)
  return list(dict.fromkeys(model.label for model in models))


def _states(moments: Sequence[Moment]) -> list[str]:
  """Return the states in the order of the rows."""
  models = (model for moment in moments for model in moment.models)
  known = dict.fromkeys(name for model in models for name in model.norms)
  first = [name for name in _FIRST_STATES if name in known]
  return first + [name for name in known if name not in first]


def _new_grid(
  drawing: figure.Figure, moments: Sequence[Moment]
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
  """Return state -> its row of axes, and the look of each model."""
  labels, states = _labels(moments), _states(moments)
  grid = drawing.subplots(
    len(states), len(moments), sharex=True, sharey='row', squeeze=False
  )
  for axes, moment in zip(grid[0], moments, strict=True):
    axes.set_title(theme.plain(moment.title), loc='left', fontsize=9)
  looks = {
    label: {**line, 'linewidth': 1.4}
    for label, line in zip(labels, theme.line_looks(len(labels)), strict=True)
  }
  return dict(zip(states, grid, strict=True)), looks


def _label_steps(grid: Mapping[str, Any], label: str) -> None:
  for axes in list(grid.values())[-1]:
    axes.set_xlabel(label)


def _draw_row(
  row: Sequence[axes_lib.Axes],
  moments: Sequence[Moment],
  looks: Mapping[str, Mapping[str, Any]],
  rows: Callable[[Any], list[tuple[Any, str]]],
  highest: float = math.inf,
) -> None:
  """Draw one state at all moments, on one scale."""
  of_panels = [
    [(model.label, *row) for model in moment.models for row in rows(model)]
    for moment in moments
  ]
  drawn = [values for panel in of_panels for _, values, _ in panel]
  bottom = scale(row, drawn, highest)
  # Many bands lie upon each other: together they stay pale.
  alpha = min(0.18, 1 / len(looks))
  for axes, panel in zip(row, of_panels, strict=True):
    for label, values, line in panel:
      look = dict(looks[label])
      if line == 'dotted':
        look |= {'linestyle': DOTTED, 'linewidth': 1.2}
        draw_curves(axes, values, look, 0.0, bottom)
      else:
        draw_curves(axes, values, look, alpha, bottom)


def draw_curves(
  axes: axes_lib.Axes,
  values: np.ndarray,
  look: Mapping[str, Any],
  alpha: float,
  bottom: float,
) -> None:
  """Draw median and range of log10 values, `[seeds, steps]`."""
  spread = curves.over_seeds(values)
  # Nothing left: the line leaves the panel, instead of ending in it.
  low, median, high = (
    np.where(line == -np.inf, bottom - 2 * _DECADES, line)
    for line in (spread.low, spread.median, spread.high)
  )
  steps = np.arange(len(median))
  if len(values) > 1 and alpha:
    band = {'color': look['color'], 'alpha': alpha, 'linewidth': 0}
    axes.fill_between(steps, low, high, **band)
  marker = '.' if np.count_nonzero(np.isfinite(median)) == 1 else ''
  axes.plot(steps, median, marker=marker, **look)


def scale(
  axes: Iterable[axes_lib.Axes],
  values: Sequence[Any],
  highest: float = math.inf,
) -> float:
  """Set logarithmic axes to log10 values; return their lower end."""
  every = np.concatenate([np.ravel(array) for array in values] or [np.zeros(1)])
  every = every[np.isfinite(every)]
  top = min(float(np.max(every, initial=-math.inf)), highest)
  top = top if math.isfinite(top) else 0.0
  bottom = max(float(np.min(every, initial=math.inf)), top - _DECADES)
  bottom = min(bottom, top - 1)
  margin = 0.04 * (top - bottom)
  for panel in axes:
    panel.set_ylim(bottom - margin, top + margin)
    panel.yaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
    panel.yaxis.set_major_formatter(theme.power)
    panel.xaxis.set_major_locator(ticker.MaxNLocator(5, integer=True))
    panel.xaxis.set_major_formatter('{x:,.0f}')
    panel.margins(x=0.02)
  return bottom


def _add_legend(
  drawing: figure.Figure,
  moments: Sequence[Moment],
  looks: Mapping[str, Mapping[str, Any]],
  extra: Sequence[tuple[Any, str]],
) -> None:
  entries: list[tuple[Any, str]] = [
    (lines.Line2D([], [], **look), label) for label, look in looks.items()
  ]
  entries += extra
  seeds = [
    len(values)
    for moment in moments
    for model in moment.models
    for values in model.norms.values()
  ]
  if max(seeds, default=0) > 1:
    band = patches.Patch(color=GRAY, alpha=0.3, linewidth=0)
    middle = lines.Line2D([], [], color=GRAY)
    entries.append(((band, middle), 'median, range of seeds'))
  handles, labels = zip(*entries, strict=True)
  theme.add_legend(drawing, handles, labels)


def lag_label(symbol: str) -> str:
  """Return the norm of the Jacobian over k steps, as mathematics."""
  return rf'$\Vert\partial {symbol}_{{t+k}}/\partial {symbol}_t\Vert$'


def _symbol(state: str) -> str:
  """Return the name of a state as mathematics; long ones are words."""
  return (
    state if len(state) == 1 else rf'\mathrm{{{state}}}'.replace('_', r'\_')
  )


def _log10(values: np.ndarray) -> np.ndarray:
  with np.errstate(divide='ignore', invalid='ignore'):
    return np.log10(values)
