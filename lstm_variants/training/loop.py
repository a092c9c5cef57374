"""The loop of training: call the compiled chunk, write, save, until the end."""

from collections.abc import Callable, Sequence
import contextlib
import datetime
import functools
import time
from typing import Any

import jax
import numpy as np

from lstm_variants.config import populations
from lstm_variants.config import settings as settings_lib
from lstm_variants.runs import checkpoint, provenance, results
from lstm_variants.runs import lease as lease_lib
from lstm_variants.runs import writer as writer_lib
from lstm_variants.tasks import base
from lstm_variants.training import (
  agreement,
  interrupt,
  records,
  resume,
  states,
  step,
  tracking,
  watching,
)
from lstm_variants.training import given as given_lib
from lstm_variants.training import (
  patience as patience_lib,
)
from lstm_variants.training import (
  population as population_lib,
)
from lstm_variants.training import (
  progress as progress_lib,
)

_State = step.State
Observer = Callable[[_State, records.Record], None]


def train_population(
  workdir: str,
  population: populations.Population,
  given: given_lib.Given | None,
  watch: watching.Watch,
  progress: progress_lib.Progress,
  lease: lease_lib.Lease | None = None,
) -> bool:
  """Train a population, from its newest checkpoint on, and write its results.

  Args:
    workdir: the directory of an open study (`directory.open_study`).
    population: what `populations.split` made.
    given: the weights with which all runs begin; None: each run draws its own.
    watch: who looks on.
    progress: shows the whole study; it has this population as a part.
    lease: of the population, where other processes train others of the study.

  Returns:
    Whether every run diverged.

  Raises:
    CheckpointError: if there are checkpoints, and none can be used.
    StorageError: if something cannot be written.
    LostError: if the lease was taken over; nothing was written since.
    Interrupted: if a signal asked for the end; everything is saved.
  """
  settings, name = population.settings, population.name
  started = _now()
  with contextlib.ExitStack() as stack:
    writer = stack.enter_context(_writer(workdir, name, lease))
    stack.enter_context(jax.enable_x64(settings.dtype == 'float64'))
    start = resume.begin(writer, population)
    progress.begin(name)
    trackers = stack.enter_context(_trackers(workdir, population, writer))
    with interrupt.compiling():
      compiled = _traced(_compile(population, given), watch, stack)
    progress.start(start.update)
    stack.enter_context(interrupt.deferred())
    saver = _Saver(population, writer, start, compiled.places)
    observe = functools.partial(
      _observe, population, writer, trackers, progress, watch
    )
    patience = _patience_at(start, population, writer)
    state, final, patience = _train(
      settings, compiled, start, patience, observe, saver
    )
    runs = records.run_rows(population, state, final, saver.seconds())
    trackers.finish(runs)
    writer.finish(
      runs,
      states.named_leaves(state.params),
      _describe(compiled, saver, settings, patience, started),
    )
    # Not before: until it is finished others may take it over.
    progress.end()
    agreement.meet()
  return bool(np.all(state.diverged_at >= 0))


def _writer(
  workdir: str, name: str, lease: lease_lib.Lease | None
) -> writer_lib.PopulationWriter:
  """Return a writer that writes in the first process alone."""
  if agreement.is_first():
    return writer_lib.PopulationWriter(workdir, name, lease)
  return writer_lib.SilentWriter(workdir, name)


def _trackers(
  workdir: str,
  population: populations.Population,
  writer: writer_lib.PopulationWriter,
) -> tracking.Tracking:
  """Return trackers that are told of the runs by the first process alone."""
  if agreement.is_first():
    return tracking.Tracking(workdir, population, writer.partial)
  return tracking.Untracked()


def _compile(
  population: populations.Population, given: given_lib.Given | None
) -> population_lib.Compiled:
  return population_lib.compile_population(
    population.settings,
    [run.hyperparams for run in population.runs],
    given.arrays if given else None,
  )


