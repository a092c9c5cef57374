"""A GPU or TPU in some minutes: is it right there, and how fast, beside whom?

    python -m benchmarks.accelerator --seconds=480 --output=runs/accelerator

What matters most comes first, and what no time is left for is skipped and said;
each measurement is a line of accelerator.jsonl as soon as it is made.

    exactness   every cell against float64 NumPy loops of its paper
    resume      a run that stops and goes on, bit by bit; XLA is asked for
                deterministic operations
    speed       populations against flax side by side, and one run against cuDNN
    studies     from the command to the end: the quickstart, then as many of the
                odyssey's 540 runs as the time allows, cut to 200 updates
"""

from collections.abc import Callable, Sequence
import contextlib
import hashlib
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

from absl import flags
import jax
import numpy as np

from benchmarks import exactness, pages, side_by_side, timing
from lstm_variants import errors
from lstm_variants.runs import results

_SECONDS = flags.DEFINE_float('seconds', 480, 'For all of it.', lower_bound=1)
# Of a population, and of its models; what matters most first.
_SIZES, _WIDTHS = (132, 1, 1024, 32), (64, 128, 32, 256)
# Of the time, until a section begins no new measurement. Studies have the rest.
_ENDS = {'exactness': 0.25, 'resume': 0.4, 'speed': 0.8}
_JSON = 'accelerator.jsonl'
_DETERMINISTIC = '--xla_gpu_deterministic_ops=true'
# Of each of the odyssey's runs.
_ODYSSEY_UPDATES = 200
# Seconds below which nothing is begun.
_LEAST = 2.0


class Log:
  """The lines of measurements, and the time that is left."""

  def __init__(self, seconds: float):
    self._began, self._seconds = time.monotonic(), seconds
    self.rows: list[dict[str, Any]] = []

  def left(self, section: str) -> float:
    """Return the seconds until a section is to end."""
    until = self._seconds * _ENDS.get(section, 1.0)
    return until - (time.monotonic() - self._began)

  def is_late(self, section: str, **row: Any) -> bool:
    """Tell whether no time is left for a measurement, and say so."""
    late = self.left(section) < _LEAST
    if late:
      self.add(section, **row, skipped='no time')
    return late

  def add(self, section: str, **row: Any) -> None:
    """Print a line and keep it, in --output too."""
    self.rows.append({'section': section, **row})
    line = json.dumps(self.rows[-1])
    pages.progress(line)
    if pages.OUTPUT.value:
      folder = pathlib.Path(pages.OUTPUT.value)
      folder.mkdir(parents=True, exist_ok=True)
      with (folder / _JSON).open('a') as file:
        file.write(line + '\n')

  def of(self, section: str) -> list[dict[str, Any]]:
    """Return the lines of a section."""
    return [row for row in self.rows if row['section'] == section]


def _try(log: Log, section: str, measure: Callable[[], None]) -> None:
  """Measure, or say why not: one thing that fails ends no other."""
  try:
    measure()
  except Exception as error:
    log.add(section, failed=pages.failure(error))


def measure_exactness(log: Log) -> None:
  """Measure every cell."""
  if log.is_late('exactness'):
    return
  quick, seconds = pages.QUICK.value, log.left('exactness')
  for found in exactness.measure(seconds, quick):
    row = found._asdict()
    if not found.failed:
      del row['failed']
    log.add('exactness', **row)


def measure_resume(log: Log) -> None:
  """Train 40 updates at once, and 20 and 20; compare what is saved."""
  flag = _DETERMINISTIC if jax.default_backend() == 'gpu' else ''
  with tempfile.TemporaryDirectory() as folder:
    whole, parts = (f'{folder}/{name}' for name in ('whole', 'parts'))
    train = ['train', '--config=adding']
    train += ['--config.training.evaluation_interval=20']
    for workdir, updates, more in (
      (whole, 40, ()),
      (parts, 20, ()),
      (parts, 40, ('--resume',)),
    ):
      if log.is_late('resume'):
        return
      changes = f'--config.training.updates={updates}', f'--workdir={workdir}'
      seconds = log.left('resume')
      if not _command(seconds, [*train, *changes, *more], XLA_FLAGS=flag):
        log.add('resume', skipped='no time')
        return
    same = _digest(whole) == _digest(parts)
  log.add('resume', flags=flag, bit_identical=same)


def _command(seconds: float, arguments: Sequence[str], **environ: str) -> bool:
  """Run a command of ours; tell whether it ended by itself.

  Args:
    seconds: after which it is asked to save and end.
    arguments: of the command, its name first.
    environ: variables of its environment.

  Raises:
    RuntimeError: it fails.
  """
  process = subprocess.Popen(
    [sys.executable, '-m', 'lstm_variants', *arguments],
    env={**os.environ, 'JAX_ENABLE_COMPILATION_CACHE': 'false', **environ},
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  )
  try:
    _, said = process.communicate(timeout=seconds)
  except subprocess.TimeoutExpired:
    process.terminate()
    process.communicate()
    return False
  if process.returncode:
    raise RuntimeError(f'{arguments[0]}: {said.strip()[-200:]}')
  return True


def _digest(workdir: str) -> str:
  """Return a digest of all parameters and metrics of a study.

  Raises:
    RuntimeError: there are none.
  """
  digest = hashlib.sha256()
  for name in ('params.npz', 'metrics.jsonl'):
    paths = sorted(pathlib.Path(workdir).rglob(name))
    if not paths:
      raise RuntimeError(f'{workdir}: has no {name}')
    for path in paths:
      digest.update(path.read_bytes())
  return digest.hexdigest()


