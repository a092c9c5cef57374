"""Time of a training update, per time step, against other libraries.

    python -m benchmarks.step_time --cores=1,2

Every number of cores is measured in a process of its own.
"""

from collections.abc import Mapping, Sequence
import math
import pathlib
import subprocess
import sys
import tempfile

from absl import flags

from benchmarks import machine, networks, pages, peers, timing
from benchmarks.networks import Problem
import lstm_variants as lv
from lstm_variants.training import backend

_CORES = flags.DEFINE_list(
  'cores', None, 'Numbers of cores to measure on; by default 1 and all.'
)
_LOSSES = flags.DEFINE_multi_enum(
  'loss', ['last', 'every'], ['last', 'every'], 'Where the loss is taken.'
)
_VARIANTS = flags.DEFINE_bool('variants', True, 'Whether to time ours as well.')
SHAPES = (
  (100, 32, 2, 32),
  (100, 32, 2, 128),
  (750, 50, 2, 128),
  (200, 128, 10, 128),
  (1000, 20, 10, 64),
  (1000, 1, 8, 32),
)
VARIANT_SHAPES = ((100, 32, 2, 128), (100, 32, 2, 32))
QUICK_SHAPES = ((10, 4, 2, 8),)
FIRST_VARIANTS = ('vanilla', 'peephole', 'coupled', 'coupled_peephole')
# A call makes about as many time steps: long against the cost of the call.
STEPS_PER_CALL, QUICK_STEPS = 2000, 20
LOSSES = {False: 'the last step', True: 'every step'}
BEST = 'best JAX peer'
RIVALS = ('flax nnx', 'flax linen', BEST, 'torch', 'flax nnx' + peers.SHARED)

Measured = Mapping[Problem, Mapping[str, timing.Timing]]


def updates_per_call(problem: Problem) -> int:
  """Return how many updates a call makes; the fewer, the longer they are."""
  steps = QUICK_STEPS if pages.QUICK.value else STEPS_PER_CALL
  return max(2, math.ceil(steps / problem.steps))


def measure(
  problem: Problem, repeats: int
) -> tuple[dict[str, timing.Timing], dict[str, str]]:
  """Time every library on a problem, in seconds per time step.

  Returns:
    The timings, and why each of the others is skipped.
  """
  updates = updates_per_call(problem)
  built, skipped = peers.build_all(problem, updates, peers.names(problem))
  runs = {name: contestant.run for name, contestant in built.items()}
  return timing.measure(runs, repeats, updates * problem.steps), skipped


def measure_variants(
  problem: Problem, variants: Sequence[str], repeats: int
) -> dict[str, timing.Timing]:
  """Time our variants on a problem, in seconds per time step."""
  updates = updates_per_call(problem)
  runs = {
    name: peers.compile_training(
      networks.ours(problem, name), problem, updates
    ).run
    for name in variants
  }
  return timing.measure(runs, repeats, updates * problem.steps)


def times_table(measured: Measured) -> list[str]:
  """Return the table of medians and quartiles; a dash for who is skipped."""
  names = peers.NAMES + (peers.SHARERS if _shared(measured) else ())
  return pages.table(
    ('T, B, F, H', *names),
    (
      (problem.label, *(timing.show(row.get(n)) for n in names))
      for problem, row in measured.items()
    ),
  )


def _shared(measured: Measured) -> Measured:
  """Return the problems whose batch was shared by devices too."""
  shared = networks.OURS + peers.SHARED
  return {p: row for p, row in measured.items() if shared in row}


def ratios(
  row: Mapping[str, timing.Timing], ours: str = networks.OURS
) -> dict[str, float]:
  """Return each peer's median over ours: above 1, ours is the faster."""
  others = [row[name] for name in networks.JAX_PEERS if name in row]
  best = min(others, key=lambda t: t.median, default=None)
  peer = {name: row.get(name) for name in RIVALS}
  peer[BEST] = best
  return {n: timing.quotient(peer[n], row.get(ours)) for n in peer}