def _traced(
  compiled: population_lib.Compiled,
  watch: watching.Watch,
  stack: contextlib.ExitStack,
) -> population_lib.Compiled:
  """Return a program with the profile that is wanted, until `stack` closes."""
  if watch.profile is None:
    return compiled
  stack.callback(watch.profile.stop)
  return compiled._replace(advance=watch.profile.around(compiled.advance))


def _observe(
  population: populations.Population,
  writer: writer_lib.PopulationWriter,
  trackers: tracking.Tracking,
  progress: progress_lib.Progress,
  watch: watching.Watch,
  state: _State,
  record: records.Record,
) -> None:
  """Write an evaluation to the run directory, and show it."""
  rows = records.metric_rows(population, state, record)
  writer.append_metrics(rows)
  trackers.log(rows)
  progress.show(records.report(population, state, record))
  update, updates = int(state.update[0]), population.settings.updates
  if agreement.is_first():
    watch.see(watching.Evaluation(population.name, update, updates, rows))


def _patience_at(
  start: resume.Start,
  population: populations.Population,
  writer: writer_lib.PopulationWriter,
) -> patience_lib.Patience:
  """Return the patience at the update at which training starts."""
  limit = population.settings.patience
  if start.state is None:
    return patience_lib.begin(limit, len(population.runs))

  def read() -> tuple[list[float], int, int]:
    path = writer.partial / results.METRICS
    patience = patience_lib.read(limit, path, population.run_names)
    return patience.best.tolist(), patience.improved, patience.update

  best, improved, update = agreement.value_of_first(read)
  return patience_lib.Patience(limit, np.asarray(best), improved, update)


class _Saver:
  """Saves checkpoints and measures the time of training.

  Attributes:
    saved_update: the update of the newest checkpoint.
    save_seconds: the time spent on saving in this session.
  """

  def __init__(
    self,
    population: populations.Population,
    writer: writer_lib.PopulationWriter,
    start: resume.Start,
    places: Sequence[int],
  ):
    self._population, self._settings = population, population.settings
    self._writer, self._places = writer, places
    self._before = start.seconds
    self._clock = self._saved_at = time.monotonic()
    self.saved_update = start.update
    self.save_seconds = 0.0

  def seconds(self) -> float:
    """Return the seconds of training, over all sessions."""
    return self._before + time.monotonic() - self._clock

  def is_due(self, update: int) -> bool:
    """Tell whether enough updates or minutes have passed since the last one."""
    interval = self._settings.save_interval
    if interval and update - self.saved_update >= interval:
      return True
    minutes = self._settings.save_minutes
    return bool(minutes) and time.monotonic() - self._saved_at >= 60 * minutes

  def save(self, on_device: _State) -> None:
    """Save the state of all runs; of several processes the first one does."""
    started = time.monotonic()
    state = _whole(on_device, self._places)
    update = int(state.update[0])
    if agreement.is_first():
      self._write(state, update)
    agreement.meet()
    self._saved_at, self.saved_update = time.monotonic(), update
    self.save_seconds += self._saved_at - started

  def _write(self, state: _State, update: int) -> None:
    self._writer.sync()
    checkpoint.save(
      self._writer.partial / resume.CHECKPOINTS,
      self._population.identity,
      states.named_leaves(state),
      checkpoint.Progress(
        update=update,
        seconds=self.seconds(),
        metrics_bytes=self._writer.metrics_bytes,
        metrics_sha256=self._writer.metrics_sha256,
        made_by=resume.made_by(),
      ),
      self._settings.keep_checkpoints,
    )


