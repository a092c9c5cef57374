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
import concurrent.futures
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

from benchmarks import exactness, networks, pages, peers, side_by_side, timing
from lstm_variants.runs import results

_SECONDS = flags.DEFINE_float('seconds', 480, 'For all of it.', lower_bound=1)
_WIDTHS = flags.DEFINE_list('widths', ['64', '128', '32', '256'], 'Units.')
_RUNS = flags.DEFINE_list('runs', ['1', '132', '32', '1024'], 'Side by side.')
_STEPS = flags.DEFINE_integer('steps', 100, 'Of a sequence.')
_BATCH, _FEATURES = 32, 2
_UPDATES = 10  # a call
# Of the time, until a section begins no new measurement. Studies have the rest.
_ENDS = {'exactness': 0.25, 'resume': 0.35, 'speed': 0.8}
_JSON = 'accelerator.jsonl'
_DETERMINISTIC = '--xla_gpu_deterministic_ops=true'
# Of each of the odyssey's runs.
_ODYSSEY_UPDATES = 200


class Log:
  """The lines of measurements, and the time that is left."""

  def __init__(self, seconds: float):
    self._began, self._seconds = time.monotonic(), seconds
    self.rows: list[dict[str, Any]] = []

  def left(self, until: float = 1.0) -> float:
    """Return the seconds until a part of all time is over."""
    return self._seconds * until - (time.monotonic() - self._began)

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


def _tried(log: Log, section: str, measure: Callable[[], None]) -> None:
  """Measure, or say why not: one thing that fails ends no other."""
  try:
    measure()
  except Exception as error:
    log.add(section, failed=f'{type(error).__name__}: {error}'[:300])


def measure_exactness(log: Log) -> None:
  """Measure every cell, as a user gets it and at the highest precision."""
  for precision in exactness.PRECISIONS:
    if log.left(_ENDS['exactness']) <= 0:
      log.add('exactness', precision=precision, skipped='no time')
      continue
    for found in exactness.measure(precision, pages.QUICK.value):
      log.add('exactness', precision=precision, **found._asdict())


def measure_resume(log: Log) -> None:
  """Train 40 updates at once, and 20 and 20; compare what is saved."""
  if log.left(_ENDS['resume']) <= 0:
    log.add('resume', skipped='no time')
    return
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
      changes = f'--config.training.updates={updates}', f'--workdir={workdir}'
      seconds = max(log.left(), 1)
      _command(seconds, [*train, *changes, *more], XLA_FLAGS=flag)
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
  """Return a digest of all parameters and metrics of a study."""
  digest = hashlib.sha256()
  for name in ('params.npz', 'metrics.jsonl'):
    for path in sorted(pathlib.Path(workdir).rglob(name)):
      digest.update(path.read_bytes())
  return digest.hexdigest()


def measure_speed(log: Log) -> None:
  """Time every width and size; the contestants of a cell compile at once."""
  widths, sizes = (
    ['4'] if pages.QUICK.value else flag.value for flag in (_WIDTHS, _RUNS)
  )
  for runs, width in itertools.product(sizes, widths):
    if log.left(_ENDS['speed']) <= 0:
      log.add('speed', width=width, runs=runs, skipped='no time')
    else:
      _tried(log, 'speed', lambda r=runs, w=width: _cell(log, int(w), int(r)))


def _cell(log: Log, width: int, runs: int) -> None:
  """Time the contestants of one width and number of runs, side by side."""
  steps, updates = _STEPS.value, _UPDATES
  if pages.QUICK.value:
    steps, updates = 5, 2
  problem = networks.Problem(steps, _BATCH, _FEATURES, width, True)
  names = side_by_side.MANY + (side_by_side.ONE if runs == 1 else ())
  built: dict[str, peers.Contestant] = {}
  with concurrent.futures.ThreadPoolExecutor() as pool:
    futures = {
      name: pool.submit(side_by_side.build, name, problem, runs, updates)
      for name in names
    }
    for name, future in futures.items():
      try:
        built[name] = future.result()
      except Exception as error:  # its library, or memory
        log.add(
          *('speed',),
          width=width,
          runs=runs,
          name=name,
          skipped=str(error)[:200],
        )
  timings = timing.measure(
    {name: contestant.run for name, contestant in built.items()},
    *(min(pages.repeats(), 5), updates * steps),
  )
  for name, found in timings.items():
    log.add(
      'speed',
      width=width,
      runs=runs,
      name=name,
      us_per_step=found.median / timing.MICRO,
      us_per_step_and_run=found.median / timing.MICRO / runs,
      quartiles=[found.low / timing.MICRO, found.high / timing.MICRO],
      temporary_bytes=built[name].temp_bytes,
      compile_seconds=built[name].compile_seconds,
    )
  log.add('memory', width=width, runs=runs, peak=side_by_side.peak_bytes())


