"""What earlier sessions left of a population: is it done, where to go on."""

from collections.abc import Callable
import functools
from typing import NamedTuple

import jax
import numpy as np

from lstm_variants import console
from lstm_variants.config import populations
from lstm_variants.runs import checkpoint, directory, files, provenance, results
from lstm_variants.runs import writer as writer_lib
from lstm_variants.training import states, step

CHECKPOINTS = 'checkpoints'


class Start(NamedTuple):
  """Where training starts: a saved state, None to begin with the first."""

  state: step.State | None
  update: int
  seconds: float


def is_done(workdir: str, population: populations.Population) -> bool:
  """Tell whether a population is finished, and no longer training is wanted.

  Raises:
    WorkdirError: what it left cannot be read, or it was trained longer.
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
  # One that gave up goes on where it is given another patience.
  gave_up = record.get('out_of_patience', False)
  patient = record.get('patience', 0) == population.settings.patience
  return trained == wanted and (patient or not gave_up)


def check_resumable(workdir: str, population: populations.Population) -> None:
  """Check that a population can be resumed; change nothing.

  Raises:
    CheckpointError: there are checkpoints, and none can be used; or it is to be
      trained longer, and there are none.
    WorkdirError: what it left cannot be read, or it was trained longer.
  """
  writer = writer_lib.PopulationWriter(workdir, population.name)
  if is_done(workdir, population):
    return
  saved = _load(writer, population, warn=lambda text: None)
  if saved is None and writer.final.exists():
    raise checkpoint.CheckpointError(
      f'{writer.final}: has no checkpoints to be trained longer from; set '
      '--config.training.updates back, or choose another --workdir'
    )


def _load(
  writer: writer_lib.PopulationWriter,
  population: populations.Population,
  warn: Callable[[str], None],
) -> tuple[step.State, checkpoint.Progress] | None:
  """Read the newest checkpoint, wherever the population is, and check it."""
  settings = population.settings
  place = writer.final if writer.final.exists() else writer.partial
  saved = states.load(place / CHECKPOINTS, population, warn)
  if saved is None:
    return None
  state, made = saved
  if made.update > settings.updates or np.any(state.update != made.update):
    raise directory.ResumeError(
      f'--config.training.updates={settings.updates}: {writer.final.name} is '
      f'at update {made.update}; nearest: {made.update}'
    )
  try:
    writer_lib.check_metrics(
      place / results.METRICS, made.metrics_bytes, made.metrics_sha256
    )
  except files.DamagedError as error:
    raise checkpoint.CheckpointError(
      f'{error}: it does not go with checkpoint {made.update}; put it back, or '
      'repeat the command with --overwrite to start anew'
    ) from error
  return state, made


def begin(
  writer: writer_lib.PopulationWriter, population: populations.Population
) -> Start:
  """Take up what an earlier session left, or begin anew."""
  saved = _load(writer, population, console.warn)
  if saved is None:
    writer.start()
    return Start(None, 0, 0.0)
  if writer.final.exists():
    writer.reopen()
  state, made = saved
  dropped = writer.resume(made.metrics_bytes, made.metrics_sha256)
  console.say(f'{writer.final.name}: going on after update {made.update}')
  if dropped:
    console.warn(
      f'{writer.partial}: dropped {dropped:,} bytes of later metrics'
    )
  if made.made_by != made_by():
    console.warn(
      f'{writer.final.name}: saved by {made.made_by}, going on with '
      f'{made_by()}: roundings may differ'
    )
  return Start(state, made.update, made.seconds)


@functools.cache
def made_by() -> str:
  """Describe versions and devices; others may round differently."""
  origin = provenance.describe()
  versions = ' '.join(f'{k} {v}' for k, v in origin['packages'].items())
  devices = f'{jax.device_count()} {jax.devices()[0].device_kind}'
  return f'{versions} on {devices} ({origin["machine"]})'
