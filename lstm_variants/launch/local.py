"""A study: a config, its grid of runs, and their training by populations."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import copy
import functools
from typing import Any, NamedTuple

from ml_collections import config_dict

from lstm_variants import console, errors, extensions, trackers
from lstm_variants import names as names_lib
from lstm_variants.config import (
  components,
  fields,
  populations,
  rules,
  schema,
  source,
)
from lstm_variants.config import grid as hyper
from lstm_variants.config import settings as settings_lib
from lstm_variants.launch import hosts
from lstm_variants.runs import directory, files, record, results, study_file
from lstm_variants.tasks import recorded as recorded_tasks
from lstm_variants.training import (
  agreement,
  loop,
  memory,
  resume,
  tracking,
  watching,
)
from lstm_variants.training import given as given_lib
from lstm_variants.training import population as population_lib
from lstm_variants.training import progress as progress_lib

MOST_RUNS = study_file.MOST_RUNS


class GridError(errors.Error, ValueError):
  """A study's grid cannot be used; the message is one line for the user."""


class DivergedError(errors.Error):
  """Every run of a study diverged; the message is one line for the user."""

  exit_status = 3


def expand(
  config: config_dict.ConfigDict,
  get_hyper: Callable[[Any], Iterable[Any]],
  records: Sequence[Mapping[str, Any]] = (),
  *,
  here: bool = True,
) -> list[settings_lib.Run]:
  """Return the checked runs of a grid.

  Args:
    config: the base config.
    get_hyper: called with the module `hyper`; returns settings that map
      'config.…' fields to values.
    records: what `recorded` returns.
    here: as of `check`.

  Returns:
    One `Run` per setting, in order.

  Raises:
    GridError: an empty grid, a setting that is none, an unknown field, a value
      of the wrong type, or a run that is there twice.
    InputError: a setting that is refused (`settings.from_config`).
  """
  grid = _settings_of(get_hyper)
  if not grid:
    raise GridError('get_hyper: the grid is empty; give every sweep a value')
  if len(grid) > MOST_RUNS:
    raise GridError(
      f'get_hyper: {len(grid):,} settings, at most {MOST_RUNS:,} make a study; '
      'split it'
    )
  runs, seen = [], {}
  study_format = record.new(schema.unrecorded())
  same, changed = len(records) == len(grid), _Changed(config)
  for number, setting in enumerate(grid):
    old = records[number] if same else None
    run = check(changed.by(setting), old, here=here)
    key = study_format.hash([run.config])
    if key in seen:
      raise GridError(
        f'get_hyper: settings {seen[key]} and {number} are the same run '
        f'{setting}, but for how long it trains and when it is looked at; '
        'leave one out'
      )
    seen[key] = number
    runs.append(run)
  return runs


def _settings_of(get_hyper: Callable[[Any], Iterable[Any]]) -> list[Any]:
  """Return the settings of a grid.

  Raises:
    GridError: it is no function of `hyper`, fails, or returns none.
  """
  if not source.takes(get_hyper, hyper):
    raise GridError(
      'get_hyper: takes other arguments than hyper; nearest: def '
      'get_hyper(hyper):'
    )
  try:
    grid = get_hyper(hyper)
    if isinstance(grid, Iterable) and not isinstance(grid, str | Mapping):
      return list(grid)
  except Exception as error:  # whatever a config's own code raises
    name = type(error).__name__
    raise GridError(f'get_hyper: {name}: {_one_line(error)}') from error
  given = 'None' if grid is None else f'a {type(grid).__name__}'
  raise GridError(
    f'get_hyper: returns {given}, must return a list of settings; nearest: '
    "return hyper.sweep('config.seed', range(3))"
  )


def check(
  config: Any, record: Mapping[str, Any] | None = None, *, here: bool = True
) -> settings_lib.Run:
  """Check a config and the memory that it needs, and return its run.

  Args:
    config: see `settings.from_config`.
    record: the config of the same run as a resumed study recorded it, or None.
      A run that is recorded is accepted as it is: an earlier version may have
      refused less.
    here: whether it is for this machine; else what is refused does not depend
      on the machine.

  Raises:
    InputError: if `settings.from_config` refuses the config, or the machine
      has too little memory for the run, or lacks one of its trackers.
  """
  try:
    run = settings_lib.from_config(config)
  except rules.InputError:
    if record is None:
      raise
    run = settings_lib.from_record(config)
    if not _is_same(run.config, record):
      raise
  if not here:
    memory.check_outside(run.settings)
    return run
  _check_room(run.settings)
  trackers.check(run.settings.trackers, run.settings.tensorboard)
  return run


