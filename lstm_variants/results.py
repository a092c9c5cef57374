"""The run directory: what a study leaves on disk, and all that analysis reads.

    WORKDIR/
      study.json                   name, fingerprint, config, tasks, runs
      populations/NAME/            one per population, there once it is finished
        runs.jsonl                 one row per run: config, status, metrics
        metrics.jsonl              one row per run and evaluation
        params.npz                 parameters, leading axis: the population
        provenance.json            command, commit, versions, device, wall time
        checkpoints/               what `training.checkpoint` reads
      populations/NAME.partial/    a population in training

A population is written aside and renamed when it is whole, a single file
likewise. Plain JSON and arrays: no jax is needed to read them, nothing is
executed. Numbers that are not finite are null in JSON.
"""

from collections.abc import Iterable, Mapping, Sequence
import contextlib
import hashlib
import io
import json
import os
import pathlib
import shutil
from typing import Any

import numpy as np

from lstm_variants import storage

FORMAT = 1
_PARTIAL = '.partial'
_METRICS = 'metrics.jsonl'
_Types = dict[str, type | tuple[type, ...]]
# What readers rely on.
_STUDY: _Types = {
  'name': str,
  'created': str,
  'fingerprint': str,
  'config': dict,
  'tasks': dict,
  'runs': list,
}
_RUN: _Types = {
  'id': str,
  'population': str,
  'task': str,
  'model': str,
  'config': dict,
  'status': str,
  'sequences_to_success': (int, type(None)),
  'sequences': int,
  'updates': int,
  'final': dict,
  'params_in_use': int,
  'params': int,
  'seconds_per_update': (int, float, type(None)),
}
_LOSS: _Types = {'loss': (int, float, type(None))}
_EVALUATION: _Types = {'run': str, 'update': int, 'sequences': int, **_LOSS}


class WorkdirError(ValueError):
  """A directory cannot be used; the message is one line for the user."""


def fingerprint(runs: Sequence[Mapping[str, Any]]) -> str:
  """Return a hash of the resolved run configs, in their order."""
  text = json.dumps(
    storage.jsonable(list(runs)), sort_keys=True, allow_nan=False
  )
  return hashlib.sha256(text.encode()).hexdigest()


def is_finished(workdir: str, population: str) -> bool:
  """Tell whether a population has been trained to its end."""
  return (pathlib.Path(workdir) / 'populations' / population).is_dir()


