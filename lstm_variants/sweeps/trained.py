"""Trained models, read back from what a study has left on the disk."""

from collections.abc import Sequence
import math
import pathlib
from typing import Any, NamedTuple
import zipfile
import zlib

import jax
from ml_collections import config_dict

from lstm_variants import results, storage
from lstm_variants.sweeps import study
from lstm_variants.training import (
  checkpoint,
  checks,
  population,
  records,
  resume,
  settings,
  step,
)

_ADVICE = 'train it further, or choose another run'
# What damaged arrays and rows set off.
_UNREADABLE = (
  *(OSError, ValueError, LookupError, TypeError, EOFError, StopIteration),
  AttributeError,
  *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError),
)


class Trained(NamedTuple):
  """A run as it was at some update.

  Attributes:
    run: its settings.
    params: NumPy arrays, as of `models.init_model`.
    update: updates done.
    diverged: tells that it has, or is empty.
  """

  run: settings.Run
  params: Any
  update: int
  diverged: str


def read_configs(workdir: str) -> list[settings.Run]:
  """Return the runs of a study, from what it wrote of them.

  Raises:
    WorkdirError: there is no study, or what it holds are no runs of ours.
    InputError: a config that this version refuses.
  """
  saved = results.read_study(workdir)['runs']
  if not saved:
    raise results.WorkdirError(
      f'--workdir={workdir}: its study has no runs; choose another'
    )
  try:
    return [_run_of(fields) for fields in saved]
  except checks.InputError:
    raise
  except (TypeError, ValueError, LookupError, AttributeError) as error:
    raise results.WorkdirError(
      f'{pathlib.Path(workdir) / "study.json"}: holds a run that is none of '
      f'ours ({type(error).__name__}: {error}); choose another study'
    ) from error


def _run_of(fields: dict[str, Any]) -> settings.Run:
  """Return a run; JSON has no infinity, which only bounds that are off are."""
  bounds = dict(fields.get('optimizer', {}))
  for name, value in bounds.items():
    bounds[name] = math.inf if value is None else value
  config = config_dict.ConfigDict({**fields, 'optimizer': bounds})
  return settings.from_config(config)


def load(workdir: str, runs: Sequence[settings.Run], index: int) -> Trained:
  """Read a run as it was last saved.

  Args:
    workdir: of the study.
    runs: all of it, from `read_configs`.
    index: of the run.

  Returns:
    The run at its end, or at the newest checkpoint that is whole.

  Raises:
    CheckpointError: it is not finished, and no checkpoint can be used.
    WorkdirError: it is finished, and what was written then cannot be read.
  """
  members, lane = _place(runs, index)
  name, template = records.population_name(members), _template(members)
  if results.is_finished(workdir, name):
    return _finished(workdir, name, runs[index], lane, template.params)
  directory = _checkpoints(workdir, name + results.PARTIAL)
  identity = records.population_identity(members)
  try:
    saved = checkpoint.load(directory, identity, template)
  except checkpoint.CheckpointError as error:
    # Its advice is for the programs that train.
    damage = str(error).partition('; no checkpoint is left')[0]
    raise checkpoint.CheckpointError(f'{damage}; {_ADVICE}') from error
  if saved is None:
    raise checkpoint.CheckpointError(
      f'{directory}: holds no checkpoint; {_ADVICE}'
    )
  return _of_checkpoint(runs[index], lane, *saved)


def moments(
  workdir: str, runs: Sequence[settings.Run], index: int
) -> list[Trained]:
  """Return a run before, during and after its training, in this order.

  Args:
    workdir: of the study.
    runs: all of it, from `read_configs`.
    index: of the run, which is finished.

  Returns:
    As its seed makes it; at each checkpoint that was kept and is whole
    (`config.training.save_interval` and `keep_checkpoints` make more of them);
    at its end. No update comes twice.

  Raises:
    WorkdirError: what was written at its end cannot be read.
  """
  run, (members, lane) = runs[index], _place(runs, index)
  name, template = records.population_name(members), _template(members)
  end = _finished(workdir, name, run, lane, template.params)
  found = {0: initial(run)}
  for saved in checkpoint.load_all(
    _checkpoints(workdir, name), records.population_identity(members), template
  ):
    moment = _of_checkpoint(run, lane, *saved)
    found.setdefault(moment.update, moment)
  found[end.update] = end
  return [found[update] for update in sorted(found)]


def initial(run: settings.Run) -> Trained:
  """Return a run as its seed makes it, before the first update."""
  with jax.enable_x64(run.settings.dtype == 'float64'):
    state = step.init_state(run.settings, run.hyperparams)
    return Trained(run, jax.device_get(state.params), 0, '')


def _place(
  runs: Sequence[settings.Run], index: int
) -> tuple[Sequence[settings.Run], int]:
  """Return the population of a run, and its place there."""
  run = runs[index]
  members = next(p for p in study.split(runs) if run in p)
  return members, members.index(run)


def _template(members: Sequence[settings.Run]) -> step.State:
  chosen = members[0].settings
  with jax.enable_x64(chosen.dtype == 'float64'):
    return population.describe_state(
      chosen, [member.hyperparams for member in members]
    )


def _checkpoints(workdir: str, population_directory: str) -> pathlib.Path:
  path = pathlib.Path(workdir) / 'populations' / population_directory
  return path / resume.CHECKPOINTS


def _of_checkpoint(
  run: settings.Run, lane: int, state: Any, progress: checkpoint.Progress
) -> Trained:
  diverged_at = int(state.diverged_at[lane])
  return Trained(
    run,
    jax.tree.map(lambda leaf: leaf[lane], state.params),
    progress.update,
    f'diverged at update {diverged_at}' if diverged_at >= 0 else '',
  )


def _finished(
  workdir: str, name: str, run: settings.Run, lane: int, template: Any
) -> Trained:
  """Read a run of a population that has been trained to its end.

  Raises:
    WorkdirError: what was written then cannot be read, or is of other runs.
  """
  wanted = checkpoint.named_leaves(template)
  place = pathlib.Path(workdir) / 'populations' / name
  try:
    found = results.read_params(workdir, name)
    for key, leaf in wanted.items():
      if (found[key].shape, found[key].dtype) != (leaf.shape, leaf.dtype):
        raise storage.DamagedError(f'{key} is of another model')
    rows = list(storage.read_json_lines(place / 'runs.jsonl'))
    row = next(r for r in rows if r['id'] == records.run_name(run))
    update = int(row['updates'])
    diverged = 'diverged' * (row['status'] == 'diverged')
  except _UNREADABLE as error:
    raise results.WorkdirError(
      f'{place}: its params.npz or runs.jsonl cannot be read '
      f'({type(error).__name__}: {error}); choose another run'
    ) from error
  leaves = [found[key][lane] for key in wanted]
  params = jax.tree.unflatten(jax.tree.structure(template), leaves)
  return Trained(run, params, update, diverged)
