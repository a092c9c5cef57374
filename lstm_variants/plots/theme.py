"""The look of every figure: colours, lines, titles, legends, and their files.

Whatever draws begins with `page`, and writes with `svg`, `png` or `pictures`.
"""

from collections.abc import Iterator, Sequence
import contextlib
import io
import itertools
import math
import sys
from typing import Any

from matplotlib import axis as axis_lib
from matplotlib import figure, style, ticker
from matplotlib.backends import backend_svg

WIDTH = 7.5  # inches
# Told apart by the colour-blind too: Okabe & Ito, "Color Universal Design",
# 2008; without yellow, which is lost on white.
PALETTE = (
  '#0072B2',
  '#D55E00',
  '#009E73',
  '#CC79A7',
  '#E69F00',
  '#56B4E9',
  '#000000',
)
# What stands for colours of figures where a page is dark; the other colours of
# the palette can be seen, and told apart, on both.
DARK = {
  '#0072B2': '#2F86D0',
  '#000000': '#E6E9ED',
  '#FFFFFF': '#14171B',
  '#444444': '#B4BCC5',
  '#555555': '#A7B0BA',
  '#666666': '#9AA4AF',
  '#777777': '#9AA4AF',
  '#B0B0B0': '#4A525B',
  '#BBBBBB': '#555E68',
  '#CCCCCC': '#4A525B',
  '#DDDDDD': '#343B43',
  '#E4E4E4': '#2A3038',
  '#E8E8E8': '#2A3038',
  '#F2F2F2': '#22272E',
}
# With the palette 70 groups told apart: the colour changes first.
LINE_STYLES = (
  'solid',
  (0, (5, 2)),
  (0, (1, 1.5)),
  (0, (6, 2, 1, 2)),
  (0, (6, 2, 1, 2, 1, 2)),
  (0, (10, 2)),
  (0, (10, 2, 3, 2)),
  (0, (3, 4)),
  (0, (1, 4)),
  (0, (10, 2, 1, 2, 1, 2, 1, 2)),
)
MARKERS = ('o', 's', '^', 'D', 'v', 'x')
# Of what is not a model: a level, a handle that stands for all colours.
GRAY = '#444444'
# The best predictor without memory.
MEMORYLESS: dict[str, Any] = {
  'color': '#666666',
  'linestyle': '--',
  'linewidth': 1.0,
}
# A step, or a lag, that is pointed out.
MARK: dict[str, Any] = {
  'color': GRAY,
  'linewidth': 0.9,
  'linestyle': (0, (4, 2)),
}
STYLE: dict[str, Any] = {
  'font.size': 9.0,
  'svg.fonttype': 'none',
  'axes.spines.top': False,
  'axes.spines.right': False,
  'axes.grid': True,
  'grid.color': '#dddddd',
  'grid.linewidth': 0.6,
  'axes.axisbelow': True,
}
# In the width of a legend, beside its handles.
LEGEND_CHARACTERS = 100
# Of one label, at most: beside longer ones nothing could be drawn.
LABEL_CHARACTERS = 48
# Dots per inch in which Matplotlib reckons an SVG figure.
_SVG_DPI = 72


@contextlib.contextmanager
def page(
  height: float, title: str = '', size: float | str = 10
) -> Iterator[figure.Figure]:
  """Give an empty figure; what is drawn inside has the look of the house.

  Args:
    height: in inches.
    title: above everything; empty: none.
    size: of the title, as Matplotlib has it.
  """
  with style.context(['default', STYLE]):
    drawing = figure.Figure(figsize=(WIDTH, height), layout='constrained')
    if title:
      drawing.suptitle(
        plain(title), x=0.01, ha='left', fontsize=size, fontweight='bold'
      )
    yield drawing