def _train(
  settings: settings_lib.Settings,
  compiled: population_lib.Compiled,
  start: resume.Start,
  patience: patience_lib.Patience,
  observe: Observer,
  saver: _Saver,
) -> tuple[_State, records.Record, patience_lib.Patience]:
  """Train to the end; save when it is due, when a signal comes, at the end.

  Args:
    settings: the settings of the population.
    compiled: its program, and the state before the first update.
    start: the state from which a resumed population goes on.
    patience: the patience at the start.
    observe: called with the status and the record of every evaluation, the
      first one before any update.
    saver: saves the checkpoints.

  Returns:
    The last state and record, on the host, without padding; and the patience
    at the end.
  """
  done, on_device = start.update, compiled.state
  if start.state is not None:
    on_device = compiled.place(start.state)
  # No update, only an evaluation; if resumed, metrics.jsonl has it already.
  on_device, record = compiled.advance(on_device, 0)
  status, record = _status(on_device, record, compiled.places)
  if start.state is None:
    observe(status, record)
    patience = patience_lib.see(patience, done, record['loss'])
  agreement.meet()
  agreement.check(saver.saved_update > 0)
  while not (
    done >= settings.updates
    or patience.is_over
    or _is_decided(settings, status)
  ):
    updates = _updates_to_evaluation(settings, done)
    on_device, record = compiled.advance(on_device, updates)
    done += updates
    status, record = _status(on_device, record, compiled.places)
    observe(status, record)
    patience = patience_lib.see(patience, done, record['loss'])
    if agreement.wants_saving(saver.is_due(done)):
      saver.save(on_device)
    agreement.check(saver.saved_update > 0)
  if saver.saved_update != done:
    saver.save(on_device)
  return _whole(on_device, compiled.places), record, patience


def _updates_to_evaluation(settings: settings_lib.Settings, done: int) -> int:
  """Return the number of updates to the next evaluation, or to the end."""
  interval = settings.evaluation_interval
  return min(interval - done % interval, settings.updates - done)


def _status(
  on_device: _State, record: Any, places: Sequence[int]
) -> tuple[_State, records.Record]:
  """Copy the record and the small leaves of a state to the host.

  These are the updates done, and when each run was solved and diverged.
  Parameters stay on the device.
  """
  small = on_device._replace(params=None, opt_state=None, recent=None)
  return _to_host((small, record), places)


def _whole(on_device: _State, places: Sequence[int]) -> _State:
  """Copy a state to the host, one leaf after the other: they may be large."""
  return jax.tree.map(lambda leaf: _to_host(leaf, places), on_device)


def _to_host(tree: Any, places: Sequence[int]) -> Any:
  """Copy a tree to the host, of each run what is at its place.

  It is a copy, no view: the next chunk reuses the memory of the state.
  """
  chosen: Any = np.asarray(places)
  if isinstance(places, range):  # of a copy a view is enough
    chosen = slice(len(places))
  return jax.tree.map(lambda leaf: leaf[chosen], agreement.to_host(tree))


def _is_decided(settings: settings_lib.Settings, status: _State) -> bool:
  """Tell whether no run can change its outcome by further updates."""
  decided = status.diverged_at >= 0
  if settings.stop_when_solved and base.stops_training(settings.task.success):
    decided = decided | (status.solved_at >= 0)
  return bool(np.all(decided))


def _describe(
  compiled: population_lib.Compiled,
  saver: _Saver,
  settings: settings_lib.Settings,
  patience: patience_lib.Patience,
  started: str,
) -> dict[str, Any]:
  """Return the part of provenance.json that tells how training went."""
  return {
    **provenance.describe(),
    'processes': agreement.count(),
    'devices': [device.device_kind for device in jax.devices()],
    'platform': jax.default_backend(),
    'compile_seconds': compiled.compile_seconds,
    'train_seconds': saver.seconds(),
    'save_seconds': saver.save_seconds,
    'updates_at_most': settings.updates,
    'patience': settings.patience,
    'out_of_patience': patience.is_over,
    'started': started,
    'finished': _now(),
  }


def _now() -> str:
  return datetime.datetime.now(datetime.UTC).isoformat('T', 'seconds')
