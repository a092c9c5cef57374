"""What it costs that several processes share a study.

    python -m benchmarks.leases
    python -m benchmarks.leases --noworkers  # the claims alone

First the leases alone: processes claim populations that take no time to train,
all at the same moment; and one looks at those of a large study, most of which
others have trained while it trained one. Then a study trained by one process,
and by workers that share its cores: `sweep`, and `sweep --launch=local`.
"""

from collections.abc import Callable, Sequence
import json
import multiprocessing
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
import types
from typing import Any
from unittest import mock

from absl import flags

from benchmarks import pages, timing
import lstm_variants as lv
from lstm_variants.config import populations, settings
from lstm_variants.launch import local, shared
from lstm_variants.runs import directory, holder, lease, results
from lstm_variants.training import loop, watching

_POPULATIONS = flags.DEFINE_integer('populations', 500, 'To be claimed.')
_LARGE = flags.DEFINE_integer('large', 10_000, 'Populations of a large study.')
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
  lines = ['# Leases', '', *claims(), *rounds()]
  return [*lines, *training()] if _WORKERS.value else lines


def claims() -> list[str]:
  """Have processes claim populations, as fast as they can."""
  count = 20 if pages.QUICK.value else _POPULATIONS.value
  processes = 2 if pages.QUICK.value else _PROCESSES.value
  members = _members(count)
  context = multiprocessing.get_context('fork')
  start, ends = context.Barrier(processes), context.Queue()
  with tempfile.TemporaryDirectory() as folder:
    workers = [
      context.Process(target=_claim_all, args=(folder, members, start, ends))
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
  seconds = sum(one['cpu'] for one in each)
  return [
    f'{count} populations, claimed by {processes} processes at once: '
    f'{wall:.2f} s, {seconds:.2f} s of CPU.',
    '',
  ]


def _claim_all(
  folder: str, members: Sequence[populations.Population], start, ends
) -> None:
  """Claim what is left, and train nothing."""
  before, taken = timing.processor_seconds(resource.RUSAGE_SELF), []
  with directory.join_study(folder, 'leases', {}, {}, [{'seed': 0}]) as worker:
    start.wait()
    begin = time.monotonic()
    _train_left(folder, worker, members, taken.append)
    end = time.monotonic()
  cpu = timing.processor_seconds(resource.RUSAGE_SELF) - before
  ends.put({'taken': len(taken), 'begin': begin, 'end': end, 'cpu': cpu})


def _members(count: int) -> list[populations.Population]:
  """Return populations of one run, that differ by their names alone."""
  config = lv.default_config()
  (one,) = populations.split([settings.from_config(config)])
  return [one._replace(name=f'population-{n}') for n in range(count)]


def _finish(folder: str, member: populations.Population) -> None:
  """Leave a population as one that is trained."""
  place = pathlib.Path(folder) / 'populations' / member.name
  place.mkdir(parents=True)
  record = {'updates_at_most': member.settings.updates, 'patience': 0}
  (place / 'provenance.json').write_text(json.dumps(record))


def _train_left(
  folder: str,
  worker: lease.Worker,
  members: Sequence[populations.Population],
  trained: Callable[[populations.Population], None],
  wait: bool = False,
) -> None:
  """Take what is left of a study; to train it takes no time."""

  def train(workdir, member, *unused):
    _finish(workdir, member)
    trained(member)

  silent: Any = types.SimpleNamespace(skip=lambda name: None)
  with (
    mock.patch.object(loop, 'train_population', train),
    mock.patch.object(local, 'say_hint'),
    mock.patch.object(shared, '_cost', lambda member: 1.0),
  ):
    shared.train_left(
      *(folder, worker, members, None, watching.NOBODY, silent, wait)
    )


def rounds() -> list[str]:
  """Look at a large study, of which others train and have trained the most."""
  count = 200 if pages.QUICK.value else _LARGE.value
  members, seconds = _members(count), []
  with tempfile.TemporaryDirectory() as folder:
    with directory.join_study(folder, 'large', {}, {}, [{'seed': 0}]) as worker:
      there = pathlib.Path(folder) / lease.LEASES
      elsewhere = holder.describe()._replace(host='elsewhere', boot='another')
      facts = json.dumps({'seconds': 120.0, 'log': ''}).encode()

      def meanwhile(first: populations.Population) -> None:
        """Others have trained all but a tenth, which they train."""
        for number, each in enumerate(members):
          if each != first and number % 10:
            _finish(folder, each)
          elif each != first:
            (there / each.name).write_bytes(elsewhere.line() + facts)
        seconds.append(time.monotonic())

      def pause(unused: float) -> None:
        seconds.append(time.monotonic())
        if len(seconds) == 3:
          for each in members[::10]:
            if not results.is_finished(folder, each.name):
              (there / each.name).unlink()
              _finish(folder, each)

      with mock.patch.object(shared.time, 'sleep', pause):
        _train_left(folder, worker, members, meanwhile, wait=True)
  first, second = seconds[1] - seconds[0], seconds[2] - seconds[1]
  return [
    f'{count} populations, of which others train a tenth and have trained '
    f'the rest: {first:.2f} s to see that; {second:.2f} s to see that nothing '
    'has changed.',
    '',
  ]


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
  before, started = timing.processor_seconds(), time.monotonic()
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
      # Each begins with no program that was compiled before.
      env={**os.environ, 'XDG_CACHE_HOME': folder},
    )
  return time.monotonic() - started, timing.processor_seconds() - before


if __name__ == '__main__':
  pages.run('leases', page)
