"""Pictures of a random search: marginal losses, shares, the best trials."""

from collections.abc import Mapping, Sequence
import math
import textwrap
from typing import Any

from matplotlib import axes as axes_lib
from matplotlib import figure, lines, patches, ticker
import numpy as np

from lstm_variants.evidence.importance import measure
from lstm_variants.plots import theme
from lstm_variants.statistics import best_trials

_COLUMNS = 3
_LEGEND_CHARACTERS = 95
_NAMES_CHARACTERS = 95  # of all models together, that stand side by side
_LABEL_CHARACTERS = 14
_BLUE, _RED, _GREEN = theme.PALETTE[:3]
_REST: dict[str, Any] = {
  'facecolor': '#f2f2f2',
  'edgecolor': '#999999',
  'hatch': '////',
  'linewidth': 0.5,
}
_PALE = 0.35
_PARAMS = '#e4e4e4'
_MEAN: dict[str, Any] = {
  'marker': 'o',
  'markersize': 4,
  'linestyle': 'none',
  'markerfacecolor': _RED,
  'markeredgecolor': _RED,
}
_REST_LABEL = 'together, or chance'
# From this ratio of the largest to the smallest on, a logarithmic axis.
_WIDE = 8.0


def draw_marginals(
  title: str,
  marginals: Sequence[measure.Marginal],
  shares: measure.Shares,
  *,
  other: tuple[str, Sequence[measure.Marginal]] | None = None,
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
  rows = -(-(len(marginals) + 1) // _COLUMNS)
  with theme.page(2.15 * rows + 0.9, title, size='large') as drawing:
    grid = drawing.subplots(rows, _COLUMNS, squeeze=False).ravel()
    lone = {m.axis.name: m for m in other[1]} if other else {}
    for axes, marginal in zip(grid, marginals, strict=False):
      _draw_marginal(axes, marginal, _BLUE)
      if marginal.axis.name in lone:
        _draw_marginal(axes, lone[marginal.axis.name], _RED)
      if memoryless is not None:
        axes.axhline(memoryless, **theme.MEMORYLESS)
      if seconds is not None and seconds[0] == marginal.axis.label:
        _draw_seconds(axes, seconds[1])
    _share_losses(list(grid[: len(marginals)]), [*marginals, *lone.values()])
    _draw_share_panel(grid[len(marginals)], shares)
    for axes in grid[len(marginals) + 1 :]:
      axes.set_visible(False)
    _add_marginal_legend(drawing, other, seconds, memoryless)
  return drawing


def draw_shares(
  title: str, bars: Mapping[str, measure.Shares]
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
  height = 1.3 + 1.5 * 0.21 * len(bars)
  with theme.page(height, title, size='large') as drawing:
    axes = drawing.add_subplot()
    for y, bar in enumerate(bars.values()):
      alone = dict(zip(bar.labels, bar.alone, strict=True))
      start, alpha = 0.0, 1.0 if bar.fit > 0 else _PALE
      for n, label in enumerate(labels):
        width = 100 * float(alone.get(label, 0.0))
        axes.barh(y, width, 0.7, start, color=_color(n), alpha=alpha)
        if width > 7:
          text = {'ha': 'center', 'va': 'center', 'fontsize': 7.5}
          ink = 'white' if alpha == 1 else theme.GRAY
          axes.text(start + width / 2, y, f'{width:.0f}', color=ink, **text)
        start += width
      axes.barh(y, 100 * bar.rest, 0.7, start, **_REST)
      numbers = f'{100 * bar.floor:.0f} %    {bar.fit:.2f}'
      axes.text(101.5, y, numbers, va='center', fontsize=7.5)
    axes.text(101.5, -0.9, 'floor    R²', fontsize=7.5)
    axes.set_yticks(range(len(bars)), [_wrap(label, 30) for label in bars])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.grid(visible=False, axis='y')
    axes.set_xlabel('share of the variance of log loss (%)')
    handles = [patches.Patch(color=_color(n)) for n in range(len(labels))]
    entries = [*labels, _REST_LABEL]
    longest = max(map(len, entries)) + 6
    theme.add_legend(
      drawing,
      [*handles, patches.Patch(**_REST)],
      entries,
      columns=max(1, _LEGEND_CHARACTERS // longest),
      handle_length=2.0,
    )
  return drawing


def _draw_marginal(
  axes: axes_lib.Axes, marginal: measure.Marginal, color: str
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
    names = [_wrap(level, _LABEL_CHARACTERS) for level in axis.levels]
    axes.set_xticks(values, names, fontsize=7, **small)
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
  axes.set_xlabel(_wrap(axis.label, 34))


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
  grid: Sequence[axes_lib.Axes], marginals: Sequence[measure.Marginal]
) -> None:
  """Give all panels one axis of losses, and a word for it at the left."""
  low = min(float(m.low.min()) for m in marginals)
  high = max(float(m.high.max()) for m in marginals)
  for n, axes in enumerate(grid):
    _scale_losses(axes, [low, high])
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


def _draw_share_panel(axes: axes_lib.Axes, shares: measure.Shares) -> None:
  """Draw the shares of all models pooled as bars."""
  labels = [*shares.labels, _REST_LABEL]
  values = 100 * np.array([*shares.alone, shares.rest])
  places = np.arange(len(labels))
  axes.barh(places[:-1], values[:-1], 0.7, color=_BLUE)
  axes.barh(places[-1:], values[-1:], 0.7, **_REST)
  axes.axvline(100 * shares.floor, color=_RED, linewidth=1, linestyle=':')
  axes.set_yticks(places, [_wrap(label, 18) for label in labels], fontsize=7)
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
  entries = {'all models' if other else 'expected loss': _line(_BLUE)}
  if other:
    entries[f'{other[0]} alone'] = _line(_RED)
  if memoryless is not None:
    entries['without memory'] = _line(
      theme.MEMORYLESS['color'], linestyle=theme.MEMORYLESS['linestyle']
    )
  if seconds:
    entries['training time'] = _line(_GREEN, linestyle=(0, (1, 1.5)))
  entries['share of one without influence'] = _line(
    _RED, linestyle=':', linewidth=1
  )
  theme.add_legend(
    drawing,
    list(entries.values()),
    list(entries),
    columns=3,
    handle_length=2.0,
  )


def _line(color: str, **look: Any) -> lines.Line2D:
  return lines.Line2D([], [], color=color, **look)


def _scale_losses(axes: axes_lib.Axes, losses: Sequence[float]) -> None:
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


def _color(index: int) -> str:
  return theme.PALETTE[index % len(theme.PALETTE)]


def _wrap(text: str, width: int) -> str:
  """Break a text into lines of so many characters."""
  return theme.plain('\n'.join(textwrap.wrap(text, width)))


def draw_best(
  title: str, panels: Mapping[str, Sequence[best_trials.Best]]
) -> figure.Figure:
  """Draw the losses of the best trials of each model, a panel for each task.

  Args:
    title: of the figure.
    panels: label of a task -> its models in the order wanted.

  Returns:
    A figure like Greff et al.'s figure 3. Boxes: quartiles, whiskers: the
    whole range, line: median, red dot: mean. Thick and blue: differs
    significantly from the baseline. Gray bars: mean number of parameters.

  Raises:
    ValueError: there is nothing to draw.
  """
  if not panels or not all(panels.values()):
    raise ValueError(
      f'panels={dict(panels)}: each must hold one model at least'
    )
  height = 2.9 * len(panels) + 0.9
  with theme.page(height, title, size='large') as drawing:
    grid = drawing.subplots(len(panels), 1, squeeze=False).ravel()
    for axes, (task, models) in zip(grid, panels.items(), strict=True):
      _draw_boxes(axes, models)
      if len(panels) > 1:
        axes.set_title(theme.plain(task), loc='left', fontsize=9)
    count = sorted({len(b.losses) for m in panels.values() for b in m})
    entries = {
      f'best {count[-1]} trials of each': patches.Patch(
        facecolor='white', edgecolor=theme.GRAY
      ),
      'differs from the baseline': patches.Patch(
        facecolor='white', edgecolor=_BLUE, linewidth=2
      ),
      'mean': lines.Line2D([], [], **_MEAN),
      'parameters (right)': patches.Patch(facecolor=_PARAMS),
    }
    theme.add_legend(
      drawing,
      list(entries.values()),
      list(entries),
      columns=4,
      handle_length=2.0,
    )
  return drawing


def _draw_boxes(
  axes: axes_lib.Axes, models: Sequence[best_trials.Best]
) -> None:
  places = np.arange(len(models))
  _draw_params(axes, places, [best.params for best in models])
  for n, best in enumerate(models):
    if not len(best.losses):
      continue
    marked = best.verdict in (best_trials.WORSE, best_trials.BETTER)
    look = {
      'color': _BLUE if marked else theme.GRAY,
      'linewidth': 2 if marked else 1,
    }
    axes.boxplot(
      [best.losses],
      positions=[n],
      widths=0.5,
      whis=(0, 100),
      showmeans=True,
      showfliers=False,
      boxprops=look,
      whiskerprops=look,
      capprops=look,
      medianprops={**look, 'linewidth': 1.8},
      meanprops=_MEAN,
      manage_ticks=False,
    )
  _scale_losses(axes, [x for best in models for x in best.losses])
  axes.set_xlim(-0.6, len(models) - 0.4)
  _name_models(axes, models)
  axes.grid(visible=False, axis='x')
  axes.set_ylabel('held-out loss')


def _name_models(
  axes: axes_lib.Axes, models: Sequence[best_trials.Best]
) -> None:
  """Write names below the boxes, aslant where they are too long."""
  names = [theme.plain(best.model) for best in models]
  longest = sorted(map(len, names))[-2:]
  aslant = sum(longest) / len(longest) * len(names) > _NAMES_CHARACTERS
  for n, best in enumerate(models):
    if best.verdict == best_trials.BASELINE:
      names[n] += ' (baseline)' if aslant else '\n(baseline)'
  axes.set_xticks(range(len(names)), names)
  axes.tick_params(axis='x', labelsize=7.5)
  if aslant:
    for label in axes.get_xticklabels():
      label.set(rotation=40, ha='right', rotation_mode='anchor')


def _draw_params(
  axes: axes_lib.Axes, places: np.ndarray, params: Sequence[float]
) -> None:
  """Draw the numbers of parameters as bars behind the boxes."""
  behind = axes.twinx()
  behind.bar(places, np.nan_to_num(params), 0.8, color=_PARAMS)
  behind.set_ylim(0, 1.6 * max([*np.nan_to_num(params), 1.0]))
  behind.set_ylabel('parameters', color='#777777')
  behind.tick_params(axis='y', colors='#777777')
  behind.yaxis.set_major_formatter('{x:,.0f}')
  behind.grid(visible=False)
  axes.set_zorder(behind.get_zorder() + 1)
  axes.patch.set_visible(False)
