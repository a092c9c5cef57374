"""How pictures 9 and 10 are drawn."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import axes as axes_lib
from matplotlib import colormaps, figure, patches
import numpy as np

from docs.tour import canvas
from lstm_variants.plots import sequence_axes, theme

# Characters of a word that fit in its column.
_LETTERS = 10
_MODELS = (canvas.BLUE, canvas.ORANGE)


def draw_words(
  run: str,
  guesses: Sequence[Any],
  losses: Mapping[str, Sequence[float]],
) -> figure.Figure:
  """Draw the likeliest words at each place of a sentence.

  Args:
    run: what the run is called.
    guesses: `sequences.Guess` of each place.
    losses: what is compared -> its losses, a seed each.
  """
  with canvas.page(f'The next word: {run}', 4.6) as drawing:
    table, bars = drawing.subplots(2, 1, height_ratios=(2.6, 1))
    rows = len(guesses[0].words)
    for x, guess in enumerate(guesses):
      table.text(x, -1, _word(guess.word), weight='bold', **_CELL)
      for y, (word, chance) in enumerate(
        zip(guess.words, guess.chances, strict=True)
      ):
        _draw_cell(table, x, y, word, chance, guess.rank == y + 1)
      rank = '' if guess.rank <= rows else f'rank {guess.rank}'
      table.text(
        x, rows, f'{_percent(guess.chance)}\n{rank}', va='top', **_SMALL
      )
    table.set_xlim(-0.5, len(guesses) - 0.5)
    table.set_ylim(rows + 0.7, -1.5)
    table.set_xticks([])
    table.set_yticks(
      [-1, *range(rows), rows + 0.2],
      ['it comes', *(f'guess {n + 1}' for n in range(rows)), 'its chance'],
    )
    table.tick_params(length=0)
    table.grid(visible=False)
    table.spines[:].set_visible(False)
    canvas.head(table, 'outlined: the guess is right; the darker the surer')
    _draw_dots(bars, losses)
    bars.set_xlabel('held-out loss (nats a word; less is better)')
  return drawing


_CELL: dict[str, Any] = {'ha': 'center', 'va': 'center', 'fontsize': 7}
_SMALL: dict[str, Any] = {'ha': 'center', 'fontsize': 6.5, 'color': '#444444'}


def _draw_cell(
  axes: axes_lib.Axes, x: int, y: int, word: str, chance: float, right: bool
) -> None:
  axes.add_patch(
    patches.Rectangle(
      (x - 0.48, y - 0.44),
      0.96,
      0.88,
      facecolor=colormaps[sequence_axes.SHARES](0.9 * chance),
      edgecolor=canvas.ORANGE if right else 'none',
      linewidth=2 if right else 0,
    )
  )
  color = 'white' if chance > 0.6 else 'black'
  axes.text(x, y, _word(word), color=color, **_CELL)


def _percent(share: float) -> str:
  return f'{100 * share:.1f} %' if share >= 0.001 else '< 0.1 %'


def _word(word: str) -> str:
  short = word if len(word) <= _LETTERS else word[: _LETTERS - 1] + '…'
  return theme.plain(short)


def _draw_dots(
  axes: axes_lib.Axes, losses: Mapping[str, Sequence[float]]
) -> None:
  """Draw a row of dots for each of what is compared."""
  for y, values in enumerate(losses.values()):
    axes.plot(values, [y] * len(values), 'o', color=canvas.BLUE, alpha=0.7)
    axes.annotate(
      f'{np.mean(values):.2f}',
      (float(np.max(values)), y),
      xytext=(6, 0),
      textcoords='offset points',
      va='center',
      fontsize=8,
    )
  axes.set_yticks(range(len(losses)), [theme.plain(name) for name in losses])
  axes.set_ylim(len(losses) - 0.5, -0.5)
  axes.margins(x=0.1)
  axes.grid(visible=False, axis='y')


def draw_series(series: Any, first: int, unit: str) -> figure.Figure:
  """Draw a series, the forecasts of its held-out part, and the errors.

  Args:
    series: `sequences.Forecasts`.
    first: the time of the first value.
    unit: of the time.
  """
  time = first + np.arange(len(series.values))
  late = time[series.border :]
  title = 'A time series: the next value, one at a time'
  with canvas.page(title, 6.2) as drawing:
    whole, part, errors = drawing.subplots(3, 1, height_ratios=(1, 1.7, 1))
    whole.plot(time, series.values, color='black', linewidth=0.9)
    whole.axvspan(late[0], late[-1], color=canvas.GRAY, alpha=0.25)
    canvas.head(whole, 'the whole series; shaded: never trained on')
    held_out = series.values[series.border :]
    part.plot(late, held_out, color='black', label='series')
    last = series.values[series.border - 1 : -1]
    part.plot(late, last, color=canvas.GRAY, linewidth=0.9, label='last value')
    for (model, values), color in zip(
      series.forecasts.items(), _MODELS, strict=True
    ):
      band = {'color': color, 'alpha': 0.2, 'linewidth': 0}
      part.fill_between(late, values.min(0), values.max(0), **band)
      part.plot(late, np.median(values, axis=0), color=color, label=model)
    canvas.head(part, 'forecasts of each value from the ones before')
    canvas.legend(part, ncols=4, loc='upper left')
    part.margins(x=0.01, y=0.15)
    for axes in (whole, part):
      axes.set_ylabel('standard\ndeviations')
      canvas.steps(axes, unit)
      axes.xaxis.set_major_formatter('{x:.0f}')
    _draw_dots(
      errors,
      {name: [loss] for name, loss in series.simple.items()}
      | {
        model: np.mean((values - held_out) ** 2, axis=1).tolist()
        for model, values in series.forecasts.items()
      },
    )
    errors.set_xlabel('mean squared error of the shaded part (less is better)')
  return drawing
