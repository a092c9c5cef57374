"""The run directory: what a study leaves on disk, and all that analysis reads.

    WORKDIR/
      study.json                   format, name, modules, config, tasks, runs;
                                   of a search also search and parts
      generations/0000.json        of a search: the trials that were asked for
      start.safetensors            the weights of --from, where some were given
      populations/NAME/            one per population, there once it is finished
        runs.jsonl                 one row per run: config, status, metrics
        metrics.jsonl              one row per run and evaluation
        params.npz                 parameters, leading axis: the population
        provenance.json            command, commit, versions, device, wall time
        checkpoints/               what `runs.checkpoint` reads
        trackers.json              the trackers that have all of it, if any
      populations/NAME.TOKEN.partial/    a population in training
                                         (`runs.partial`)
      leases/ workers/             who trains, where several do (`runs.lease`)

A population is written aside and renamed when it is whole, a single file
likewise. Plain JSON and arrays: no jax is needed to read them, nothing is
executed. Numbers that are not finite are null in JSON.
"""

import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
import hashlib
import json
import math
import os
import pathlib
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from lstm_variants import console, errors, opening
from lstm_variants import names as names_lib
from lstm_variants.runs import arrays, files, partial, sharing, study_file

FORMAT = 2
# Those that can be read; `record` tells how they differ.
FORMATS = (1, 2)
PARTIAL = partial.SUFFIX
METRICS = 'metrics.jsonl'
# Weights that a study begins with, where it was given some.
START = 'start.safetensors'
# Of a search: the trials of each generation, and populations that are divided
# (`search.generations`, `search.rungs`).
GENERATIONS, DIVIDED = 'generations', 'divided'
# Of the study of a claim: how it was made (`claims.budget`).
STAMP = 'claim.json'
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
_RUNS = ('runs.jsonl', _RUN)
# What readers use of the config of a run, the first of it always.
_SEED: _Types = {'seed': int}
_TRAINING: _Types = {'training': dict}
_INTERVALS: _Types = {'evaluation_interval': int, 'success_interval': int}
_NUMBER = (int, float, type(None))
_LOSS: _Types = {'loss': _NUMBER}
_EVALUATION: _Types = {'run': str, 'update': int, 'sequences': int}
_TEXT = (str, type(None))
_TASK: _Types = {
  'summary': _TEXT,
  'reference': _TEXT,
  'success': _TEXT,
  'nats_per': _TEXT,
  'baselines': (dict, type(None)),
  'published': (list, type(None)),
}
_PUBLISHED: _Types = {
  'value': (int, float),
  'unit': str,
  'source': str,
  'length': int,
}
_NOTE: _Types = {'note': _TEXT}
# What readers use of it, where it is there.
_PROVENANCE: _Types = {
  'command': (list, type(None)),
  'packages': (dict, type(None)),
  'devices': (list, type(None)),
  'commit': _TEXT,
  'compile_seconds': _NUMBER,
  'train_seconds': _NUMBER,
}
# Above it, not every whole number is a float.
_LARGEST_NUMBER = 2**53


class WorkdirError(errors.Error, ValueError):
  """A directory cannot be used; the message is one line for the user."""


def fingerprint(runs: Sequence[Mapping[str, Any]]) -> str:
  """Return a hash of the resolved run configs, in their order."""
  text = json.dumps(files.jsonable(list(runs)), sort_keys=True, allow_nan=False)
  return hashlib.sha256(text.encode()).hexdigest()


def is_finished(workdir: str, population: str) -> bool:
  """Tell whether a population has been trained to its end."""
  return (pathlib.Path(workdir) / 'populations' / population).is_dir()


def read_study(workdir: str) -> dict[str, Any]:
  """Read study.json; nobody may change what is returned: runs share parts.

  Raises:
    WorkdirError: there is none, or it is not one of ours.
  """
  path = pathlib.Path(workdir) / files.STUDY
  try:
    study = study_file.read(path)
    _check_types(study, {'format': int, **_STUDY})
    for task in study['tasks'].values():
      _check_task(task)
    for run in study['runs']:
      _check_types(run, {})
    _check_modules(study)
    _check_search(study)
  except NotADirectoryError as error:
    place = pathlib.Path(workdir).parent
    raise WorkdirError(
      f'--workdir={workdir}: is a file; nearest: --workdir={place}'
    ) from error
  except FileNotFoundError as error:
    raise WorkdirError(
      f'--workdir={workdir}: holds no study (no study.json); make one with '
      f'{console.command_line("train")} or {console.command_line("sweep")}'
    ) from error
  except (OSError, files.DamagedError) as error:
    raise WorkdirError(
      f'{path}: not a study of ours: {error}; choose another --workdir'
    ) from error
  _check_format(path, study['format'])
  return study


