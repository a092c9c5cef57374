"""Trained models, read back from what a study has left on the disk."""

from collections.abc import Callable, Mapping, Sequence
import json
import math
import pathlib
from typing import Any, NamedTuple

import jax

from lstm_variants import errors
from lstm_variants.config import (
  components,
  fields,
  populations,
  rules,
  schema,
  settings,
)
from lstm_variants.runs import (
  checkpoint,
  choice,
  files,
  grouping,
  partial,
  record,
  results,
)
from lstm_variants.tasks import base, recorded
from lstm_variants.training import given, resume, states
from lstm_variants.training import population as compiled

_ADVICE = 'train it further, or choose another run'
# What damaged arrays and rows set off.
_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError)


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


class Saved(NamedTuple):
  """The runs of a study as its directory has them.

  Attributes:
    workdir: of the study.
    runs: in the order of study.json.
    names: the id of each run.
    populations: of the study.
    places: of each run: its population's place, and its own within it.
  """

  workdir: str
  runs: tuple[settings.Run, ...]
  names: tuple[str, ...]
  populations: tuple[populations.Population, ...]
  places: tuple[tuple[int, int], ...]


def read(workdir: str) -> Saved:
  """Return the runs of a study, from what it wrote of them.

  Raises:
    WorkdirError: there is no study, or what it holds are no runs of ours.
    InputError: a config that this version refuses.
    ExtensionError: it uses what a module registers that is not imported.
  """
  study = results.read_study(workdir)
  components.check_study(workdir, study)
  if not study['runs']:
    raise results.WorkdirError(
      f'--workdir={workdir}: its study has no runs; choose another'
    )
  try:
    without_data = _without_data(study)
    runs = [
      _run_of(run, without_data.get(_task_key(run))) for run in study['runs']
    ]
  except errors.Error:
    raise
  except (TypeError, ValueError, LookupError, AttributeError) as error:
    raise results.WorkdirError(
      f'{pathlib.Path(workdir) / "study.json"}: holds a run that is none of '
      f'ours ({type(error).__name__}: {error}); choose another study'
    ) from error
  study_format = record.of_study(study, schema.unrecorded())
  members = populations.split(
    runs, study_format, results.populations(workdir), study.get('parts')
  )
  places = [(0, 0)] * len(runs)
  for place, population in enumerate(members):
    for lane, index in enumerate(population.places):
      places[index] = (place, lane)
  names = [members[place].run_names[lane] for place, lane in places]
  return Saved(
    workdir, tuple(runs), tuple(names), tuple(members), tuple(places)
  )


def _without_data(study: Mapping[str, Any]) -> dict[str, base.Task]:
  """Return the tasks whose data are not what they were, as they were recorded.

  Args:
    study: from `results.read_study`.

  Returns:
    Such a task by the `_task_key` of its runs.

  Raises:
    WorkdirError: the directory, being older, did not record what is needed.
    InputError: likewise, of data that are gone.
  """
  labels = {
    _key(config): label
    for label, task in study['tasks'].items()
    for config in task.get('configs', ())
  }
  tasks = {}
  for key, run in {_task_key(run): run for run in study['runs']}.items():
    label = labels.get(key)
    expected = list(study['tasks']) if label is None else [label]
    try:
      reason = _changed(run, expected)
    except rules.InputError as error:
      if label is None:
        raise
      reason = f'needs its data: {error}'
    if not reason:
      continue
    if label is None:
      raise results.WorkdirError(
        f'study.json: {", ".join(expected)}: {reason}; put them back'
      )
    known = study['tasks'][label]
    tasks[key] = recorded.restore(known, run['task'], label, reason)
  return tasks


def _changed(run: dict[str, Any], expected: Sequence[str]) -> str:
  """Tell that the data of a recorded run are others now; empty: they are not.

  Args:
    run: as recorded.
    expected: labels of which its task has one if its data are what they were.
  """
  label = _run_of(run).settings.task_label
  if label in expected or not expected:
    return ''
  path = run['task'].get('path') or 'the package that brings them'
  return f'needs its data: {path} has others now ({label})'


def _key(value: Any) -> str:
  """Return a value of JSON as a key."""
  return json.dumps(value, sort_keys=True)


