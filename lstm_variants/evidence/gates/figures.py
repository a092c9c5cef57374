"""Pictures of gates: over one sequence, around marks, saturated, in time."""

from collections.abc import Callable, Mapping, Sequence
import contextlib
import functools
from typing import Any, NamedTuple

from matplotlib import axes as axes_lib
from matplotlib import figure, lines, ticker
import numpy as np
import numpy.typing as npt

from lstm_variants.evidence.gates import measure
from lstm_variants.plots import samples, sequence_axes, theme

# Colours of a gate wherever it is a line.
_LINES = {
  name: theme.PALETTE[index]
  for names, index in (
    (('i', 'in', 'z'), 2),
    (('f', 'r'), 1),
    (('o', 'out', 'd'), 5),
  )
  for name in names
}
# Places beyond the axis of time constants, as shares of its height.
_ABOVE, _BELOW = 1.045, -0.045


class _Panel(NamedTuple):
  """What is drawn in one row of the figure, and its height in inches."""

  draw: Callable[[axes_lib.Axes], None]
  height: float


class _Map(NamedTuple):
  """Values `[units, steps]`, and how they are coloured."""

  title: str
  values: np.ndarray
  colors: str
  limits: tuple[float, float]


def draw_sequence(
  title: str,
  sample: samples.Sample,
  trace: measure.Trace,
  *,
  sequence: int = 0,
  marks: Sequence[int] = (),
  unit: int | None = None,
  order: npt.ArrayLike | None = None,
  ordered: str = '',
) -> figure.Figure:
  """Draw what every gate did over one sequence.

  From the top: inputs; target and output; each gate, the candidate, c and h as
  units × steps; one unit as lines.

  Args:
    title: of the figure.
    sample: the sequence.
    trace: of a batch in which it is.
    sequence: which of the batch.
    marks: steps to be pointed out, by thin lines.
    unit: to be drawn as lines, and pointed out in the others; None: no unit.
    order: the units from top to bottom; None: as they are.
    ordered: what by, in words.

  Returns:
    A figure. Gates go from 0, white, to 1; the others are white at 0, and c of
    each unit is shown as a share of its largest |c| in the sequence.
  """
  steps = samples.count_steps(sample)
  rows = np.arange(trace.h.shape[-1]) if order is None else np.asarray(order)
  outputs = trace.outputs[sequence, :steps]
  panels = [
    _Panel(lambda axes: sequence_axes.draw_inputs(axes, sample, steps), 0.9),
    _Panel(lambda axes: sequence_axes.draw_outputs(axes, sample, outputs), 0.9),
    *_maps(trace, sequence, steps, rows, unit),
  ]
  if unit is not None:
    panels += _unit_lines(trace, sequence, steps, unit)
  return _assemble(title, panels, steps, marks, _explain(unit, ordered, marks))


def _assemble(
  title: str,
  panels: Sequence[_Panel],
  steps: int,
  marks: Sequence[int],
  explanation: str,
) -> figure.Figure:
  """Draw the panels below each other, on one time axis."""
  heights = [panel.height for panel in panels]
  with theme.page(sum(heights) + 0.9, title) as drawing:
    every = drawing.subplots(
      len(panels), sharex=True, squeeze=False, height_ratios=heights
    )[:, 0]
    for axes, panel in zip(every, panels, strict=True):
      panel.draw(axes)
      # Aligned by `align_ylabels` they would have been given no room.
      axes.yaxis.set_label_coords(-0.065, 0.5)
      for mark in marks:
        axes.axvline(mark, **theme.MARK)
    every[-1].set_xlim(-0.5, steps - 0.5)
    every[-1].set_xlabel('step')
    every[-1].xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    every[0].set_title(explanation, loc='left', fontsize=8, weight='normal')
  return drawing


def _explain(unit: int | None, ordered: str, marks: Sequence[int]) -> str:
  """Return what a reader of the maps has to know."""
  text = 'Rows of the maps are units'
  if ordered:
    text += f', {theme.plain(ordered)}'
  if unit is not None:
    text += f'; ▸ is unit {unit}'
  return text + ('. Dashed: the marked steps.' if len(marks) else '.')


