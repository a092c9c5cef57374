"""Refuses a search before anything is trained: fields, values, objectives."""

from collections.abc import Callable, Iterator
import contextlib
import importlib.util
import math
from typing import Any

import jax

from lstm_variants import errors
from lstm_variants import names as names_lib
from lstm_variants.config import fields, rules, schema
from lstm_variants.config import settings as settings_lib
from lstm_variants.launch import local
from lstm_variants.search import objective, space
from lstm_variants.tasks import base
from lstm_variants.training import memory, step

# Packages of samplers; the others need none.
_PACKAGES = {'tpe': 'optuna', 'cmaes': 'cmaes'}
# Beside an end of a distribution, as a share of all draws.
_NEAR = 1e-6
# Fields that are the same in all trials, and why.
_FIXED = {
  'seed': 'is what seeds=N repeats a trial with',
  'training.start': 'is set by --from',
  'training.evaluation_seed': 'is of the held-out set, which judges all trials',
  'training.evaluation_batches': (
    'is of the held-out set, which judges all trials'
  ),
}


class MissingError(errors.Error, ImportError):
  """A package that a search needs is not installed."""


def read(get_search: Callable[[Any], Any]) -> space.Search:
  """Return what a config's `get_search` states.

  Raises:
    SpaceError: it fails, or returns no search.
  """
  try:
    search = get_search(space)
  except space.SpaceError:
    raise
  except Exception as error:  # whatever a config's own code raises
    name = type(error).__name__
    raise space.SpaceError(f'{name}: {error}') from error
  if not isinstance(search, space.Search):
    raise space.SpaceError(
      f'returns {search!r:.40}, no search; nearest: search.space({{…}})'
    )
  return search


def check(config: Any, search: space.Search) -> settings_lib.Run:
  """Check a search against the config whose fields it changes.

  Args:
    config: a `ConfigDict`.
    search: of `read`.

  Returns:
    The run of the config itself.

  Raises:
    Error: naming the field or the objective, and the nearest choice.
  """
  package = _PACKAGES.get(search.sampler)
  if package:
    require(package, f'sampler={search.sampler!r}')
  values = dict(fields.flatten(config.to_dict()))
  for name, distribution in search.fields.items():
    _check_field(name, distribution, values)
  run = local.check(config)
  for one in search.objectives:
    _check_objective(one, run)
  _check_conduct(search, run.settings)
  _check_memory(search, run, values)
  return run


def require(package: str, by: str) -> None:
  """Refuse to begin without a package.

  Args:
    package: its name.
    by: what needs it.

  Raises:
    MissingError: it is not installed.
  """
  if importlib.util.find_spec(package) is None:
    raise MissingError(
      f'{by}: {package} is not installed; nearest: '
      "pip install 'lstm-variants[search]'; sampler='qmc' and sampler='random' "
      'need nothing of it'
    )


def _check_field(
  name: str, distribution: space.Distribution, values: dict[str, Any]
) -> None:
  """Refuse a field that cannot be searched, or values that it does not take."""
  what = f'config.{name}'
  if name not in values:
    tail = names_lib.field_tail(name, list(values))
    raise space.SpaceError(f'{what}: unknown field{tail}')
  row = schema.table()[name]
  reason = _FIXED.get(name)
  if name.startswith('task.'):
    reason = 'all trials of a search are of one task'
  elif row.role not in (fields.PROGRAM, fields.RUN):
    reason = 'is how a study trains, no part of what a trial is'
  if reason:
    raise space.SpaceError(f'{what}: {reason}; leave it out')
  for value in _ends(distribution):
    if row.rule.kind is int and isinstance(value, float):
      raise space.SpaceError(
        f'{what}: takes integers; nearest: '
        f'search.integer({math.ceil(value)}, …)'
      )
    try:
      row.rule.check(name, value, 'float32')
    except rules.InputError as error:
      raise space.SpaceError(f'{what}={value!r}: {error.rule}') from error


def _ends(distribution: space.Distribution) -> Iterator[Any]:
  """Yield values that a field must take: then it takes all.

  Those of a rule are an interval, and perhaps one value outside that means
  none: so the neighbours of the ends are looked at, too.
  """
  if isinstance(distribution, space.Choice):
    yield from distribution.values
    return
  low, high = distribution.low, distribution.high
  yield from (low, high)
  if isinstance(distribution, space.Integer):
    yield distribution.at(0.5)
  else:
    # Not the nearest of all: beside 0 those are too small for 32 bits.
    yield from (distribution.at(_NEAR), distribution.at(1 - _NEAR))


