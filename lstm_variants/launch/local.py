"""A study: a config, its grid of runs, and their training by populations."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import copy
import functools
from typing import Any

from ml_collections import config_dict

from lstm_variants import console, errors, extensions
from lstm_variants.config import components, fields, populations, rules, schema
from lstm_variants.config import grid as hyper
from lstm_variants.config import settings as settings_lib
from lstm_variants.runs import directory, files, record, results
from lstm_variants.training import given as given_lib
from lstm_variants.training import interrupt, loop, memory, resume, watching
from lstm_variants.training import population as population_lib

MOST_RUNS = 100_000


class GridError(errors.Error, ValueError):
  """A study's grid cannot be used; the message is one line for the user."""


class DivergedError(errors.Error):
  """Every run of a study diverged; the message is one line for the user."""

  exit_status = 3


def expand(
  config: config_dict.ConfigDict,
  get_hyper: Callable[[Any], Iterable[Any]],
  records: Sequence[Mapping[str, Any]] = (),
) -> list[settings_lib.Run]:
  """Return the checked runs of a grid.

  Args:
    config: the base config.
    get_hyper: called with the module `hyper`; returns settings that map
      'config.…' fields to values.
    records: of the runs of a study that is gone on with, from `recorded`.

  Returns:
    One `Run` per setting, in order.

  Raises:
    GridError: an empty grid, a setting that is none, an unknown field, a value
      of the wrong type, or a run that is there twice.
    InputError: a setting that is refused (`settings.from_config`).
  """
  try:
    grid = list(get_hyper(hyper))
  except Exception as error:  # whatever a config's own code raises
    name = type(error).__name__
    raise GridError(f'get_hyper: {name}: {_one_line(error)}') from error
  if not grid:
    raise GridError('get_hyper: the grid is empty; give every sweep a value')
  if len(grid) > MOST_RUNS:
    raise GridError(
      f'get_hyper: {len(grid):,} settings, at most {MOST_RUNS:,} make a study; '
      'split it'
    )
  runs, seen = [], {}
  form = record.new(schema.defaults())
  for number, setting in enumerate(grid):
    same = len(records) == len(grid)
    run = check(_apply(config, setting), records[number] if same else None)
    key = form.hash([run.config])
    if key in seen:
      raise GridError(
        f'get_hyper: settings {seen[key]} and {number} are the same run '
        f'{setting}, but for how long it trains and when it is looked at; '
        'leave one out'
      )
    seen[key] = number
    runs.append(run)
  return runs


