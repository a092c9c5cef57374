"""Many runs in one program against as many runs of flax nnx, one by one.

    python -m benchmarks.population
    python -m benchmarks.population --sizes= --grid  # the grid alone

The adding problem at T = 100 and batch 32, Adam, on all cores. flax's runs are
vanilla and train on the same batches, any number of updates in one call.
"""

from collections.abc import Iterable, Mapping, Sequence
import itertools
import time
from typing import Any, NamedTuple

from absl import flags
import jax

from benchmarks import flax_training, machine, pages, timing
from configs import adding
import lstm_variants as lv
from lstm_variants.config import settings as settings_lib
from lstm_variants.training import backend, population

_GRID = flags.DEFINE_bool('grid', False, 'Train the grid too.')
_UPDATES = flags.DEFINE_integer(
  'updates', 20, 'Updates a call; ours then evaluates one batch.', lower_bound=1
)
_SIZES = flags.DEFINE_list('sizes', ['1', '8', '32', '128'], 'Runs at a time.')
_WIDTHS = flags.DEFINE_list(
  'widths', ['16', '32', '64', '128'], 'Hidden units.'
)
FLAX = 'flax nnx'
# What the runs of a population are: its variants, in turn.
KINDS: dict[str, tuple[str, ...]] = {
  'ours, all variants': tuple(lv.VARIANTS),
  'ours, vanilla': ('vanilla',),
  'ours, peephole': ('peephole',),
}
GRID_VARIANTS, GRID_SEEDS, GRID_UPDATES = tuple(lv.VARIANTS), 4, 500


class Cell(NamedTuple):
  """One line of the table: seconds per run and update, seconds to compile."""

  timings: Mapping[str, timing.Timing]
  compile_seconds: Mapping[str, float]


def make_runs(
  models: Iterable[tuple[str, int]], hidden_features: int, quick: bool
) -> list[settings_lib.Run]:
  """Return a run for each (variant, seed), all of one compiled program."""
  runs = []
  for variant, seed in models:
    config: Any = adding.get_config()
    config.seed = seed
    config.task.length = 10 if quick else 100
    config.model.variant = variant
    config.model.hidden_features = hidden_features
    config.training.batch_size = 4 if quick else 32
    config.training.evaluation_batches = 1
    if quick:
      config.model.recurrent_init = 'uniform'  # quicker to compile
    runs.append(settings_lib.from_config(config))
  return runs


class Training:
  """A program and the state that its calls hand on."""

  def __init__(self, program, updates: int):
    self._program, self._updates = program, updates
    self._state = program.state

  def __call__(self) -> None:
    """Make the updates and wait for them."""
    advanced = self._program.advance(self._state, self._updates)
    ours = isinstance(self._program, population.Compiled)
    self._state = jax.block_until_ready(advanced[0] if ours else advanced)


def measure(
  size: int, hidden_features: int, updates: int, repeats: int, quick: bool
) -> Cell:
  """Time populations of `size` runs, and one run of flax, side by side."""
  programs, units = {}, {}
  for kind, variants in KINDS.items():
    models = [(variants[n % len(variants)], n) for n in range(size)]
    runs = make_runs(models, hidden_features, quick)
    programs[kind] = compile_runs(runs)
    units[kind] = size * updates
  (run,) = make_runs([('vanilla', 0)], hidden_features, quick)
  programs[FLAX] = flax_training.compile_run(run.settings, run.hyperparams)
  units[FLAX] = updates
  seconds = timing.interleave(
    {name: Training(program, updates) for name, program in programs.items()},
    repeats,
  )
  return Cell(
    {name: timing.summarize(seconds[name], units[name]) for name in programs},
    {name: program.compile_seconds for name, program in programs.items()},
  )


def compile_runs(runs: Sequence[settings_lib.Run]) -> population.Compiled:
  """Compile runs as one population."""
  return population.compile_population(
    runs[0].settings, [run.hyperparams for run in runs]
  )


