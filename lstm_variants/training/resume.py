"""Resume a population: is it finished, and from which state does it go on.

A killed process leaves a directory (`runs.partial`) with checkpoints and
metrics.jsonl. Training goes on from the newest whole checkpoint, and rows of
metrics.jsonl that were written after it are dropped: they are computed again.
"""

from collections.abc import Callable
import functools
from typing import NamedTuple

import jax
import numpy as np

from lstm_variants import console
from lstm_variants.config import populations
from lstm_variants.runs import (
  checkpoint,
  directory,
  files,
  partial,
  provenance,
  results,
)
from lstm_variants.runs import writer as writer_lib
from lstm_variants.training import agreement, states, step

CHECKPOINTS = partial.CHECKPOINTS


class Start(NamedTuple):
  """Where training starts.

  Attributes:
    state: the state of a checkpoint; None: there is none, training begins.
    update: the number of updates done.
    seconds: the time that training took before.
  """

  state: step.State | None
  update: int
  seconds: float


def is_done(workdir: str, population: populations.Population) -> bool:
  """Tell whether a population is finished and need not be trained longer.

  Raises:
    WorkdirError: if its files cannot be read, or it was trained for more
      updates than are wanted now.
  """
  name, wanted = population.name, population.settings.updates
  if not results.is_finished(workdir, name):
    return False
  record = results.read_population_provenance(workdir, name)
  trained = record.get('updates_at_most')
  if not isinstance(trained, int) or trained > wanted:
    raise directory.ResumeError(
      f'--config.training.updates={wanted}: {name} was trained for {trained}; '
      f'nearest: {trained}'
    )
  if trained != wanted:
    return False
  # One that was stopped by its patience goes on with another patience.
  same_patience = record.get('patience', 0) == population.settings.patience
  return same_patience or not record.get('out_of_patience', False)


def looks_done(workdir: str, population: populations.Population) -> bool:
  """Tell what `is_done` does, of a population that others may have just now.

  One that cannot be read is not done: somebody opens it again to train it
  longer, or whoever takes it is told what is wrong with it.
  """
  try:
    return is_done(workdir, population)
  except results.WorkdirError:
    return False


def check_goes_on(workdir: str, population: populations.Population) -> None:
  """Check what `check_resumable` does, by names alone: no checkpoint is read.

  Raises:
    CheckpointError: if a finished population is to be trained longer and has
      no checkpoints.
    WorkdirError: see `is_done`.
  """
  if is_done(workdir, population):
    return
  writer = writer_lib.PopulationWriter(workdir, population.name)
  place = writer.begun()
  # Another host may have saved a moment ago.
  files.look_anew(place / CHECKPOINTS)
  saved = checkpoint.newest_update(place / CHECKPOINTS)
  if saved > population.settings.updates:
    raise _is_at(population, saved)
  if saved < 0 and place == writer.final:  # else it may be finished by now
    _check_anew(writer)


def _is_at(
  population: populations.Population, update: int
) -> directory.ResumeError:
  """Return the refusal of a population that is beyond what is wanted."""
  return directory.ResumeError(
    f'--config.training.updates={population.settings.updates}: '
    f'{population.name} is at update {update}; nearest: {update}'
  )


def _check_anew(writer: writer_lib.PopulationWriter) -> None:
  """Refuse to begin anew what is finished."""
  if writer.final.exists():
    raise checkpoint.CheckpointError(
      f'{writer.final}: has no checkpoints to be trained longer from; set '
      '--config.training.updates back, or choose another --workdir'
    )


def check_resumable(workdir: str, population: populations.Population) -> None:
  """Check that a population can be resumed; change nothing.

  Raises:
    CheckpointError: if there are checkpoints and none can be used, or if a
      finished population is to be trained longer and has none.
    WorkdirError: see `is_done`.
  """
  writer = writer_lib.PopulationWriter(workdir, population.name)
  if not is_done(workdir, population):
    _load(writer, population, warn=lambda text: None)


def _load(
  writer: writer_lib.PopulationWriter,
  population: populations.Population,
  warn: Callable[[str], None],
) -> tuple[step.State, checkpoint.Progress] | None:
  """Read and check the newest checkpoint of a population, finished or not."""
  place = writer.begun()
  # Another host may have saved a moment ago.
  files.look_anew(place / CHECKPOINTS)
  saved = states.load(place / CHECKPOINTS, population, warn)
  if saved is None:
    _check_anew(writer)
    return None
  state, progress = saved
  if progress.update > population.settings.updates or np.any(
    state.update != progress.update
  ):
    raise _is_at(population, progress.update)
  try:
    writer_lib.check_metrics(
      place / results.METRICS, progress.metrics_bytes, progress.metrics_sha256
    )
  except files.DamagedError as error:
    raise checkpoint.CheckpointError(
      f'{error}: it does not go with checkpoint {progress.update}; put it '
      'back, or repeat the command with --overwrite to start anew'
    ) from error
  return state, progress


def begin(
  writer: writer_lib.PopulationWriter, population: populations.Population
) -> Start:
  """Begin a population, or resume it if it has a checkpoint.

  Of several processes the first one reads it, for all of them.

  Args:
    writer: the writer of its results, which is started here.
    population: the population.
  """
  start = Start(None, 0, 0.0)
  if agreement.is_first():
    start = _begin(writer, population)
  state, (update, seconds) = (
    start.state,
    agreement.value_of_first(lambda: (start.update, start.seconds)),
  )
  arrays = agreement.arrays_of_first(
    lambda: None if state is None else states.named_leaves(state)
  )
  if agreement.is_first() or arrays is None:
    return Start(state, update, seconds)
  template = states.describe(population)
  return Start(states.restore(template, dict(arrays)), update, seconds)


def _begin(
  writer: writer_lib.PopulationWriter, population: populations.Population
) -> Start:
  writer.adopt()
  saved = _load(writer, population, console.warn)
  if saved is None:
    writer.start()
    return Start(None, 0, 0.0)
  if writer.final.exists():
    writer.reopen()
  state, progress = saved
  dropped = writer.resume(progress.metrics_bytes, progress.metrics_sha256)
  console.say(f'{writer.final.name}: going on after update {progress.update}')
  if dropped:
    console.warn(
      f'{writer.partial}: dropped {dropped:,} bytes of later metrics'
    )
  if progress.made_by != made_by():
    console.warn(
      f'{writer.final.name}: saved by {progress.made_by}, going on with '
      f'{made_by()}: roundings may differ'
    )
  return Start(state, progress.update, progress.seconds)


@functools.cache
def made_by() -> str:
  """Describe the versions and devices on which rounding depends."""
  origin = provenance.describe()
  versions = ' '.join(f'{k} {v}' for k, v in origin['packages'].items())
  devices = f'{jax.device_count()} {jax.devices()[0].device_kind}'
  return f'{versions} on {devices} ({origin["machine"]})'
