"""Real trackers, a real training, two kills: `make trackers`.

    python -m tests.trackers.real [DIRECTORY]

Trains a mixed population of four runs with every tracker, kills it twice with
SIGKILL behind a checkpoint, goes on, reads what each tracker kept with its own
reader, and compares every curve of every run with metrics.jsonl. Prints the
table of docs/watching.md; ends with status 1 where a row is missing, double or
different. Needs the packages of the trackers, and `tensorboard` as the reader
of event files; no network.
"""

import collections
from collections.abc import Callable, Iterator
import csv
import importlib
import importlib.metadata
import math
import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import time
from typing import Any

from lstm_variants.runs import results

# Metric -> step -> the values that a tracker has there, and should have.
Curves = dict[str, dict[int, list[float]]]
# Tracker -> its package.
PACKAGES = {
  'csv': '',
  'tensorboard': 'tensorboardX',
  'wandb': 'wandb',
  'trackio': 'trackio',
  'mlflow': 'mlflow',
}
KILLS = 2
STUDY = """
from configs import base


def get_config():
  config = base.get_config()
  config.task.length = 20
  config.model.hidden_features = 16
  config.training.batch_size = 8
  config.training.updates = 2000
  config.training.evaluation_interval = 20
  config.training.save_interval = 300
  config.training.trackers = '{names}'
  return config


def get_hyper(hyper):
  return hyper.product([
    hyper.sweep('config.model.variant', ['vanilla', 'peephole']),
    hyper.sweep('config.seed', [0, 1]),
  ])
"""


def main() -> None:
  """Train, kill, go on, read back, compare."""
  given = sys.argv[1:]
  place = pathlib.Path(given[0] if given else tempfile.mkdtemp()).absolute()
  place.mkdir(parents=True, exist_ok=True)
  os.environ['TRACKIO_DIR'] = str(place / 'trackio')
  os.environ['WANDB_MODE'] = 'offline'
  file, workdir = place / 'tracked.py', place / 'study'
  file.write_text(STUDY.format(names=','.join(PACKAGES)))
  behind = _train(file, workdir)
  rows = results.read_metrics(str(workdir))
  print(f'{len(rows)} rows; killed {KILLS} times, {behind}')
  print('| tracker | version | runs | values | missing | double | different |')
  print('| --- | --- | --- | --- | --- | --- | --- |')
  wrong = [_compare_all(name, workdir, rows) for name in PACKAGES]
  sys.exit(any(wrong))


def _compare_all(
  name: str, workdir: pathlib.Path, rows: list[dict[str, Any]]
) -> bool:
  """Compare all runs of a tracker, print its row; tell whether any is wrong."""
  (population,) = results.populations(str(workdir))
  runs = sorted({row['run'] for row in rows})
  totals: collections.Counter[str] = collections.Counter()
  for run in runs:
    expected = _expected([row for row in rows if row['run'] == run])
    totals.update(_compare(expected, _READ[name](workdir, population, run)))
  package = PACKAGES[name]
  version = importlib.metadata.version(package) if package else ''
  counts = [
    totals[kind] for kind in ('value', 'missing', 'double', 'different')
  ]
  print('|', *[f'{cell} |' for cell in (name, version, len(runs), *counts)])
  return any(counts[1:])


def _train(file: pathlib.Path, workdir: pathlib.Path) -> str:
  """Train to the end, with kills; tell what they cost."""
  lost = []
  for session in range(KILLS + 1):
    resume = ['--resume'] if session else []
    command = [sys.executable, '-m', 'experiments.sweep', f'--config={file}']
    process = subprocess.Popen(
      [*command, f'--workdir={workdir}', *resume],
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
      start_new_session=True,
    )
    if session < KILLS:
      lost.append(_kill(process, workdir))
    output, _ = process.communicate()
    if 'left out' in output or (session == KILLS and process.returncode):
      raise SystemExit(output)
  return f'{" and ".join(map(str, lost))} updates behind the checkpoint'


def _kill(process: subprocess.Popen, workdir: pathlib.Path) -> int:
  """Kill a training that is behind a new checkpoint; return how far."""
  newest = _saved(workdir)
  while True:
    if process.poll() is not None:
      raise SystemExit(process.communicate()[0])
    written, saved = _written(workdir), _saved(workdir)
    if saved > newest and written >= saved + 80:
      # The whole session, as the end of a machine does: helpers too.
      os.killpg(process.pid, signal.SIGKILL)
      return written - saved
    time.sleep(0.01)


def _saved(workdir: pathlib.Path) -> int:
  files = workdir.glob('populations/*/checkpoints/*.safetensors')
  return max((int(file.stem) for file in files), default=-1)


