"""Trials of differing widths: a program for each width, or one with masks.

    python -m benchmarks.widths --repeats=3

The trials of adding in configs/studies/odyssey.py, with the widths drawn there:

- grouping, as experiments.sweep does: those of a width share a program;
- masking: all share one program at the largest width, and each trial masks the
  units that it does not have (benchmarks/masking.py).

Timed are compiling and, apart, an update of all the trials.
"""

from collections.abc import Iterable, Mapping, Sequence
import math
from typing import Any, NamedTuple

from absl import flags
import jax

from benchmarks import machine, masking, pages, timing
from configs.studies import odyssey
from lstm_variants.config import grid as hyper
from lstm_variants.config import settings as settings_lib
from lstm_variants.launch import local
from lstm_variants.training import backend, population

_TRIALS = flags.DEFINE_integer('trials', 6, 'Of each variant.', lower_bound=1)
_CHUNK = flags.DEFINE_integer(
  'chunk', 500, 'Updates a call, which ends in an evaluation.', lower_bound=1
)
TASK = 'adding'
GROUPS, MASKING = 'grouping', 'masking'
VARIANT, WIDTH = 'config.model.variant', 'config.model.hidden_features'


class Cost(NamedTuple):
  """What trials cost.

  Attributes:
    trials: how many.
    compiling: seconds, with the drawing of weights.
    update: seconds for an update of each of them.
  """

  trials: int
  compiling: timing.Timing
  update: timing.Timing


class Training:
  """A program and the state that its calls hand on."""

  def __init__(self, program: population.Compiled, updates: int):
    self._program, self._updates = program, updates
    self.state = program.state

  def __call__(self) -> None:
    """Make the updates and wait for them."""
    state, _ = self._program.advance(self.state, self._updates)
    self.state = jax.block_until_ready(state)


class Study(NamedTuple):
  """What is compiled, at least once.

  Attributes:
    training: of each group, by its width, and of `MASKING`.
    compiling: seconds of each round, by the same names.
    trials: how many each has.
    first: initial parameters of the trials, each at its own width.
    widths: of the trials.
  """

  training: dict[str, Training]
  compiling: dict[str, list[float]]
  trials: dict[str, int]
  first: list[Any]
  widths: list[int]


def make_grid(trials: int, quick: bool) -> tuple[list[hyper.Setting], int]:
  """Return the settings of the first trials of each variant, and a width.

  The width is the largest of the study. The smoke version has one trial, of the
  variant in which the gates of a unit are seen by the others.
  """
  grid = [
    dict(setting)
    for setting in odyssey.get_hyper(hyper, '1' if quick else str(trials))
    if setting['config.task.name'] == TASK
  ]
  if not quick:
    return grid, max(odyssey.WIDTHS)
  small = {
    WIDTH: 3,
    'config.task.length': 8,
    'config.training.batch_size': 4,
    'config.training.evaluation_batches': 1,
    'config.model.recurrent_init': 'uniform',  # quicker to compile
  }
  return [{**s, **small} for s in grid if s[VARIANT] == 'fgr'], 5


def make_runs(grid: Iterable[hyper.Setting]) -> list[settings_lib.Run]:
  """Return the runs of a grid."""
  return local.expand(odyssey.get_config(), lambda hyper: grid)


def compile_runs(runs: Sequence[settings_lib.Run]) -> population.Compiled:
  """Compile runs of one width as one population."""
  return population.compile_population(
    runs[0].settings, [run.hyperparams for run in runs]
  )


def draw(runs: Sequence[settings_lib.Run]) -> list[Any]:
  """Return the initial parameters of runs of one width, on the host."""
  hyperparams = [run.hyperparams for run in runs]
  state = population.init_states(runs[0].settings, hyperparams)
  return masking.unstack(state.params)


def prepare(
  grid: Sequence[hyper.Setting], largest: int, updates: int, repeats: int
) -> Study:
  """Compile a grid in both ways.

  Args:
    grid: the trials.
    largest: the width of the masked trials.
    updates: in a call.
    repeats: how often each program is compiled.
  """
  widths = [setting[WIDTH] for setting in grid]
  runs = {
    str(width): make_runs(s for s in grid if s[WIDTH] == width)
    for width in sorted(set(widths))
  }
  # A group is in the order of the grid.
  drawn = {name: iter(draw(group)) for name, group in runs.items()}
  first = [next(drawn[str(width)]) for width in widths]
  runs[MASKING] = make_runs({**s, WIDTH: largest} for s in grid)
  programs, compiling = {}, {name: [] for name in runs}
  for number in range(repeats):
    for name, some in runs.items():
      pages.progress(f'compiling, round {number}: {name}')
      programs[name] = compile_runs(some)
      compiling[name].append(programs[name].compile_seconds)
  programs[MASKING] = masking.mask_population(programs[MASKING], first, widths)
  return Study(
    {name: Training(program, updates) for name, program in programs.items()},
    compiling,
    {name: len(some) for name, some in runs.items()},
    first,
    widths,
  )


