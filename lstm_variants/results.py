"""The run directory: what a study leaves on disk, and all that analysis reads.

    WORKDIR/
      study.json                   name, fingerprint, config, tasks, runs
      populations/NAME/            one per population, there once it is finished
        runs.jsonl                 one row per run: config, status, metrics
        metrics.jsonl              one row per run and evaluation
        params.npz                 parameters, leading axis: the population
        provenance.json            command, commit, versions, device, wall time
      populations/NAME.partial/    a population in training

A population is written aside and renamed when it is whole, a single file
likewise. Plain JSON and arrays: no jax is needed to read them, nothing is
executed. Numbers that are not finite are null in JSON.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import contextlib
import datetime
import fcntl
import hashlib
import json
import math
import os
import pathlib
import shutil
from typing import Any

import numpy as np

FORMAT = 1
_PARTIAL = '.partial'
_LOCK = '.lock'


class WorkdirError(ValueError):
  """A directory cannot be used; the message is one line for the user."""


def fingerprint(runs: Sequence[Mapping[str, Any]]) -> str:
  """Return a hash of the resolved run configs, in their order."""
  text = json.dumps(_jsonable(list(runs)), sort_keys=True, allow_nan=False)
  return hashlib.sha256(text.encode()).hexdigest()


def check_workdir(workdir: str, runs: Sequence[Mapping[str, Any]]) -> None:
  """Refuse a directory that cannot hold the study of `runs`; write nothing.

  Raises:
    WorkdirError: `workdir` is empty, a file, not writable, or holds other
      files or another study.
  """
  if not workdir:
    raise WorkdirError("--workdir='': a directory is needed, as /tmp/study")
  path = pathlib.Path(workdir)
  try:
    existing = next(p for p in (path, *path.absolute().parents) if p.exists())
  except OSError as error:
    raise WorkdirError(
      f'--workdir={workdir}: {error.strerror}; choose another directory'
    ) from error
  if not existing.is_dir():
    raise WorkdirError(
      f'--workdir={workdir}: {existing} is a file, a directory is needed; '
      f'nearest: {existing}_runs'
    )
  if not os.access(existing, os.W_OK | os.X_OK):
    raise WorkdirError(
      f'--workdir={workdir}: {existing} is not writable; choose a directory of '
      'your own'
    )
  if existing != path or _is_fresh(path):
    return
  if not (path / 'study.json').is_file():
    raise WorkdirError(
      f'--workdir={workdir}: not empty and holds no study; choose a new '
      f'directory, as {path / "study"}'
    )
  study = read_study(workdir)
  if study['fingerprint'] != fingerprint(runs):
    raise WorkdirError(
      f'--workdir={workdir}: holds another study ({study["name"]}, '
      f'{len(study["runs"])} runs of other settings); choose a new directory, '
      f'as {path}_2'
    )


def _is_fresh(path: pathlib.Path) -> bool:
  """Tell whether a directory is empty, but for what a killed start leaves."""
  left = {_LOCK, 'study.json.tmp', 'populations'}
  names = {entry.name for entry in path.iterdir()}
  populations = path / 'populations'
  return names <= left and not (
    populations.exists() and any(populations.iterdir())
  )


@contextlib.contextmanager
def lock(workdir: str) -> Iterator[None]:
  """Keep other processes from training in an open study's directory.

  The lock goes with the process, however it ends.

  Raises:
    WorkdirError: another process has it.
  """
  with open(pathlib.Path(workdir) / _LOCK, 'a') as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
      raise WorkdirError(
        f'--workdir={workdir}: another process is training here; wait for it, '
        f'or choose {workdir}_2'
      ) from error
    yield


def open_study(
  workdir: str,
  name: str,
  config: Mapping[str, Any],
  tasks: Mapping[str, Mapping[str, Any]],
  runs: Sequence[Mapping[str, Any]],
) -> None:
  """Create the directory of a study, or accept it when it holds the same one.

  Args:
    workdir: the directory; made if missing.
    name: of the study.
    config: the base config before the grid.
    tasks: label -> baselines, success, summary, reference, published results.
    runs: the resolved config of every run.

  Raises:
    WorkdirError: see `check_workdir`.
  """
  check_workdir(workdir, runs)
  path = pathlib.Path(workdir)
  if (path / 'study.json').exists():
    return
  try:
    (path / 'populations').mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise WorkdirError(
      f'--workdir={workdir}: cannot be made: {error.strerror}; choose another '
      'directory'
    ) from error
  _write_json(
    path / 'study.json',
    {
      'format': FORMAT,
      'name': name,
      'created': datetime.datetime.now(datetime.UTC).isoformat('T', 'seconds'),
      'fingerprint': fingerprint(runs),
      'config': config,
      'tasks': tasks,
      'runs': list(runs),
    },
  )


def is_finished(workdir: str, population: str) -> bool:
  """Tell whether a population has been trained to its end."""
  return (pathlib.Path(workdir) / 'populations' / population).is_dir()


class PopulationWriter:
  """Collects one population's results beside its final place.

      with PopulationWriter(workdir, name) as writer:
        writer.append_metrics(rows)
        writer.finish(runs, params, provenance)

  Without `finish` nothing appears under the final name; what an interrupted
  writer left is removed when the same population is begun again.
  """

  def __init__(self, workdir: str, population: str):
    self.final = pathlib.Path(workdir) / 'populations' / population
    self.partial = self.final.with_name(population + _PARTIAL)

  def __enter__(self) -> 'PopulationWriter':
    shutil.rmtree(self.partial, ignore_errors=True)
    self.partial.mkdir(parents=True)
    self._metrics = open(self.partial / 'metrics.jsonl', 'w')
    return self

  def __exit__(self, *exc_info) -> None:
    self._metrics.close()

  def append_metrics(self, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append rows to metrics.jsonl, flushed so that they can be followed."""
    self._metrics.writelines(_json_line(row) for row in rows)
    self._metrics.flush()

  def finish(
    self,
    runs: Iterable[Mapping[str, Any]],
    params: Mapping[str, np.ndarray],
    provenance: Mapping[str, Any],
  ) -> None:
    """Write the remaining files and give the directory its final name."""
    with open(self.partial / 'runs.jsonl', 'w') as file:
      file.writelines(_json_line(row) for row in runs)
    np.savez(self.partial / 'params.npz', allow_pickle=False, **params)
    _write_json(self.partial / 'provenance.json', provenance)
    self._metrics.close()
    os.replace(self.partial, self.final)


