"""The study of a search: opened, alone or with others, and grown.

Its study.json has the runs of all generations that were asked for, in parts
that are split into populations each on its own: what trains to each rung, and
what retires there.
"""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import itertools
import pathlib
from typing import Any, NamedTuple

from lstm_variants import console, extensions, opening
from lstm_variants.config import components, fields, populations, schema
from lstm_variants.config import settings as settings_lib
from lstm_variants.launch import local
from lstm_variants.runs import (
  directory,
  files,
  lease,
  lock,
  partial,
  record,
  results,
)
from lstm_variants.search import ask, generations, rungs, space

# Conduct that a search may go on with, unless others train it now: what a trial
# comes to does not depend on it.
_FREE = (
  'training.save_interval',
  'training.save_minutes',
  'training.keep_checkpoints',
  'training.tensorboard',
  'training.trackers',
)


class Searched(NamedTuple):
  """A search and what its directory has of it.

  Attributes:
    workdir: the run directory.
    name: of the study.
    config: the base config.
    search: what is searched.
    base: the run of the base config.
    study_format: how the directory records runs.
    generations: those that were asked for.
    runs: name -> run, of all their trials.
    values: number -> what a trial came to, of those that were looked at.
    read: the files of generations as they were read, so that who waits for
      others does not read all of them at each look.
    grown: likewise, of which study.json it is known what; `grow` tells.
  """

  workdir: str
  name: str
  config: Any
  search: space.Search
  base: settings_lib.Run
  study_format: record.Format
  generations: list[generations.Generation]
  runs: dict[str, settings_lib.Run]
  values: dict[int, ask.Known]
  read: generations.Read
  grown: dict[str, Any]


def begin(
  workdir: str,
  name: str,
  config: Any,
  search: space.Search,
  base: settings_lib.Run,
  mode: directory.Mode,
) -> Searched:
  """Return a search as its directory has it; nothing is written.

  Raises:
    ResumeError: the directory has another study.
  """
  unrecorded = schema.unrecorded()
  study_format = record.new(unrecorded)
  begun: list[generations.Generation] = []
  read: generations.Read = {}
  directory.check(workdir, None, mode, unrecorded)
  if (
    mode in (directory.Mode.RESUME, directory.Mode.SHARE)
    and (pathlib.Path(workdir) / files.STUDY).exists()
  ):
    _check_same(workdir, config, search)
    study = results.read_study(workdir)
    if study['runs']:
      study_format = record.of_study(study, unrecorded)
    begun = generations.read_all(workdir, search, read)
  state = Searched(
    *(workdir, name, config, search, base, study_format, begun, {}, {}),
    *(read, {}),
  )
  expand_again(state)
  return state


@contextlib.contextmanager
def opened(
  state: Searched, mode: directory.Mode
) -> Iterator[lease.Worker | None]:
  """Open the study of a search, alone or with others, until the block ends.

  Yields:
    This process as a worker; None: it has the whole study.
  """
  tasks = local.describe_tasks([state.base], state.study_format)
  place = state.workdir, state.name, state.config.to_dict(), tasks

  def check_same() -> None:
    _check_same(state.workdir, state.config, state.search)
    local.check_tasks(state.workdir, tasks)

  facts: dict[str, Any] = {
    'study_format': state.study_format,
    'modules': _modules(state),
    'more': {'search': state.search.record(), 'parts': []},
  }
  if mode is directory.Mode.SHARE:
    with directory.join_study(*place, [], check_same, **facts) as worker:
      yield worker
    return
  recorded = local.recorded(state.workdir, mode)
  with directory.open_study(*place, recorded, mode, check_same, **facts):
    yield None


