"""The trackers of a population: one for each run, brought to metrics.jsonl."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import contextlib
import copy
import hashlib
import math
import pathlib
import time
from typing import Any, NamedTuple

from lstm_variants import console, trackers
from lstm_variants.config import fields, populations
from lstm_variants.runs import files, results
from lstm_variants.runs import writer as writer_lib

# What is no metric in a row of metrics.jsonl.
_PLACE = ('run', 'sequences')
# Seconds after which no more runs of a tracker that fails are ended: each may
# wait for a server that does not answer.
_PATIENCE = 10.0


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
  is ended and left out for the rest of the population, with one warning.
  """

  def __init__(
    self,
    workdir: str,
    population: populations.Population,
    writer: writer_lib.PopulationWriter,
  ):
    settings = population.settings
    wanted = trackers.chosen(settings.trackers, settings.tensorboard)
    self._tracked: dict[str, dict[str, _Tracked]] = {}
    if not wanted:
      return
    written = _rows_by_run(writer.partial / results.METRICS)
    members = _members(workdir, population, writer, written)
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
      last = tracker.start(own)
      last = -1 if last is None else last
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
    self._tracked = {}

  def _try(self, name: str, act: Callable[[], None]) -> None:
    """Let a tracker act; end it and leave it out where it fails."""
    try:
      act()
    except Exception as error:  # whatever a tracker, or its library, raises
      of_runs = self._tracked.pop(name, None)
      if of_runs is not None:
        text = ' '.join(str(error).split()) or 'no message'
        console.warn(
          f'the tracker {name} is left out from here on: '
          f'{type(error).__name__}: {text}; metrics.jsonl has every row'
        )
        _end_quietly(of_runs.values())


def _end_quietly(tracked: Iterable[_Tracked]) -> None:
  """End what a tracker that failed has open: files, processes."""
  until = time.monotonic() + _PATIENCE
  for each in tracked:
    if time.monotonic() > until:
      break
    with contextlib.suppress(Exception):  # that it fails was said
      each.tracker.finish(None)


def _members(
  workdir: str,
  population: populations.Population,
  writer: writer_lib.PopulationWriter,
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
        place=writer.partial.absolute(),
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
