"""Figures of gradients: over the steps of a sequence, and over lags.

All have a logarithmic axis of their own making: values come as log10, so that
1e-60 is a number like any other.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import itertools
import math
from typing import Any, NamedTuple

from matplotlib import axes as axes_lib
from matplotlib import figure, lines, patches, style, ticker
import numpy as np

from lstm_variants.evidence.gradient_flow import gradient_curves as curves_lib
from lstm_variants.plots import theme

_WIDTH = 7.5  # inches
_ROW_HEIGHT = 2.1  # inches
_LINE_HEIGHT = 0.2  # inches, of a legend
_LEGEND_CHARACTERS = 100  # in the width of a legend, beside its handles
# What is farther below the top of a panel leaves it at the bottom; lag norms
# above HIGHEST leave it at the top, both log10.
_DECADES = 16
HIGHEST = 6
GRAY = '#555555'
# The order of the rows; other states follow.
_STATES = ('c', 'h')
TITLE = {'x': 0.01, 'ha': 'left', 'fontweight': 'bold', 'fontsize': 10}
DOTTED = (0, (1, 1.2))
WHOLE = {'color': '#888888', 'linewidth': 0.7, 'zorder': 1}


class Moment(NamedTuple):
  """A time of training, a column of a figure.

  Attributes:
    title: as 'after 1,000 updates'.
    models: what was measured then, `gradient_curves.Flow`, or of all `Lags`.
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
    moments: the columns, of `gradient_curves.Flow`.
    normalised: the curves are shares, see `gradient_curves.normalise`.
    marks: label -> steps to mark in all panels, as those of the inputs that
      count.

  Returns:
    A figure: lines are medians over seeds, bands span all seeds.

  Raises:
    ValueError: no moment, or no model in any of them.
  """

  def rows(model: curves_lib.Flow, state: str) -> list[tuple[Any, str]]:
    norms = model.norms.get(state)
    return [] if norms is None else [(_log10(norms), '')]

  marks = marks or {}
  with style.context(['default', theme.STYLE]):
    drawing, grid, looks = _new_grid(title, moments, len(marks))
    for state, row in grid.items():
      norm = rf'$\Vert\partial L/\partial {_symbol(state)}_t\Vert$'
      row[0].set_ylabel(f'share of the step in {norm}' if normalised else norm)
      _draw_row(row, moments, looks, lambda model, s=state: rows(model, s))
    extra = []
    for n, (label, steps) in enumerate(marks.items()):
      look = {'color': GRAY, 'linestyle': theme.LINE_STYLES[2 + n % 8]}
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
    moments: the columns, of `gradient_curves.Lags`.

  Returns:
    A figure: lines are medians over seeds, bands span all seeds; dotted, the
    product of the forget gates.

  Raises:
    ValueError: no moment, or no model in any of them.
  """

  def rows(model: curves_lib.Lags, state: str) -> list[tuple[Any, str]]:
    found = []
    if state in model.norms:
      found.append((model.norms[state], ''))
    if model.path is not None and model.path_state == state:
      found.append((model.path, 'dotted'))
    return found

  with style.context(['default', theme.STYLE]):
    drawing, grid, looks = _new_grid(title, moments, 1)
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


def _new_grid(
  title: str, moments: Sequence[Moment], more: int
) -> tuple[figure.Figure, dict[str, Any], dict[str, dict[str, Any]]]:
  """Return a figure, state -> its row of axes, and the look of each model."""
  models = [model for moment in moments for model in moment.models]
  if not models:
    raise ValueError(f'{title!r} has nothing to draw: give at least one model')
  labels = list(dict.fromkeys(model.label for model in models))
  known = dict.fromkeys(name for model in models for name in model.norms)
  states = [name for name in _STATES if name in known]
  states += [name for name in known if name not in states]
  legend = -(-(len(labels) + more + 1) // _columns(labels))
  height = 1.0 + _ROW_HEIGHT * len(states) + _LINE_HEIGHT * legend
  drawing = figure.Figure(figsize=(_WIDTH, height), layout='constrained')
  drawing.suptitle(_plain(title), **TITLE)
  grid = drawing.subplots(
    len(states), len(moments), sharex=True, sharey='row', squeeze=False
  )
  for axes, moment in zip(grid[0], moments, strict=True):
    axes.set_title(_plain(moment.title), loc='left', fontsize=9)
  pairs = [(c, s) for s in theme.LINE_STYLES for c in theme.PALETTE]
  looks = {
    label: {'color': color, 'linestyle': line, 'linewidth': 1.4}
    for label, (color, line) in zip(
      labels, itertools.cycle(pairs), strict=False
    )
  }
  return drawing, dict(zip(states, grid, strict=True)), looks


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
      if line:
        look |= {'linestyle': DOTTED, 'linewidth': 1.2}
      draw_curves(axes, values, look, alpha * (not line), bottom)


def draw_curves(
  axes: axes_lib.Axes,
  values: np.ndarray,
  look: Mapping[str, Any],
  alpha: float,
  bottom: float,
) -> None:
  """Draw median and range of log10 values, `[seeds, steps]`."""
  spread = curves_lib.over_seeds(values)
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
    panel.yaxis.set_major_formatter(_power)
    panel.xaxis.set_major_locator(ticker.MaxNLocator(5, integer=True))
    panel.xaxis.set_major_formatter('{x:,.0f}')
    panel.margins(x=0.02)
  return bottom


def _power(value: float, position: float) -> str:
  del position
  return '1' if value == 0 else rf'$10^{{{value:.0f}}}$'


def _add_legend(
  drawing: figure.Figure,
  moments: Sequence[Moment],
  looks: Mapping[str, Mapping[str, Any]],
  extra: Sequence[tuple[Any, str]],
) -> None:
  entries: list[tuple[Any, str]] = [
    (lines.Line2D([], [], **look), _plain(label))
    for label, look in looks.items()
  ]
  entries += [(handle, _plain(label)) for handle, label in extra]
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
  drawing.legend(
    handles,
    labels,
    loc='outside lower left',
    ncols=_columns(labels),
    frameon=False,
    fontsize=8,
    handlelength=3.2,
  )


def _columns(labels: Sequence[str]) -> int:
  longest = max(len(label) for label in labels) + 8  # its handle and a gap
  return max(1, min(len(labels), _LEGEND_CHARACTERS // longest))


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


def _plain(text: str) -> str:
  """Keep Matplotlib from reading dollars as mathematics."""
  return text.replace('$', r'\$')