@contextlib.contextmanager
def alone(workdir: str, worker: lease.Worker | None) -> Iterator[None]:
  """Have a search for oneself, to look at it and to say what comes next.

  Raises:
    lock.LostError: this process slept for so long that others had their turn;
      what failed may have failed of that.
    lease.LostError: it is counted out.
  """
  if worker is None:
    yield
    return
  path = pathlib.Path(workdir)
  with lock.hold_among(path, console.warn):
    worker.check()
    # Who had it before may sleep just before it gives a file its name, and
    # would put an old one back when it wakes.
    files.remove_aside(path / results.GENERATIONS)
    files.remove_aside(path, files.STUDY)
    for name in (results.GENERATIONS, partial.POPULATIONS, results.DIVIDED):
      files.look_anew(path / name)
    yield


def _check_same(workdir: str, config: Any, search: space.Search) -> None:
  """Refuse to go on with another search; name every difference.

  Args:
    workdir: the run directory.
    config: the base config.
    search: what is searched now.

  Raises:
    ResumeError: it is another one, or none.
  """
  study, unrecorded = results.read_study(workdir), schema.unrecorded()
  before = study.get('search')
  if not isinstance(before, dict):
    raise directory.ResumeError(
      f'--workdir={workdir}: its study ({study["name"]}) is no search; '
      f'{console.command_line("sweep")} --resume goes on with it, or choose '
      f'{workdir}_2'
    )
  now = files.jsonable(search.record())
  differences = [
    f'{name}: {_short(before.get(name))} before, {_short(now[name])} now'
    for name in now
    if before.get(name) != now[name] and name != 'trials'
  ]
  if now['trials'] < _trials(study):
    differences.append(f'trials: {_trials(study)} before, {now["trials"]} now')
  of_study = dict(fields.flatten(study['config']))
  for name, value in fields.flatten(files.jsonable(config.to_dict())):
    was = of_study.get(name, files.jsonable(unrecorded.get(name)))
    if was != value and name not in _FREE:
      differences.append(f'config.{name}: {was} before, {value} now')
  if differences:
    raise directory.ResumeError(
      f'--workdir={workdir}: holds another search; {"; ".join(differences)}; '
      f'set them back, or choose {workdir}_2'
    )


def _trials(study: Mapping[str, Any]) -> int:
  """Return how many trials the study of a search is to have."""
  trials = study['search'].get('trials')
  return trials if results.is_whole(trials) else 0


def _short(value: Any) -> str:
  """Return a setting of a search, if it is not long."""
  return str(value) if len(str(value)) <= 80 else 'others'


def with_all_trials(state: Searched) -> Searched:
  """Return a search with as many trials as anybody who shares it wants."""
  version = _version(state)
  if version and state.grown.get('trials') == version:
    return state
  before = _trials(results.read_study(state.workdir))
  state.grown['trials'] = version
  trials = max(before, state.search.trials)
  return state._replace(search=state.search._replace(trials=trials))


def _version(state: Searched) -> tuple[int, ...] | None:
  """Return which study.json there is; None: none that can be read."""
  return opening.version(pathlib.Path(state.workdir) / files.STUDY)


def expand_again(state: Searched) -> None:
  """Make the runs of all generations that the directory has.

  Raises:
    ResumeError: they are not those that it says.
  """
  trials = [
    trial
    for number, generation in enumerate(state.generations)
    if any(not state.runs.keys() >= {*one.runs} for one in generation.trials)
    for trial in generations.own_trials(state.generations, number)
    if trial.runs[0] not in state.runs
  ]
  if not trials:
    return
  grid = [setting for trial in trials for setting in settings_of(state, trial)]
  runs = local.expand(state.config, lambda hyper: grid, here=False)
  names = [name for trial in trials for name in trial.runs]
  for name, run in zip(names, runs, strict=True):
    if name_of(state, run) != name:
      raise directory.ResumeError(
        f'--workdir={state.workdir}: {name} of its generations is '
        f'{name_of(state, run)} here: they were changed, or another version '
        'made them; go on with that one'
      )
    state.runs[name] = run