def _maps(trace, sequence, steps, rows, unit) -> list[_Panel]:
  """Return a panel of units × steps for each gate and state."""
  panels = []
  for name, values in trace.gates.items():
    if name in trace.off:
      text = f'{measure.NAMES.get(name, name)}: none, it is 1 throughout'
      panels.append(_Panel(functools.partial(_say, text), 0.25))
      continue
    title = str(measure.NAMES.get(name, name)).replace(' gate', '\ngate')
    panel_map = _Map(
      title, values[sequence, :steps].T, sequence_axes.SHARES, (0, 1)
    )
    panels.append(_panel(panel_map, rows, unit))
  for title, values in (
    ('candidate\ng', trace.candidate),
    ('cell state\nc / max |c|', trace.c),
    ('hidden\nstate h', trace.h),
  ):
    if values is None:
      continue
    one = values[sequence, :steps].T
    if values is trace.c:
      # A unit that counts would leave no colour for the others.
      one = one / np.maximum(np.max(np.abs(one), axis=1, keepdims=True), 1e-6)
    most = float(np.max(np.abs(one[np.isfinite(one)]), initial=1e-6))
    panel_map = _Map(title, one, sequence_axes.STATES, (-most, most))
    panels.append(_panel(panel_map, rows, unit))
  return panels


def _panel(panel_map: _Map, rows: np.ndarray, unit: int | None) -> _Panel:
  # A projected h has other units than c: those are in their own order.
  own = len(panel_map.values) == len(rows)
  if own:
    panel_map = panel_map._replace(values=panel_map.values[rows])
  at = (
    int(np.flatnonzero(rows == unit)[0]) if own and unit is not None else None
  )
  height = min(max(0.03 * len(panel_map.values), 0.75), 1.5)
  return _Panel(functools.partial(_draw_units, panel_map, at), height)


def _draw_units(panel_map: _Map, at: int | None, axes: axes_lib.Axes) -> None:
  axes.set_ylabel(panel_map.title)
  sequence_axes.draw_map(
    axes, panel_map.values, panel_map.colors, panel_map.limits
  )
  axes.yaxis.set_major_locator(ticker.MaxNLocator(3, integer=True))
  if at is not None:
    axes.plot(
      -0.012,
      at,
      '>',
      color='black',
      clip_on=False,
      markersize=4,
      transform=axes.get_yaxis_transform(),
    )
    axes.set_yticks([])


def _say(text: str, axes: axes_lib.Axes) -> None:
  axes.set_yticks([])
  axes.grid(visible=False)
  axes.text(
    0.5,
    0.5,
    text,
    transform=axes.transAxes,
    ha='center',
    va='center',
    fontsize=8,
  )


def _unit_lines(trace, sequence, steps, unit) -> list[_Panel]:
  """Return panels with the gates and the states of one unit."""
  gates = {
    measure.NAMES.get(name, name): (
      values[sequence, :steps, unit],
      _LINES[name],
    )
    for name, values in trace.gates.items()
    if name not in trace.off
  }
  states = {
    label: (values[sequence, :steps, unit], color)
    for label, values, color in (
      ('candidate g', trace.candidate, '#999999'),
      ('cell state c', trace.c, 'black'),
      ('hidden state h', trace.h, theme.PALETTE[3]),
    )
    # A projected h has fewer units than c.
    if values is not None and unit < values.shape[-1]
  }
  panels = [
    _Panel(
      functools.partial(_draw_lines, f'unit {unit}\nstates', states, None), 1.0
    )
  ]
  if gates:
    draw = functools.partial(
      _draw_lines, f'unit {unit}\ngates', gates, (-0.04, 1.04)
    )
    panels.insert(0, _Panel(draw, 1.0))
  return panels


def _draw_lines(title, curves, limits, axes) -> None:
  axes.set_ylabel(title)
  for label, (values, color) in curves.items():
    axes.plot(values, label=label, color=color, linewidth=1.3)
  if limits is None:
    axes.axhline(0, color='#999999', linewidth=0.6)
  else:
    axes.set_ylim(*limits)
  sequence_axes.add_legend(axes)