def _check_format(path: pathlib.Path, version: int) -> None:
  """Refuse a format that this version does not know."""
  if version in FORMATS:
    return
  known = ' and '.join(map(str, FORMATS))
  age = 'of a newer version' if version > FORMAT else 'no format of ours'
  raise WorkdirError(
    f'{path}: is of format {version}, {age}; this one reads {known}; nearest: '
    'the version of lstm_variants that made it'
  )


class Finished(NamedTuple):
  """A study and what is finished of it, read once.

  Attributes:
    study: what `read_study` returns.
    runs: what `read_runs` returns.
  """

  study: Mapping[str, Any]
  runs: list[dict[str, Any]]


def read_finished(
  workdir: str, study: Mapping[str, Any] | None = None
) -> Finished:
  """Read a study and the rows of its finished runs.

  Args:
    workdir: the run directory.
    study: what `read_study` has returned of it; None: it is read.

  Raises:
    WorkdirError: no study, or no finished run.
  """
  study = read_study(workdir) if study is None else study
  rows = read_rows(workdir)
  if not rows:
    raise WorkdirError(
      f'--workdir={workdir}: holds no finished runs; repeat the command that '
      'made it with --resume'
    )
  return Finished(study, rows)


def read_runs(workdir: str) -> list[dict[str, Any]]:
  """Read the rows of all finished runs, in the order of their populations.

  Raises:
    WorkdirError: no study, or no finished run.
  """
  return read_finished(workdir).runs


def read_rows(workdir: str) -> list[dict[str, Any]]:
  """Read the rows of all finished runs, none where none is finished.

  Nobody may change them: sections of configs that are equal are one object.

  Raises:
    WorkdirError: they cannot be read.
  """
  return list(_rows(workdir, *_RUNS, sharing.Sections()))


def read_population_rows(workdir: str, population: str) -> list[dict[str, Any]]:
  """Read the rows of the runs of one finished population.

  Raises:
    WorkdirError: they cannot be read.
  """
  return list(_rows_of(_folder(workdir, population), *_RUNS))


def read_population_metrics(
  workdir: str, population: str
) -> list[dict[str, Any]]:
  """Read the rows of all evaluations of one finished population.

  Raises:
    WorkdirError: they cannot be read.
  """
  return list(_rows_of(_folder(workdir, population), METRICS, _EVALUATION))


def _folder(workdir: str, population: str) -> pathlib.Path:
  return pathlib.Path(workdir) / 'populations' / population


def read_metrics(workdir: str) -> list[dict[str, Any]]:
  """Read the rows of all evaluations of all finished runs."""
  return list(_rows(workdir, METRICS, _EVALUATION))


def read_metrics_in_training(workdir: str) -> list[dict[str, Any]]:
  """Read the evaluations of runs that are begun and not finished."""
  folders = partial.begun(workdir).values()
  return [row for folder in folders for row in read_growing(folder)]


def read_growing(
  folder: pathlib.Path, most: int | None = None
) -> list[dict[str, Any]]:
  """Read the evaluations of a population that may be in training.

  What is written just now, was torn by a kill or is no evaluation is left out.
  Where the whole file is read, a warning says so of lines before the last.

  Args:
    folder: of the population, as `partial.begun` returns it.
    most: bytes to read, of the end of the file; None: all.

  Returns:
    Rows as of `read_metrics`; none where it has finished meanwhile.
  """
  try:
    with opening.open_file(folder / METRICS) as file:
      start = 0 if most is None else max(file.seek(0, os.SEEK_END) - most, 0)
      file.seek(start)
      # The first line that is cut off, the last one that has no end yet.
      lines = file.read(most).split(b'\n')[start > 0 : -1]
  except OSError:
    return []
  rows, damaged = [], []
  for number, line in enumerate(lines, 1):
    try:
      row = files.parse_json(line)
      _check_types(row, _EVALUATION)
      _check_known(row, _LOSS)
      rows.append(row)
    except files.DamagedError:
      damaged.append(number)
  # Of the last one the writer may have written again.
  damaged = [number for number in damaged if number < len(lines)]
  if damaged and most is None:
    _warn_damaged(folder / METRICS, damaged)
  return rows


def _warn_damaged(path: pathlib.Path, lines: Sequence[int]) -> None:
  """Say that lines of a file are left out: a curve has holes there."""
  one = len(lines) == 1
  numbers = names_lib.some(map(str, lines))
  console.warn(
    f'{path}: line {numbers} is no evaluation: it is left out'
    if one
    else f'{path}: lines {numbers} are no evaluations: they are left out'
  )


