"""Trains a search: a generation is asked for, written down, and trained.

The study of a search grows: study.json has the runs of all generations that
were asked for, in parts that are split into populations each on its own. All
that decides what comes next is in the directory (`generations`, and the rows of
finished runs), so a search goes on as if nobody had disturbed it, and several
processes may train it: whoever comes by does what needs no training, having the
directory for a moment, and takes the lease of a population that is left.
"""

from collections.abc import Iterator, Sequence
import contextlib
import importlib.metadata
import itertools
import math
import pathlib
import time
from typing import Any, NamedTuple

from lstm_variants import console, extensions
from lstm_variants.config import components, fields, populations, rules, schema
from lstm_variants.config import settings as settings_lib
from lstm_variants.launch import local, shared
from lstm_variants.runs import directory, files, lease, lock, record, results
from lstm_variants.search import (
  ask,
  check,
  generations,
  mirror,
  objective,
  rungs,
  space,
)
from lstm_variants.training import population as population_lib
from lstm_variants.training import progress as progress_lib
from lstm_variants.training import resume, tracking, watching

# Conduct that a search may go on with: what a trial comes to does not depend
# on it.
_FREE = (
  'training.save_interval',
  'training.save_minutes',
  'training.keep_checkpoints',
  'training.tensorboard',
  'training.trackers',
)


# Seconds between two looks at what others train; for which one waits for a
# directory that somebody has for a moment.
_PAUSE, _PATIENCE = 2.0, 180.0


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


def train(
  workdir: str,
  name: str,
  config: Any,
  search: space.Search,
  mode: directory.Mode = directory.Mode.NEW,
  watch: watching.Watch = watching.NOBODY,
  mirror_to: str | None = None,
) -> None:
  """Train a search to its last generation.

  Args:
    workdir: the run directory.
    name: the study's name.
    config: the base config, a `ConfigDict`.
    search: what is searched, of `check.read`.
    mode: what to do with a study that exists in `workdir`.
    watch: who looks on.
    mirror_to: a file or a URL that follows as a study of Optuna; None: none.

  Raises:
    Error: as of `check.check` and of `local.train`; a search that is gone on
      with is another one.
    Interrupted: if a signal asked for the end; everything is saved.
    DivergedError: if every run diverged; the results are written.
  """
  base = check.check(config, search)
  follower = mirror.open_mirror(mirror_to)
  state = _begin(workdir, name, config, search, base, mode)
  programs = population_lib.Programs()
  with _opened(state, mode) as worker:
    while True:
      with _alone(workdir, worker):
        left = _advance(state, follower)
      if not left:
        break
      # One at a time: after it what is left may be other populations.
      if not any(
        train_populations(workdir, worker, title, members, watch, programs)
        for _, title, members in left
      ):
        time.sleep(_PAUSE)
    everything = results.read_rows(workdir)
    if not everything:
      refusal = state.generations[0].trials[0].refusal
      raise space.SpaceError(f'every trial was refused: {refusal}')
    local.check_diverged(
      workdir, all(row['status'] == 'diverged' for row in everything)
    )


