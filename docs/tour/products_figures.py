"""How pictures 1 and 3 are drawn; the second one is of `analysis`."""

from typing import Any

from matplotlib import axes as axes_lib
from matplotlib import figure
import numpy as np

from docs.tour import canvas
from lstm_variants.plots import sequence_axes, theme

# Of the products in the first picture: what is farther below leaves the panel.
_DECADES = 24
_FAINT: dict[str, Any] = {'color': canvas.GRAY, 'linewidth': 0.4, 'alpha': 0.7}


def draw_chain(
  labels: tuple[str, str],
  factors: Any,
  forget: np.ndarray,
  kept: np.ndarray,
  best: int,
) -> figure.Figure:
  """Draw the factor of each step above, their product below.

  Args:
    labels: what the models are called.
    factors: of the simple RNN, `products.Factors`.
    forget: forget gates of the LSTM from the second step on, `[steps, units]`.
    kept: log10 of their products, `[steps + 1, units]`.
    best: the unit that keeps most.
  """
  title = 'The chain of products: one factor a step, and what they multiply to'
  lags = np.arange(len(kept))
  with canvas.page(title, 4.8) as drawing:
    grid = drawing.subplots(2, 2, sharex=True, sharey='row')
    canvas.head(grid[0, 0], f'{labels[0]}: a matrix a step')
    canvas.head(grid[0, 1], f'{labels[1]}: a number a step and unit')
    above, below = grid
    _draw_matrices(above[0], below[0], lags, factors)
    _draw_gates(above[1], below[1], lags, forget, kept, best)
    for axes in above:
      axes.axhline(1, color=canvas.GRAY, linewidth=0.7, zorder=1)
      canvas.legend(axes, loc='upper right')
    lowest = min(factors.product.min(), np.median(kept[-1]))
    below[0].set_ylim(max(lowest, -_DECADES) - 0.5, 2)
    canvas.powers(below[0])
    for axes in grid[1]:
      axes.axhline(0, color=canvas.GRAY, linewidth=0.7, zorder=1)
      canvas.steps(axes, 'lag k (steps)')
  return drawing


def _draw_matrices(
  above: axes_lib.Axes, below: axes_lib.Axes, lags: np.ndarray, factors: Any
) -> None:
  """Draw the matrices of the simple RNN and their product."""
  above.plot(
    lags[1:],
    factors.norms,
    color=canvas.ORANGE,
    linestyle=(0, (1, 1.2)),
    label=r'at most $\Vert J_t\Vert$, $J_t=R\,\mathrm{diag}(1-h_t^2)$',
  )
  above.plot(
    lags[1:],
    factors.factors,
    color=canvas.ORANGE,
    label='what the step makes of the product',
  )
  above.set_ylabel('factor of a step')
  above.set_ylim(0, 1.4 * max(1.0, float(np.max(factors.norms))))
  below.plot(lags, factors.product, color=canvas.ORANGE)
  below.set_ylabel(r'product $\Vert J_1J_2\cdots J_k\Vert$')


def _draw_gates(
  above: axes_lib.Axes,
  below: axes_lib.Axes,
  lags: np.ndarray,
  forget: np.ndarray,
  kept: np.ndarray,
  best: int,
) -> None:
  """Draw the forget gates of the LSTM and their products."""
  above.plot([], [], **_FAINT, label=r'$f_t$ of each unit')
  above.plot(lags[1:], forget, **_FAINT)
  above.plot(
    lags[1:],
    forget[:, best],
    color=canvas.BLUE,
    label='of the unit that keeps most',
  )
  below.plot(lags, kept, **_FAINT)
  below.plot(lags, kept[:, best], color=canvas.BLUE)
  below.set_ylabel(r'product $f_1f_2\cdots f_k$')


def draw_belt(
  run: str,
  value: np.ndarray,
  marks: list[int],
  forget: np.ndarray,
  belt: Any,
  c: np.ndarray,
) -> figure.Figure:
  """Draw what is put on the belt at each step, and how far it is carried.

  Args:
    run: what the run and its unit are called.
    value: of the inputs, `[time]`.
    marks: marked steps.
    forget: f of the unit, `[time]`.
    belt: `products.Belt`.
    c: the cell state, `[time]`.
  """
  title = f'The conveyor belt of one cell state: {run}'
  edges, time = np.arange(len(c) + 1) - 0.5, np.arange(len(c))
  colors = (canvas.ORANGE, canvas.GREEN)
  with canvas.page(title, 6.2) as drawing:
    inputs, gate, carried, state = drawing.subplots(
      4, sharex=True, height_ratios=(0.7, 0.6, 2.0, 1.3)
    )
    inputs.stairs(value, edges, color=canvas.GRAY, fill=True, alpha=0.5)
    for mark, color in zip(marks, colors, strict=False):
      inputs.bar(mark, value[mark], width=1, color=color)
    inputs.set_ylabel('input value')
    canvas.head(inputs, 'coloured: the two marked values, to be added')
    gate.plot(time, forget, color=canvas.BLUE, drawstyle='steps-mid')
    gate.set_ylim(-0.04, 1.08)
    gate.set_ylabel('forget\ngate f')
    most = float(np.nanmax(np.abs(belt.parts)))
    sequence_axes.draw_map(
      carried, belt.parts, sequence_axes.STATES, (-most, most)
    )
    carried.set_ylabel('put in at step s')
    canvas.head(
      carried,
      r'each row: $i_s g_s$, put in at step s, and what is left of it, '
      r'$(f_{s+1}\cdots f_t)\,i_s g_s$',
    )
    rest = c.copy()
    for n, (mark, color) in enumerate(zip(marks, colors, strict=False)):
      part = np.nan_to_num(belt.parts[mark])
      rest -= part
      state.plot(time, part, color=color, label=f'from mark {n + 1}')
    state.plot(time, rest, color=canvas.GRAY, label='from all others')
    state.plot(time, c, color='black', linewidth=2, label=r'sum: $c_t$')
    state.set_ylabel('cell state c')
    canvas.legend(state, loc='center left', bbox_to_anchor=(1.0, 0.5))
    for axes in (inputs, gate, carried, state):
      for mark in marks:
        axes.axvline(mark, **theme.MARK)
    state.set_xlim(edges[0], edges[-1])
    canvas.steps(state, 'step t')
  return drawing
