"""The figure of the simple RNN by the largest singular value of R."""

from typing import Any

import matplotlib
from matplotlib import figure, lines, patches
import numpy as np

from docs.tour import canvas, singular_values
from lstm_variants.evidence.gradient_flow import figures


def draw_singular_values(
  curves: singular_values.SingularValues,
) -> figure.Figure:
  """Draw the lag norms of simple RNNs, a line per largest singular value.

  Args:
    curves: from `singular_values.singular_value_curves`.

  Returns:
    A figure: rows are kinds of matrices, columns linear and tanh units.
  """
  title = (
    'Simple RNN: what is left of h after k steps, by σ, the largest singular '
    'value of R'
  )
  with canvas.page(title, 5.6) as drawing:
    grid = drawing.subplots(2, 2, sharex=True, sharey=True)
    looks = [
      {'color': color, 'linewidth': 1.5} for color in _shades(curves.values)
    ]
    norm = figures.lag_label('h')
    ratio = np.mean(curves.radii / curves.values[:, None], axis=(1, 2))
    for n, row in enumerate(grid):
      matrix = ('R = σ · orthogonal', 'R Gaussian')[n]
      radius = f'spectral radius {_times(ratio[n])}σ'
      row[0].set_ylabel(f'{matrix}\n{radius}\n{norm}')
      for m, axes in enumerate(row):
        axes.axhline(0, **figures.WHOLE)
        for value, look in zip(curves.norms[n, m], looks, strict=True):
          figures.draw_curves(axes, value, look, 0.15, -100)
    for m, heading in enumerate(_headings(curves)):
      grid[0, m].set_title(heading, loc='left', fontsize=9)
    figures.scale(grid.flat, [curves.norms], figures.HIGHEST)
    for axes in grid[-1]:
      axes.set_xlabel('lag k (steps)')
    labels = [f'σ = {value:g}' for value in curves.values]
    handles: list[Any] = [lines.Line2D([], [], **look) for look in looks]
    order = np.argsort(-curves.values)
    if curves.norms.shape[3] > 1:
      handles.append(patches.Patch(color=figures.GRAY, alpha=0.3, linewidth=0))
      labels.append('all seeds')
      order = [*order, len(order)]
    drawing.legend(
      [handles[n] for n in order],
      [labels[n] for n in order],
      loc='outside right center',
      frameon=False,
      fontsize=8,
    )
  return drawing


def _headings(curves: singular_values.SingularValues) -> tuple[str, str]:
  """Return what is above the columns of linear and tanh units."""
  slopes = np.mean(curves.slopes[:, 1], axis=-1)
  return (
    "linear: h' = h R\nwithout saturation",
    f"tanh: h' = tanh(x + h R), x ~ N(0, {curves.input_scale:g}²)\n"
    f'with saturation: mean tanh′ {slopes.min():.2f} to {slopes.max():.2f}',
  )


def _shades(values: np.ndarray) -> list[Any]:
  """Return blues below 1, black at 1, oranges above: the farther the darker."""
  distance = np.abs(np.log(values))
  share = distance / max(float(np.max(distance)), 1e-9)
  maps = matplotlib.colormaps['Blues'], matplotlib.colormaps['Oranges']
  return [
    'black' if value == 1 else maps[int(value > 1)](0.4 + 0.55 * s)
    for value, s in zip(values, share, strict=True)
  ]


def _times(ratio: float) -> str:
  return '' if abs(ratio - 1) < 0.005 else f'{ratio:.2g} '