def _is_same(config: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
  """Tell whether a config is what a directory recorded, but for its conduct."""
  now = dict(fields.flatten(files.jsonable(config)))
  before = dict(fields.flatten(record))
  return all(
    now.get(name) == value
    for name, value in before.items()
    if name not in fields.CONDUCT_FIELDS
  )


@functools.lru_cache(maxsize=1024)
def _check_room(settings: settings_lib.Settings) -> None:
  """Refuse a run that does not fit; once for all runs of equal settings."""
  memory.check_memory([settings])


def train(
  workdir: str,
  name: str,
  config: config_dict.ConfigDict,
  runs: Sequence[settings_lib.Run],
  mode: directory.Mode = directory.Mode.NEW,
  given: given_lib.Given | None = None,
  watch: watching.Watch = watching.NOBODY,
) -> None:
  """Train every population of a study that is not finished yet.

  Args:
    workdir: the run directory.
    name: the study's name.
    config: the base config, without the changes of the grid.
    runs: what `expand` returns, or a single run.
    mode: what to do with a study that exists in `workdir`.
    given: the weights with which all runs begin, whose config has
      `Given.digest` as training.start; None: each run draws its own.
    watch: who looks on, as a callback.

  Raises:
    GivenError: if the given weights have other shapes.
    WorkdirError: if the directory cannot be used.
    BusyError: if another process trains there.
    StorageError: if something cannot be written.
    InputError: if a population needs more memory, or a batch more devices,
      than there are.
    CheckpointError: if an interrupted population has no usable checkpoint.
    Interrupted: if a signal asked for the end; everything is saved.
    DivergedError: if every run diverged; the results are written.
  """
  hosts.check_same_study(name, mode.value, runs, given.digest if given else '')
  plan = make_plan(workdir, runs, mode, given)
  check_machine(workdir, plan.members)
  if not agreement.is_first():
    train_populations(workdir, name, plan.members, given, watch)
    return
  with directory.open_study(
    workdir,
    name,
    config.to_dict(),
    plan.tasks,
    plan.configs,
    mode,
    functools.partial(_check_resumable, workdir, plan),
    plan.study_format,
    plan.modules,
  ):
    say_plan(name, plan)
    if given is not None:
      given_lib.save(workdir, given)
    diverged = train_populations(workdir, name, plan.members, given, watch)
    check_diverged(workdir, diverged)


class Plan(NamedTuple):
  """What there is to train of a study, as its directory records it.

  Attributes:
    configs: of every run.
    members: the populations.
    tasks: what is recorded of each task, by its label.
    study_format: how the directory records runs.
    modules: the extensions without which the runs cannot be read.
  """

  configs: Sequence[Mapping[str, Any]]
  members: Sequence[populations.Population]
  tasks: Mapping[str, Mapping[str, Any]]
  study_format: record.Format
  modules: Sequence[str]

  @property
  def fingerprint(self) -> str:
    """The fingerprint that its study.json has."""
    return results.fingerprint([*map(self.study_format.record, self.configs)])


def make_plan(
  workdir: str,
  runs: Sequence[settings_lib.Run],
  mode: directory.Mode,
  given: given_lib.Given | None = None,
) -> Plan:
  """Return what there is to train, after a look at what is there.

  Args:
    workdir, runs, mode, given: as of `train`.

  Raises:
    GivenError, WorkdirError: as `train`.
  """
  unrecorded = schema.unrecorded()
  study_format = record.new(unrecorded)
  resumed = _read_resumed(workdir, mode)
  if resumed is not None:
    study_format = record.of_study(resumed, unrecorded)
    runs = _as_recorded(runs, resumed['runs'])
  _check_given(runs, given)
  configs = [run.config for run in runs]
  if agreement.is_first():
    directory.check(workdir, configs, mode, unrecorded)
  existing = ()
  if resumed is not None:
    existing = agreement.value_of_first(lambda: results.populations(workdir))
  return Plan(
    configs=configs,
    members=populations.split(runs, study_format, existing),
    tasks=describe_tasks(runs, study_format),
    study_format=study_format,
    modules=extensions.needed_by(*components.of_runs(configs)),
  )


def say_plan(name: str, plan: Plan) -> None:
  """Say how much there is to train of a study."""
  runs = names_lib.counted(len(plan.configs), 'run')
  programs = names_lib.counted(len(plan.members), 'compiled program')
  console.say(f'{name}: {runs} in {programs}')


def recorded(workdir: str, mode: directory.Mode) -> Sequence[Mapping[str, Any]]:
  """Return the recorded configs of the runs of a study to be gone on with.

  Without --resume or --share there are none.
  """
  resumed = _read_resumed(workdir, mode)
  return () if resumed is None else resumed['runs']


def _read_resumed(workdir: str, mode: directory.Mode) -> dict[str, Any] | None:
  """Return the study to be gone on with, None if there is none."""
  if mode not in (directory.Mode.RESUME, directory.Mode.SHARE):
    return None

  def read() -> dict[str, Any] | None:
    try:
      return results.read_study(workdir)
    except results.WorkdirError:
      return None  # it is not begun, or `directory.check` refuses it

  return agreement.value_of_first(read)


def _as_recorded(
  runs: Sequence[settings_lib.Run], records: Sequence[Mapping[str, Any]]
) -> Sequence[settings_lib.Run]:
  """Return runs in which fields that nothing reads have their recorded values.

  Earlier versions did not refuse such values: they changed nothing, but are
  part of the names of runs.
  """
  if len(records) != len(runs):
    return runs
  return [_adopt(run, old) for run, old in zip(runs, records, strict=True)]


def _adopt(run: settings_lib.Run, old: Mapping[str, Any]) -> settings_lib.Run:
  now, before = (dict(fields.flatten(config)) for config in (run.config, old))
  kept = {
    name: before[name]
    for name in settings_lib.unread(run) & now.keys() & before.keys()
    if before[name] != now[name]
  }
  if not kept:
    return run
  return settings_lib.from_record(fields.nest({**now, **kept}))


def _check_given(
  runs: Sequence[settings_lib.Run], given: given_lib.Given | None
) -> None:
  """Refuse runs that are to begin with other weights than those given."""
  for start in {run.settings.start for run in runs}:
    if start != (given.digest if given else ''):
      raise rules.InputError(
        'training.start', start, 'is set by --from=WORKDIR:RUN; leave it out'
      )
  if given is not None:
    given_lib.check(given, runs)


def check_machine(
  workdir: str, members: Sequence[populations.Population]
) -> None:
  """Refuse populations for which this machine is too small."""
  for population in members:
    memory.check_memory([run.settings for run in population.runs])
    if agreement.is_first() and not results.is_finished(
      workdir, population.name
    ):
      population_lib.check_devices(population.settings)


def _check_resumable(workdir: str, plan: Plan) -> None:
  """Check that a study can be resumed, before anything is changed."""
  check_kept(workdir, plan)
  for population in _begun(workdir, plan):
    resume.check_resumable(workdir, population)


def check_tasks(workdir: str, tasks: Mapping[str, Mapping[str, Any]]) -> None:
  """Check that a study has tasks of the same data as before.

  Raises:
    ResumeError: it has not.
  """
  before = results.read_study(workdir)['tasks']
  for task in tasks:
    if task not in before:
      paths = [config.get('path') for config in tasks[task]['configs']]
      raise directory.ResumeError(
        f'--workdir={workdir}: is of {", ".join(before)}; {task} is of other '
        f'data: {paths[0] or "the package that brings them"} has others now; '
        f'choose {workdir}_2'
      )


def check_kept(workdir: str, plan: Plan) -> None:
  """Check that a study has the same tasks and populations as before.

  Raises:
    ResumeError: it has not.
  """
  check_tasks(workdir, plan.tasks)
  ours = {population.name for population in plan.members}
  for name in results.populations(workdir):
    if name not in ours:
      raise directory.ResumeError(
        f'--workdir={workdir}: holds the population {name}, which this grid '
        'does not make: its runs were together with others; choose '
        f'{workdir}_2'
      )


def check_joinable(workdir: str, plan: Plan, fingerprint: str) -> None:
  """Check that a study can be joined, before it is trained in another way.

  Args:
    workdir: of the study.
    plan: what there is to train.
    fingerprint: of the plan; of many runs to take it takes long.

  Raises:
    CheckpointError, ResumeError: as `check_kept`, or it cannot be gone on with.
  """
  check_kept(workdir, plan)
  # Where nothing is to be changed each population is looked at in its turn.
  if results.read_study(workdir)['fingerprint'] != fingerprint:
    for population in _begun(workdir, plan):
      resume.check_goes_on(workdir, population)


def _begun(workdir: str, plan: Plan) -> Sequence[populations.Population]:
  """Return the populations that are begun or finished, by one look at all."""
  there = {*results.populations(workdir)}
  return [member for member in plan.members if member.name in there]


def train_populations(
  workdir: str,
  title: str,
  members: Sequence[populations.Population],
  given: given_lib.Given | None = None,
  watch: watching.Watch = watching.NOBODY,
) -> bool:
  """Train the populations of an open study that are not finished.

  Args:
    workdir: its directory.
    title: of what is trained, which the progress shows.
    members: the populations.
    given: as of `train`.
    watch: as of `train`.

  Returns:
    Whether every run of every population diverged.
  """
  parts = [progress_lib.part(member) for member in members]
  finished = agreement.value_of_first(lambda: _finished(workdir, members))
  diverged = list(finished.values())
  pending = [one for one in members if one.name not in finished]
  with progress_lib.Progress(title, parts) as progress:
    for member in members:
      if member.name in finished:
        progress.skip(member.name)
        if agreement.is_first():
          tracking.hand_over(workdir, member)
    for member in pending:
      say_hint(member)
      diverged.append(
        loop.train_population(workdir, member, given, watch, progress)
      )
      agreement.check(saved=True)
  return all(diverged)


def check_diverged(workdir: str, diverged: bool) -> None:
  """Refuse to call a study a success in which every run diverged.

  Raises:
    DivergedError: if `diverged`.
  """
  if diverged:
    raise DivergedError(
      f'--workdir={workdir}: every run diverged; the results are written; try '
      'a smaller --config.optimizer.learning_rate'
    )


def say_hint(population: populations.Population) -> None:
  """Say how devices that a population leaves idle could be used."""
  settings, runs = population.settings, len(population.runs)
  hint = population_lib.idle_devices_hint(settings, runs)
  if hint:
    console.say(f'{population.name}: {hint}')


def _finished(
  workdir: str, members: Sequence[populations.Population]
) -> dict[str, bool]:
  """Return the name of each finished population: did all its runs diverge."""
  return {
    one.name: results.is_all_diverged(workdir, one.name)
    for one in members
    if resume.is_done(workdir, one)
  }


def describe_tasks(
  runs: Iterable[settings_lib.Run], study_format: record.Format
) -> dict[str, dict[str, Any]]:
  """Return what is recorded of each task, by its label.

  With it the fields of `config.task` that made it, by which a run finds its
  task where its data are gone.
  """
  tasks: dict[str, dict[str, Any]] = {}
  alike = {run.settings.task_fields: run for run in runs}
  for run in alike.values():
    label = run.settings.task_label
    if label not in tasks:
      tasks[label] = {**describe_task(run.settings), 'configs': []}
    tasks[label]['configs'].append(study_format.record(run.config)['task'])
  return tasks


def describe_task(settings: settings_lib.Settings) -> dict[str, Any]:
  """Return what readers need to know of a task, as plain data."""
  task, held_out = settings.task, settings.held_out_task
  return {
    'summary': task.summary,
    'reference': task.reference,
    'success': str(held_out.success),
    'baselines': dict(held_out.baselines),
    'nats_per': held_out.nats_per,
    'published': [
      result._asdict()
      for result in task.published
      if result.length == task.length
    ],
    **recorded_tasks.describe(task),
  }


class _Changed:
  """A config whose fields are changed by the settings of a grid.

  To copy it for each of them would take most of the time of a large grid: a
  single copy says whether a value can be taken, and as what.
  """

  def __init__(self, config: config_dict.ConfigDict):
    self._config = config
    self._values = dict(fields.flatten(config.to_dict()))
    self._copy = self._copied()

  def by(self, setting: Any) -> dict[str, Any]:
    """Return the fields of the config, dotted, with the values of a setting.

    Raises:
      GridError: it is no setting, or a field cannot be changed so.
    """
    if not isinstance(setting, dict):
      raise GridError(
        f'get_hyper: {setting!r} is not a setting; use hyper.sweep and the like'
      )
    changes = {}
    for field, value in setting.items():
      prefix, _, dotted = str(field).partition('.')
      if prefix != 'config' or not dotted:
        raise GridError(
          f'get_hyper: {field!r} does not start with "config."; nearest: '
          f"'config.{field}'"
        )
      if dotted not in self._values:
        raise GridError(
          f'get_hyper: {field}={value!r}: unknown field'
          + names_lib.field_tail(dotted, list(self._values))
        )
      changes[dotted] = self._taken(field, dotted, value)
    return {**self._values, **changes}

  def _taken(self, field: Any, dotted: str, value: Any) -> Any:
    """Return a value as the config takes it, of the type of its field."""
    *parts, last = dotted.split('.')
    place: Any = self._copy
    for part in parts:
      place = place[part]
    kind = place.get_type(last)
    try:
      place[last] = value
    except (KeyError, AttributeError, TypeError, ValueError) as error:
      refusal = schema.not_taken(dotted, value, error)
      raise GridError(
        f'get_hyper: {field}={value!r}: {refusal.rule}'
      ) from error
    taken = place[last]
    if (
      isinstance(taken, config_dict.ConfigDict) or place.get_type(last) != kind
    ):
      self._copy = self._copied()  # it would take other values than before
    return taken

  def _copied(self) -> config_dict.ConfigDict:
    copied = copy.deepcopy(self._config)
    copied.lock()
    return copied


def _one_line(error: Exception) -> str:
  return ' '.join(str(error).split())
