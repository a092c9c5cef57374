"""Memory of the gradient over long sequences, and how costs grow.

    python -m benchmarks.memory

'sqrt' recomputes segments of √T steps in the gradient (training.remat=sqrt):
one carry a segment is kept rather than what every step computes.
"""

from collections.abc import Iterable, Mapping
import math
from typing import Any, NamedTuple

from absl import flags

from benchmarks import machine, networks, pages, peers, timing
from benchmarks.networks import Problem
from lstm_variants.training.memory import root

_LENGTHS = flags.DEFINE_list(
  'lengths', ['100', '1000', '10000', '100000'], 'Time steps.'
)
LONG = Problem(100, 8, 2, 32)
CENTRE = Problem(100, 32, 2, 64)
QUICK = Problem(12, 4, 2, 8)
NONE, SQRT, FLAX = 'ours', 'ours, sqrt', 'flax nnx'
FACTORS = (0.5, 1, 2, 4)
GROWING = ('steps', 'batch', 'hidden_features')
STEPS_PER_CALL = 5000


class Cost(NamedTuple):
  """What a program costs: seconds per time step, scratch bytes, compiling."""

  timing: timing.Timing
  temp_bytes: int | None
  compile_seconds: float


def updates_per_call(problem: Problem) -> int:
  """Return how many updates a call makes."""
  steps = problem.steps if pages.QUICK.value else STEPS_PER_CALL
  return max(1, math.ceil(steps / problem.steps))


def measure(
  built: Mapping[str, peers.Contestant], problem: Problem, repeats: int
) -> dict[str, Cost]:
  """Time contestants on a problem."""
  timings = timing.measure(
    {name: contestant.run for name, contestant in built.items()},
    repeats,
    updates_per_call(problem) * problem.steps,
  )
  return {
    name: Cost(timings[name], contestant.temp_bytes, contestant.compile_seconds)
    for name, contestant in built.items()
  }


def measure_length(problem: Problem, repeats: int) -> dict[str, Cost]:
  """Measure ours, ours with recomputation, and flax."""
  updates = updates_per_call(problem)
  built = {
    NONE: networks.ours(problem),
    SQRT: networks.ours(problem, segment=root(problem.steps)),
    FLAX: networks.flax_nnx(problem),
  }
  return measure(
    {
      name: peers.compile_training(model, problem, updates)
      for name, model in built.items()
    },
    problem,
    repeats,
  )


def lengths_table(measured: Mapping[Problem, Mapping[str, Cost]]) -> list[str]:
  """Return the table over T: scratch memory, time per step, compiling."""
  names = NONE, SQRT, FLAX
  header = ['T']
  for what in ('MiB', 'µs per step', 'compiling s'):
    header += [f'{what}: {name}' for name in names]
  rows = []
  for problem, costs in measured.items():
    row = [f'{problem.steps:,}']
    row += [_mebibytes(costs[name].temp_bytes) for name in names]
    row += [timing.show(costs[name].timing) for name in names]
    row += [timing.number(costs[name].compile_seconds) for name in names]
    rows.append(row)
  return pages.table(header, rows)


def growth_table(
  name: str, measured: Mapping[Problem, Mapping[str, Cost]]
) -> list[str]:
  """Return the table of a size that is doubled: time and its growth."""
  header = ['T, B, F, H']
  for contestant in (NONE, FLAX):
    header += [f'{contestant}, µs per step', '÷ line above']
  rows, above = [], {}
  for problem, costs in measured.items():
    row = [problem.label]
    for contestant in (NONE, FLAX):
      now = costs[contestant].timing
      ratio = timing.quotient(now, above.get(contestant))
      row += [timing.show(now), timing.number(ratio)]
      above[contestant] = now
    rows.append(row)
  return [f'{name} doubled:', *pages.table(header, rows)]


def grow(centre: Problem, name: str, factors: Iterable[float]) -> list[Problem]:
  """Return the problem with one of its sizes at multiples of itself."""
  size = getattr(centre, name)
  changes: list[Any] = [{name: int(size * factor)} for factor in factors]
  return [centre._replace(**change) for change in changes]


def measure_growth(problem: Problem, repeats: int) -> dict[str, Cost]:
  """Measure ours and flax on a problem."""
  built, _ = peers.build_all(problem, updates_per_call(problem), (NONE, FLAX))
  return measure(built, problem, repeats)


def page() -> list[str]:
  """Return the lines of the page."""
  quick, repeats = pages.QUICK.value, pages.repeats()
  lengths = [QUICK.steps] if quick else map(int, _LENGTHS.value)
  base = QUICK if quick else LONG
  long = {}
  for length in lengths:
    problem = base._replace(steps=length)
    pages.progress(problem.label)
    long[problem] = measure_length(problem, repeats)
  lines = [
    '## Memory and growth',
    '',
    f'{machine.cores()} cores, loss on the last step. Scratch memory of the '
    f'program, B = {base.batch}, H = {base.hidden_features}:',
    *lengths_table(long),
  ]
  lines += ['Cost of a time step as one size grows, the others fixed.', '']
  for name in GROWING[:1] if quick else GROWING:
    measured = {}
    factors = (1, 2) if quick else FACTORS
    for problem in grow(QUICK if quick else CENTRE, name, factors):
      pages.progress(problem.label)
      measured[problem] = measure_growth(problem, repeats)
    lines += growth_table(name, measured)
  return lines


def _mebibytes(count: int | None) -> str:
  return '—' if count is None else timing.number(count / 2**20)


if __name__ == '__main__':
  pages.run('memory', page)
