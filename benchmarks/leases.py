"""What it costs that several processes share a study.

    python -m benchmarks.leases
    python -m benchmarks.leases --noworkers  # the claims alone

First the leases alone: processes claim populations that take no time to train,
all at the same moment. Then a study trained by one process, and by workers that
share its cores: `sweep`, and `sweep --launch=local`.
"""

from collections.abc import Sequence
import multiprocessing
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

from absl import flags

from benchmarks import pages
from lstm_variants.runs import directory, lease

_POPULATIONS = flags.DEFINE_integer('populations', 500, 'To be claimed.')
_PROCESSES = flags.DEFINE_integer('processes', 8, 'That claim them.')
_WORKERS = flags.DEFINE_bool('workers', True, 'Train a study, too.')
_COUNT = flags.DEFINE_integer('count', 4, 'Workers that train the study.')
_CONFIG = flags.DEFINE_string(
  'config', 'studies/quickstart', 'The study that is trained.'
)
_UPDATES = flags.DEFINE_integer('updates', 2000, 'Of each of its runs.')
_SIZE = flags.DEFINE_integer('size', 5, 'Runs in a population of it.')


def page() -> list[str]:
  """Return the lines of the page."""
  lines = ['# Leases', '', *claims()]
  return [*lines, *training()] if _WORKERS.value else lines


def claims() -> list[str]:
  """Have processes claim populations, as fast as they can."""
  count = 20 if pages.QUICK.value else _POPULATIONS.value
  processes = 2 if pages.QUICK.value else _PROCESSES.value
  context = multiprocessing.get_context('fork')
  start, ends = context.Barrier(processes), context.Queue()
  with tempfile.TemporaryDirectory() as folder:
    workers = [
      context.Process(target=_claim_all, args=(folder, count, start, ends))
      for _ in range(processes)
    ]
    for worker in workers:
      worker.start()
    each = [ends.get() for _ in workers]
    for worker in workers:
      worker.join()
  taken = sum(one['taken'] for one in each)
  assert taken == count, taken
  wall = max(one['end'] for one in each) - min(one['begin'] for one in each)
  busy = sum(one['busy'] for one in each)
  seconds = sum(one['cpu'] for one in each)
  return [
    f'{count} populations, claimed by {processes} processes at once: '
    f'{wall:.2f} s, {seconds:.2f} s of CPU, {busy} tries at what another had.',
    '',
  ]


def _claim_all(folder: str, count: int, start, ends) -> None:
  """Claim what is left, as `shared.train_left` does, and train nothing."""
  workdir = pathlib.Path(folder)
  before, begin = _cpu(resource.RUSAGE_SELF), None
  taken = busy = 0
  with directory.join_study(folder, 'leases', {}, {}, [{'seed': 0}]) as worker:
    start.wait()
    begin = time.monotonic()
    pending = [str((worker.rank + n) % count) for n in range(count)]
    while pending:
      others = []
      for name in pending:
        final = workdir / 'populations' / name
        try:
          if not final.is_dir():
            with worker.claim(name):
              if not final.is_dir():
                final.mkdir()
                taken += 1
        except lease.TakenError:
          busy += 1
          others.append(name)
      pending = others
    end = time.monotonic()
  cpu = _cpu(resource.RUSAGE_SELF) - before
  ends.put(
    {'taken': taken, 'busy': busy, 'begin': begin, 'end': end, 'cpu': cpu}
  )


def training() -> list[str]:
  """Train a study by one process, and by workers that share its cores."""
  count = 2 if pages.QUICK.value else _COUNT.value
  rows = []
  for name, words in (
    ('one process', ()),
    (f'{count} workers', ('--launch=local', f'--workers={count}')),
  ):
    pages.progress(name)
    wall, cpu = _sweep(words)
    rows.append((name, f'{wall:.1f}', f'{cpu:.1f}'))
  updates = 20 if pages.QUICK.value else _UPDATES.value
  header = ('trained by', 'seconds', 'seconds of CPU')
  return [
    f'`{_CONFIG.value}`, {updates} updates, populations of {_SIZE.value} runs, '
    f'{len(os.sched_getaffinity(0))} cores:',
    *pages.table(header, rows),
  ]


def _sweep(words: Sequence[str]) -> tuple[float, float]:
  """Return the seconds, and those of CPU, that a sweep takes."""
  updates = 20 if pages.QUICK.value else _UPDATES.value
  before, started = _cpu(resource.RUSAGE_CHILDREN), time.monotonic()
  with tempfile.TemporaryDirectory() as folder:
    subprocess.run(
      [
        *(sys.executable, '-m', 'lstm_variants', 'sweep'),
        *(f'--config={_CONFIG.value}', f'--workdir={folder}/study'),
        f'--config.training.updates={updates}',
        f'--config.study.population_size={_SIZE.value}',
        *words,
      ],
      check=True,
      stdout=subprocess.DEVNULL,
    )
  return time.monotonic() - started, _cpu(resource.RUSAGE_CHILDREN) - before


def _cpu(of: int) -> float:
  usage = resource.getrusage(of)
  return usage.ru_utime + usage.ru_stime


if __name__ == '__main__':
  pages.run('leases', page)
