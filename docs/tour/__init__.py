"""From the simple RNN to the LSTM in ten pictures: docs/tour.md shows them."""

from collections.abc import Iterator, Mapping, Sequence
import pathlib
import re

import numpy as np

from docs.tour import canvas, depth, gating, picture, products, sequences
from lstm_variants.evidence import subjects
from lstm_variants.plots import theme
from lstm_variants.runs import files

# What is a number, but not a count.
_REAL = (float, np.floating)
_PATHS, _LONG = re.compile(r' d="[^"]*"'), re.compile(r'(\.\d\d)\d+')
_ADDING = picture.Need('adding_urnn16', 'vanilla')
# Name -> picture, in the order of the tour.
PICTURES: Mapping[str, picture.Picture] = {
  'chain': picture.Picture(
    'The chain of products',
    'A gradient is multiplied by a factor at each step it goes back.',
    (picture.Need('adding_urnn16', 'simple_rnn'), _ADDING),
    products.draw_chain,
  ),
  'vanishing': picture.Picture(
    'Vanishing and exploding',
    'A product of Jacobians vanishes or explodes; σ of R bounds it.',
    (),
    products.draw_vanishing,
  ),
  'conveyor': picture.Picture(
    'The conveyor belt',
    'What is put into a cell state stays there while f is 1.',
    (_ADDING,),
    products.draw_belt,
  ),
  'gates': picture.Picture(
    'Three gates and a candidate',
    'What each gate of a trained LSTM does at each step.',
    (_ADDING,),
    gating.draw_gates,
  ),
  'peepholes': picture.Picture(
    'Peepholes',
    'Gates that see the cell state, to tell when it is time.',
    (picture.Need('timed_spikes_gers02', 'peephole'),),
    gating.draw_peepholes,
  ),
  'coupling': picture.Picture(
    'Coupling',
    'One gate in place of two: what is forgotten makes room for the new.',
    (_ADDING, picture.Need('adding_urnn16', 'coupled')),
    gating.draw_coupling,
  ),
  'stacking': picture.Picture(
    'Stacking',
    'A second layer that reads what the first one says.',
    (
      picture.Need('characters_next', 'vanilla'),
      picture.Need('characters_next', 'vanilla', 2),
    ),
    depth.draw_stacking,
  ),
  'thousand_steps': picture.Picture(
    'A lag of a thousand steps',
    'One symbol, held for a thousand steps.',
    (
      picture.Need('long_lag_hs97_2c', 'vanilla'),
      picture.Need('long_lag_hs97_2c', 'simple_rnn'),
    ),
    depth.draw_lag,
  ),
  'next_word': picture.Picture(
    'The next word of a sentence',
    'What a model expects at each word of a sentence it never saw.',
    (
      picture.Need('words_next', 'vanilla'),
      picture.Need('words_next', 'simple_rnn'),
    ),
    sequences.draw_words,
  ),
  'time_series': picture.Picture(
    'A time series',
    'Sunspots, forecast a year at a time.',
    (
      picture.Need('forecasting_one_step', 'vanilla'),
      picture.Need('forecasting_one_step', 'simple_rnn'),
    ),
    sequences.draw_series,
  ),
}


def write(
  study: subjects.Study, names: Sequence[str], directory: pathlib.Path
) -> Iterator[pathlib.Path]:
  """Draw pictures and write each, and its numbers beside it as CSV.

  All that they need is looked for before the first is drawn.

  Args:
    study: whose models they are drawn from.
    names: keys of `PICTURES`.
    directory: made where it is not there.

  Yields:
    The SVG files.

  Raises:
    TourError: the study lacks a model.
    StorageError: something could not be written.
  """
  needed = {
    name: [picture.find(study, need) for need in PICTURES[name].needs]
    for name in names
  }
  with files.refusals(directory):
    directory.mkdir(parents=True, exist_ok=True)
  for name, needs in needed.items():
    drawn = PICTURES[name].draw(study, *needs)
    path = directory / f'{name}.svg'
    canvas.sharpen(drawn.figure)
    svg = _PATHS.sub(_shorten, theme.svg(drawn.figure, salt=name))
    files.write(path, svg.encode())
    files.write(directory / f'{name}.csv', _table(drawn).encode())
    yield path


def _shorten(path: re.Match[str]) -> str:
  """Return a path with its places in hundredths of a point: half as long."""
  return _LONG.sub(r'\1', path.group())


def _table(drawn: picture.Drawn) -> str:
  return files.csv_text(
    drawn.columns,
    (
      [f'{float(c):.4g}' if isinstance(c, _REAL) else c for c in row]
      for row in drawn.rows
    ),
  )