def read_study(workdir: str) -> dict[str, Any]:
  """Read study.json.

  Raises:
    WorkdirError: there is none, or it is not one of ours.
  """
  path = pathlib.Path(workdir) / 'study.json'
  try:
    study = json.loads(path.read_text())
  except FileNotFoundError as error:
    raise WorkdirError(
      f'--workdir={workdir}: holds no study (no study.json); make one with '
      'experiments.train or experiments.sweep'
    ) from error
  except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
    raise WorkdirError(f'{path}: cannot be read: {error}') from error
  fields = {'name', 'created', 'fingerprint', 'config', 'tasks', 'runs'}
  if (
    not isinstance(study, dict)
    or study.get('format') != FORMAT
    or not fields <= study.keys()
  ):
    raise WorkdirError(f'{path}: not a study of format {FORMAT}')
  return study


def read_runs(workdir: str) -> list[dict[str, Any]]:
  """Read the rows of all finished runs, in the order of their populations.

  Raises:
    WorkdirError: no study, or no finished run.
  """
  read_study(workdir)
  rows = _read_rows(workdir, 'runs.jsonl')
  if not rows:
    raise WorkdirError(
      f'--workdir={workdir}: holds no finished runs; repeat the '
      'experiments.sweep command that made it'
    )
  return rows


def read_metrics(workdir: str) -> list[dict[str, Any]]:
  """Read the rows of all evaluations of all finished runs."""
  return _read_rows(workdir, 'metrics.jsonl')


def read_params(workdir: str, population: str) -> dict[str, np.ndarray]:
  """Read the parameters of a population, every leaf with its leading axis."""
  path = pathlib.Path(workdir) / 'populations' / population / 'params.npz'
  with np.load(path, allow_pickle=False) as arrays:
    return dict(arrays)


def read_provenance(workdir: str) -> dict[str, dict[str, Any]]:
  """Read the provenance of every finished population."""
  return {
    path.name: json.loads((path / 'provenance.json').read_text())
    for path in _finished(workdir)
  }


def _finished(workdir: str) -> list[pathlib.Path]:
  directory = pathlib.Path(workdir) / 'populations'
  if not directory.is_dir():
    return []
  paths = (p for p in directory.iterdir() if p.suffix != _PARTIAL)
  return sorted(p for p in paths if p.is_dir())


def _read_rows(workdir: str, name: str) -> list[dict[str, Any]]:
  rows = []
  for path in _finished(workdir):
    try:
      with open(path / name) as file:
        rows.extend(json.loads(line) for line in file)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
      raise WorkdirError(
        f'{path / name}: cannot be read: {error}; remove {path} and repeat the '
        'experiments.sweep command'
      ) from error
  return rows


def _write_json(path: pathlib.Path, value: Any) -> None:
  aside = path.with_name(path.name + '.tmp')
  with open(aside, 'w') as file:
    json.dump(_jsonable(value), file, indent=2, allow_nan=False)
    file.write('\n')
    file.flush()
    os.fsync(file.fileno())
  os.replace(aside, path)


def _json_line(row: Mapping[str, Any]) -> str:
  return json.dumps(_jsonable(row), allow_nan=False) + '\n'


def _jsonable(value: Any) -> Any:
  """Turn NumPy scalars to Python's and what is not finite to None."""
  if isinstance(value, Mapping):
    return {str(key): _jsonable(item) for key, item in value.items()}
  if isinstance(value, (list, tuple)):
    return [_jsonable(item) for item in value]
  if isinstance(value, np.generic):
    value = value.item()
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value
