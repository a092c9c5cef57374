"""What a step of each cell costs beside one of the vanilla LSTM.

    python -m benchmarks.cells --csv=docs/cost.csv

Hidden states of one layer and their gradient by parameters and inputs, with the
width, batch size and length of configs/base.py. docs/variants.md shows the
ratios of the file that --csv names.
"""

from collections.abc import Callable
import csv
import pathlib
from typing import Any

from absl import flags
import jax
import jax.numpy as jnp

from benchmarks import pages, timing
from lstm_variants import cells
from lstm_variants.cells import variants

_CSV = flags.DEFINE_string('csv', None, 'Where the ratios are written, too.')
FEATURES, HIDDEN, BATCH, TIME = 2, 32, 32, 100
BASELINE = 'vanilla'
# Of the smoke version.
FEW = (BASELINE, 'gru', 'simple_rnn')


def contestants() -> dict[str, Callable[[], None]]:
  """Return the hidden states and gradient of every variant and cell."""
  models = {
    name: (cells.CELLS['lstm'], variant.toggles)
    for name, variant in variants.VARIANTS.items()
    if not variant.alias_of
  }
  vanilla = variants.VARIANTS[BASELINE].toggles
  for name, cell in cells.CELLS.items():
    if name != 'lstm':
      models[name] = cell, vanilla if cell.toggled else cell.settings
  return {
    name: _run(*model)
    for name, model in models.items()
    if name in FEW or not pages.QUICK.value
  }


def _run(cell: Any, settings: Any) -> Callable[[], None]:
  params = cell.init_params(
    jax.random.key(0), FEATURES, HIDDEN, settings=settings
  )
  time = 5 if pages.QUICK.value else TIME
  inputs = jax.random.normal(jax.random.key(1), (BATCH, time, FEATURES))

  def loss(params: Any, inputs: jax.Array) -> jax.Array:
    _, hiddens = cell.unroll(params, settings, inputs)
    return jnp.mean(jnp.square(hiddens))

  program = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
  return lambda: jax.block_until_ready(program(params, inputs))


def page() -> list[str]:
  """Return the page."""
  time = 5 if pages.QUICK.value else TIME
  measured = timing.measure(contestants(), pages.repeats(), time)
  ratios = {
    name: timing.quotient(one, measured[BASELINE])
    for name, one in measured.items()
  }
  if _CSV.value and not pages.QUICK.value:
    with pathlib.Path(_CSV.value).open('w', newline='') as file:
      rows = [(name, f'{ratio:.2f}') for name, ratio in ratios.items()]
      csv.writer(file, lineterminator='\n').writerows([('cell', 'cost'), *rows])
  return [
    '## Cells',
    f'µs per step of {BATCH} sequences of {time} steps, {FEATURES} inputs, '
    f'{HIDDEN} hidden units, with the gradient: median [quartiles] over the '
    f'rounds, and over that of `{BASELINE}`.',
    *pages.table(
      ('cell', 'a step', f'over {BASELINE}'),
      (
        (f'`{name}`', timing.show(one), f'{ratios[name]:.2f}')
        for name, one in measured.items()
      ),
    ),
  ]


if __name__ == '__main__':
  pages.run('cells', page)