def unmask(prepared: Study) -> list[Any]:
  """Return the trials' models out of those that masks have trained.

  Raises:
    AssertionError: masked units did not stay masked.
  """
  params = prepared.training[MASKING].state.params
  wide = masking.unstack(params)[: len(prepared.widths)]
  each = zip(wide, prepared.first, prepared.widths, strict=True)
  return [masking.unmask(*one) for one in each]


def measure(prepared: Study, updates: int, repeats: int) -> dict[str, Cost]:
  """Train in both ways, in turn.

  Args:
    prepared: what was compiled.
    updates: in a call.
    repeats: rounds, after one to warm up.

  Returns:
    The cost of each group, by its width, then of `GROUPS` and of `MASKING`.

  Raises:
    AssertionError: masked units did not stay masked.
  """
  pages.progress('training')
  training = timing.interleave(prepared.training, repeats)
  unmask(prepared)
  compiling, trials = dict(prepared.compiling), dict(prepared.trials)
  groups = [name for name in trials if name != MASKING]
  for seconds in (compiling, training):
    seconds[GROUPS] = add_rounds(seconds[name] for name in groups)
  trials[GROUPS] = trials[MASKING]
  return {
    name: Cost(
      trials[name],
      timing.summarize(compiling[name]),
      timing.summarize(training[name], updates),
    )
    for name in (*groups, GROUPS, MASKING)
  }


def add_rounds(seconds: Iterable[Sequence[float]]) -> list[float]:
  """Return the seconds of each round, of several contestants together."""
  return [sum(of_round) for of_round in zip(*seconds, strict=True)]


def cheaper(costs: Mapping[str, Cost]) -> str:
  """Tell which of two is cheaper, and from how many updates on.

  n updates take C + n U seconds: that with the smaller U is cheaper from
  (C − C') / (U' − U) on. The trials of one program do much to U, little to C.
  """
  fast, slow = sorted(
    costs, key=lambda n: (costs[n].update.median, costs[n].compiling.median)
  )
  late = costs[fast].compiling.median - costs[slow].compiling.median
  if late <= 0:
    return f'{fast} is cheaper after any number of updates'
  gain = costs[slow].update.median - costs[fast].update.median
  if not gain:
    return f'{slow} is cheaper after any number of updates'
  return (
    f'{fast} is cheaper from {math.ceil(late / gain):,} updates on, {slow} '
    'before that; with k times the trials, which take hardly longer to compile '
    '(see Populations), from about a k-th of that on'
  )


def whole_table(costs: Mapping[str, Cost], updates: int) -> list[str]:
  """Return the table of both ways, for a study of `updates` updates."""
  rows = []
  for name in (GROUPS, MASKING):
    cost = costs[name]
    seconds = [
      of.compiling.median + updates * of.update.median
      for of in (cost, costs[GROUPS])
    ]
    rows.append(
      (
        name,
        str(len(costs) - 2) if name == GROUPS else '1',
        timing.show(cost.compiling, 1),
        timing.show(cost.update, timing.MILLI),
        timing.number(seconds[0]),
        timing.number(seconds[0] / seconds[1]),
      )
    )
  header = 'how', 'programs', 'compiling, s', 'an update of all, ms'
  ends = f'{updates:,} updates with compiling, s', f'÷ {GROUPS}'
  return pages.table((*header, *ends), rows)


def parts_table(costs: Mapping[str, Cost]) -> list[str]:
  """Return the table of each program."""
  return pages.table(
    ('program', 'trials', 'compiling, s', 'an update of a trial, ms'),
    (
      (
        name if name == MASKING else f'width {name}',
        str(cost.trials),
        timing.show(cost.compiling, 1),
        timing.show(
          timing.Timing(*(x / cost.trials for x in cost.update)), timing.MILLI
        ),
      )
      for name, cost in costs.items()
      if name != GROUPS
    ),
  )


def page() -> list[str]:
  """Return the lines of the page."""
  backend.use_every_core()
  quick = pages.QUICK.value
  grid, largest = make_grid(_TRIALS.value, quick)
  chunk = 2 if quick else _CHUNK.value
  prepared = prepare(grid, largest, chunk, pages.repeats())
  costs = measure(prepared, chunk, pages.repeats())
  config: Any = odyssey.get_config()
  both = {name: costs[name] for name in (GROUPS, MASKING)}
  return [
    '## Trials of differing widths',
    '',
    f'The random search of configs/studies/odyssey.py on {TASK}: '
    f'{len(grid)} trials of {len({s[VARIANT] for s in grid})} variants, '
    f'{machine.cores()} cores; {GROUPS}: a program for each width; {MASKING}: '
    f'one program at the largest width, with the same trials and results; '
    f'{chunk} updates a call, then an evaluation; median [quartiles]:',
    *whole_table(costs, config.training.updates),
    f'For {len(grid)} trials {cheaper(both)}.',
    '',
    'Each program by itself:',
    *parts_table(costs),
  ]


if __name__ == '__main__':
  pages.run('widths', page)
