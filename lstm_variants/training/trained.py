"""Trained models, read back from what a study has left on the disk."""

from collections.abc import Sequence
import math
import pathlib
from typing import Any, NamedTuple
import zipfile
import zlib

import jax
from ml_collections import config_dict

from lstm_variants.config import checks, settings
from lstm_variants.launch import local
from lstm_variants.runs import checkpoint, files, results
from lstm_variants.training import population, records, resume, step

_ADVICE = 'train it further, or choose another run'
# What damaged arrays and rows set off.
_UNREADABLE = (
  *(OSError, ValueError, LookupError, TypeError, EOFError, AttributeError),
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
  run = runs[index]
  members = next(p for p in local.split(runs) if run in p)
  lane, name = members.index(run), records.population_name(members)
  template = _template(members)
  if results.is_finished(workdir, name):
    return _finished(workdir, name, template.params, [run], [lane])[0]
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
  return _of_checkpoint(run, lane, *saved)


def moments(
  workdir: str, runs: Sequence[settings.Run], indices: Sequence[int]
) -> list[list[Trained]]:
  """Return runs before, during and after their training.

  Args:
    workdir: of the study.
    runs: all of it, from `read_configs`.
    indices: of the wanted runs, which are finished.

  Returns:
    For each of them, in this order: as its seed makes it; at each checkpoint
    that was kept and is whole (`config.training.save_interval` and
    `keep_checkpoints` make more of them); at its end. No update comes twice.

  Raises:
    WorkdirError: what was written at an end cannot be read.
  """
  found: dict[int, list[Trained]] = {}
  for members in local.split(runs):
    chosen = [index for index in indices if runs[index] in members]
    if chosen:
      wanted = [runs[index] for index in chosen]
      found |= zip(chosen, _moments(workdir, members, wanted), strict=True)
  return [found[index] for index in indices]


def _moments(
  workdir: str,
  members: Sequence[settings.Run],
  wanted: Sequence[settings.Run],
) -> list[list[Trained]]:
  """Return the moments of some runs of one population, read once."""
  name, template = records.population_name(members), _template(members)
  lanes = [members.index(run) for run in wanted]
  ends = _finished(workdir, name, template.params, wanted, lanes)
  chosen = members[0].settings
  with jax.enable_x64(chosen.dtype == 'float64'):
    first = population.init_states(chosen, [run.hyperparams for run in wanted])
  saved = checkpoint.load_all(
    _checkpoints(workdir, name), records.population_identity(members), template
  )
  found = []
  for place, (run, lane, end) in enumerate(
    zip(wanted, lanes, ends, strict=True)
  ):
    params = jax.tree.map(lambda leaf, n=place: leaf[n], first.params)
    of_run = {0: Trained(run, params, 0, '')}
    for state, progress in saved:
      moment = _of_checkpoint(run, lane, state, progress)
      of_run.setdefault(moment.update, moment)
    of_run[end.update] = end
    found.append([of_run[update] for update in sorted(of_run)])
  return found


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
  workdir: str,
  name: str,
  template: Any,
  runs: Sequence[settings.Run],
  lanes: Sequence[int],
) -> list[Trained]:
  """Read runs of a population that has been trained to its end.

  Raises:
    WorkdirError: what was written then cannot be read, or is of other runs.
  """
  wanted = checkpoint.named_leaves(template)
  place = pathlib.Path(workdir) / 'populations' / name
  try:
    arrays = results.read_params(workdir, name)
    for key, leaf in wanted.items():
      if (arrays[key].shape, arrays[key].dtype) != (leaf.shape, leaf.dtype):
        raise files.DamagedError(f'{key} is of another model')
    rows = {
      row['id']: (int(row['updates']), row['status'])
      for row in files.read_json_lines(place / 'runs.jsonl')
    }
    told = [rows[records.run_name(run)] for run in runs]
  except _UNREADABLE as error:
    raise results.WorkdirError(
      f'{place}: its params.npz or runs.jsonl cannot be read '
      f'({type(error).__name__}: {error}); choose another run'
    ) from error
  found = []
  for run, lane, (update, status) in zip(runs, lanes, told, strict=True):
    leaves = [arrays[key][lane] for key in wanted]
    params = jax.tree.unflatten(jax.tree.structure(template), leaves)
    diverged = 'diverged' * (status == 'diverged')
    found.append(Trained(run, params, update, diverged))
  return found