def _check_objective(one: space.Objective, run: settings_lib.Run) -> None:
  """Refuse an objective that the task does not report."""
  known = [*metrics(run), objective.SIZE]
  task = run.settings.held_out_task
  if not isinstance(task.success, base.Unjudged):
    known.append(objective.SUCCESS)
  if one.name not in known:
    raise space.SpaceError(
      f'objective={one.name!r}: {task.name} ({task.dialect}) does not report it'
      + names_lib.tail(one.name, known, repr)
    )


def metrics(run: settings_lib.Run) -> list[str]:
  """Return the metrics of the held-out set that a run reports."""
  settings, hyperparams = run.settings, run.hyperparams

  def evaluate() -> Any:
    state = step.init_state(settings, hyperparams)
    return step.evaluate(settings, hyperparams, state)[1]

  # Devices that share a batch are there in the compiled program alone.
  settings = settings.replace(batch_devices=1)
  with jax.enable_x64(settings.dtype == 'float64'):
    return list(jax.eval_shape(evaluate))


def _check_memory(
  search: space.Search, run: settings_lib.Run, values: dict[str, Any]
) -> None:
  """Refuse a search whose largest trials exceed the memory of this machine.

  A sampler may ask for a whole generation of them. That one was asked for which
  does not fit would end the search, and not count as the worst: what is asked
  for next would depend on the machine.
  """
  runs = search.batch * search.seeds
  runs = min(runs, run.settings.population_size or runs)
  try:
    memory.check_memory([_largest(search, run, values)] * runs)
  except rules.InputError as error:
    raise space.SpaceError(
      f'in the largest trials config.{error.field}={error.value!r}: '
      f'{error.rule}'
    ) from error


def _largest(
  search: space.Search, run: settings_lib.Run, values: dict[str, Any]
) -> settings_lib.Settings:
  """Return the settings of a trial that needs as much memory as any.

  Each field in turn has the end or the value that needs the most, those before
  it being chosen; what contradicts them is left out.
  """
  largest, values = run.settings, dict(values)
  for name, distribution in search.fields.items():
    if schema.table()[name].role != fields.PROGRAM:
      continue
    sizes = []
    for value in _ends(distribution):
      with contextlib.suppress(rules.InputError):
        one = settings_lib.from_config({**values, name: value}).settings
        sizes.append((memory.estimate_bytes(one), value, one))
    if sizes:
      _, values[name], largest = max(sizes, key=lambda size: size[0])
  return largest


def _check_conduct(
  search: space.Search, settings: settings_lib.Settings
) -> None:
  """Refuse trials that would not be judged after equal training."""
  by_success = any(one.name == objective.SUCCESS for one in search.objectives)
  by_metric = any(
    one.name not in (objective.SUCCESS, objective.SIZE)
    for one in search.objectives
  )
  stops = settings.stop_when_solved and base.stops_training(
    settings.task.success
  )
  if by_metric and stops:
    raise space.SpaceError(
      'config.training.stop_when_solved=True: a generation would stop as soon '
      'as all its trials are solved, and its metrics would be those of less '
      'training; nearest: false'
    )
  if settings.patience:
    raise space.SpaceError(
      f'config.training.patience={settings.patience}: generations would train '
      'for different numbers of updates; nearest: 0'
    )
  if search.halving is None:
    return
  if by_success:
    raise space.SpaceError(
      f'halving by {objective.SUCCESS}: most trials are not solved at a rung; '
      "nearest: objective='loss'"
    )
  if settings.population_size:
    raise space.SpaceError(
      f'halving: config.study.population_size={settings.population_size} would '
      'mix the trials of several populations at a rung; nearest: 0'
    )
  if settings.trackers or settings.tensorboard:
    raise space.SpaceError(
      f'halving: trackers ({settings.trackers or "tensorboard"}) cannot follow '
      "a trial from rung to rung; nearest: config.training.trackers=''"
    )
  interval, first = settings.evaluation_interval, search.halving.first
  if first % interval or first >= settings.updates:
    last = (settings.updates - 1) // interval
    nearest = interval * max(min(round(first / interval), last), 1)
    raise space.SpaceError(
      f'halving(first={first}): trials are judged at evaluations, every '
      f'{interval} updates, before the last of {settings.updates}; nearest: '
      + (f'{nearest}' if last else 'no halving')
    )