def measure_speed(log: Log) -> None:
  """Time every number of runs and width, each by a process of its own."""
  every = [(2, 4)] if pages.QUICK.value else itertools.product(_SIZES, _WIDTHS)
  for runs, hidden in every:
    whose = {'hidden': hidden, 'together': runs}
    if not log.is_late('speed', **whose):
      for row in _side_by_side(log.left('speed'), whose):
        log.add('speed', **whose, **row)


def _side_by_side(
  seconds: float, whose: dict[str, int]
) -> list[dict[str, Any]]:
  """Return the rows of one size; one that says so if it does not end."""
  words = [f'--{name}={value}' for name, value in whose.items()]
  words += ['--quick'] if pages.QUICK.value else []
  try:
    done = subprocess.run(
      [sys.executable, '-m', 'benchmarks.side_by_side', *words],
      capture_output=True,
      text=True,
      timeout=seconds,
    )
  except subprocess.TimeoutExpired:
    return [{'skipped': 'no time'}]
  rows = [json.loads(line) for line in done.stdout.splitlines()]
  if done.returncode:
    rows.append({'failed': done.stderr.strip()[-300:]})
  return rows


def measure_studies(log: Log) -> None:
  """Time the quickstart and the odyssey, from the command on."""
  updates = 2 if pages.QUICK.value else _ODYSSEY_UPDATES
  cut = f'--config.training.updates={updates}'
  quickstart = ['--config=studies/quickstart']
  if pages.QUICK.value:
    _try(log, 'studies', lambda: _study(log, [*quickstart, cut]))
    return
  _try(log, 'studies', lambda: _study(log, quickstart))
  _try(log, 'studies', lambda: _study(log, ['--config=studies/odyssey', cut]))


def _study(log: Log, changes: Sequence[str]) -> None:
  """Sweep a study, as far as the time goes."""
  arguments = ['sweep', *changes]
  whose = ' '.join(arguments)
  if log.is_late('studies', command=whose):
    return
  with tempfile.TemporaryDirectory() as folder:
    workdir = f'{folder}/study'
    started = time.monotonic()
    seconds = log.left('studies')
    ended = _command(seconds, [*arguments, f'--workdir={workdir}'])
    runs, compiling = 0, 0.0
    with contextlib.suppress(errors.Error):  # no population has ended
      runs = len(results.read_runs(workdir))
      for made in results.read_provenance(workdir).values():
        compiling += made['compile_seconds']
    log.add(
      'studies',
      command=whose,
      ended=ended,
      seconds=time.monotonic() - started,
      runs=runs,
      compile_seconds=compiling,
    )


def page() -> list[str]:
  """Measure all; return the lines of the page."""
  log = Log(_SECONDS.value)
  device = jax.devices()[0]
  log.add('machine', device=device.device_kind, platform=device.platform)
  for section, measure in (
    ('exactness', measure_exactness),
    ('resume', measure_resume),
    ('speed', measure_speed),
    ('studies', measure_studies),
  ):
    _try(log, section, lambda measure=measure: measure(log))
  return [
    '## On an accelerator',
    '',
    f'{device.device_kind} ({device.platform}), jax {jax.__version__}.',
    *_exactness_table(log),
    *_speed_table(log),
    *_others(log),
  ]


def _exactness_table(log: Log) -> list[str]:
  """Return a row for each cell: the worst of its settings."""
  names, kinds = exactness.PRECISIONS, ('values', 'gradients')
  worst: dict[str, dict[tuple[str, str], float]] = {}
  for row in log.of('exactness'):
    for kind in kinds if 'name' in row else ():
      key, cell = (row['precision'], kind), worst.setdefault(row['name'], {})
      # NaN too, unlike Python's; what failed is NaN.
      cell[key] = float(np.maximum(row[kind], cell.get(key, 0)))
  columns = list(itertools.product(names, kinds))
  return [
    '',
    'Largest difference from float64 NumPy loops of the papers, over 1 + '
    '|value|, by the precision of products:',
    *pages.table(
      ('cell', *(f'{kind}, {name}' for name, kind in columns)),
      (
        (
          cell,
          *(f'{found[key]:.1e}' if key in found else '—' for key in columns),
        )
        for cell, found in worst.items()
      ),
    ),
  ]


def _speed_table(log: Log) -> list[str]:
  """Return a row for each width and number of runs."""
  names = side_by_side.MANY + side_by_side.ONE
  cells: dict[tuple[int, int], dict[str, float]] = {}
  for row in log.of('speed'):
    if 'us_per_step' in row:
      cell = cells.setdefault((row['hidden'], row['together']), {})
      cell[row['name']] = row['us_per_step_and_run']
  rows = [
    (
      *map(str, key),
      *(timing.number(cell.get(name, float('nan'))) for name in names),
    )
    for key, cell in sorted(cells.items())
  ]
  return [
    f'µs per time step and run, T = {side_by_side.STEPS}, batch '
    f'{side_by_side.BATCH}, an error on every step; forward, backward and SGD, '
    f'{side_by_side.UPDATES} updates a call:',
    *pages.table(('H', 'runs', *names), rows),
  ]


def _others(log: Log) -> list[str]:
  """Return what has no table, a line each; and what was skipped or failed."""
  plain = [*log.of('resume'), *log.of('studies')]
  plain += [row for row in log.of('speed') if 'peak_bytes' in row]
  missed = [row for row in log.rows if {'skipped', 'failed'} & set(row)]
  lines = [f'- {json.dumps(row)}' for row in plain if row not in missed]
  return [*lines, *(f'- {json.dumps(row)}' for row in missed)]


if __name__ == '__main__':
  # Commands that are started need memory beside this process.
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  pages.run('accelerator', page)
