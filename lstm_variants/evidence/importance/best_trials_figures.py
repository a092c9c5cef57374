"""Picture of the best trials of each model, beside those of a baseline."""

from collections.abc import Mapping, Sequence

from matplotlib import axes as axes_lib
from matplotlib import figure, lines, patches, style
import numpy as np

from lstm_variants.evidence.importance import importance_figures
from lstm_variants.plots import theme
from lstm_variants.statistics import best_trials

_CHARACTERS = 95  # of all names together, that stand side by side
_BLUE, _RED = theme.PALETTE[:2]
_GRAY = '#444444'
_PARAMS = '#e4e4e4'
_MEAN = {
  'marker': 'o',
  'markersize': 4,
  'linestyle': 'none',
  'markerfacecolor': _RED,
  'markeredgecolor': _RED,
}


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
  with style.context(['default', theme.STYLE]):
    drawing = importance_figures.new_figure(title, 2.9 * len(panels) + 0.9)
    grid = drawing.subplots(len(panels), 1, squeeze=False).ravel()
    for axes, (task, models) in zip(grid, panels.items(), strict=True):
      _draw_boxes(axes, models)
      if len(panels) > 1:
        axes.set_title(importance_figures.plain(task), loc='left', fontsize=9)
    count = sorted({len(b.losses) for m in panels.values() for b in m})
    words = f'best {count[-1]} trials of each'
    handles = [
      patches.Patch(facecolor='white', edgecolor=_GRAY, label=words),
      patches.Patch(
        facecolor='white',
        edgecolor=_BLUE,
        linewidth=2,
        label='differs from the baseline',
      ),
      lines.Line2D([], [], label='mean', **_MEAN),
      patches.Patch(facecolor=_PARAMS, label='parameters (right)'),
    ]
    drawing.legend(
      handles=handles,
      loc='outside lower left',
      ncols=4,
      frameon=False,
      fontsize=8,
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
    look = {'color': _BLUE if marked else _GRAY, 'linewidth': 1 + marked}
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
  importance_figures.scale_losses(
    axes, [x for best in models for x in best.losses]
  )
  axes.set_xlim(-0.6, len(models) - 0.4)
  _name_models(axes, models)
  axes.grid(visible=False, axis='x')
  axes.set_ylabel('held-out loss')


def _name_models(
  axes: axes_lib.Axes, models: Sequence[best_trials.Best]
) -> None:
  """Write names below the boxes, aslant where they are too long."""
  names = [importance_figures.plain(best.model) for best in models]
  longest = sorted(map(len, names))[-2:]
  aslant = sum(longest) / len(longest) * len(names) > _CHARACTERS
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
