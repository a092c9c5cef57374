"""The trackers of a population: one for each run, brought to metrics.jsonl."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import contextlib
import copy
import hashlib
import math
import numbers
import pathlib
import time
from typing import Any, NamedTuple

from lstm_variants import console, trackers
from lstm_variants.config import fields, populations
from lstm_variants.runs import files, results

# What is no metric in a row of metrics.jsonl.
_PLACE = ('run', 'sequences')
# Seconds after which no more runs of a tracker that fails are ended: each may
# wait for a server that does not answer.
_PATIENCE = 10.0


# Of a population that is finished: {"complete": names of trackers}.
RECORD = 'trackers.json'


class _Tracked(NamedTuple):
  """A tracker of a run, and what it has of it."""

  tracker: trackers.Tracker
  last: int


class Tracking:
  """Hands the rows of a population to the trackers that are wanted.

      with Tracking(workdir, population, writer) as tracking:
        tracking.log(rows)
        tracking.finish(runs)

  Rows that are in metrics.jsonl and that a tracker lacks are handed over when
  it starts; those that it has are not handed over again. A tracker that fails
  is ended and left out for the rest of the population, with one warning. At the
  end trackers.json has those that lack nothing: see `hand_over`.
  """

  def __init__(
    self,
    workdir: str,
    population: populations.Population,
    place: pathlib.Path,
    complete: Sequence[str] = (),
  ):
    """Start the trackers of a population.

    Args:
      workdir: of its study.
      population: with the trackers that are wanted.
      place: its directory.
      complete: trackers that have all of it, and are not started.
    """
    self._record, self._complete = place / RECORD, list(complete)
    self._tracked: dict[str, dict[str, _Tracked]] = {}
    with contextlib.suppress(OSError):
      self._record.unlink(missing_ok=True)
    wanted = [name for name in _wanted(population) if name not in complete]
    if not wanted:
      return
    written = _rows_by_run(place / results.METRICS)
    members = _members(workdir, population, place, written)
    for name in wanted:
      self._try(name, lambda name=name: self._start(name, members, written))

  def __enter__(self) -> 'Tracking':
    return self

  def __exit__(self, *exc_info) -> None:
    self._finish(None)

  def log(self, rows: Iterable[Mapping[str, Any]]) -> None:
    """Hand over the rows of an evaluation, those of metrics.jsonl."""
    rows = list(rows)
    for name in list(self._tracked):
      self._try(name, lambda name=name: self._log(name, rows))

  def finish(self, runs: Sequence[Mapping[str, Any]]) -> None:
    """End with the rows of runs.jsonl."""
    self._finish({row['id']: row for row in runs})
    if self._complete:
      # Without it they are asked again what they lack.
      with contextlib.suppress(files.StorageError):
        files.write_json(self._record, {'complete': self._complete})

  def _start(
    self,
    name: str,
    members: Sequence[trackers.Member],
    written: Mapping[str, Sequence[Mapping[str, Any]]],
  ) -> None:
    make = trackers.TRACKERS[name].make
    self._tracked[name] = {}
    for member in members:
      tracker = make()
      # What it does to its config is no other tracker's.
      own = member._replace(config=dict(member.config))
      last = _sequences(tracker.start(own))
      self._tracked[name][member.name] = _Tracked(tracker, last)
      self._log(name, written.get(member.name, ()))

  def _log(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
      tracker, last = self._tracked[name][row['run']]
      if row['sequences'] > last:
        tracker.log(row['sequences'], _metrics(row))

  def _finish(self, summaries: Mapping[str, Any] | None) -> None:
    ending = self._tracked
    self._tracked = {name: {} for name in ending}  # each is ended once
    for name, of_runs in ending.items():
      for run, tracked in of_runs.items():
        # A copy: these are the rows that are written.
        summary = copy.deepcopy(summaries[run]) if summaries else None
        self._try(name, lambda t=tracked, s=summary: t.tracker.finish(s))
    self._complete += self._tracked
    self._tracked = {}

  def _try(self, name: str, act: Callable[[], None]) -> None:
    """Let a tracker act; end it and leave it out where it fails."""
    try:
      act()
    # Whatever a tracker, or its library, raises; some end the process.
    except (Exception, SystemExit) as error:
      of_runs = self._tracked.pop(name, None)
      if of_runs is not None:
        text = ' '.join(str(error).split()) or 'no message'
        console.warn(
          f'the tracker {name} is left out from here on: '
          f'{type(error).__name__}: {text}; metrics.jsonl has every row'
        )
        _end_quietly(of_runs.values())


class Untracked(Tracking):
  """Hands nothing over: of a process that trains along with the one that does.

  It reads and writes no file.
  """

  def __init__(self):
    self._tracked, self._complete = {}, []


def lack(workdir: str, population: populations.Population) -> list[str]:
  """Return the wanted trackers that lack some of a finished population."""
  wanted = _wanted(population)
  if not wanted:
    return []
  place = pathlib.Path(workdir) / 'populations' / population.name
  complete = _read_record(place / RECORD)
  return [name for name in wanted if name not in complete]


def hand_over(workdir: str, population: populations.Population) -> None:
  """Hand a finished population to the wanted trackers that lack some of it.

  One that failed while it trained, or was not wanted then.
  """
  lacking = lack(workdir, population)
  if not lacking:
    return
  place = pathlib.Path(workdir) / 'populations' / population.name
  complete = _read_record(place / RECORD)
  console.say(
    f'{population.name}: what {", ".join(lacking)} lacks is handed over'
  )
  try:
    runs = list(files.read_json_lines(place / 'runs.jsonl'))
    with Tracking(workdir, population, place, complete) as tracking:
      tracking.finish(runs)
  except (OSError, files.DamagedError) as error:
    console.warn(f'{place}: cannot be handed over: {error}')


def _wanted(population: populations.Population) -> list[str]:
  settings = population.settings
  return trackers.chosen(settings.trackers, settings.tensorboard)


def _read_record(path: pathlib.Path) -> list[str]:
  """Return the trackers that have all of a population, none if it is untold."""
  try:
    return [str(name) for name in files.read_json(path)['complete']]
  except (OSError, files.DamagedError, LookupError, TypeError):
    return []


def _sequences(last: Any) -> int:
  """Return what a tracker's `start` returns, -1 for None.

  Raises:
    TypeError: it is no integer.
  """
  if last is None:
    return -1
  if isinstance(last, numbers.Integral) and not isinstance(last, bool):
    return int(last)
  raise TypeError(
    f'start() returns {last!r}: must be the sequences of the last row that the '
    'tracker has, an integer, or None'
  )


def _end_quietly(tracked: Iterable[_Tracked]) -> None:
  """End what a tracker that failed has open: files, processes."""
  until = time.monotonic() + _PATIENCE
  for each in tracked:
    if time.monotonic() > until:
      break
    # That it fails was said.
    with contextlib.suppress(Exception, SystemExit):
      each.tracker.finish(None)


def _members(
  workdir: str,
  population: populations.Population,
  place: pathlib.Path,
  written: Mapping[str, Sequence[Mapping[str, Any]]],
) -> list[trackers.Member]:
  """Return the runs of a population as trackers are told of them."""
  study = results.read_study(workdir)
  members = []
  for run, name in zip(population.runs, population.run_names, strict=True):
    origin = f'{study["created"]} {population.name} {name}'
    rows = written.get(name)
    members.append(
      trackers.Member(
        id=hashlib.sha256(origin.encode()).hexdigest()[:16],
        name=name,
        study=study['name'],
        population=population.name,
        config=_plain(run.config),
        workdir=pathlib.Path(workdir).absolute(),
        place=place.absolute(),
        after=rows[-1]['sequences'] if rows else -1,
      )
    )
  return members


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
  """Return the fields of a run as any tracker can take them."""
  return {
    name: str(value) if value in (math.inf, -math.inf) else value
    for name, value in fields.flatten(config)
    if value is not None
  }


def _rows_by_run(path: pathlib.Path) -> dict[str, list[dict[str, Any]]]:
  rows: dict[str, list[dict[str, Any]]] = {}
  for row in files.read_json_lines(path):
    rows.setdefault(row['run'], []).append(row)
  return rows


def _metrics(row: Mapping[str, Any]) -> dict[str, Any]:
  return {
    name: math.nan if value is None else value
    for name, value in row.items()
    if name not in _PLACE
  }