def entitle(drawing: figure.Figure, heading: str) -> None:
  """Write what a figure shows above its title, if it has one.

  Args:
    drawing: of `page`.
    heading: a few words.
  """
  title = drawing.get_suptitle()
  if title:
    drawing.suptitle(
      f'{plain(heading)}\n{title}',
      **{'x': 0.01, 'ha': 'left', 'fontsize': 10, 'fontweight': 'bold'},
    )


def line_looks(count: int) -> list[dict[str, Any]]:
  """Return the colour and the line style of each of several models."""
  pairs = [
    {'color': color, 'linestyle': line}
    for line in LINE_STYLES
    for color in PALETTE
  ]
  return list(itertools.islice(itertools.cycle(pairs), count))


def model_looks(
  models: Sequence[str], pairs: Sequence[tuple[str, Any]]
) -> list[dict[str, Any]]:
  """Return the colour and the line style of each of several groups.

  The colour is the model's, the same in every figure of a study; the dash is
  the setting's. Of one model alone the colours are those of its settings.

  Args:
    models: of the study, in their order.
    pairs: the model of each group, and what else tells it apart, hashable.
  """
  if len({model for model, _ in pairs}) == 1 < len(pairs):
    return line_looks(len(pairs))
  settings = list(dict.fromkeys(setting for _, setting in pairs))
  rounds = -(-len(models) // len(PALETTE))
  looks = []
  for model, setting in pairs:
    around, color = divmod(models.index(model), len(PALETTE))
    dash = (settings.index(setting) * rounds + around) % len(LINE_STYLES)
    looks.append({'color': PALETTE[color], 'linestyle': LINE_STYLES[dash]})
  return looks


def marker_looks(count: int) -> list[dict[str, Any]]:
  """Return the colour and the marker of each of several models."""
  pairs = [
    {'color': color, 'marker': marker}
    for marker in MARKERS
    for color in PALETTE
  ]
  return list(itertools.islice(itertools.cycle(pairs), count))


def legend_columns(
  labels: Sequence[str], characters: int = LEGEND_CHARACTERS
) -> int:
  """Return how many of these labels stand side by side below a figure."""
  longest = max(len(label) for label in labels) + 8  # its handle and a gap
  return max(1, min(len(labels), characters // longest))


def legend_rows(labels: Sequence[str]) -> int:
  """Return in how many lines these labels stand below a figure."""
  return -(-len(labels) // legend_columns(labels))


def add_legend(
  drawing: figure.Figure,
  handles: Sequence[Any],
  labels: Sequence[str],
  *,
  columns: int | None = None,
  handle_length: float = 3.2,
) -> None:
  """Write what lines and colours mean below a figure.

  Args:
    drawing: the figure.
    handles: what stands for each label.
    labels: as they are to be read.
    columns: side by side; None: as many as fit.
    handle_length: in the size of the font; a line style needs the room.
  """
  drawing.legend(
    handles,
    [plain(label) for label in labels],
    loc='outside lower left',
    ncols=legend_columns(labels) if columns is None else columns,
    frameon=False,
    fontsize=8,
    handlelength=handle_length,
  )


def plain(text: str) -> str:
  """Keep Matplotlib from reading dollars as mathematics."""
  return text.replace('$', r'\$')


def shortened(text: str, most: int = LABEL_CHARACTERS) -> str:
  """Return a label that leaves room for what is drawn: its ends, if long.

  Args:
    text: the label.
    most: characters.
  """
  if len(text) <= most:
    return text
  end = (most - 1) // 2
  return f'{text[: most - 1 - end]}…{text[-end:]}'


def power(value: float, position: float) -> str:
  """Return a log10 value as a power of ten; a formatter of an axis."""
  del position
  return '1' if value == 0 else rf'$10^{{{value:.0f}}}$'


def scale_by_logarithm(axis: axis_lib.Axis) -> None:
  """Make an axis logarithmic, with ticks that read as plain numbers.

  Ticks between the powers of ten are told where there are few of those.

  Args:
    axis: `axes.xaxis` or `axes.yaxis`.
  """

  def label(value: float, position: int | None = None) -> str:
    del position
    if value < sys.float_info.min:  # no power of ten is beside it
      return ''
    low, high = sorted(axis.get_view_interval())
    decades = math.log10(high) - math.log10(low) if low > 0 else math.inf
    first = round(value / 10 ** math.floor(math.log10(value)), 9)
    named = range(1, 10) if decades < 1 else (1, 2, 5) if decades < 2 else (1,)
    # Within half a decade ticks lie anywhere.
    return f'{value:g}' if decades < 0.5 or first in named else ''

  axes = axis.axes
  scale = axes.set_xscale if axis is axes.xaxis else axes.set_yscale
  scale('log', nonpositive='mask')
  axis.set_major_formatter(ticker.FuncFormatter(label))
  axis.set_minor_formatter(ticker.FuncFormatter(label))


def svg(drawing: figure.Figure, salt: str) -> str:
  """Return a figure as SVG text, equal for equal figures and salts."""
  text = io.StringIO()
  with style.context(['default', STYLE, {'svg.hashsalt': salt}]):
    drawing.savefig(
      text,
      format='svg',
      metadata=dict.fromkeys(('Date', 'Creator', 'Format', 'Type')),
    )
  return text.getvalue()


def follow_page(text: str) -> str:
  """Return SVG text that is dark where the page that shows it is.

  Args:
    text: as `svg` returns it; other text is shown with the same rules, which
      change colours alone.
  """
  head, bracket, rest = text.partition('<svg')
  tag, end, body = rest.partition('>')
  if not bracket or not end or tag.endswith('/'):
    return text
  return f'{head}<svg{tag}>{DARK_RULES}{body}'


def _dark_rules() -> str:
  """Return the style of SVG text on a dark page.

  Matplotlib writes colours into each element, and none where it is black.
  """
  # Not what stands in <defs>: its colour is that of each use of it.
  black = ('text', 'use', 'g>path')
  rules = [
    f'{name}:not([style*="fill:"]) {{fill:{DARK["#000000"]}}}' for name in black
  ]
  for light, dark in DARK.items():
    for name in ('fill', 'stroke'):
      rules.append(
        f'[style*="{name}: {light.lower()}"] {{{name}:{dark} !important}}'
      )
    # What is hatched has its colour in an attribute.
    rules.append(f'[fill="{light.lower()}"] {{fill:{dark}}}')
  return (
    '<style>@media (prefers-color-scheme: dark) {'
    + ''.join(rules)
    + '}</style>'
  )


DARK_RULES = _dark_rules()


def pictures(drawing: figure.Figure, salt: str) -> tuple[str, bytes]:
  """Return a figure as SVG text and as PNG bytes, laid out once for both.

  They are the pictures that `svg` and `png` return; ids within the text may be
  others. The figure keeps this layout: what is drawn into it later has its
  place.
  """
  with style.context(['default', STYLE]):
    _lay_out(drawing)
  return svg(drawing, salt), png(drawing)


def _lay_out(drawing: figure.Figure) -> None:
  """Give everything its place in an SVG figure.

  Matplotlib would draw all of it for that, and then once more.
  """
  engine = drawing.get_layout_engine()
  if engine is None:
    return
  canvas, dpi = drawing.canvas, drawing.dpi
  try:
    backend_svg.FigureCanvasSVG(drawing)  # the widths of text are its own
    drawing.dpi = _SVG_DPI
    engine.execute(drawing)
  finally:
    drawing.set_canvas(canvas)
    drawing.dpi = dpi
  drawing.set_layout_engine(None)


def png(drawing: figure.Figure) -> bytes:
  """Return a figure as PNG bytes, equal for equal figures."""
  image = io.BytesIO()
  with style.context(['default', STYLE]):
    drawing.savefig(image, format='png', dpi=150, metadata={'Software': None})
  return image.getvalue()