def times_table(cells: Mapping[tuple[int, int], Cell]) -> list[str]:
  """Return the table of times and, beside them, flax's over ours."""
  header = ['H', 'runs', *KINDS, FLAX, *(f'{FLAX} ÷ {kind}' for kind in KINDS)]
  rows, ratios = [], {kind: [] for kind in KINDS}
  for (hidden_features, size), cell in cells.items():
    row = [str(hidden_features), str(size)]
    for name in (*KINDS, FLAX):
      row.append(timing.show(cell.timings[name], timing.MILLI))
    for kind in KINDS:
      ratio = timing.quotient(cell.timings[FLAX], cell.timings[kind])
      ratios[kind].append(ratio)
      row.append(timing.number(ratio))
    rows.append(row)
  means = [timing.number(timing.geometric_mean(r)) for r in ratios.values()]
  blanks = [''] * (len(KINDS) + 2)
  return pages.table(header, [*rows, ['geometric mean', *blanks, *means]])


def compile_table(cells: Mapping[tuple[int, int], Cell]) -> list[str]:
  """Return the table of seconds to compile."""
  names = (*KINDS, FLAX)
  return pages.table(
    ('H', 'runs', *names),
    (
      (*map(str, key), *(timing.number(c.compile_seconds[n]) for n in names))
      for key, c in cells.items()
    ),
  )


def populations_section(updates: int, repeats: int, quick: bool) -> list[str]:
  """Measure every population; return the lines."""
  sizes, widths = (map(int, f.value) for f in (_SIZES, _WIDTHS))
  cells = {}
  for key in [(4, 2)] if quick else itertools.product(widths, sizes):
    pages.progress('H = {}, {} runs'.format(*key))
    cells[key] = measure(key[1], key[0], updates, repeats, quick)
  return [
    f'{machine.cores()} cores; ms per run and update, median [quartiles]; '
    f'{updates} updates a call, after which ours evaluates one batch:',
    *times_table(cells),
    'Seconds to compile (ours with the drawing of weights):',
    *compile_table(cells),
  ]


def measure_grid(
  seeds: int, updates: int, hidden_features: int, quick: bool
) -> dict[str, float]:
  """Train all variants × seeds at once, and runs of flax one by one.

  Returns:
    The number of runs; seconds of ours, whole and for its compiling; medians of
    flax's seconds to compile and to train one run.
  """
  grid = itertools.product(GRID_VARIANTS, range(seeds))
  runs = make_runs(grid, hidden_features, quick)
  started = time.perf_counter()
  program = compile_runs(runs)
  Training(program, updates)()
  both = time.perf_counter() - started
  compiling, training = [], []
  for seed in range(seeds):
    (run,) = make_runs([('vanilla', seed)], hidden_features, quick)
    theirs = flax_training.compile_run(run.settings, run.hyperparams)
    one = Training(theirs, updates)
    started = time.perf_counter()
    one()
    training.append(time.perf_counter() - started)
    compiling.append(theirs.compile_seconds)
  return {
    'runs': len(runs),
    'both': both,
    'compiling': program.compile_seconds,
    'flax compiling': timing.summarize(compiling).median,
    'flax training': timing.summarize(training).median,
  }


def grid_section(quick: bool) -> list[str]:
  """Measure the grid; return the lines."""
  seeds, updates = (1, 4) if quick else (GRID_SEEDS, GRID_UPDATES)
  pages.progress('grid')
  found = measure_grid(seeds, updates, 4 if quick else 32, quick)
  count = found['runs']
  once = found['flax compiling'] + count * found['flax training']
  each = count * (found['flax compiling'] + found['flax training'])
  rows = [
    ('ours, one program', found['compiling'], found['both']),
    (f'{FLAX}, compiled once', found['flax compiling'], once),
    (f'{FLAX}, compiled for each run', count * found['flax compiling'], each),
  ]
  return [
    '### A grid in one program',
    '',
    f'{len(GRID_VARIANTS)} variants × {seeds} seeds = {count} runs of '
    f"{updates} updates, {machine.cores()} cores. flax's are the medians of "
    f'{seeds} vanilla runs, times the number of runs.',
    *pages.table(
      ('how', 'of it compiling, s', 'all, s', 'all ÷ ours'),
      (
        (name, *map(timing.number, (part, all_, all_ / found['both'])))
        for name, part, all_ in rows
      ),
    ),
  ]


def page() -> list[str]:
  """Return the lines of the page."""
  backend.use_every_core()
  quick, lines = pages.QUICK.value, ['## Populations', '']
  if _SIZES.value:
    updates = 2 if quick else _UPDATES.value
    lines += populations_section(updates, pages.repeats(), quick)
  return lines + (grid_section(quick) if _GRID.value else [])


if __name__ == '__main__':
  pages.run('population', page)
