"""Pictures of gates over many sequences: around marks, saturated, in time."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import axes as axes_lib
from matplotlib import figure, lines, style, ticker
import numpy as np
import numpy.typing as npt

from lstm_variants.evidence.gates import gate_statistics
from lstm_variants.plots import theme

_WIDTH = 7.5  # inches
_LINE = 0.2  # inches, of a line of a legend
_MARK: dict[str, Any] = {
  'color': '#444444',
  'linewidth': 0.9,
  'linestyle': (0, (4, 2)),
}
# Places beyond the axis of time constants, as shares of its height.
_ABOVE, _BELOW = 1.045, -0.045


def draw_aligned(
  title: str,
  averages: Mapping[str, gate_statistics.Aligned],
  units: Sequence[int],
  *,
  marks: Sequence[str] = (),
) -> figure.Figure:
  """Draw averages around marked steps: a row for each gate, a column per mark.

  Args:
    title: of the figure.
    averages: name of a gate or a state -> its average; all of the same marks.
    units: to be drawn, a line each.
    marks: what the marks are called.

  Returns:
    A figure: lines are means over sequences, bands go between the quantiles.

  Raises:
    ValueError: nothing to draw.
  """
  if not averages or not len(units):
    raise ValueError('no averages, or no units, to draw')
  columns = next(iter(averages.values())).mean.shape[0]
  looks = [
    {'color': color, 'linestyle': line, 'linewidth': 1.3}
    for line in theme.LINE_STYLES
    for color in theme.PALETTE
  ]
  labels = [f'unit {unit}' for unit in units]
  with style.context(['default', theme.STYLE]):
    drawing = _new_figure(title, 1.0 * len(averages) + 0.4, labels)
    every = drawing.subplots(
      len(averages), columns, sharex='col', sharey='row', squeeze=False
    )
    for row, (name, average) in zip(every, averages.items(), strict=True):
      row[0].set_ylabel(_plain(name))
      # Aligned by `align_ylabels` they would have been given no room.
      row[0].yaxis.set_label_coords(-0.065 * columns, 0.5)
      for mark, axes in enumerate(row):
        axes.axvline(0, **_MARK)
        for unit, look in zip(units, looks, strict=False):
          band = average.low[mark, :, unit], average.high[mark, :, unit]
          axes.fill_between(
            average.steps, *band, color=look['color'], alpha=0.18, linewidth=0
          )
          axes.plot(average.steps, average.mean[mark, :, unit], **look)
    for mark, axes in enumerate(every[-1]):
      name = marks[mark] if len(marks) else f'mark {mark + 1}'
      axes.set_xlabel(f'steps from {_plain(name)}')
      axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    handles = [lines.Line2D([], [], **look) for look in looks[: len(units)]]
    _add_legend(drawing, handles, labels)
  return drawing


def draw_saturation(
  title: str,
  models: Mapping[str, Mapping[str, gate_statistics.Saturation]],
) -> figure.Figure:
  """Draw how often each gate is nearly shut or open, and its values.

  Above, as in Karpathy et al. 2015, a dot is a unit: far right it is mostly
  open, far up mostly shut, at the origin neither. Below, the shares of all
  values.

  Args:
    title: of the figure.
    models: label of a model -> name of a gate -> its saturation.

  Returns:
    A figure with a column for each gate.

  Raises:
    ValueError: nothing to draw.
  """
  gates = list(dict.fromkeys(gate for one in models.values() for gate in one))
  if not gates:
    raise ValueError('no gates to draw')
  looks = _looks(len(models))
  with style.context(['default', theme.STYLE]):
    drawing = _new_figure(title, 4.0, list(models))
    every = drawing.subplots(2, len(gates), sharey='row', squeeze=False)
    for gate, (scatter, histogram) in zip(gates, every.T, strict=True):
      for found, (color, marker) in zip(models.values(), looks, strict=True):
        if gate in found:
          _draw_gate(scatter, histogram, found[gate], color, marker)
      scatter.plot([0, 1], [1, 0], color='#bbbbbb', linewidth=0.8, zorder=0)
      scatter.set_title(gate_statistics.NAMES.get(gate, gate), fontsize=9)
      for axes in (scatter, histogram):
        axes.set_xticks([0, 0.5, 1])
      scatter.set_xlim(-0.04, 1.04)
      scatter.set_ylim(-0.04, 1.04)
      scatter.set_xlabel(f'share of steps\nabove {gate_statistics.RIGHT}')
      histogram.set_xlim(0, 1)
      histogram.set_yscale('log')
      histogram.set_ylim(0.1, 100)
      histogram.yaxis.set_major_formatter('{x:g}')
      histogram.set_xlabel('value')
    every[0, 0].set_ylabel(f'share of steps\nbelow {gate_statistics.LEFT}')
    every[1, 0].set_ylabel('% of all values')
    handles = [
      lines.Line2D([], [], color=color, marker=marker, markersize=4)
      for color, marker in looks
    ]
    _add_legend(drawing, handles, list(models))
  return drawing


def _draw_gate(scatter, histogram, found, color, marker) -> None:
  scatter.scatter(
    found.right,
    found.left,
    s=16,
    marker=marker,
    facecolors='none',
    edgecolors=color,
    linewidths=0.9,
    clip_on=False,
  )
  edges = np.linspace(0, 1, len(found.shares) + 1)
  histogram.stairs(100 * found.shares, edges, color=color, linewidth=1.2)


def draw_time_constants(
  title: str,
  models: Mapping[str, Sequence[npt.ArrayLike]],
  lag: float | None = None,
) -> figure.Figure:
  """Draw how long the units of models keep their states, longest first.

  Args:
    title: of the figure.
    models: label of a model -> τ of each run, `[units]` in steps. inf stands
      above the axis, 0 below it.
    lag: how long the task asks to remember, in steps; None: no line.

  Returns:
    A figure: a thin line for each run.

  Raises:
    ValueError: no runs.
  """
  runs = [np.asarray(tau, float) for one in models.values() for tau in one]
  if not runs:
    raise ValueError('no runs to draw')
  looks = _looks(len(models))
  with style.context(['default', theme.STYLE]):
    drawing = _new_figure(title, 3.4, list(models))
    axes = drawing.add_subplot()
    for found, (color, marker) in zip(models.values(), looks, strict=True):
      for tau in found:
        _draw_sorted(axes, np.asarray(tau, float), color, marker)
    if lag is not None:
      axes.axhline(lag, **_MARK)
      note = axes.annotate(
        f'lag of the task: {lag:g} steps',
        (1, lag),
        xycoords=('axes fraction', 'data'),
        xytext=(-4, 3),
        textcoords='offset points',
        ha='right',
        fontsize=8,
      )
      note.set_in_layout(False)
    axes.set_yscale('log')
    axes.yaxis.set_major_formatter('{x:,g}')
    axes.set_xlim(0, 100)
    axes.set_xlabel('% of the units, longest first')
    axes.set_ylabel('time constant τ of the state (steps)')
    _name_ends(axes, np.concatenate(runs))
    handles = [
      lines.Line2D([], [], color=color, marker=marker, markersize=4)
      for color, marker in looks
    ]
    _add_legend(drawing, handles, list(models))
  return drawing


def _draw_sorted(axes: axes_lib.Axes, tau, color, marker) -> None:
  """Draw τ in falling order; a unit stands in the middle of its share."""
  tau = np.sort(tau)[::-1]
  share = 100 * (np.arange(len(tau)) + 0.5) / len(tau)
  look = {'color': color, 'marker': marker, 'markersize': 3.5}
  inside = np.isfinite(tau) & (tau > 0)
  axes.plot(share[inside], tau[inside], linewidth=1, alpha=0.9, **look)
  for ends, height in ((tau == np.inf, _ABOVE), (tau == 0, _BELOW)):
    if not np.any(ends):
      continue
    axes.plot(
      share[ends],
      np.full(np.count_nonzero(ends), height),
      linestyle='none',
      transform=axes.get_xaxis_transform(),
      clip_on=False,
      **look,
    )


def _name_ends(axes: axes_lib.Axes, tau: np.ndarray) -> None:
  """Write what stands above and below the axis, if anything does."""
  for there, height, text in (
    (np.any(tau == np.inf), _ABOVE, 'τ = ∞'),
    (np.any(tau == 0), _BELOW, 'τ = 0'),
  ):
    if there:
      axes.text(
        *(1.01, height, text),
        transform=axes.transAxes,
        va='center',
        fontsize=8,
      )


def _new_figure(
  title: str, height: float, labels: Sequence[str]
) -> figure.Figure:
  """Return a figure with room for its title and the legend below."""
  rows = -(-len(labels) // _columns(labels))
  drawing = figure.Figure(
    figsize=(_WIDTH, height + 0.9 + _LINE * rows), layout='constrained'
  )
  drawing.suptitle(_plain(title), x=0.01, ha='left', fontsize=10, weight='bold')
  return drawing


def _add_legend(
  drawing: figure.Figure, handles: Sequence[Any], labels: Sequence[str]
) -> None:
  drawing.legend(
    handles,
    [_plain(label) for label in labels],
    loc='outside lower left',
    ncols=_columns(labels),
    frameon=False,
    fontsize=8,
  )


def _columns(labels: Sequence[str]) -> int:
  longest = max(len(label) for label in labels) + 8  # its handle and a gap
  return max(1, min(len(labels), 100 // longest))


def _looks(count: int) -> list[tuple[str, str]]:
  """Return a colour and a marker of each model; the colour changes first."""
  pairs = [(color, marker) for marker in 'os^Dvx' for color in theme.PALETTE]
  return [pairs[n % len(pairs)] for n in range(count)]


def _plain(text: str) -> str:
  """Keep Matplotlib from reading dollars as mathematics."""
  return text.replace('$', r'\$')