def ratios_table(measured: Measured, ours: str = networks.OURS) -> list[str]:
  """Return the table of ratios, their geometric means last."""
  rows = {p.label: ratios(row, ours) for p, row in measured.items()}
  names = [
    name for name in RIVALS if peers.SHARED not in name or peers.SHARED in ours
  ]
  rows['geometric mean'] = {
    name: timing.geometric_mean(row[name] for row in rows.values())
    for name in names
  }
  return pages.table(
    ('T, B, F, H', *(f'{name} ÷ {ours}' for name in names)),
    (
      (label, *(timing.number(row[name]) for name in names))
      for label, row in rows.items()
    ),
  )


def variants_table(measured: Measured) -> list[str]:
  """Return the table of our variants, relative to vanilla."""
  header, columns = ['variant'], []
  for problem, row in measured.items():
    header += [f'µs per step at {problem.label}', '÷ vanilla']
    columns.append(row)
  rows = []
  for name in columns[0]:
    cells = [name]
    for row in columns:
      ratio = timing.quotient(row[name], row['vanilla'])
      cells += [timing.show(row[name]), timing.number(ratio)]
    rows.append(cells)
  return pages.table(header, rows)


def section(quick: bool, repeats: int) -> list[str]:
  """Measure on the cores of this process; return the lines."""
  count = machine.cores()
  lines = [f'### {count} core{"s" * (count > 1)}', '']
  for loss in _LOSSES.value:
    every_step = loss == 'every'
    where = LOSSES[every_step]
    measured, skipped = {}, {}
    for shape in QUICK_SHAPES if quick else SHAPES:
      problem = Problem(*shape, every_step)
      pages.progress(f'{count} cores, {problem.label}, {where}')
      measured[problem], why = measure(problem, repeats)
      skipped |= why
    lines += [f'Loss on {where}; µs per time step, median [quartiles]:']
    lines += times_table(measured) + pages.skipped_lines(skipped)
    lines += ['', 'Median over the median of ours:', *ratios_table(measured)]
    if shared := _shared(measured):
      lines += [
        '',
        f'The same, with the batch of ours shared by up to {count} CPU '
        'devices, as far as they divide it (as `training.batch_devices` does, '
        'which also gathers the outputs); only one peer is shared too:',
        *ratios_table(shared, networks.OURS + peers.SHARED),
      ]
  if not _VARIANTS.value:
    return lines
  rest = () if quick else [n for n in lv.VARIANTS if n not in FIRST_VARIANTS]
  measured = {}
  for shape in QUICK_SHAPES if quick else VARIANT_SHAPES:
    problem = Problem(*shape)
    pages.progress(f'{count} cores, variants, {problem.label}')
    measured[problem] = measure_variants(
      problem, (*FIRST_VARIANTS, *rest), repeats
    )
  lines += ['Ours by variant, static toggles, loss on the last step:']
  return lines + variants_table(measured)


def in_processes(cores: Sequence[int]) -> list[str]:
  """Measure each number of cores in a process of its own."""
  lines = []
  for count in cores:
    if count > machine.cores():
      lines += [f'- skipped: {count} cores ({machine.cores()} are there)', '']
      continue
    with tempfile.TemporaryDirectory() as folder, machine.pinned(count):
      subprocess.run(
        [
          *(sys.executable, '-m', 'benchmarks.step_time'),
          *(f'--cores={count}', f'--output={folder}'),
          *(f'--repeats={pages.REPEATS.value}', f'--quick={pages.QUICK.value}'),
          *(f'--loss={loss}' for loss in _LOSSES.value),
          f'--variants={_VARIANTS.value}',
        ],
        check=True,
        stdout=subprocess.DEVNULL,
      )
      page = (pathlib.Path(folder) / 'step_time.md').read_text()
    lines += ['###' + page.partition('\n###')[2].rstrip(), '']
  return lines


def page() -> list[str]:
  """Return the lines of the page."""
  backend.use_every_core()
  here = machine.cores()
  cores = [int(count) for count in _CORES.value or sorted({1, here})]
  if cores == [here]:
    lines = section(pages.QUICK.value, pages.repeats())
  else:
    lines = in_processes(cores)
  return ['## Time of a training step', '', *lines]


if __name__ == '__main__':
  pages.run('step_time', page)