def settings_of(
  state: Searched, trial: generations.Trial
) -> list[dict[str, Any]]:
  """Return the settings of a trial's runs, as those of a grid."""
  changes = {f'config.{name}': value for name, value in trial.params.items()}
  first = state.base.hyperparams.seed
  return [
    {**changes, 'config.seed': first + offset}
    for offset in range(state.search.seeds)
  ]


def name_of(state: Searched, run: settings_lib.Run) -> str:
  """Return the name of a run, as its directory has it."""
  digits = state.study_format.digits(None)
  return populations.run_name(run, state.study_format, digits)


class Stage(NamedTuple):
  """Runs of a generation that are trained side by side.

  Attributes:
    names: of the runs.
    updates: after which they are judged, or end.
    whole_arrays: as its generation has them recorded.
  """

  names: tuple[str, ...]
  updates: int
  whole_arrays: tuple[str, ...] | None


def stages_of(state: Searched, number: int) -> list[Stage]:
  """Return what trains to each rung that is decided, and what trains next."""
  generation = state.generations[number]
  trials = generations.own_trials(state.generations, number)
  first, *later = [*rungs_of(state), state.base.settings.updates]
  stages = [Stage(_runs_of(trials), first, generation.whole_arrays)]
  for rung, updates in zip(generation.rungs, later, strict=False):
    trials = [trial for trial in trials if trial.number in rung.kept]
    stages.append(stages[0]._replace(names=_runs_of(trials), updates=updates))
  return stages


def _runs_of(trials: Sequence[generations.Trial]) -> tuple[str, ...]:
  return tuple(name for one in trials for name in one.runs)


def parts_of(stages: Sequence[Stage]) -> list[Stage]:
  """Return the runs that end at each stage; at the last one all that reach it.

  They are together in study.json, and in populations of their own.
  """
  ends = []
  for stage, following in itertools.pairwise(stages):
    on = set(following.names)
    names = tuple(name for name in stage.names if name not in on)
    ends.append(stage._replace(names=names))
  return [*ends, stages[-1]]


def rungs_of(state: Searched) -> list[int]:
  """Return the updates at which trials are retired, none without halving."""
  halving = state.search.halving
  return halving.rungs(state.base.settings.updates) if halving else []


def split(state: Searched, stage: Stage) -> list[populations.Population]:
  """Return the populations of a stage.

  Whatever is on the disk: where a division was killed there are populations
  that were together, and are to be divided again.
  """
  runs = [
    rungs.at_most(state.runs[name], stage.updates) for name in stage.names
  ]
  return populations.split(
    *(runs, state.study_format, (), [len(runs)]), stage.whole_arrays
  )


def grow(state: Searched) -> None:
  """Bring study.json up to the generations, if it is not."""
  facts = state.search.trials, list(state.generations)
  version = _version(state)
  if version and state.grown.get('facts') == (version, facts):
    return
  parts = [
    part
    for number in range(len(state.generations))
    for part in parts_of(stages_of(state, number))
  ]
  configs = [
    rungs.at_most(state.runs[name], part.updates).config
    for part in parts
    for name in part.names
  ]
  config = state.study_format.record(state.config.to_dict())
  changes = {
    'modules': list(_modules(state)),
    'config': files.jsonable(config),
    'search': files.jsonable(state.search.record()),
    'parts': [len(part.names) for part in parts],
  }
  study = results.read_study(state.workdir)
  recorded = [state.study_format.record(config) for config in configs]
  same = study['fingerprint'] == results.fingerprint(recorded)
  if not same or any(study.get(k) != value for k, value in changes.items()):
    directory.grow(state.workdir, configs, state.study_format, changes)
    version = _version(state)
  state.grown['facts'] = version, facts


def _modules(state: Searched) -> Sequence[str]:
  configs = [run.config for run in (state.base, *state.runs.values())]
  return extensions.needed_by(*components.of_runs(configs))
