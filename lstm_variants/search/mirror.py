"""A study of Optuna that follows a search, for its dashboard.

    lstm-variants search … --mirror=runs/search.log
    optuna-dashboard runs/search.log

It is written after the fact and never read back: what is missing there, also
all of it, is written again when the search goes on. A file is a journal, a URL
(sqlite:///…, postgresql://…) a database. The study in it is named after the
search and when it began; others that are there stay as they are.
"""

from collections.abc import Sequence
import importlib
import math
import pathlib
from typing import Any
import urllib.parse

from lstm_variants import console, errors, opening
from lstm_variants.runs import files, lock, results
from lstm_variants.search import ask, check, generations, space

# Bytes of the first line of a journal that are looked at.
_FIRST = 4096
Trials = Sequence[tuple[generations.Trial, ask.Known]]


class MirrorError(errors.Error, ValueError):
  """A mirror that cannot be; the message is one line."""


class Follower:
  """Follows a search, and does nothing; a `Mirror` writes what it sees."""

  def follow(
    self,
    workdir: str,
    search: space.Search,
    trials: Trials,
    patience: float = 0.0,
  ) -> None:
    """See the trials whose end is known, in the order of their numbers.

    It may take long: nobody is to wait for it.

    Args:
      workdir: of the search.
      search: what is searched.
      trials: all of them, also those that were seen before.
      patience: seconds to wait for another process that writes them; it may
        not know all of them. Before the end of the search there is a next time.
    """


class Mirror(Follower):
  """A storage of Optuna; one that fails is left out, with a line.

  It is opened when there is something to be written.
  """

  def __init__(self, place: str, storage: Any = None):
    self._place, self._storage = place, storage
    self._fails, self._followed = False, 0

  def follow(
    self,
    workdir: str,
    search: space.Search,
    trials: Trials,
    patience: float = 0.0,
  ) -> None:
    """Write the trials that the storage lacks."""
    if self._fails or len(trials) == self._followed:
      return
    try:
      with lock.hold_mirror(pathlib.Path(workdir), patience):
        self._storage = self._storage or _open(self._place)
        with ask.quiet() as optuna:
          _write(optuna, self._storage, workdir, search, trials)
      self._followed = len(trials)
    except files.BusyError as error:
      if patience:
        console.warn(
          f'--mirror={self._place}: may lack trials, --resume writes them: '
          f'{error}'
        )
    except Exception as error:  # of a database, or of a disk
      self._fails = True
      console.warn(
        f'--mirror={self._place}: is left out, training goes on: '
        f'{type(error).__name__}: {" ".join(str(error).split())[:200]}; '
        '--resume writes what it lacks'
      )


def open_mirror(place: str | None, workdir: str) -> Follower:
  """Return a mirror, and what does nothing where none is wanted.

  Args:
    place: a file, or a URL of a database.
    workdir: of the search. A file in it is made later: a directory that holds
      files and no study is refused.

  Raises:
    MirrorError: it cannot be opened.
    MissingError: Optuna is not installed.
  """
  if place is None:
    return Follower()
  check.require('optuna', '--mirror')
  try:
    _check_place(place)
    is_later = _is_inside(place, workdir)
    return Mirror(place, None if is_later else _open(place))
  except errors.Error:
    raise
  except Exception as error:  # whatever urllib, Optuna and SQLAlchemy raise
    raise MirrorError(
      f'--mirror={place}: cannot be opened: {type(error).__name__}: '
      f'{" ".join(str(error).split())[:200]}'
    ) from error


def _check_place(place: str) -> None:
  if not place:
    raise MirrorError(
      '--mirror=: names no file; nearest: --mirror=optuna.log, or a URL'
    )
  parts = urllib.parse.urlsplit(place)
  if '://' in place and parts.password:
    without = place.replace(f':{parts.password}@', '@', 1)
    raise MirrorError(
      '--mirror: has a password, which would stand in provenance.json; '
      f'nearest: PGPASSWORD=… before the command, and --mirror={without}'
    )


def _is_inside(place: str, workdir: str) -> bool:
  """Tell whether a mirror is a file of a run directory."""
  if '://' in place:
    parts = urllib.parse.urlsplit(place)
    if not parts.scheme.startswith('sqlite'):
      return False
    place = parts.path.removeprefix('/')
  return (
    pathlib.Path(place)
    .resolve()
    .is_relative_to(pathlib.Path(workdir).resolve())
  )


def _open(place: str) -> Any:
  """Return a storage of Optuna."""
  with ask.quiet() as optuna:
    if '://' in place:
      # No connection outlives what it is used for, also where Optuna refuses
      # the database that it has connected to.
      pool = {'poolclass': importlib.import_module('sqlalchemy').NullPool}
      return optuna.storages.RDBStorage(place, engine_kwargs=pool)
    path = pathlib.Path(place)
    with files.refusals(path):
      path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
      _check_journal(path)
    backend = optuna.storages.journal.JournalFileBackend(place)
    return optuna.storages.JournalStorage(backend)


def _check_journal(path: pathlib.Path) -> None:
  """Refuse a file of a user's own: Optuna would write behind what it has.

  Raises:
    MirrorError: it is no journal.
    OSError: it is no regular file, or the system refuses to read it.
  """
  with opening.open_file(path) as file:
    first = file.readline(_FIRST)
  if first and b'"op_code"' not in first:
    raise MirrorError(
      f'--mirror={path}: is no journal of Optuna; nearest: {path}.log'
    )


def _write(
  optuna: Any,
  storage: Any,
  workdir: str,
  search: space.Search,
  trials: Trials,
) -> None:
  """Write the trials that a storage lacks, in the order of their numbers."""
  recorded = results.read_study(workdir)
  study = optuna.create_study(
    storage=storage,
    study_name=f'{recorded["name"]} {recorded["created"]}',
    directions=ask.directions(search),
    load_if_exists=True,
  )
  if not study.metric_names:
    study.set_metric_names([one.name for one in search.objectives])
  there = {
    trial.user_attrs.get('number') for trial in study.get_trials(deepcopy=False)
  }
  for trial, known in trials:
    if trial.number not in there:
      study.add_trial(_trial(optuna, search, trial, known))


def _trial(
  optuna: Any, search: space.Search, trial: generations.Trial, known: ask.Known
) -> Any:
  """Return a trial for the dashboard: one without a number has failed."""
  attributes: dict[str, Any] = {
    'number': trial.number,
    'runs': list(trial.runs),
  }
  if trial.refusal:
    attributes['refusal'] = trial.refusal
  if not all(map(math.isfinite, known.values or ())):
    return optuna.trial.create_trial(
      state=optuna.trial.TrialState.FAIL,
      params=known.params,
      distributions=ask.distributions(search),
      user_attrs=attributes,
    )
  return ask.trial_of(search, known, **attributes)