def _task_key(run: Mapping[str, Any]) -> str:
  """Return the key of the task of a recorded run."""
  return _key(run.get('task'))


def _run_of(
  config: dict[str, Any], without_data: base.Task | None = None
) -> settings.Run:
  """Return a run; JSON has no infinity, which only bounds that are off are."""
  infinite = {
    name
    for name, row in schema.table().items()
    if isinstance(row.rule, rules.Real) and row.rule.infinite
  }
  values = dict(fields.flatten(config))
  for name in infinite & values.keys():
    values[name] = math.inf if values[name] is None else values[name]
  return settings.from_record(fields.nest(values), without_data)


def find(
  saved: Saved, wanted: choice.Wanted | None, flag: str = '--run='
) -> int:
  """Return the index of the run that is meant.

  Args:
    saved: from `read`.
    wanted: its id, the beginning of its id, some of its fields, or 'best', as
      `runs.choice` has them.
    flag: that it was given to, for refusals.

  Raises:
    RunError: none is meant, or more than one.
    WorkdirError: rows of finished runs cannot be read.
  """
  facts = {
    name: choice.facts(run.config, run.model, run.settings.task_label)
    for name, run in zip(saved.names, saved.runs, strict=True)
  }
  losses = grouping.final_losses(results.read_rows(saved.workdir))
  return saved.names.index(choice.choose(wanted, facts, losses, flag))


def load(saved: Saved, index: int) -> Trained:
  """Read a run as it was last saved; see `load_all`."""
  return load_all(saved, [index])[0]


def load_all(saved: Saved, indices: Sequence[int]) -> list[Trained]:
  """Read runs as they were last saved, each population once.

  Args:
    saved: from `read`.
    indices: of the runs.

  Returns:
    The runs in this order, each at its end, or at the newest checkpoint that
    is whole.

  Raises:
    CheckpointError: one is not finished, and no checkpoint can be used.
    WorkdirError: one is finished, and what was written then cannot be read.
  """
  return _of_populations(saved, indices, _newest)


def _of_populations(
  saved: Saved,
  indices: Sequence[int],
  read_lanes: Callable[
    [str, populations.Population, Sequence[int]], Sequence[Any]
  ],
) -> list[Any]:
  """Return what is read of runs, asked once for each of their populations."""
  lanes: dict[int, list[int]] = {}
  for index in indices:
    place, lane = saved.places[index]
    lanes.setdefault(place, []).append(lane)
  read_back = {
    (place, lane): of_run
    for place, wanted in lanes.items()
    for lane, of_run in zip(
      wanted,
      read_lanes(saved.workdir, saved.populations[place], wanted),
      strict=True,
    )
  }
  return [read_back[saved.places[index]] for index in indices]


def _newest(
  workdir: str, population: populations.Population, lanes: Sequence[int]
) -> list[Trained]:
  """Return some runs of one population as they were last saved."""
  if results.is_finished(workdir, population.name):
    return _finished(workdir, population, lanes)
  name = population.name
  begun = partial.find(workdir, name) or partial.place(workdir, name, '')
  directory = _checkpoints(workdir, begun.name)
  try:
    newest = states.load(directory, population)
  except checkpoint.CheckpointError as error:
    # Its advice is for the programs that train.
    damage = str(error).partition('; no checkpoint is left')[0]
    raise checkpoint.CheckpointError(f'{damage}; {_ADVICE}') from error
  if newest is None:
    raise checkpoint.CheckpointError(
      f'{directory}: holds no checkpoint; {_ADVICE}'
    )
  return [
    _of_checkpoint(population.runs[lane], lane, *newest) for lane in lanes
  ]


def weights(source: str) -> given.Given:
  """Return the weights of a run, for others to begin with.

  Args:
    source: 'WORKDIR:RUN', the run as `find` takes it.

  Raises:
    GivenError: it is not of this form.
    RunError: it names no run, or more than one.
    CheckpointError, WorkdirError, InputError: see `read` and `load`.
  """
  workdir, _, name = source.rpartition(':')
  if not workdir or not name:
    raise given.GivenError(
      f'--from={source}: must be WORKDIR:RUN; nearest: --from={source}:RUN'
    )
  try:
    saved = read(workdir)
  except results.WorkdirError as error:
    line = str(error).removeprefix(f'--workdir={workdir}: ')
    error.args = (f'--from={source}: {line}',)
    raise
  index = find(saved, name, f'--from={workdir}:')
  leaves = states.named_leaves(load(saved, index).params)
  # Those that its program has for the sake of others are left out.
  own = given.shapes(saved.runs[index])
  whole = f'{workdir}:{saved.names[index]}'
  return given.Given(whole, {key: leaves[key] for key in own})