class Losses:
  """The held-out losses of all finished runs at their evaluations.

  In columns: of a study of 10^5 runs they are a million, which as dicts take a
  gigabyte.
  """

  def __init__(self, rows: Iterable[Mapping[str, Any]]):
    """Keep what is needed of rows, as `read_metrics` returns them.

    Args:
      rows: the evaluations, those of a run in their order.
    """
    self._places: dict[str, int] = {}
    runs, sequences = array.array('q'), array.array('q')
    losses = array.array('d')
    for row in rows:
      loss = row.get('loss')
      runs.append(self._places.setdefault(row['run'], len(self._places)))
      sequences.append(row['sequences'])
      losses.append(math.nan if loss is None else loss)
    self._runs = np.frombuffer(runs, np.int64)
    self._sequences = np.frombuffer(sequences, np.int64)
    self._losses = np.frombuffer(losses, np.float64)

  def __iter__(self) -> Iterator[dict[str, Any]]:
    """Yield a row for each evaluation: `run`, `sequences`, `loss`."""
    names = list(self._places)
    for run, sequences, loss in zip(
      self._runs, self._sequences, self._losses, strict=True
    ):
      value = None if math.isnan(loss) else float(loss)
      yield {'run': names[run], 'sequences': int(sequences), 'loss': value}

  def of(self, runs: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return sequences and losses of some runs, NaN where there is none."""
    wanted = np.zeros(len(self._places) + 1, bool)
    wanted[[self._places.get(run, -1) for run in runs]] = True
    wanted[-1] = False
    chosen = wanted[self._runs]
    return self._sequences[chosen], self._losses[chosen]

  def each(
    self, runs: Iterable[str]
  ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return sequences and losses of each of some runs, as `of` does.

    Args:
      runs: ids; those without an evaluation are left out.
    """
    names = {self._places[run]: run for run in runs if run in self._places}
    wanted = np.zeros(len(self._places) + 1, bool)
    wanted[list(names)] = True
    chosen = np.flatnonzero(wanted[self._runs])
    chosen = chosen[np.argsort(self._runs[chosen], kind='stable')]
    places, starts = np.unique(self._runs[chosen], return_index=True)
    return (
      {
        names[place]: (self._sequences[own], self._losses[own])
        for place, own in zip(
          places.tolist(), np.split(chosen, starts[1:]), strict=True
        )
      }
      if names
      else {}
    )


def read_losses(workdir: str) -> Losses:
  """Read the losses of all evaluations of all finished runs.

  Raises:
    WorkdirError: they cannot be read.
  """
  return Losses(_rows(workdir, METRICS, _EVALUATION))


def read_params(
  workdir: str, population: str, largest: int | None = None
) -> dict[str, np.ndarray]:
  """Read the parameters of a population, every leaf with its leading axis.

  Args:
    workdir: the run directory.
    population: the name of a finished one.
    largest: bytes that they may have; None: as many as the file has.

  Raises:
    DamagedError: they are not what was written, or more.
    OSError: the file cannot be opened.
  """
  path = pathlib.Path(workdir) / 'populations' / population / 'params.npz'
  return arrays.read(path, largest)


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
    contents = files.read_json(path)
    _check_types(contents, {})
    _check_known(contents, _PROVENANCE)
  except (OSError, files.DamagedError) as error:
    raise _unreadable(path, error) from error
  return contents


def is_all_diverged(workdir: str, population: str) -> bool:
  """Tell whether every run of a finished population diverged."""
  path = pathlib.Path(workdir) / 'populations' / population
  rows = list(_rows_of(path, *_RUNS))  # each is checked
  return all(row['status'] == 'diverged' for row in rows)


def populations(workdir: str) -> list[str]:
  """Return the names of all populations, finished or not."""
  directory = pathlib.Path(workdir) / 'populations'
  if not directory.is_dir():
    return []
  entries = [path for path in directory.iterdir() if path.is_dir()]
  return sorted({partial.population(path) for path in entries})


def _finished(workdir: str) -> list[pathlib.Path]:
  directory = pathlib.Path(workdir) / 'populations'
  if not directory.is_dir():
    return []
  paths = (p for p in directory.iterdir() if p.suffix != PARTIAL)
  return sorted(p for p in paths if p.is_dir())


def _check_types(row: Any, types: _Types) -> None:
  """Refuse what readers would stumble over.

  Texts must be such, numbers such that a float can be.
  """
  if not isinstance(row, dict):
    raise files.DamagedError(f'holds a {type(row).__name__}, not an object')
  for name, wanted in types.items():
    if name not in row:
      raise files.DamagedError(f'has no {name}')
    value = row[name]
    if type(value) is wanted and _is_usual(value):
      continue
    if (
      not isinstance(value, wanted)
      or (isinstance(value, str) and not _is_text(value))
      or (isinstance(value, int) and not is_whole(value))
    ):
      raise files.DamagedError(f'its {name} is {ascii(value)[:40]}')


def _is_usual(value: Any) -> bool:
  """Tell at once of most values that they pass, of others that they may not."""
  if type(value) is str:
    return value.isascii()
  if type(value) is int:
    return -_LARGEST_NUMBER <= value <= _LARGEST_NUMBER
  return type(value) is dict


def is_whole(value: Any) -> TypeGuard[int]:
  """Tell whether a value is a whole number, and such as a float can be."""
  return isinstance(value, int) and abs(value) <= _LARGEST_NUMBER


def _is_usual_evaluation(row: Any) -> bool:
  """Tell at once that a row passes all checks, as nearly all of many do."""
  return (
    type(row) is dict
    and type(row.get('run')) is str
    and row['run'].isascii()
    and type(row.get('update')) is int
    and 0 <= row['update'] <= _LARGEST_NUMBER
    and type(row.get('sequences')) is int
    and 0 <= row['sequences'] <= _LARGEST_NUMBER
    and type(row.get('loss', 0.0)) is float
    and 'final' not in row
  )


def _is_text(value: str) -> bool:
  """Tell whether a text has no halves of characters."""
  try:
    value.encode()
  except UnicodeEncodeError:
    return False
  return True


def _check_known(row: Mapping[str, Any], types: _Types) -> None:
  """Check the types of those of the entries that are there."""
  known = {name: types[name] for name in types if name in row}
  if known:
    _check_types(row, known)


def _check_config(config: Mapping[str, Any]) -> None:
  """Refuse a config of a run that readers would stumble over."""
  _check_types(config, _SEED)
  _check_known(config, _TRAINING)
  _check_known(config.get('training', {}), _INTERVALS)


def _check_modules(study: Mapping[str, Any]) -> None:
  """Refuse what no program could name after `--import=`."""
  modules = study.get('modules', [])
  if not isinstance(modules, list) or not all(
    isinstance(name, str) and _is_text(name) for name in modules
  ):
    raise files.DamagedError(f'its modules are {ascii(modules)[:40]}')


def _check_search(study: Mapping[str, Any]) -> None:
  """Refuse what is recorded of a search and readers would stumble over."""
  _check_known(study, {'search': dict, 'parts': list})
  parts = study.get('parts')
  if parts is None:
    return
  sizes = all(is_whole(part) and part >= 0 for part in parts)
  if not sizes or sum(parts) != len(study['runs']):
    raise files.DamagedError('its parts are not those of its runs')
  searched = study.get('search', {}).get('fields', {})
  if not isinstance(searched, dict):
    raise files.DamagedError(f'its search is over {ascii(searched)[:40]}')


def _check_task(task: Any) -> None:
  """Refuse what is recorded of a task and readers would stumble over."""
  _check_types(task, {})
  _check_known(task, _TASK)
  baselines = task.get('baselines') or {}
  _check_types(baselines, dict.fromkeys(baselines, _NUMBER))
  for result in task.get('published') or ():
    _check_types(result, _PUBLISHED)
    _check_known(result, _NOTE)


def _rows(
  workdir: str,
  name: str,
  types: _Types,
  sections: sharing.Sections | None = None,
) -> Iterator[dict[str, Any]]:
  """Yield the rows of a file of all finished populations."""
  for path in _finished(workdir):
    yield from _rows_of(path, name, types, sections)


def _rows_of(
  path: pathlib.Path,
  name: str,
  types: _Types,
  sections: sharing.Sections | None = None,
) -> Iterator[dict[str, Any]]:
  """Yield the rows of a file of a finished population, each checked."""
  try:
    for row in files.read_json_lines(path / name, sections):
      if types is not _EVALUATION or not _is_usual_evaluation(row):
        _check_types(row, types)
        _check_known(row, _LOSS)
        _check_known(row.get('final', {}), _LOSS)
        if 'config' in types:
          _check_config(row['config'])
      yield row
  except (OSError, files.DamagedError) as error:
    raise _unreadable(path / name, error) from error


def _unreadable(path: pathlib.Path, error: Exception) -> WorkdirError:
  """Return the refusal of a file of a finished population."""
  damaged = (files.DamagedError, opening.RefusedError, FileNotFoundError)
  if not path.parent.is_dir():
    # Renamed to be trained longer, or removed.
    advice = 'another program works on it; repeat the command when it has ended'
  elif isinstance(error, damaged):
    advice = f'remove {path.parent} and repeat the command with --resume'
  else:
    advice = 'see to it, and repeat the command'
  why = getattr(error, 'strerror', None) or error
  return WorkdirError(f'{path}: cannot be read: {why}; {advice}')