@contextlib.contextmanager
def _opened(
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
def _alone(workdir: str, worker: lease.Worker | None) -> Iterator[None]:
  """Have a search for oneself, to look at it and to say what comes next."""
  if worker is None:
    yield
    return
  path = pathlib.Path(workdir)
  with contextlib.ExitStack() as stack:
    stack.enter_context(lock.hold_join(path))
    end = time.monotonic() + _PATIENCE
    while True:
      try:
        stack.enter_context(lock.hold(path, console.warn))
        break
      except files.BusyError:  # somebody asks whether he may have it alone
        if time.monotonic() > end:
          raise
      time.sleep(_PAUSE)
    yield


def _begin(
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
  directory.check(workdir, None, mode, unrecorded)
  if (
    mode in (directory.Mode.RESUME, directory.Mode.SHARE)
    and (pathlib.Path(workdir) / files.STUDY).exists()
  ):
    _check_same(workdir, config, search)
    study = results.read_study(workdir)
    if study['runs']:
      study_format = record.of_study(study, unrecorded)
    begun = generations.read_all(workdir, search)
  state = Searched(
    *(workdir, name, config, search, base, study_format, begun, {}, {})
  )
  _expand_again(state)
  return state


def _check_same(workdir: str, config: Any, search: space.Search) -> None:
  """Refuse to go on with another search; name every difference."""
  study, unrecorded = results.read_study(workdir), schema.unrecorded()
  before = study.get('search')
  if before is None:
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
  if now['trials'] < before.get('trials', 0):
    differences.append(f'trials: {before["trials"]} before')
  of_study = dict(fields.flatten(study['config']))
  for name, value in fields.flatten(files.jsonable(config.to_dict())):
    was = of_study.get(name, files.jsonable(unrecorded.get(name)))
    if was != value and name not in _FREE:
      differences.append(f'config.{name}: {was} before, {value} now')
  if differences:
    raise directory.ResumeError(
      f'--workdir={workdir}: --resume needs the same search; '
      f'{"; ".join(differences)}; set them back, or choose {workdir}_2'
    )


def _short(value: Any) -> str:
  """Return a setting of a search, if it is not long."""
  return str(value) if len(str(value)) <= 80 else 'others'


def _expand_again(state: Searched) -> None:
  """Make the runs of all generations that the directory has.

  Raises:
    ResumeError: they are not those that it says.
  """
  trials = [
    trial
    for number in range(len(state.generations))
    for trial in generations.own_trials(state.generations, number)
    if trial.runs[0] not in state.runs
  ]
  if not trials:
    return
  grid = [setting for trial in trials for setting in _settings(state, trial)]
  runs = local.expand(state.config, lambda hyper: grid)
  names = [name for trial in trials for name in trial.runs]
  for name, run in zip(names, runs, strict=True):
    if _name(state, run) != name:
      raise directory.ResumeError(
        f'--workdir={state.workdir}: {name} of its generations is '
        f'{_name(state, run)} here: they were changed, or another version made '
        'them; go on with that one'
      )
    state.runs[name] = run


def _settings(
  state: Searched, trial: generations.Trial
) -> list[dict[str, Any]]:
  """Return the settings of a trial's runs, as those of a grid."""
  changes = {f'config.{name}': value for name, value in trial.params.items()}
  first = state.base.hyperparams.seed
  return [
    {**changes, 'config.seed': first + offset}
    for offset in range(state.search.seeds)
  ]


def _name(state: Searched, run: settings_lib.Run) -> str:
  digits = state.study_format.digits(None)
  return populations.run_name(run, state.study_format, digits)


def _asked(state: Searched) -> int:
  return sum(len(one.trials) for one in state.generations)


def _ask(state: Searched) -> None:
  """Ask for the next generation, and write it down.

  The sampler knows what came of generations before g − ahead; those between
  were asked for, and whatever is known of them by now it does not know.
  """
  number, search = len(state.generations), state.search
  known = max(number - search.ahead, 0)
  before = [
    [
      state.values[trial.number]
      if place < known
      else ask.Known(trial.params, None)
      for trial in generation.trials
    ]
    for place, generation in enumerate(state.generations)
  ]
  count = min(search.batch, search.trials - _asked(state))
  trials = []
  for params in ask.ask(search, number, before, count):
    trial = generations.Trial(_asked(state) + len(trials), params, ())
    trials.append(_accept(state, trial))
  generation = generations.Generation(
    number, known, _made_by(search), tuple(trials)
  )
  refused = [trial for trial in trials if trial.refusal]
  if refused:
    console.warn(
      f'generation {number + 1}: {len(refused)} of {len(trials)} trials are '
      f'refused and count as the worst: {refused[0].refusal}'
    )
  generations.write(state.workdir, search, generation)
  state.generations.append(generation)


def _accept(state: Searched, trial: generations.Trial) -> generations.Trial:
  """Return a trial with the names of its runs, or why it has none."""
  settings = _settings(state, trial)
  try:
    runs = local.expand(state.config, lambda hyper: settings)
  except (rules.InputError, local.GridError) as error:
    return trial._replace(refusal=str(error))
  names = tuple(_name(state, run) for run in runs)
  for name, run in zip(names, runs, strict=True):
    state.runs.setdefault(name, run)
  return trial._replace(runs=names)


def _made_by(search: space.Search) -> str:
  package = {'tpe': 'optuna', 'cmaes': 'cmaes', 'qmc': 'scipy'}.get(
    search.sampler, 'numpy'
  )
  return f'{package} {importlib.metadata.version(package)}'


class _Left(NamedTuple):
  """What is left to be trained of a generation that was asked for.

  Attributes:
    number: of the generation.
    title: for the progress.
    members: populations that are not finished.
  """

  number: int
  title: str
  members: Sequence[populations.Population]


class _Stage(NamedTuple):
  """Runs of a generation that are trained side by side.

  Attributes:
    names: of the runs.
    updates: after which they are judged, or end.
  """

  names: tuple[str, ...]
  updates: int


def _stages(state: Searched, number: int) -> list[_Stage]:
  """Return what trains to each rung that is decided, and what trains next."""
  generation = state.generations[number]
  trials = generations.own_trials(state.generations, number)
  updates = [*_rungs(state), state.base.settings.updates]
  stages = [_stage(trials, updates[0])]
  for rung, following in zip(generation.rungs, updates[1:], strict=False):
    trials = [trial for trial in trials if trial.number in rung.kept]
    stages.append(_stage(trials, following))
  return stages


def _stage(trials: Sequence[generations.Trial], updates: int) -> _Stage:
  return _Stage(tuple(name for one in trials for name in one.runs), updates)


def _parts(stages: Sequence[_Stage]) -> list[_Stage]:
  """Return the runs that end at each stage; at the last one all that reach it.

  They are together in study.json, and in populations of their own.
  """
  ends = []
  for stage, following in itertools.pairwise(stages):
    on = set(following.names)
    names = tuple(name for name in stage.names if name not in on)
    ends.append(_Stage(names, stage.updates))
  return [*ends, stages[-1]]


def _rungs(state: Searched) -> list[int]:
  halving = state.search.halving
  return halving.rungs(state.base.settings.updates) if halving else []


def _split(state: Searched, stage: _Stage) -> list[populations.Population]:
  """Return the populations of a stage."""
  runs = [
    rungs.at_most(state.runs[name], stage.updates) for name in stage.names
  ]
  existing = results.populations(state.workdir)
  return populations.split(runs, state.study_format, existing, [len(runs)])


def _grow(state: Searched) -> None:
  """Bring study.json up to the generations, if it is not."""
  parts = [
    part
    for number in range(len(state.generations))
    for part in _parts(_stages(state, number))
  ]
  configs = [
    rungs.at_most(state.runs[name], part.updates).config
    for part in parts
    for name in part.names
  ]
  changes = {
    'modules': list(_modules(state)),
    'search': files.jsonable(state.search.record()),
    'parts': [len(part.names) for part in parts],
  }
  study = results.read_study(state.workdir)
  recorded = [state.study_format.record(config) for config in configs]
  same = study['fingerprint'] == results.fingerprint(recorded)
  if not same or any(study.get(k) != value for k, value in changes.items()):
    directory.grow(state.workdir, configs, state.study_format, changes)


def _modules(state: Searched) -> Sequence[str]:
  configs = [run.config for run in (state.base, *state.runs.values())]
  return extensions.needed_by(*components.of_runs(configs))


def _advance(state: Searched, follower: mirror.Follower) -> list[_Left]:
  """Do all that needs no training, and return what does.

  What of a generation has ended is looked at, populations are divided at their
  rungs, and the next generation is asked for as soon as it may be.
  """
  state.generations[:] = generations.read_all(state.workdir, state.search)
  _expand_again(state)
  left: list[_Left] = []
  known = len(state.values)
  for number in itertools.count():
    if number == len(state.generations):
      waits = number - state.search.ahead
      is_open = len(left) > 0 and left[0].number < waits
      if is_open or _asked(state) >= state.search.trials:
        break
      _ask(state)
      _grow(state)
    title, members = _settle(state, number)
    if members:
      left.append(_Left(number, title, members))
  _grow(state)
  if len(state.values) > known:
    follower.follow(state.workdir, state.search, _trials(state))
  return left


def _settle(
  state: Searched, number: int
) -> tuple[str, list[populations.Population]]:
  """Bring a generation from rung to rung as far as it is trained.

  Returns:
    For the progress, which generation it is; and the populations that are left
    to be trained, none where it has ended.
  """
  while not _is_known(state, number):
    stages = _stages(state, number)
    for place, (stage, following) in enumerate(itertools.pairwise(stages)):
      smaller = [*_split(state, _parts(stages)[place])]
      smaller += _split(state, following)
      rungs.divide(state.workdir, _split(state, stage), smaller, stage.updates)
    last = stages[-1]
    pending = [
      one for one in _split(state, last) if not _is_done(state.workdir, one)
    ]
    if pending:
      title = (
        f'{state.name}, generation {number + 1}/{state.search.generations}, '
        f'to update {last.updates}'
      )
      return title, pending
    if last.names and len(stages) <= len(_rungs(state)):
      _decide(state, number, last)
      _grow(state)
    elif _repeats_unknown(state, number):
      break  # one before it still trains what this one repeats
    else:
      _know(state, number)
  return '', []


def _repeats_unknown(state: Searched, number: int) -> bool:
  """Tell whether a trial repeats one of a generation before, not known yet."""
  unknown = {
    trial.runs
    for generation in state.generations[:number]
    for trial in generation.trials
    if trial.runs and trial.number not in state.values
  }
  return any(one.runs in unknown for one in state.generations[number].trials)


def _is_known(state: Searched, number: int) -> bool:
  """Tell whether it was looked at what came of a generation."""
  return all(
    trial.number in state.values for trial in state.generations[number].trials
  )


def _is_done(workdir: str, population: populations.Population) -> bool:
  try:
    return resume.is_done(workdir, population)
  except results.WorkdirError:
    if results.is_finished(workdir, population.name):
      raise
    return False  # somebody goes on with it just now


def train_populations(
  workdir: str,
  worker: lease.Worker | None,
  title: str,
  members: Sequence[populations.Population],
  watch: watching.Watch,
  programs: population_lib.Programs,
) -> bool:
  """Train what nobody else has of a generation: all that trains in a search.

  Args:
    workdir: the directory of an open study.
    worker: this process; None: it has the whole study.
    title: which generation, for the progress.
    members: populations that are not finished.
    watch: who looks on.
    programs: those that were compiled for generations before.

  Returns:
    Whether there was any.
  """
  local.check_machine(workdir, members)
  if worker is None:
    local.train_populations(
      workdir, title, members, watch=watch, programs=programs
    )
    return True
  parts = [progress_lib.part(member) for member in members]
  with progress_lib.Progress(title, parts) as progress:
    others = shared.train_left(
      *(workdir, worker, members, None, watch, progress), programs=programs
    )
  return len(others) < len(members)


def _decide(state: Searched, number: int, stage: _Stage) -> None:
  """Write down which trials go on behind a rung, if that is not decided."""
  generation, halving = state.generations[number], state.search.halving
  assert halving is not None
  rows = _rows(state, stage)
  (one,) = state.search.objectives
  values = {
    trial.number: objective.values([one], [rows[run] for run in trial.runs])[0]
    for trial in generations.own_trials(state.generations, number)
    if rows.keys() >= set(trial.runs)
  }
  count = -(-len(values) // halving.eta)
  kept = objective.best(one, values, count)
  rung = generations.Rung(stage.updates, tuple(kept))
  generation = generation._replace(rungs=(*generation.rungs, rung))
  generations.write(state.workdir, state.search, generation)
  state.generations[number] = generation


def _rows(state: Searched, stage: _Stage) -> dict[str, dict[str, Any]]:
  """Return the rows of runs that have ended or reached a rung, by their ids."""
  return {
    row['id']: row
    for population in _split(state, stage)
    for row in results.read_population_rows(state.workdir, population.name)
  }


def _know(state: Searched, number: int) -> None:
  """Look at what came of a generation, which is trained."""
  parts = _parts(_stages(state, number))
  rows: dict[str, dict[str, Any]] = {}
  retired: dict[str, int] = {}
  for place, part in enumerate(parts):
    rows.update(_rows(state, part))
    for population in _split(state, part):
      tracking.hand_over(state.workdir, population)
    if place < len(parts) - 1:
      retired.update(dict.fromkeys(part.names, part.updates))
  before = {
    trial.runs: trial.number
    for generation in state.generations[: number + 1]
    for trial in generation.trials
    if trial.number in state.values
  }
  objectives = state.search.objectives
  for trial in state.generations[number].trials:
    known = ask.Known(trial.params, tuple(one.worst for one in objectives))
    if trial.runs in before and trial.runs:
      known = state.values[before[trial.runs]]
    elif trial.runs:
      values = objective.values(objectives, [rows[run] for run in trial.runs])
      rung = retired.get(trial.runs[0])
      known = ask.Known(trial.params, values, rung)
      before[trial.runs] = trial.number
    state.values[trial.number] = known
  console.say(_best_so_far(state, number))


def _best_so_far(state: Searched, number: int) -> str:
  """Return a line: how far the search is, and its best trial."""
  line = (
    f'generation {number + 1}/{state.search.generations}: '
    f'{len(state.values)}/{state.search.trials} trials'
  )
  ends = {
    trial: known.values[0]
    for trial, known in state.values.items()
    if known.values and known.rung is None and math.isfinite(known.values[0])
  }
  one, *others = state.search.objectives
  if not ends or others:
    return line
  (best,) = objective.best(one, ends, 1)
  params = ', '.join(
    f'{name.rpartition(".")[2]}={_text(value)}'
    for name, value in state.values[best].params.items()
  )
  return f'{line}, best {one.name} {ends[best]:.4g}: trial {best} ({params})'


def _text(value: Any) -> str:
  return f'{value:.3g}' if isinstance(value, float) else str(value)


def _trials(state: Searched) -> list[tuple[generations.Trial, ask.Known]]:
  """Return the trials whose end is known, in the order of their numbers."""
  return [
    (trial, state.values[trial.number])
    for generation in state.generations
    for trial in generation.trials
    if trial.number in state.values
  ]
