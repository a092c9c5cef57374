"""Draw the figure at the head of the README, from what `make compare` leaves.

    python -m docs.hero [RUN_DIRECTORY [FILE]]

Left, what a state still does to a later one at the end of training, as
`analyse --figure=gradient_flow` measures it: of the LSTMs the derivative of c
by an earlier c, of the simple RNN that of h by an earlier h. Right, the
held-out loss. Lines are medians over seeds, bands reach over all of them.
"""

from collections.abc import Mapping, Sequence
import csv
import pathlib
import sys

from matplotlib import axes as axes_lib
from matplotlib import figure
import numpy as np

import lstm_variants as lv
from lstm_variants.plots import theme

RUNS = 'runs/quickstart'
FIGURE = pathlib.Path(__file__).parent / 'figures' / 'hero.svg'
TASK = 'adding-urnn16-T50'
LAGS = f'figures/{TASK}-gradient_flow-lags.csv'
SIMPLE = 'simple_rnn'
MODELS = ('vanilla', 'peephole', 'coupled', SIMPLE)
# log10, below which the derivative of a seed is drawn no further.
_DEEPEST = -16.0
# Of a line's x values, a row each seed of its y values.
Curve = tuple[np.ndarray, np.ndarray]


def lag_curves(workdir: pathlib.Path) -> dict[str, Curve]:
  """Return model -> lags k, log10 norms of the derivative after k steps."""
  curves: dict[str, dict[str, dict[int, float]]] = {}
  with open(workdir / LAGS, newline='') as file:
    rows = list(csv.DictReader(file))
  last = {row['model']: row['update'] for row in rows}  # in their order
  for row in rows:
    state = 'h' if row['model'] == SIMPLE else 'c'
    if row['update'] != last[row['model']] or row['state'] != state:
      continue
    seeds = curves.setdefault(row['model'], {})
    seeds.setdefault(row['seed'], {})[int(row['lag'])] = float(
      row['log10_norm']
    )
  return {
    model: (
      np.array(sorted(next(iter(seeds.values())))),
      np.array([[seed[k] for k in sorted(seed)] for seed in seeds.values()]),
    )
    for model, seeds in curves.items()
  }


def loss_curves(workdir: pathlib.Path) -> dict[str, Curve]:
  """Return model -> thousands of training sequences, held-out losses."""
  results = lv.open_results(workdir)
  losses: dict[str, dict[str, dict[float, float]]] = {}
  models = {r['id']: r['model'] for r in results.runs() if r['task'] == TASK}
  for row in results.metrics():
    if row['run'] in models:
      runs = losses.setdefault(models[row['run']], {})
      runs.setdefault(row['run'], {})[row['sequences'] / 1000] = row['loss']
  return {
    model: (
      np.array(sorted(next(iter(runs.values())))),
      np.array([[run[x] for x in sorted(run)] for run in runs.values()]),
    )
    for model, runs in losses.items()
  }


def draw(workdir: pathlib.Path) -> figure.Figure:
  """Return the figure."""
  with theme.page(3.3) as drawing:
    left, right = drawing.subplots(1, 2)
    lags = lag_curves(workdir)
    draw_curves(left, lags)
    draw_curves(right, loss_curves(workdir))
    head(left, 'How much of a gradient is left after k steps')
    left.set_xlabel('k')
    left.set_ylim(_DEEPEST, 4)
    left.set_yticks(range(-15, 1, 5))
    left.yaxis.set_major_formatter(theme.power)
    steps = lags[SIMPLE][0][-1]
    rests = [float(np.median(lags[model][1][:, -1])) for model in MODELS]
    low, high = (
      10**exponent for exponent in (min(rests[:-1]), max(rests[:-1]))
    )
    name(
      left, 0.97, 0.95, f'LSTMs: {low:.0f} to {high:.0f} after {steps} steps'
    )
    name(left, 0.7, 0.1, f'simple RNN: {power(rests[-1])} after {steps} steps')
    head(right, 'What is learned: loss on new sequences')
    right.set_xlabel('thousands of training sequences')
    theme.scale_by_logarithm(right.yaxis)
    right.legend(
      *(right.lines[:-1], MODELS[:-1]), loc='center right', frameon=False
    )
    name(right, 0.97, 0.88, 'simple RNN: a constant guess')
  return drawing


def power(exponent: float) -> str:
  """Return a power of ten as it is written in a line."""
  digits = str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹')
  return '10' + f'{exponent:.0f}'.translate(digits)


def draw_curves(axes: axes_lib.Axes, curves: Mapping[str, Curve]) -> None:
  """Draw the median and the range of each model."""
  for model, color in zip(MODELS, theme.PALETTE, strict=False):
    xs, seeds = curves[model]
    axes.fill_between(
      *(xs, seeds.min(0), seeds.max(0)), color=color, alpha=0.15, linewidth=0
    )
    axes.plot(xs, np.median(seeds, axis=0), color=color)
  axes.set_xlim(0, None)


def head(axes: axes_lib.Axes, text: str) -> None:
  """Write what a panel shows above it."""
  axes.set_title(text, loc='left', fontsize=9.5, fontweight='bold')


def name(axes: axes_lib.Axes, x: float, y: float, text: str) -> None:
  """Write what a line is beside it."""
  axes.text(
    *(x, y, text),
    transform=axes.transAxes,
    color=theme.GRAY,
    horizontalalignment='right',
    verticalalignment='center',
  )


def main(arguments: Sequence[str]) -> None:
  """Write the figure."""
  workdir, path = (*arguments, *(RUNS, str(FIGURE))[len(arguments) :])
  picture = theme.follow_page(theme.svg(draw(pathlib.Path(workdir)), 'hero'))
  pathlib.Path(path).write_text(picture)


if __name__ == '__main__':
  main(sys.argv[1:])