def check(
  config: Any, record: Mapping[str, Any] | None = None
) -> settings_lib.Run:
  """Return the run of a config, which this machine has the memory for.

  Args:
    config: see `settings.from_config`.
    record: of the same run in a directory that is gone on with; None: there is
      none. A run that was taken before is taken as it was.

  Raises:
    InputError: what is refused (`settings.from_config`), or a size beyond the
      memory.
  """
  try:
    run = settings_lib.from_config(config)
  except rules.InputError:
    if record is None:
      raise
    run = settings_lib.from_record(config.to_dict())
    if not _is_same(run.config, record):
      raise
  _check_room(run.settings)
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
    workdir: where the results go.
    name: of the study.
    config: the base config.
    runs: from `expand`, or a single run.
    mode: what to do with a study that is there.
    given: the weights with which all the runs begin, whose config has
      `Given.digest` as training.start; None: they draw their own.
    watch: who looks on, as a callback.

  Raises:
    GivenError: they are of other shapes.
    WorkdirError: the directory cannot be used.
    BusyError: another process trains there.
    StorageError: something could not be written.
    InputError: a population needs more memory than there is, or a batch more
      devices.
    CheckpointError: an interrupted population has no checkpoint that is whole.
    Interrupted: a signal asked for the end; everything is saved.
    DivergedError: every run diverged; their results are written.
  """
  runs = _as_recorded(workdir, runs, mode)
  _check_given(runs, given)
  configs, defaults = [run.config for run in runs], schema.defaults()
  directory.check(workdir, configs, mode, defaults)
  form = _form(workdir, mode, defaults)
  members = populations.split(runs, form)
  _check_machine(workdir, members)
  tasks = {run.settings.task_label: describe_task(run.settings) for run in runs}
  with directory.open_study(
    workdir,
    name,
    config.to_dict(),
    tasks,
    configs,
    mode,
    functools.partial(_check_left, workdir, members, tasks),
    form,
    extensions.needed_by(*components.of_runs(configs)),
  ):
    console.say(f'{name}: {len(runs)} runs in {len(members)} compiled programs')
    if given is not None:
      given_lib.save(workdir, given)
    diverged = [_train_one(workdir, group, given, watch) for group in members]
  if all(diverged):
    raise DivergedError(
      f'--workdir={workdir}: every run diverged; the results are written; try '
      'a smaller --config.optimizer.learning_rate'
    )


def _as_recorded(
  workdir: str, runs: Sequence[settings_lib.Run], mode: directory.Mode
) -> Sequence[settings_lib.Run]:
  """Return runs with what their directory has of fields that they do not read.

  Those of before were not refused there: they are part of names, and changed
  nothing.
  """
  records = recorded(workdir, mode)
  if len(records) != len(runs):
    return runs
  return [_adopt(run, old) for run, old in zip(runs, records, strict=True)]


def recorded(workdir: str, mode: directory.Mode) -> Sequence[Mapping[str, Any]]:
  """Return the records of the runs of a study that is gone on with, or none."""
  if mode is not directory.Mode.RESUME:
    return ()
  try:
    return results.read_study(workdir)['runs']
  except results.WorkdirError:
    return ()  # it is refused where the directory is checked


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


def _form(
  workdir: str, mode: directory.Mode, defaults: Mapping[str, Any]
) -> record.Form:
  """Return the form of the records of a study: a resumed one keeps its own."""
  if mode is directory.Mode.RESUME:
    return record.of_study(results.read_study(workdir), defaults)
  return record.new(defaults)


def _check_machine(
  workdir: str, members: Sequence[populations.Population]
) -> None:
  """Refuse populations for which this machine is too small."""
  for population in members:
    memory.check_memory([run.settings for run in population.runs])
    if not results.is_finished(workdir, population.name):
      population_lib.check_devices(population.settings)


def _check_left(
  workdir: str,
  members: Sequence[populations.Population],
  tasks: Mapping[str, Any],
) -> None:
  """Check what earlier sessions left, before anything is changed."""
  before = results.read_study(workdir)['tasks']
  for task in tasks:
    if task not in before:
      raise directory.ResumeError(
        f'--workdir={workdir}: is of {", ".join(before)}; {task} is of other '
        f'data: --config.task.path leads to another file now; choose '
        f'{workdir}_2'
      )
  ours = {population.name for population in members}
  for name in results.populations(workdir):
    if name not in ours:
      raise directory.ResumeError(
        f'--workdir={workdir}: holds the population {name}, which this grid '
        'does not make: its runs were together with others; choose '
        f'{workdir}_2'
      )
  for population in members:
    resume.check_left(workdir, population)


def _train_one(
  workdir: str,
  population: populations.Population,
  given: given_lib.Given | None,
  watch: watching.Watch,
) -> bool:
  """Train a population unless it is done; tell whether every run diverged."""
  name = population.name
  if resume.is_done(workdir, population):
    console.say(f'{name}: already finished')
    return results.is_all_diverged(workdir, name)
  hint = population_lib.idle_devices_hint(
    population.settings, len(population.runs)
  )
  if hint:
    console.say(f'{name}: {hint}')
  diverged = loop.train_population(workdir, population, given, watch)
  interrupt.check(saved=True)
  return diverged


def describe_task(settings: settings_lib.Settings) -> dict[str, Any]:
  """Return what analysis needs to know of a task, as plain data."""
  task, held_out = settings.task, settings.held_out_task
  return {
    'summary': task.summary,
    'reference': task.reference,
    'success': str(held_out.success),
    'baselines': dict(held_out.baselines),
    'published': [
      result._asdict()
      for result in task.published
      if result.length == task.length
    ],
  }


def _apply(
  config: config_dict.ConfigDict, setting: Any
) -> config_dict.ConfigDict:
  if not isinstance(setting, dict):
    raise GridError(
      f'get_hyper: {setting!r} is not a setting; use hyper.sweep and the like'
    )
  changed = copy.deepcopy(config)
  changed.lock()
  known = [field for field, _ in fields.flatten(config.to_dict())]
  for field, value in setting.items():
    prefix, _, dotted = str(field).partition('.')
    if prefix != 'config' or not dotted:
      raise GridError(
        f'get_hyper: {field!r} does not start with "config."; nearest: '
        f"'config.{field}'"
      )
    if dotted not in known:
      raise GridError(
        f'get_hyper: {field}={value!r}: unknown field; '
        f'{rules.nearest_field(dotted, known)}'
      )
    try:
      changed.update_from_flattened_dict({dotted: value})
    except (KeyError, AttributeError, TypeError, ValueError) as error:
      raise GridError(
        f'get_hyper: {field}={value!r}: {_one_line(error)}'
      ) from error
  return changed


def _one_line(error: Exception) -> str:
  return ' '.join(str(error).split())