def draw_aligned(
  title: str,
  averages: Mapping[str, measure.Aligned],
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
  looks: list[dict[str, Any]] = [
    {**line, 'linewidth': 1.3} for line in theme.line_looks(len(units))
  ]
  labels = [f'unit {unit}' for unit in units]
  with _page(title, 1.0 * len(averages) + 0.4, labels) as drawing:
    every = drawing.subplots(
      len(averages), columns, sharex='col', sharey='row', squeeze=False
    )
    for row, (name, average) in zip(every, averages.items(), strict=True):
      row[0].set_ylabel(theme.plain(name))
      # Aligned by `align_ylabels` they would have been given no room.
      row[0].yaxis.set_label_coords(-0.065 * columns, 0.5)
      for mark, axes in enumerate(row):
        axes.axvline(0, **theme.MARK)
        for unit, look in zip(units, looks, strict=True):
          band = average.low[mark, :, unit], average.high[mark, :, unit]
          axes.fill_between(
            average.steps, *band, color=look['color'], alpha=0.18, linewidth=0
          )
          axes.plot(average.steps, average.mean[mark, :, unit], **look)
    for mark, axes in enumerate(every[-1]):
      name = marks[mark] if len(marks) else f'mark {mark + 1}'
      axes.set_xlabel(f'steps from {theme.plain(name)}')
      axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    handles = [lines.Line2D([], [], **look) for look in looks]
    _add_legend(drawing, handles, labels)
  return drawing


def draw_saturation(
  title: str,
  models: Mapping[str, Mapping[str, measure.Saturation]],
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
  looks = theme.marker_looks(len(models))
  with _page(title, 4.0, list(models)) as drawing:
    every = drawing.subplots(2, len(gates), sharey='row', squeeze=False)
    for gate, (scatter, histogram) in zip(gates, every.T, strict=True):
      for of_gates, look in zip(models.values(), looks, strict=True):
        if gate in of_gates:
          _draw_gate(scatter, histogram, of_gates[gate], look)
      scatter.plot([0, 1], [1, 0], color='#bbbbbb', linewidth=0.8, zorder=0)
      scatter.set_title(measure.NAMES.get(gate, gate), fontsize=9)
      for axes in (scatter, histogram):
        axes.set_xticks([0, 0.5, 1])
      scatter.set_xlim(-0.04, 1.04)
      scatter.set_ylim(-0.04, 1.04)
      scatter.set_xlabel(f'share of steps\nabove {measure.RIGHT}')
      histogram.set_xlim(0, 1)
      histogram.set_yscale('log')
      histogram.set_ylim(0.1, 100)
      histogram.yaxis.set_major_formatter('{x:g}')
      histogram.set_xlabel('value')
    every[0, 0].set_ylabel(f'share of steps\nbelow {measure.LEFT}')
    every[1, 0].set_ylabel('% of all values')
    handles = [lines.Line2D([], [], markersize=4, **look) for look in looks]
    _add_legend(drawing, handles, list(models))
  return drawing


def _draw_gate(
  scatter: axes_lib.Axes,
  histogram: axes_lib.Axes,
  saturation: measure.Saturation,
  look: Mapping[str, Any],
) -> None:
  scatter.scatter(
    saturation.right,
    saturation.left,
    s=16,
    marker=look['marker'],
    facecolors='none',
    edgecolors=look['color'],
    linewidths=0.9,
    clip_on=False,
  )
  edges = np.linspace(0, 1, len(saturation.shares) + 1)
  histogram.stairs(
    100 * saturation.shares, edges, color=look['color'], linewidth=1.2
  )


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
  looks = theme.marker_looks(len(models))
  with _page(title, 3.4, list(models)) as drawing:
    axes = drawing.add_subplot()
    for of_runs, look in zip(models.values(), looks, strict=True):
      for tau in of_runs:
        _draw_sorted(axes, np.asarray(tau, float), look)
    if lag is not None:
      axes.axhline(lag, **theme.MARK)
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
    handles = [lines.Line2D([], [], markersize=4, **look) for look in looks]
    _add_legend(drawing, handles, list(models))
  return drawing


def _draw_sorted(
  axes: axes_lib.Axes, tau: np.ndarray, look: Mapping[str, Any]
) -> None:
  """Draw τ in falling order; a unit stands in the middle of its share."""
  tau = np.sort(tau)[::-1]
  share = 100 * (np.arange(len(tau)) + 0.5) / len(tau)
  inside = np.isfinite(tau) & (tau > 0)
  axes.plot(
    share[inside], tau[inside], linewidth=1, alpha=0.9, markersize=3.5, **look
  )
  for ends, height in ((tau == np.inf, _ABOVE), (tau == 0, _BELOW)):
    if not np.any(ends):
      continue
    axes.plot(
      share[ends],
      np.full(np.count_nonzero(ends), height),
      linestyle='none',
      transform=axes.get_xaxis_transform(),
      clip_on=False,
      markersize=3.5,
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
        1.01,
        height,
        text,
        transform=axes.transAxes,
        va='center',
        fontsize=8,
      )


def _page(
  title: str, height: float, labels: Sequence[str]
) -> contextlib.AbstractContextManager[figure.Figure]:
  """Give a figure with room for its title and the legend below."""
  return theme.page(height + 0.9 + 0.2 * theme.legend_rows(labels), title)


def _add_legend(
  drawing: figure.Figure, handles: Sequence[Any], labels: Sequence[str]
) -> None:
  theme.add_legend(drawing, handles, labels, handle_length=2.0)