def moments(saved: Saved, indices: Sequence[int]) -> list[list[Trained]]:
  """Return runs before, during and after their training.

  Args:
    saved: from `read`.
    indices: of the wanted runs, which are finished.

  Returns:
    For each of them, in this order: as its seed makes it; at each checkpoint
    that was kept and is whole (`config.training.save_interval` and
    `keep_checkpoints` make more of them); at its end. No update comes twice.

  Raises:
    WorkdirError: what was written at an end cannot be read.
  """
  return _of_populations(saved, indices, _moments)


def _moments(
  workdir: str, population: populations.Population, lanes: Sequence[int]
) -> list[list[Trained]]:
  """Return the moments of some runs of one population, read once."""
  ends = _finished(workdir, population, lanes)
  chosen = population.settings
  begun = given.of_study(workdir, chosen.start)
  with jax.enable_x64(chosen.dtype == 'float64'):
    first = compiled.init_states(
      chosen,
      [run.hyperparams for run in population.runs],
      begun.arrays if begun else None,
    )
  kept = states.load_all(_checkpoints(workdir, population.name), population)
  of_runs = []
  for lane, end in zip(lanes, ends, strict=True):
    run = population.runs[lane]
    params = jax.tree.map(lambda leaf, n=lane: leaf[n], first.params)
    of_run = {0: Trained(run, states.prune(params, run), 0, '')}
    for state, progress in kept:
      moment = _of_checkpoint(run, lane, state, progress)
      of_run.setdefault(moment.update, moment)
    of_run[end.update] = end
    of_runs.append([of_run[update] for update in sorted(of_run)])
  return of_runs


def _checkpoints(workdir: str, population_directory: str) -> pathlib.Path:
  path = pathlib.Path(workdir) / 'populations' / population_directory
  return path / resume.CHECKPOINTS


def _of_checkpoint(
  run: settings.Run, lane: int, state: Any, progress: checkpoint.Progress
) -> Trained:
  diverged_at = int(state.diverged_at[lane])
  return Trained(
    run,
    states.prune(jax.tree.map(lambda leaf: leaf[lane], state.params), run),
    progress.update,
    f'diverged at update {diverged_at}' if diverged_at >= 0 else '',
  )


def _finished(
  workdir: str, population: populations.Population, lanes: Sequence[int]
) -> list[Trained]:
  """Read runs of a population that has been trained to its end.

  Raises:
    WorkdirError: what was written then cannot be read, or is of other runs.
  """
  template = states.describe(population).params
  wanted = states.named_leaves(template)
  largest = states.expected(template, population).largest_bytes
  place = pathlib.Path(workdir) / 'populations' / population.name
  try:
    arrays = states.translate(
      results.read_params(workdir, population.name, largest), population
    )
    for key, leaf in wanted.items():
      if (arrays[key].shape, arrays[key].dtype) != (leaf.shape, leaf.dtype):
        raise files.DamagedError(f'{key} is of another model')
    rows = {
      row['id']: (int(row['updates']), row['status'])
      for row in files.read_json_lines(place / 'runs.jsonl')
    }
    ends = [rows[population.run_names[lane]] for lane in lanes]
  except _UNREADABLE as error:
    raise results.WorkdirError(
      f'{place}: its params.npz or runs.jsonl cannot be read '
      f'({type(error).__name__}: {error}); choose another run'
    ) from error
  trained = []
  for lane, (update, status) in zip(lanes, ends, strict=True):
    params = states.restore(
      template, {key: arrays[key][lane] for key in wanted}
    )
    diverged = 'diverged' if status == 'diverged' else ''
    run = population.runs[lane]
    trained.append(Trained(run, states.prune(params, run), update, diverged))
  return trained