def measure_studies(log: Log) -> None:
  """Time the quickstart and the odyssey, from the command on."""
  updates = 2 if pages.QUICK.value else _ODYSSEY_UPDATES
  cut = f'--config.training.updates={updates}'
  quickstart = ['--config=studies/quickstart']
  if pages.QUICK.value:
    _tried(log, 'studies', lambda: _study(log, [*quickstart, cut]))
    return
  _tried(log, 'studies', lambda: _study(log, quickstart))
  _tried(log, 'studies', lambda: _study(log, ['--config=studies/odyssey', cut]))


def _study(log: Log, changes: Sequence[str]) -> None:
  """Sweep a study, as far as the time goes."""
  with tempfile.TemporaryDirectory() as folder:
    workdir = f'{folder}/study'
    started = time.monotonic()
    arguments = ['sweep', *changes, f'--workdir={workdir}']
    ended = _command(max(log.left(), 1), arguments)
    done = results.read_runs(workdir)
    log.add(
      'studies',
      command=' '.join(arguments[:-1]),
      seconds=time.monotonic() - started,
      runs=len(done),
      ended=ended,
      compile_seconds=sum(
        population['compile_seconds']
        for population in results.read_provenance(workdir).values()
      ),
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
    _tried(log, section, lambda measure=measure: measure(log))
  return [
    '## On an accelerator',
    '',
    f'{device.device_kind} ({device.platform}), jax {jax.__version__}.',
    *_exactness_table(log),
    *_speed_table(log),
    *_others(log),
  ]


def _exactness_table(log: Log) -> list[str]:
  found = {
    (row['name'], row['precision']): row
    for row in log.of('exactness')
    if 'name' in row
  }
  header = ['cell']
  for precision in exactness.PRECISIONS:
    header += [f'values, {precision}', f'gradients, {precision}']
  rows = []
  for name in dict.fromkeys(name for name, _ in found):
    cells = [name]
    for precision in exactness.PRECISIONS:
      row = found.get((name, precision), {})
      for kind in ('values', 'gradients'):
        cells.append(f'{row[kind]:.1e}' if kind in row else '—')
    rows.append(cells)
  return [
    '',
    'Largest difference from float64 NumPy loops of the papers, over 1 + '
    '|value|:',
    *pages.table(header, rows),
  ]


def _speed_table(log: Log) -> list[str]:
  names = side_by_side.MANY + side_by_side.ONE
  cells: dict[tuple[int, int], dict[str, float]] = {}
  for row in log.of('speed'):
    if 'us_per_step' in row:
      cell = cells.setdefault((row['width'], row['runs']), {})
      cell[row['name']] = row['us_per_step_and_run']
  rows = [
    (
      *map(str, key),
      *(timing.number(cell.get(name, float('nan'))) for name in names),
    )
    for key, cell in sorted(cells.items())
  ]
  return [
    f'µs per time step and run, T = {_STEPS.value}, batch {_BATCH}, an error '
    f'on every step, forward, backward and SGD; {_UPDATES} updates a call:',
    *pages.table(('H', 'runs', *names), rows),
  ]


def _others(log: Log) -> list[str]:
  """Return what has no table, a line each; and what was skipped or failed."""
  plain = [*log.of('resume'), *log.of('memory'), *log.of('studies')]
  missed = [row for row in log.rows if {'skipped', 'failed'} & set(row)]
  lines = [f'- {json.dumps(row)}' for row in plain if row not in missed]
  return [*lines, *(f'- {json.dumps(row)}' for row in missed)]


if __name__ == '__main__':
  # Commands that are started need memory beside this process.
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  pages.run('accelerator', page)
