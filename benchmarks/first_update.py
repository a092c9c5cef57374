"""From the command to the first update: starting, importing, compiling.

    python -m benchmarks.first_update

Each is a process of its own on one core, from its start to its end, one after
the other in turn: what Python and jax take alone, the help of `train`, and
`train` on the adding problem for a single update and two evaluations, with no
program kept and with those of the process before.
"""

from collections.abc import Sequence
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from benchmarks import machine, pages, timing

_TRAIN = ('-m', 'lstm_variants', 'train', '--config=adding')
_KEPT, _COLD = 'train, programs kept', 'train, nothing kept'
# name -> the words after `python`.
STARTS: dict[str, Sequence[str]] = {
  'import jax': ('-c', 'import jax; jax.devices()'),
  'train --help': ('-m', 'lstm_variants', 'train', '--help'),
  _COLD: (*_TRAIN, '--config.training.updates=1'),
  _KEPT: (*_TRAIN, '--config.training.updates=1'),
}
_QUICK = '--config.task.length=4', '--config.model.hidden_features=2'


def measure(repeats: int) -> dict[str, tuple[list[float], list[float]]]:
  """Return of each start the seconds, and those of the processor."""
  found: dict[str, tuple[list[float], list[float]]] = {
    name: ([], []) for name in STARTS
  }
  with tempfile.TemporaryDirectory() as folder, machine.pinned(1):
    _start(_KEPT, folder)
    for number in range(repeats):
      pages.progress(f'round {number + 1}/{repeats}')
      for name in STARTS:
        for values, seconds in zip(
          found[name], _start(name, folder), strict=True
        ):
          values.append(seconds)
  return found


def _start(name: str, folder: str) -> tuple[float, float]:
  """Start a process and wait for its end; return its seconds, and of CPU."""
  workdir, cold = (pathlib.Path(folder, part) for part in ('run', 'cold'))
  for path in (workdir, cold):
    shutil.rmtree(path, ignore_errors=True)
  words = list(STARTS[name])
  if words[:4] == list(_TRAIN):
    words += [f'--workdir={workdir}', *(_QUICK if pages.QUICK.value else ())]
  cache = cold if name == _COLD else pathlib.Path(folder, 'kept')
  before, started = timing.processor_seconds(), time.monotonic()
  subprocess.run(
    [sys.executable, *words],
    check=True,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
    env={**os.environ, 'XDG_CACHE_HOME': str(cache)},
  )
  seconds = time.monotonic() - started
  return seconds, timing.processor_seconds() - before


def page() -> list[str]:
  """Return the lines of the page."""
  found = measure(pages.repeats())
  return [
    '## From the command to the first update',
    '',
    'A process on one core, seconds from its start to its end, median '
    '[quartiles]:',
    *pages.table(
      ('start', 's', 'of the processor, s'),
      (
        (
          name,
          *(timing.show(timing.summarize(values), 1.0) for values in both),
        )
        for name, both in found.items()
      ),
    ),
  ]


if __name__ == '__main__':
  pages.run('first_update', page)