class PopulationWriter:
  """Collects one population's results beside its final place.

      with PopulationWriter(workdir, name) as writer:
        writer.start()
        writer.append_metrics(rows)
        writer.finish(runs, params, provenance)

  Without `finish` nothing appears under the final name.

  Attributes:
    final, partial: the directory's last name, and the one until then.
    metrics_bytes: length of metrics.jsonl.
  """

  def __init__(self, workdir: str, population: str):
    self.final = pathlib.Path(workdir) / 'populations' / population
    self.partial = self.final.with_name(population + _PARTIAL)
    self.metrics_bytes = 0
    self._hash = hashlib.sha256()
    self._metrics: Any = None

  def __enter__(self) -> 'PopulationWriter':
    return self

  def __exit__(self, *exc_info) -> None:
    if self._metrics is not None:
      with contextlib.suppress(OSError):
        self._metrics.close()

  @property
  def metrics_sha256(self) -> str:
    """Of metrics.jsonl so far."""
    return self._hash.hexdigest()

  def start(self) -> None:
    """Begin anew; what an interrupted writer left is removed.

    Raises:
      StorageError: the directory cannot be made.
    """
    shutil.rmtree(self.partial, ignore_errors=True)
    with storage.refusals(self.partial):
      self.partial.mkdir(parents=True)
      self._metrics = open(self.partial / _METRICS, 'wb')

  def resume(self, size: int, sha256: str) -> int:
    """Go on after the first `size` bytes of metrics.jsonl; drop the rest.

    Returns:
      The number of bytes dropped: rows that will come again, or a torn one.

    Raises:
      DamagedError: those bytes are not the ones with this SHA-256.
      StorageError: the file cannot be cut.
    """
    path = self.partial / _METRICS
    try:
      content = path.read_bytes()
    except OSError as error:
      raise storage.DamagedError(f'{path}: {error.strerror}') from error
    kept = content[:size]
    self._hash.update(kept)
    if len(kept) < size or self.metrics_sha256 != sha256:
      raise storage.DamagedError(f'{path}: is not what was written')
    with storage.refusals(path):
      os.truncate(path, size)
      self._metrics = open(path, 'ab')
    self.metrics_bytes = size
    return len(content) - size

  def reopen(self) -> None:
    """Take a finished population up again, to train it longer."""
    with storage.refusals(self.final):
      os.replace(self.final, self.partial)

  def append_metrics(self, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append rows to metrics.jsonl, flushed so that they can be followed.

    Raises:
      StorageError: they could not be written.
    """
    lines = b''.join(storage.json_line(row) for row in rows)
    with storage.refusals(self.partial / _METRICS, len(lines)):
      self._metrics.write(lines)
      self._metrics.flush()
    self._hash.update(lines)
    self.metrics_bytes += len(lines)

  def sync(self) -> None:
    """Have metrics.jsonl on the disk before a checkpoint counts on it."""
    with storage.refusals(self.partial / _METRICS):
      storage.sync(self._metrics)

  def finish(
    self,
    runs: Iterable[Mapping[str, Any]],
    params: Mapping[str, np.ndarray],
    provenance: Mapping[str, Any],
  ) -> None:
    """Write the remaining files and give the directory its final name.

    Raises:
      StorageError: something could not be written.
    """
    rows = b''.join(storage.json_line(row) for row in runs)
    storage.write(self.partial / 'runs.jsonl', rows)
    arrays = io.BytesIO()
    np.savez(arrays, allow_pickle=False, **params)
    storage.write(self.partial / 'params.npz', arrays.getvalue())
    storage.write_json(self.partial / 'provenance.json', provenance)
    self.sync()
    self._metrics.close()
    with storage.refusals(self.final):
      os.replace(self.partial, self.final)
      storage.sync_directory(self.final.parent)


def read_study(workdir: str) -> dict[str, Any]:
  """Read study.json.

  Raises:
    WorkdirError: there is none, or it is not one of ours.
  """
  path = pathlib.Path(workdir) / 'study.json'
  try:
    study = storage.read_json(path)
    _check_types(study, {'format': int, **_STUDY})
    for entry in (*study['tasks'].values(), *study['runs']):
      _check_types(entry, {})
  except FileNotFoundError as error:
    raise WorkdirError(
      f'--workdir={workdir}: holds no study (no study.json); make one with '
      'experiments.train or experiments.sweep'
    ) from error
  except (OSError, storage.DamagedError) as error:
    raise WorkdirError(
      f'{path}: not a study of format {FORMAT}: {error}'
    ) from error
  if study['format'] != FORMAT:
    raise WorkdirError(f'{path}: not a study of format {FORMAT}')
  return study


def read_runs(workdir: str) -> list[dict[str, Any]]:
  """Read the rows of all finished runs, in the order of their populations.

  Raises:
    WorkdirError: no study, or no finished run.
  """
  read_study(workdir)
  rows = _read_rows(workdir, 'runs.jsonl', _RUN)
  if not rows:
    raise WorkdirError(
      f'--workdir={workdir}: holds no finished runs; repeat the command that '
      'made it with --resume'
    )
  return rows


def read_metrics(workdir: str) -> list[dict[str, Any]]:
  """Read the rows of all evaluations of all finished runs."""
  return _read_rows(workdir, _METRICS, _EVALUATION)


def read_params(workdir: str, population: str) -> dict[str, np.ndarray]:
  """Read the parameters of a population, every leaf with its leading axis."""
  path = pathlib.Path(workdir) / 'populations' / population / 'params.npz'
  with np.load(path, allow_pickle=False) as arrays:
    return dict(arrays)


def read_provenance(workdir: str) -> dict[str, dict[str, Any]]:
  """Read the provenance of every finished population."""
  return {
    path.name: read_population_provenance(workdir, path.name)
    for path in _finished(workdir)
  }


def read_population_provenance(workdir: str, population: str) -> dict[str, Any]:
  """Read the provenance of one finished population.

  Raises:
    WorkdirError: it cannot be read.
  """
  path = pathlib.Path(workdir) / 'populations' / population / 'provenance.json'
  try:
    found = storage.read_json(path)
    _check_types(found, {})
  except (OSError, storage.DamagedError) as error:
    raise WorkdirError(
      f'{path}: cannot be read: {error}; remove {path.parent} and repeat the '
      'command with --resume'
    ) from error
  return found


def is_all_diverged(workdir: str, population: str) -> bool:
  """Tell whether every run of a finished population diverged."""
  rows = [row for row in read_runs(workdir) if row['population'] == population]
  return all(row['status'] == 'diverged' for row in rows)


def _finished(workdir: str) -> list[pathlib.Path]:
  directory = pathlib.Path(workdir) / 'populations'
  if not directory.is_dir():
    return []
  paths = (p for p in directory.iterdir() if p.suffix != _PARTIAL)
  return sorted(p for p in paths if p.is_dir())


def _check_types(row: Any, types: _Types) -> None:
  """Refuse what readers would stumble over."""
  if not isinstance(row, dict):
    raise storage.DamagedError(f'holds a {type(row).__name__}, not an object')
  for name, wanted in types.items():
    if not isinstance(row.get(name), wanted):
      text = repr(row.get(name))[:40]
      raise storage.DamagedError(f'its {name} is {text}')


def _read_rows(workdir: str, name: str, types: _Types) -> list[dict[str, Any]]:
  rows = []
  for path in _finished(workdir):
    try:
      for row in storage.read_json_lines(path / name):
        _check_types(row, types)
        _check_types(row.get('final', {}), _LOSS)
        rows.append(row)
    except (OSError, storage.DamagedError) as error:
      raise WorkdirError(
        f'{path / name}: cannot be read: {error}; remove {path} and repeat the '
        'command with --resume'
      ) from error
  return rows