def _written(workdir: pathlib.Path) -> int:
  for file in workdir.glob('populations/*/metrics.jsonl'):
    lines = file.read_bytes().count(b'\n')
    return max(lines // 4 - 1, 0) * 20
  return 0


def _expected(rows: list[dict[str, Any]]) -> Curves:
  curves: Curves = {}
  for row in rows:
    for name, value in row.items():
      if name not in ('run', 'sequences') and value is not None:
        curves.setdefault(name, {})[row['sequences']] = [value]
  return curves


def _compare(expected: Curves, kept: Curves) -> Iterator[str]:
  """Yield what each value is: a value, and missing, double or different."""
  for name in {**expected, **kept}:
    if name == 'update' and name not in kept:
      continue  # event files leave it out
    want, have = expected.get(name, {}), kept.get(name, {})
    for step in {**want, **have}:
      values = have.get(step, [])
      yield from ['value'] * len(values)
      if not values:
        yield 'missing'
      elif len(values) > 1:
        yield 'double'
      if values and not _is_same(want.get(step, [math.nan])[0], values[0]):
        yield 'different'


def _is_same(one: float, two: float) -> bool:
  return math.isclose(one, two, rel_tol=2e-7)  # event files have 32 bits


def _curves(rows: Iterator[tuple[str, int, float]]) -> Curves:
  curves: Curves = {}
  for name, step, value in rows:
    curves.setdefault(name, {}).setdefault(step, []).append(value)
  return curves


def _csv(workdir: pathlib.Path, population: str, run: str) -> Curves:
  path = workdir / 'populations' / population / 'csv' / f'{run}.csv'
  with open(path, newline='') as file:
    return _curves(
      (name, int(row['sequences']), float(value))
      for row in csv.DictReader(file)
      for name, value in row.items()
      if value and name != 'sequences'
    )


def _tensorboard(workdir: pathlib.Path, population: str, run: str) -> Curves:
  """Read with TensorBoard's own reader, which voids what is purged."""
  module: Any = importlib.import_module(
    'tensorboard.backend.event_processing.event_accumulator'
  )
  folder = workdir / 'populations' / population / 'tensorboard' / run
  reader = module.EventAccumulator(str(folder), {module.SCALARS: 0}).Reload()
  return _curves(
    (tag, event.step, event.value)
    for tag in reader.Tags()['scalars']
    for event in reader.Scalars(tag)
  )


def _wandb(workdir: pathlib.Path, population: str, run: str) -> Curves:
  """Read the records of the one .wandb file that is of a run."""
  pb2: Any = importlib.import_module('wandb.proto.wandb_internal_pb2')
  mine: list[Curves] = []
  for path in (workdir / 'wandb').glob('offline-run-*/*.wandb'):
    records = [pb2.Record.FromString(data) for data in _blocks(path)]
    if [r.run for r in records if r.HasField('run')][0].display_name == run:
      mine.append(_curves(_history(records)))
  (curves,) = mine
  del population
  return curves


def _history(records: list[Any]) -> Iterator[tuple[str, int, float]]:
  for record in records:
    if record.HasField('history'):
      items = {
        item.key or '/'.join(item.nested_key): float(item.value_json)
        for item in record.history.item
      }
      for name, value in items.items():
        if not name.startswith('_'):
          yield name, int(items['_step']), value


def _blocks(path: pathlib.Path) -> Iterator[bytes]:
  """Yield the records of a LevelDB log, in blocks of 32 KiB.

  Of each piece: checksum, length, whether it is whole, the first, a middle or
  the last one. The file begins with 7 bytes of its own.
  """
  content, place, parts = path.read_bytes(), 7, b''
  while place + 7 <= len(content):
    if (left := 2**15 - place % 2**15) < 7:
      place += left
      continue
    _, size, kind = struct.unpack_from('<IHB', content, place)
    parts += content[place + 7 : place + 7 + size]
    place += 7 + size
    if kind in (1, 4):  # whole, last
      yield parts
      parts = b''


def _trackio(workdir: pathlib.Path, population: str, run: str) -> Curves:
  del workdir, population
  storage: Any = importlib.import_module('trackio.sqlite_storage').SQLiteStorage
  (name,) = [
    one for one in storage.get_runs('tracked') if one.startswith(f'{run}-')
  ]
  return _curves(
    (key, row['step'], value)
    for row in storage.get_logs('tracked', name)
    for key, value in row.items()
    if key not in ('step', 'timestamp')
  )


def _mlflow(workdir: pathlib.Path, population: str, run: str) -> Curves:
  mlflow: Any = importlib.import_module('mlflow')
  client = mlflow.MlflowClient(f'sqlite:///{workdir / "mlflow.db"}')
  study = client.get_experiment_by_name('tracked')
  (one,) = client.search_runs(
    [study.experiment_id], f"attributes.run_name = '{run}'"
  )
  assert one.info.status == 'FINISHED'
  assert f'seed{one.data.params["seed"]}_' in run
  del population
  return _curves(
    (name, metric.step, metric.value)
    for name in one.data.metrics
    for metric in client.get_metric_history(one.info.run_id, name)
  )


_READ: dict[str, Callable[[pathlib.Path, str, str], Curves]] = {
  'csv': _csv,
  'tensorboard': _tensorboard,
  'wandb': _wandb,
  'trackio': _trackio,
  'mlflow': _mlflow,
}


if __name__ == '__main__':
  main()
