"""A picture of what every gate did over one sequence, step by step."""

from collections.abc import Callable, Sequence
import functools
from typing import Any, NamedTuple

from matplotlib import axes as axes_lib
from matplotlib import figure, style, ticker
import numpy as np
import numpy.typing as npt

from lstm_variants.evidence.gates.gate_statistics import NAMES, Trace
from lstm_variants.plots import samples, sequence_axes, theme

_WIDTH = 7.5  # inches
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
_MARK: dict[str, Any] = {
  'color': '#444444',
  'linewidth': 0.9,
  'linestyle': (0, (4, 2)),
}


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
  trace: Trace,
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
  steps = sequence_axes.count_steps(sample)
  rows = np.arange(trace.h.shape[-1]) if order is None else np.asarray(order)
  shown = trace.outputs[sequence, :steps]
  panels = [
    _Panel(lambda axes: sequence_axes.draw_inputs(axes, sample, steps), 0.9),
    _Panel(lambda axes: sequence_axes.draw_outputs(axes, sample, shown), 0.9),
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
  with style.context(['default', theme.STYLE]):
    drawing = figure.Figure(
      figsize=(_WIDTH, sum(heights) + 0.9), layout='constrained'
    )
    drawing.suptitle(
      sequence_axes.plain(title), x=0.01, ha='left', fontsize=10, weight='bold'
    )
    every = drawing.subplots(
      len(panels), sharex=True, squeeze=False, height_ratios=heights
    )[:, 0]
    for axes, panel in zip(every, panels, strict=True):
      panel.draw(axes)
      # Aligned by `align_ylabels` they would have been given no room.
      axes.yaxis.set_label_coords(-0.065, 0.5)
      for mark in marks:
        axes.axvline(mark, **_MARK)
    every[-1].set_xlim(-0.5, steps - 0.5)
    every[-1].set_xlabel('step')
    every[-1].xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    every[0].set_title(explanation, loc='left', fontsize=8, weight='normal')
  return drawing


def _explain(unit: int | None, ordered: str, marks: Sequence[int]) -> str:
  """Return what a reader of the maps has to know."""
  text = 'Rows of the maps are units'
  text += f', {sequence_axes.plain(ordered)}' if ordered else ''
  text += '' if unit is None else f'; ▸ is unit {unit}'
  return text + ('. Dashed: the marked steps.' if len(marks) else '.')


def _maps(trace, sequence, steps, rows, unit) -> list[_Panel]:
  """Return a panel of units × steps for each gate and state."""
  panels = []
  for name, values in trace.gates.items():
    if name in trace.off:
      text = f'{NAMES.get(name, name)}: none, it is 1 throughout'
      panels.append(_Panel(functools.partial(_say, text), 0.25))
      continue
    title = str(NAMES.get(name, name)).replace(' gate', '\ngate')
    shown = _Map(
      title, values[sequence, :steps].T, sequence_axes.SHARES, (0, 1)
    )
    panels.append(_panel(shown, rows, unit))
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
    shown = _Map(title, one, sequence_axes.STATES, (-most, most))
    panels.append(_panel(shown, rows, unit))
  return panels


def _panel(shown: _Map, rows: np.ndarray, unit: int | None) -> _Panel:
  # A projected h has other units than c: those are in their own order.
  own = len(shown.values) == len(rows)
  if own:
    shown = shown._replace(values=shown.values[rows])
  at = (
    int(np.flatnonzero(rows == unit)[0]) if own and unit is not None else None
  )
  height = min(max(0.03 * len(shown.values), 0.75), 1.5)
  return _Panel(functools.partial(_draw_units, shown, at), height)


def _draw_units(shown: _Map, at: int | None, axes: axes_lib.Axes) -> None:
  axes.set_ylabel(shown.title)
  sequence_axes.draw_map(axes, shown.values, shown.colors, shown.limits)
  axes.yaxis.set_major_locator(ticker.MaxNLocator(3, integer=True))
  if at is not None:
    axes.plot(
      *(-0.012, at),
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
    *(0.5, 0.5),
    text,
    transform=axes.transAxes,
    ha='center',
    va='center',
    fontsize=8,
  )


def _unit_lines(trace, sequence, steps, unit) -> list[_Panel]:
  """Return panels with the gates and the states of one unit."""
  gates = {
    NAMES.get(name, name): (values[sequence, :steps, unit], _LINES[name])
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
