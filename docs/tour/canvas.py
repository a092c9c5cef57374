"""What all pictures of the tour look like."""

import contextlib
from typing import Any

from matplotlib import axes as axes_lib
from matplotlib import figure, ticker

from lstm_variants.plots import theme

BLUE, ORANGE, GREEN, PINK = theme.PALETTE[:4]
GRAY = '#888888'


def page(
  title: str, height: float
) -> contextlib.AbstractContextManager[figure.Figure]:
  """Give an empty figure of the house, with its title.

  Args:
    title: above everything.
    height: in inches.
  """
  return theme.page(height, title)


def part_labels(drawing: figure.Figure) -> None:
  """Move the labels of a sequence away from numbers of many digits."""
  for axes in drawing.axes:
    if axes.get_ylabel():
      axes.yaxis.set_label_coords(-0.095, 0.5)


def sharpen(drawing: figure.Figure) -> None:
  """Have maps written with a point for each of their cells, and no more."""
  for axes in drawing.axes:
    for image in axes.images:
      image.set_interpolation('none')


def head(axes: axes_lib.Axes, text: str) -> None:
  """Write a line above a panel; dollars are mathematics."""
  axes.set_title(text, loc='left', fontsize=9)


def legend(axes: axes_lib.Axes, **where: Any) -> None:
  """Write the labels of the lines in a panel."""
  axes.legend(**{'fontsize': 8, 'frameon': False, 'handlelength': 2, **where})


def steps(axes: axes_lib.Axes, label: str) -> None:
  """Label an axis that counts."""
  axes.set_xlabel(label)
  axes.xaxis.set_major_locator(ticker.MaxNLocator(7, integer=True))
  axes.xaxis.set_major_formatter('{x:,.0f}')


def powers(axes: axes_lib.Axes) -> None:
  """Show log10 values as powers of ten."""
  axes.yaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
  axes.yaxis.set_major_formatter(theme.power)


def few() -> ticker.Locator:
  """Return places for a few numbers on an axis."""
  return ticker.MaxNLocator(3, integer=True)
