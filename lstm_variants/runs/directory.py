"""A study's directory: created, resumed, or overwritten; never mixed up."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import datetime
import enum
import functools
import os
import pathlib
import shutil
import types
from typing import Any

from lstm_variants import console, errors, opening
from lstm_variants.config import fields
from lstm_variants.runs import (
  files,
  lease,
  lock,
  partial,
  record,
  results,
  study_file,
)
from lstm_variants.runs.results import WorkdirError

# What a study leaves beside its directory of populations.
_BESIDE = (
  'compare.csv',
  'report.html',
  'figures',
  results.START,
  results.STAMP,
  results.GENERATIONS,
  results.DIVIDED,
  # Of trackers.
  'wandb',
  'mlflow.db',
  'mlflow',
  # Of those who share it.
  lease.LEASES,
  lease.WORKERS,
)
# Populations on their way out: half removed, they must not count as finished.
_OUT = '.overwritten'
# In study.json of a study that grows: its base config tells how it is trained.
_PARTS = 'parts'
# So often one looks again who joins a study that others change meanwhile.
_TRIES = 5
# What NFS and FUSE make of a file that is removed while somebody has it open.
_REMOVED = '.nfs', '.fuse_hidden'


class Mode(enum.Enum):
  """What to do with a study that exists."""

  NEW = 'refuse'
  RESUME = '--resume'
  OVERWRITE = '--overwrite'
  # Begin it, or train it together with others.
  SHARE = '--share'


class ExistsError(WorkdirError):
  """A study exists, and neither --resume nor --overwrite is given."""

  exit_status = 5


class ResumeError(WorkdirError):
  """There is nothing to resume, or it is another study."""

  exit_status = 4


def check(
  workdir: str,
  runs: Sequence[Mapping[str, Any]] | None,
  mode: Mode = Mode.NEW,
  unrecorded: Mapping[str, Any] = types.MappingProxyType({}),
) -> None:
  """Refuse a directory that cannot hold the study of `runs`; write nothing.

  Args:
    workdir: the directory; it need not exist.
    runs: the config of every run; None: of a study that grows, whatever it has.
    mode: what to do with a study that exists.
    unrecorded: by dotted name, what fields had that an older directory does
      not record.

  Raises:
    WorkdirError: if `workdir` is '', a file, not writable, or holds other
      files.
    ExistsError: if it holds a study, and `mode` is NEW.
    ResumeError: if `mode` is RESUME, and it holds no study; or if it is that or
      SHARE, and it holds other runs.
  """
  path = pathlib.Path(workdir)
  _check_place(workdir)
  if not path.exists() or _is_fresh(path):
    if mode is Mode.RESUME:
      raise ResumeError(
        f'--workdir={workdir}: holds nothing to go on with; leave out --resume '
        'to start'
      )
    return
  if not (path / files.STUDY).is_file():
    raise WorkdirError(
      f'--workdir={workdir}: not empty and holds no study; choose a new '
      f'directory, as {path / "study"}'
    )
  study = results.read_study(workdir)  # whatever the mode: is it one of ours?
  if mode is Mode.OVERWRITE:
    return
  if mode in (Mode.RESUME, Mode.SHARE):
    if runs is None:
      return
    now = files.jsonable(list(runs))
    before, unrecorded = study['runs'], files.jsonable(unrecorded)
    _check_same(workdir, mode, before, now, unrecorded)
    return
  raise ExistsError(
    f'--workdir={workdir}: holds a study ({study["name"]}, '
    f'{len(study["runs"])} run(s)); --resume goes on with it, --overwrite '
    f'begins anew; or choose {path}_2'
  )


@contextlib.contextmanager
def open_study(
  workdir: str,
  name: str,
  config: Mapping[str, Any],
  tasks: Mapping[str, Mapping[str, Any]],
  runs: Sequence[Mapping[str, Any]],
  mode: Mode = Mode.NEW,
  check_resumable: Callable[[], None] = lambda: None,
  study_format: record.Format = record.NEW,
  modules: Sequence[str] = (),
  more: Mapping[str, Any] = types.MappingProxyType({}),
) -> Iterator[None]:
  """Create or resume a study's directory, and lock it until the block ends.

  Args:
    workdir: the directory; it is made if it does not exist.
    name: the study's name.
    config: the base config, without the changes of the grid.
    tasks: the label of each task -> its baselines, rule of success, summary,
      reference and published results.
    runs: the config of every run.
    mode: what to do with a study that exists.
    check_resumable: called with --resume before anything is changed; raises if
      the populations of the study cannot be resumed.
    study_format: how the directory records the runs.
    modules: the extensions without which the runs cannot be read.
    more: further entries of study.json, of a study that `grow` makes larger.

  Raises:
    WorkdirError: see `check`.
    BusyError: if other processes train there.
    StorageError: if something cannot be written.
    StudyError: if study.json would be larger than can be read.
  """
  check(workdir, runs, mode, study_format.unrecorded)
  study = _describe(name, config, tasks, runs, study_format, modules, more)
  # Before anything is changed: it may refuse.
  data: bytes | None = study_file.encode(study)
  path = pathlib.Path(workdir)
  _make(path)
  refuse = functools.partial(lease.refuse_workers, path)
  with lock.hold_alone(path, console.warn, refuse):
    # Again: another process may have created or changed it in between.
    for name in (partial.POPULATIONS, results.GENERATIONS):
      files.look_anew(path / name)
    check(workdir, runs, mode, study_format.unrecorded)
    files.remove_aside(path, files.STUDY)
    files.remove_aside(path / results.GENERATIONS)
    if mode is Mode.RESUME:
      check_resumable()
      data = _resumed(workdir, study)
    _begin(path, mode, data)
    yield


@contextlib.contextmanager
def join_study(
  workdir: str,
  name: str,
  config: Mapping[str, Any],
  tasks: Mapping[str, Mapping[str, Any]],
  runs: Sequence[Mapping[str, Any]],
  check_kept: Callable[[], None] = lambda: None,
  study_format: record.Format = record.NEW,
  modules: Sequence[str] = (),
  more: Mapping[str, Any] = types.MappingProxyType({}),
) -> Iterator[lease.Worker]:
  """Create a study's directory, or join those who train there.

  It is locked while study.json is written; what is there was looked at before.
  A process that sleeps meanwhile, so that others take its lock, begins again.

  Args:
    workdir, name, config, tasks, runs, study_format, modules, more: see
      `open_study`; with `more` the study grows, and `runs` are its first.
    check_kept: called where there is a study, before anything is changed;
      raises if it cannot be gone on with, whoever trains it now.

  Yields:
    This process as a worker, until the block ends.

  Raises:
    WorkdirError: see `check`.
    BusyError: if a process trains there that does not share it.
    ResumeError: if others train it for longer, or look at it at other times.
    StorageError: if something cannot be written.
    StudyError: if study.json would be larger than can be read.
  """
  study = _describe(name, config, tasks, runs, study_format, modules, more)
  path, unrecorded = pathlib.Path(workdir), study_format.unrecorded
  look = functools.partial(_look, workdir, study, runs, check_kept, unrecorded)
  tries = _TRIES
  with contextlib.ExitStack() as stack:
    while True:
      # What takes long is done before: hundreds may wait.
      looked_at, data = opening.version(path / files.STUDY), look()
      _make(path)
      try:
        with lock.hold_join(path), lock.hold(path, console.warn):
          now = opening.version(path / files.STUDY)
          if now is None or not tries:
            looked_at, data = now, look()
          # Else others began it, or changed it, since this process looked.
          if now == looked_at:
            if data is not None and now is not None:
              _take_conduct(workdir, study, unrecorded, check_kept)
            worker = stack.enter_context(_as_worker(path, data))
            break
      except lock.LostError as error:
        if not tries:
          raise
        console.warn(f'{error}; looking again')
      tries -= 1
    yield worker


def _look(
  workdir: str,
  study: Mapping[str, Any],
  runs: Sequence[Mapping[str, Any]],
  check_kept: Callable[[], None],
  unrecorded: Mapping[str, Any],
) -> bytes | None:
  """Check what is there; return study.json where who joins is to write it.

  Args:
    workdir, runs, check_kept: as of `join_study`.
    study: study.json as it is to be.
    unrecorded: see `check`.
  """
  grows = _PARTS in study
  check(workdir, None if grows else runs, Mode.SHARE, unrecorded)
  if not (pathlib.Path(workdir) / files.STUDY).is_file():
    return study_file.encode(study)
  check_kept()
  if not grows:
    return _resumed(workdir, study)
  before = results.read_study(workdir)
  if not _changes(before, study, unrecorded):
    return None
  # Its runs follow when it grows.
  now = files.jsonable(study['config'])
  return study_file.encode({**before, 'config': now})


@contextlib.contextmanager
def _as_worker(
  path: pathlib.Path, data: bytes | None
) -> Iterator[lease.Worker]:
  """Write study.json, unless `data` is None, and be a worker from now on."""
  files.remove_aside(path, files.STUDY)
  _begin(path, Mode.SHARE, data)
  with lease.join(path) as worker:
    # This process may have slept before it was counted: then another one has
    # the study for itself, and has seen no worker.
    lock.check(path)
    yield worker


def _take_conduct(
  workdir: str,
  study: Mapping[str, Any],
  unrecorded: Mapping[str, Any],
  check_kept: Callable[[], None],
) -> None:
  """Have a study trained in another way, unless others train it now.

  Args:
    workdir: its directory.
    study: study.json as it is to be.
    unrecorded: see `check`.
    check_kept: as of `join_study`.

  Raises:
    ResumeError: others do; or as `check_kept`.
  """
  path = pathlib.Path(workdir)
  if lease.has_workers(path):
    before = results.read_study(workdir)
    named = _changes(before, study, unrecorded)
    raise ResumeError(
      f'--workdir={workdir}: others train it now, in another way; {named}; set '
      'them back, or wait for the others'
    )
  files.look_anew(path / partial.POPULATIONS)
  check_kept()  # others may have trained until now
  # Who sleeps would go on in the old way when it wakes.
  lease.refuse_workers(path)


def _changes(
  before: Mapping[str, Any],
  study: Mapping[str, Any],
  unrecorded: Mapping[str, Any],
) -> str:
  """Name the fields in which a study is trained in another way than before."""
  old, new = (
    [one['config']] if _PARTS in study else one['runs']
    for one in (before, study)
  )
  return _differences(*map(files.jsonable, (old, new, unrecorded)))


def _describe(
  name: str,
  config: Mapping[str, Any],
  tasks: Mapping[str, Mapping[str, Any]],
  runs: Sequence[Mapping[str, Any]],
  study_format: record.Format,
  modules: Sequence[str],
  more: Mapping[str, Any] = types.MappingProxyType({}),
) -> dict[str, Any]:
  """Return study.json of a study that begins now; see `open_study`."""
  recorded = [study_format.record(run) for run in runs]
  return {
    'format': study_format.version,
    'created': datetime.datetime.now(datetime.UTC).isoformat('T', 'seconds'),
    'fingerprint': results.fingerprint(recorded),
    'name': name,
    'modules': list(modules),
    'config': config,
    'tasks': tasks,
    **more,
    'runs': recorded,
  }


def grow(
  workdir: str,
  runs: Sequence[Mapping[str, Any]],
  study_format: record.Format,
  changes: Mapping[str, Any],
) -> None:
  """Write study.json of an open study again, with other runs.

  Args:
    workdir: its directory, in which this process may train.
    runs: the config of every run that it has from now on.
    study_format: how the directory records the runs.
    changes: of other entries, `tasks` and those of `open_study`'s `more`.

  Raises:
    StorageError: if it cannot be written.
    StudyError: if it would be larger than can be read.
  """
  recorded = [study_format.record(run) for run in runs]
  study = {
    **results.read_study(workdir),
    'fingerprint': results.fingerprint(recorded),
    **changes,
  }
  del study['runs']  # they are the last entry
  path = pathlib.Path(workdir)
  data = study_file.encode({**study, 'runs': recorded})
  _write_study(path, data)


def _write_study(path: pathlib.Path, data: bytes) -> None:
  """Write study.json, where this process has the study."""
  files.write(path / files.STUDY, data, functools.partial(lock.check, path))


def _resumed(workdir: str, study: Mapping[str, Any]) -> bytes | None:
  """Return the file of a resumed study, None if its runs are the same."""
  before = results.read_study(workdir)
  if before['fingerprint'] == study['fingerprint']:
    return None
  return study_file.encode({**study, 'created': before['created']})


def _begin(path: pathlib.Path, mode: Mode, data: bytes | None) -> None:
  """Write study.json, unless it is there already: None.

  What others have begun of it they cannot finish then: they may train it in
  another way, and sleep.
  """
  check = functools.partial(lock.check, path)
  check()  # this process may have slept since it looked
  if mode is Mode.OVERWRITE:
    _clear(path)
  if data is None:
    return
  with files.refusals(path):
    (path / partial.POPULATIONS).mkdir(exist_ok=True)
  partial.rename_all(path, check)
  _write_study(path, data)


def _make(path: pathlib.Path) -> None:
  with files.refusals(path):
    path.mkdir(parents=True, exist_ok=True)


def _check_place(workdir: str) -> None:
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
  if not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
    raise files.StorageError(
      f'--workdir={workdir}: {existing} is not writable; choose a directory of '
      'your own'
    )


def _is_fresh(path: pathlib.Path) -> bool:
  """Tell whether a directory is empty, except for files of a killed start."""
  leftovers = {'populations', _OUT, lease.LEASES, lease.WORKERS}
  names = {
    entry.name
    for entry in path.iterdir()
    if not (
      entry.name.startswith(files.STUDY) and entry.name.endswith(files.ASIDE)
    )
    and not entry.name.startswith(
      (lock.NAME, lock.REPORT, lock.JOIN, lock.MIRROR, *_REMOVED)
    )
  }
  populations = path / 'populations'
  return names <= leftovers and not (
    populations.is_dir() and any(populations.iterdir())
  )


def _check_same(
  workdir: str,
  mode: Mode,
  old: Sequence[Any],
  new: Sequence[Any],
  unrecorded: Mapping[str, Any],
) -> None:
  """Refuse to resume other runs; name every difference.

  A field that an older directory does not record had its unrecorded value.
  """
  named = _differences(old, new, unrecorded, fields.CONDUCT_FIELDS)
  if named:
    raise ResumeError(
      f'--workdir={workdir}: {mode.value} needs the same runs; {named}; '
      f'set them back, or choose {workdir}_2'
    )


def _differences(
  old: Sequence[Any],
  new: Sequence[Any],
  unrecorded: Mapping[str, Any],
  harmless: Sequence[str] = (),
) -> str:
  """Name the fields in which runs differ, each once, with their values."""
  differences: dict[str, str] = {}
  if len(old) != len(new):
    differences['runs'] = f'{len(old)} before, {len(new)} now'
    old = new = ()  # one by one, they would be compared with others
  for before, after in zip(old, new, strict=False):
    one, two = dict(fields.flatten(before)), dict(fields.flatten(after))
    for field in dict.fromkeys((*one, *two)):
      default = unrecorded.get(field)
      was, now = one.get(field, default), two.get(field, default)
      if was != now and field not in harmless:
        differences.setdefault(field, f'{was} before, {now} now')
  return '; '.join(f'{field}: {text}' for field, text in differences.items())


def _clear(path: pathlib.Path) -> None:
  """Remove a study's files, except study.json, which the next one replaces.

  All of them are put aside before the first is removed, the populations last:
  what shows them does not outlive them, whenever this is killed.
  """
  out = path / _OUT
  with lock.hold_report(path), files.refusals(path):
    _remove(out)
    out.mkdir()
    lock.check(path)  # it may have waited, or removed for long
    _move(path, out, FileNotFoundError)
    files.sync_directory(path)
    try:
      lock.check(path)
    except errors.Error:
      # It slept just now: all this is of who has the study.
      _move(out, path, OSError)
      raise
    _remove(out)


def _move(
  source: pathlib.Path, target: pathlib.Path, harmless: type[OSError]
) -> None:
  """Move a study's files, except study.json, to another directory."""
  for name in (*_BESIDE, partial.POPULATIONS):
    with contextlib.suppress(harmless):
      os.replace(source / name, target / name)


def _remove(entry: pathlib.Path) -> None:
  """Remove a file or a directory, or nothing; a link, not what it leads to."""
  if entry.is_dir() and not entry.is_symlink():
    shutil.rmtree(entry)
  else:
    entry.unlink(missing_ok=True)
