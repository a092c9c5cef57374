"""What all pictures of the tour look like."""

from collections.abc import Iterator
import contextlib
from typing import Any

from matplotlib import axes as axes_lib
from matplotlib import figure, style, ticker

from lstm_variants.evidence.gradient_flow import gradient_figures
from lstm_variants.plots import theme

WIDTH = 7.5  # inches
BLUE, ORANGE, GREEN, PINK = theme.PALETTE[:4]
GRAY = '#888888'
MARK: dict[str, Any] = {
  'color': '#444444',
  'linewidth': 0.9,
  'linestyle': (0, (4, 2)),
}


@contextlib.contextmanager
def page(title: str, height: float) -> Iterator[figure.Figure]:
  """Give an empty figure; what is drawn inside has the look of the house.

  Args:
    title: above everything.
    height: in inches.
  """
  with style.context(['default', theme.STYLE]):
    drawing = figure.Figure(figsize=(WIDTH, height), layout='constrained')
    drawing.suptitle(plain(title), **gradient_figures.TITLE)
    yield drawing


def part_labels(drawing: figure.Figure) -> None:
  """Move the labels of `gates_figures` away from numbers of many digits."""
  for axes in drawing.axes:
    if axes.get_ylabel():
      axes.yaxis.set_label_coords(-0.095, 0.5)


def sharpen(drawing: figure.Figure) -> None:
  """Have maps written with a point for each of their cells, and no more."""
  for axes in drawing.axes:
    for shown in axes.images:
      shown.set_interpolation('none')


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
  axes.yaxis.set_major_formatter(power)


def plain(text: str) -> str:
  """Keep Matplotlib from reading dollars as mathematics."""
  return text.replace('$', r'\$')


def power(value: float, position: float) -> str:
  """Return a log10 value as a power of ten."""
  del position
  return '1' if value == 0 else rf'$10^{{{value:.0f}}}$'


def few() -> ticker.Locator:
  """Return places for a few numbers on an axis."""
  return ticker.MaxNLocator(3, integer=True)
