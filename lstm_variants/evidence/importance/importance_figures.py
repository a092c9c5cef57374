"""Pictures of a random search: marginal losses, shares of the variance."""

from collections.abc import Mapping, Sequence
import math
import textwrap
from typing import Any

from matplotlib import axes as axes_lib
from matplotlib import figure, lines, patches, style, ticker
import numpy as np

from lstm_variants.evidence.importance import importance
from lstm_variants.plots import theme

_WIDTH = 7.5  # inches
_COLUMNS = 3
_LINE = 0.21  # inches, of a line of a legend or a bar
_LEGEND_CHARACTERS = 95
_LABEL_CHARACTERS = 14
_BLUE, _RED, _GREEN = (theme.PALETTE[n] for n in (0, 1, 2))
_REST: dict[str, Any] = {
  'facecolor': '#f2f2f2',
  'edgecolor': '#999999',
  'hatch': '////',
  'linewidth': 0.5,
}
_PALE = 0.35
_REST_LABEL = 'together, or chance'
# From this ratio of the largest to the smallest on, a logarithmic axis.
_WIDE = 8.0


def draw_marginals(
  title: str,
  marginals: Sequence[importance.Marginal],
  shares: importance.Shares,
  *,
  other: tuple[str, Sequence[importance.Marginal]] | None = None,
  seconds: tuple[str, Mapping[float, float]] | None = None,
  memoryless: float | None = None,
) -> figure.Figure:
  """Draw the expected loss against each hyper-parameter, and their shares.

  Args:
    title: of the figure.
    marginals: of all models pooled, a panel each.
    shares: of the variance, the last panel.
    other: a label, and the marginals of one model alone.
    seconds: label of a hyper-parameter, and its value -> mean seconds of
      training of a run, drawn in its panel.
    memoryless: loss of the best predictor without memory.

  Returns:
    A figure like Greff et al.'s figures 4 and 5: lines are means, bands one
    standard deviation over the trees of the forest.

  Raises:
    ValueError: there are no marginals.
  """
  if not marginals:
    raise ValueError('marginals=[]: must hold one hyper-parameter at least')
  with style.context(['default', theme.STYLE]):
    rows = -(-(len(marginals) + 1) // _COLUMNS)
    drawing = new_figure(title, 2.15 * rows + 0.9)
    grid = drawing.subplots(rows, _COLUMNS, squeeze=False).ravel()
    lone = {m.axis.name: m for m in other[1]} if other else {}
    for axes, marginal in zip(grid, marginals, strict=False):
      _draw_marginal(axes, marginal, _BLUE)
      if marginal.axis.name in lone:
        _draw_marginal(axes, lone[marginal.axis.name], _RED)
      if memoryless is not None:
        axes.axhline(memoryless, color='#666666', linestyle='--', linewidth=1)
      if seconds is not None and seconds[0] == marginal.axis.label:
        _draw_seconds(axes, seconds[1])
    _share_losses(list(grid[: len(marginals)]), [*marginals, *lone.values()])
    _draw_share_panel(grid[len(marginals)], shares)
    for axes in grid[len(marginals) + 1 :]:
      axes.set_visible(False)
    _add_marginal_legend(drawing, other, seconds, memoryless)
  return drawing


def draw_shares(
  title: str, bars: Mapping[str, importance.Shares]
) -> figure.Figure:
  """Draw shares of the variance as stacked bars, one for each set of trials.

  Args:
    title: of the figure.
    bars: label, a task or a model -> its shares.

  Returns:
    A figure; hatched: the rest. Pale where the trees did not learn anything
    that held on trials they did not see.

  Raises:
    ValueError: there are no bars.
  """
  if not bars:
    raise ValueError('bars={}: must hold one set of trials at least')
  labels = list(dict.fromkeys(x for bar in bars.values() for x in bar.labels))
  with style.context(['default', theme.STYLE]):
    drawing = new_figure(title, 1.3 + 1.5 * _LINE * len(bars))
    axes = drawing.add_subplot()
    for y, bar in enumerate(bars.values()):
      alone = dict(zip(bar.labels, bar.alone, strict=True))
      left, alpha = 0.0, 1.0 if bar.fit > 0 else _PALE
      for n, label in enumerate(labels):
        width = 100 * float(alone.get(label, 0.0))
        axes.barh(y, width, 0.7, left, color=_color(n), alpha=alpha)
        if width > 7:
          text = {'ha': 'center', 'va': 'center', 'fontsize': 7.5}
          ink = 'white' if alpha == 1 else '#444444'
          axes.text(left + width / 2, y, f'{width:.0f}', color=ink, **text)
        left += width
      axes.barh(y, 100 * bar.rest, 0.7, left, **_REST)
      words = f'{100 * bar.floor:.0f} %    {bar.fit:.2f}'
      axes.text(101.5, y, words, va='center', fontsize=7.5)
    axes.text(101.5, -0.9, 'floor    R²', fontsize=7.5)
    axes.set_yticks(range(len(bars)), [wrap(label, 30) for label in bars])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.grid(visible=False, axis='y')
    axes.set_xlabel('share of the variance of log loss (%)')
    handles = [
      patches.Patch(color=_color(n), label=plain(label))
      for n, label in enumerate(labels)
    ]
    handles.append(patches.Patch(label=_REST_LABEL, **_REST))
    longest = max(len(str(handle.get_label())) for handle in handles) + 6
    drawing.legend(
      handles=handles,
      loc='outside lower left',
      ncols=max(1, _LEGEND_CHARACTERS // longest),
      frameon=False,
      fontsize=8,
    )
  return drawing


def _draw_marginal(
  axes: axes_lib.Axes, marginal: importance.Marginal, color: str
) -> None:
  axis, values = marginal.axis, marginal.values
  if axis.scale == 'level':
    errors = np.stack(
      [marginal.loss - marginal.low, marginal.high - marginal.loss]
    )
    axes.errorbar(
      values, marginal.loss, errors, fmt='o', color=color, markersize=4
    )
    small = {'rotation': 60, 'ha': 'right', 'rotation_mode': 'anchor'}
    words = [wrap(level, _LABEL_CHARACTERS) for level in axis.levels]
    axes.set_xticks(values, words, fontsize=7, **small)
  else:
    axes.fill_between(
      values,
      marginal.low,
      marginal.high,
      color=color,
      alpha=0.18,
      linewidth=0,
    )
    axes.plot(values, marginal.loss, color=color, linewidth=1.4)
    _scale_parameter(axes, axis.scale, values)
  axes.set_xlabel(wrap(axis.label, 34))


def _scale_parameter(
  axes: axes_lib.Axes, scale: str, values: np.ndarray
) -> None:
  """Spread a hyper-parameter as it was drawn."""
  if scale == 'log':
    axes.set_xscale('log')
    if values[-1] / values[0] < 100:
      axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
      axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.xaxis.set_major_formatter('{x:g}')
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
  elif scale == 'complement':
    with np.errstate(divide='ignore', invalid='ignore'):
      axes.set_xscale(
        'function',
        functions=(
          lambda x: -np.log10(np.maximum(1 - np.asarray(x, float), 1e-12)),
          lambda y: 1 - 10 ** -np.asarray(y, float),
        ),
      )
    marks = np.array([0, 0.5, 0.9, 0.99, 0.999, 0.9999])
    # At the ends also those just beyond, in decades of 1 - x.
    places = -np.log10(1 - marks)
    ends = -np.log10(1 - values[[0, -1]])
    marks = marks[(places > ends[0] - 0.1) & (places < ends[1] + 0.1)]
    axes.set_xticks(marks, [f'{mark:g}' for mark in marks])
    axes.set_xlim(min(values[0], *marks), max(values[-1], *marks))


def _share_losses(
  grid: Sequence[axes_lib.Axes], marginals: Sequence[importance.Marginal]
) -> None:
  """Give all panels one axis of losses, and a word for it at the left."""
  low = min(float(m.low.min()) for m in marginals)
  high = max(float(m.high.max()) for m in marginals)
  for n, axes in enumerate(grid):
    scale_losses(axes, [low, high])
    if axes.get_yscale() == 'log':
      axes.set_ylim(low / 1.3, high * 1.3)
    if n % _COLUMNS == 0:
      axes.set_ylabel('expected loss')


def _draw_seconds(axes: axes_lib.Axes, seconds: Mapping[float, float]) -> None:
  right = axes.twinx()
  places = sorted(seconds)
  right.plot(
    places,
    [seconds[place] for place in places],
    color=_GREEN,
    linestyle=(0, (1, 1.5)),
    marker='.',
  )
  right.set_ylim(bottom=0)
  right.set_ylabel('s per run', color=_GREEN, fontsize=8)
  right.tick_params(axis='y', colors=_GREEN, labelsize=7.5)
  right.grid(visible=False)


def _draw_share_panel(axes: axes_lib.Axes, shares: importance.Shares) -> None:
  """Draw the shares of all models pooled as bars."""
  labels = [*shares.labels, _REST_LABEL]
  values = 100 * np.array([*shares.alone, shares.rest])
  places = np.arange(len(labels))
  axes.barh(places[:-1], values[:-1], 0.7, color=_BLUE)
  axes.barh(places[-1:], values[-1:], 0.7, **_REST)
  axes.axvline(100 * shares.floor, color=_RED, linewidth=1, linestyle=':')
  axes.set_yticks(places, [wrap(label, 18) for label in labels], fontsize=7)
  axes.invert_yaxis()
  axes.grid(visible=False, axis='y')
  axes.set_xlim(0, max(float(values.max()) * 1.25, 1.0))
  for place, value in enumerate(values):
    axes.text(value, place, f' {value:.0f}', va='center', fontsize=7.5)
  axes.set_xlabel('share of the variance (%)')


def _add_marginal_legend(
  drawing: figure.Figure,
  other: tuple[str, Any] | None,
  seconds: Any,
  memoryless: float | None,
) -> None:
  handles = [_line(_BLUE, 'all models' if other else 'expected loss')]
  if other:
    handles.append(_line(_RED, f'{other[0]} alone'))
  if memoryless is not None:
    handles.append(_line('#666666', 'without memory', linestyle='--'))
  if seconds:
    handles.append(_line(_GREEN, 'training time', linestyle=(0, (1, 1.5))))
  handles.append(
    _line(_RED, 'share of one without influence', linestyle=':', linewidth=1)
  )
  drawing.legend(
    handles=handles,
    loc='outside lower left',
    ncols=3,
    frameon=False,
    fontsize=8,
  )


def _line(color: str, label: str, **look: Any) -> Any:
  return lines.Line2D([], [], color=color, label=plain(label), **look)


def scale_losses(axes: axes_lib.Axes, losses: Sequence[float]) -> None:
  """Let the axis of losses be logarithmic where they are wide apart."""
  above = [loss for loss in losses if 0 < loss < math.inf]
  if not above or len(above) < len(losses):
    return
  if max(above) > _WIDE * min(above):
    axes.set_yscale('log')
    if max(above) < 100 * min(above):
      axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
      axes.yaxis.set_minor_locator(ticker.NullLocator())
    axes.yaxis.set_major_formatter('{x:g}')
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())


def new_figure(title: str, height: float) -> figure.Figure:
  """Return a figure of the width of a page, with a title."""
  drawing = figure.Figure(figsize=(_WIDTH, height), layout='constrained')
  drawing.suptitle(
    plain(title), x=0.01, ha='left', fontsize='large', fontweight='bold'
  )
  return drawing


def _color(index: int) -> str:
  return theme.PALETTE[index % len(theme.PALETTE)]


def wrap(text: str, width: int) -> str:
  """Break a text into lines of so many characters."""
  return plain('\n'.join(textwrap.wrap(text, width)))


def plain(text: str) -> str:
  """Keep Matplotlib from reading dollars as mathematics."""
  return text.replace('$', r'\$')
