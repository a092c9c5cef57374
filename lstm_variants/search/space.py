"""What is searched: `get_search(search)` of a config file, beside `get_config`.

    def get_search(search):
      return search.space(
        {
          'config.optimizer.learning_rate': search.log_uniform(1e-4, 1e-1),
          'config.model.forget_bias': search.uniform(-2, 4),
          'config.model.hidden_features': search.categorical([16, 32]),
        },
        trials=200,
        batch=16,
      )

The trials of a generation train side by side, in one compiled program where
they differ in numbers alone (docs/config.md: role run), in several where they
do not: each width has its own.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import math
from typing import Any, NamedTuple

from lstm_variants import errors
from lstm_variants import names as names_lib

# How a generation is asked for; `ask` says how each of them works.
SAMPLERS = ('tpe', 'cmaes', 'qmc', 'random')
# Trials of a search, and runs of a generation, at most.
MOST_TRIALS, MOST_BATCH = 100_000, 10_000
_SEEDS = 2**32
# CMA-ES ranks the trials of a generation: fewer tell it nothing.
_LEAST_CMAES = 4
_PREFIX = 'config.'
_PLAIN = (bool, int, float, str, type(None))


class SpaceError(errors.Error, ValueError):
  """A search that cannot be; the message is one line."""

  def __init__(self, text: str):
    super().__init__(f'get_search: {text}')


@dataclasses.dataclass(frozen=True)
class Number:
  """A real number, drawn evenly between two ends, or evenly on a log scale."""

  low: float
  high: float
  log: bool = False

  def at(self, share: float) -> float:
    """Return the value below which a share of the draws is, 0 to 1."""
    if self.log:
      low, high = math.log(self.low), math.log(self.high)
      value = math.exp(low + share * (high - low))
    else:
      value = self.low + share * (self.high - self.low)
    return min(max(value, self.low), self.high)

  def share(self, value: float) -> float:
    """Return what `at` takes for a value."""
    if self.log:
      return math.log(value / self.low) / math.log(self.high / self.low)
    return (value - self.low) / (self.high - self.low)

  def record(self) -> dict[str, Any]:
    """Return the distribution as it stands in study.json."""
    return {'kind': 'number', **dataclasses.asdict(self)}


@dataclasses.dataclass(frozen=True)
class Integer:
  """An integer between two ends, both included, in steps."""

  low: int
  high: int
  step: int = 1
  log: bool = False

  def at(self, share: float) -> int:
    """Return the value below which a share of the draws is, 0 to 1."""
    low, high = self._ends()
    scale, back = (math.log, math.exp) if self.log else (float, float)
    value = back(scale(low) + share * (scale(high) - scale(low)))
    steps = round((value - self.low) / self.step)
    return self.low + self.step * min(max(steps, 0), self._steps())

  def share(self, value: int) -> float:
    """Return a share of which `at` makes the value."""
    low, high = self._ends()
    scale = math.log if self.log else float
    return (scale(value) - scale(low)) / (scale(high) - scale(low))

  def _steps(self) -> int:
    return (self.high - self.low) // self.step

  def _ends(self) -> tuple[float, float]:
    """Return the ends half a step outside, so that all steps are alike."""
    half = self.step / 2
    return self.low - half, self.low + self.step * self._steps() + half

  def record(self) -> dict[str, Any]:
    """Return the distribution as it stands in study.json."""
    return {'kind': 'integer', **dataclasses.asdict(self)}


@dataclasses.dataclass(frozen=True)
class Choice:
  """One of some values, which have no order."""

  values: tuple[Any, ...]

  def at(self, share: float) -> Any:
    """Return the value at a share of their list, 0 to 1."""
    place = min(int(share * len(self.values)), len(self.values) - 1)
    return self.values[place]

  def share(self, value: Any) -> float:
    """Return a share of which `at` makes the value."""
    return (self.values.index(value) + 0.5) / len(self.values)

  def record(self) -> dict[str, Any]:
    """Return the distribution as it stands in study.json."""
    return {'kind': 'choice', 'values': [encode(one) for one in self.values]}


Distribution = Number | Integer | Choice


class Objective(NamedTuple):
  """What a trial is judged by.

  Attributes:
    name: a metric of the held-out set at the end of training, as 'loss'; or
      'sequences_to_success', or 'params_in_use'.
    maximize: whether more is better.
  """

  name: str
  maximize: bool = False

  @property
  def worst(self) -> float:
    """What a trial has that diverged."""
    return -math.inf if self.maximize else math.inf


class Halving(NamedTuple):
  """Successive halving: at each rung one trial of `eta` goes on.

  Attributes:
    first: updates at the first rung; each further one has `eta` times as many.
    eta: a whole number, at least 2.
  """

  first: int
  eta: int = 2

  def rungs(self, updates: int) -> list[int]:
    """Return the updates at which trials are retired, ascending."""
    rungs, rung = [], self.first
    while rung < updates:
      rungs.append(rung)
      rung *= self.eta
    return rungs


class Search(NamedTuple):
  """What is searched, and how; made by `space`.

  Attributes:
    fields: dotted name -> how it is drawn.
    objectives: one, or several.
    sampler: one of `SAMPLERS`.
    trials: of the whole search.
    batch: trials of a generation.
    seeds: runs of a trial: the seeds config.seed, config.seed + 1, ….
    seed: of the search itself.
    ahead: generation g is asked for when those before g − ahead are known;
      as many more may be in training at a time.
    halving: when trials are retired; None: all train to the end.
  """

  fields: Mapping[str, Distribution]
  objectives: tuple[Objective, ...]
  sampler: str
  trials: int
  batch: int
  seeds: int
  seed: int
  ahead: int
  halving: Halving | None

  def generations(self, asked: int = 0) -> int:
    """Return how many generations ask for the trials behind so many."""
    return -(-(self.trials - asked) // self.batch)

  def record(self) -> dict[str, Any]:
    """Return the search as it stands in study.json."""
    return {
      'fields': {name: one.record() for name, one in self.fields.items()},
      'objectives': [one._asdict() for one in self.objectives],
      **{
        name: getattr(self, name)
        for name in ('sampler', 'trials', 'batch', 'seeds', 'seed', 'ahead')
      },
      'halving': self.halving._asdict() if self.halving else None,
    }


def encode(value: Any) -> Any:
  """Return a value as JSON has it, which has no infinity."""
  return str(value) if value in (math.inf, -math.inf) else value


def uniform(low: float, high: float) -> Number:
  """Draw a real number evenly from `low` to `high`."""
  _check_numbers('uniform', low, high, (int, float))
  return Number(float(low), float(high))


def log_uniform(low: float, high: float) -> Number:
  """Draw a real number whose logarithm is even; `low` is above 0."""
  _check_numbers('log_uniform', low, high, (int, float))
  _check_positive('log_uniform', low)
  return Number(float(low), float(high), log=True)


def integer(low: int, high: int, step: int = 1, log: bool = False) -> Integer:
  """Draw an integer from `low` to `high`, both included.

  Args:
    low: the smallest.
    high: the largest.
    step: from one value to the next; with `log` it is 1.
    log: the logarithm is even; `low` is at least 1.
  """
  _check_numbers('integer', low, high, (int,))
  if type(step) is not int or step < 1 or (log and step > 1):
    raise SpaceError(
      f'integer(…, step={step!r}): must be 1 or more, 1 with log'
    )
  if log:
    _check_positive('integer', low)
  return Integer(low, high, step, bool(log))


def categorical(values: Sequence[Any]) -> Choice:
  """Draw one of some values, which have no order."""
  values = tuple(values)
  for one in values:
    if type(one) not in _PLAIN or one != one:
      raise SpaceError(
        f'categorical(…): {one!r} is no number, text, true or false'
      )
  if len(values) < 2 or len({(type(one), one) for one in values}) < len(values):
    raise SpaceError(
      f'categorical({list(values)!r}): needs two values or more, each once'
    )
  return Choice(values)


def minimize(name: str) -> Objective:
  """Judge by a metric of which less is better."""
  return Objective(str(name))


def maximize(name: str) -> Objective:
  """Judge by a metric of which more is better."""
  return Objective(str(name), maximize=True)


def halving(first: int, eta: int = 2) -> Halving:
  """Retire all but one of `eta` trials after `first` updates, and so on."""
  for name, value, least in (('first', first, 1), ('eta', eta, 2)):
    if type(value) is not int or value < least:
      raise SpaceError(
        f'halving({name}={value!r}): must be an integer of {least} or more; '
        f'nearest: {least}'
      )
  return Halving(first, eta)


def space(
  fields: Mapping[str, Distribution],
  *,
  objective: Objective | str | Sequence[Objective | str] = 'loss',
  sampler: str = 'tpe',
  trials: int = 64,
  batch: int = 16,
  seeds: int = 1,
  seed: int = 0,
  ahead: int = 0,
  halving: Halving | None = None,
) -> Search:
  """State a search.

  Args:
    fields: 'config.…' -> `uniform`, `log_uniform`, `integer`, `categorical`.
    objective: a metric that becomes small, `minimize('loss')`,
      `maximize('accuracy')`; or several, of which the best compromises are
      sought.
    sampler: 'tpe', 'cmaes', 'qmc' or 'random'.
    trials: of the whole search.
    batch: trials of a generation.
    seeds: runs of each trial, with other seeds; the median counts.
    seed: of the search itself.
    ahead: generations that may be in training beside the one that is asked for.
    halving: when trials are retired.

  Raises:
    SpaceError: something of it cannot be.
  """
  if not isinstance(fields, Mapping) or not fields:
    raise SpaceError("no fields; give 'config.…' -> search.log_uniform(…), …")
  named = {_dotted(name): one for name, one in fields.items()}
  for name, one in named.items():
    if not isinstance(one, Distribution):
      raise SpaceError(
        f'config.{name}: {one!r} is no distribution; nearest: '
        'search.categorical([…])'
      )
  listed = [objective] if isinstance(objective, Objective | str) else objective
  objectives = tuple(
    one if isinstance(one, Objective) else minimize(one) for one in listed
  )
  search = Search(
    *(named, objectives, sampler, trials, batch, seeds, seed, ahead, halving)
  )
  _check_sizes(search)
  _check_sampler(search)
  return search


def _dotted(name: Any) -> str:
  if not str(name).startswith(_PREFIX):
    raise SpaceError(
      f"{name!r} does not start with 'config.'; nearest: 'config.{name}'"
    )
  return str(name).removeprefix(_PREFIX)


def _check_numbers(
  what: str, low: Any, high: Any, kinds: tuple[type, ...]
) -> None:
  for value in (low, high):
    if type(value) not in kinds or not math.isfinite(value):
      number = 'an integer' if kinds == (int,) else 'a finite number'
      raise SpaceError(f'{what}({low!r}, {high!r}): {value!r} is not {number}')
  if not low < high:
    nearest = f'; nearest: {what}({high!r}, {low!r})' if high < low else ''
    raise SpaceError(
      f'{what}({low!r}, {high!r}): the first must be smaller{nearest}'
    )


def _check_positive(what: str, low: float) -> None:
  if low <= 0:
    raise SpaceError(
      f'{what}({low!r}, …): a logarithm needs numbers above 0; nearest: uniform'
    )


def _check_sizes(search: Search) -> None:
  """Refuse numbers out of their bounds."""
  most_seeds = (
    max(MOST_BATCH // max(search.batch, 1), 1) if _is_int(search.batch) else 1
  )
  for name, least, most in (
    ('batch', 1, MOST_BATCH),
    ('trials', 1, MOST_TRIALS),
    ('seeds', 1, most_seeds),
    ('seed', 0, _SEEDS - 1),
    ('ahead', 0, MOST_TRIALS),
  ):
    value = getattr(search, name)
    if not _is_int(value) or not least <= value <= most:
      nearest = min(max(value, least), most) if _is_int(value) else least
      raise SpaceError(
        f'{name}={value!r}: must be an integer from {least} to {most:,}; '
        f'nearest: {nearest}'
      )
  if search.trials * search.seeds > MOST_TRIALS:
    raise SpaceError(
      f'trials={search.trials}, seeds={search.seeds}: make more than the '
      f'{MOST_TRIALS:,} runs of a study; nearest: '
      f'trials={MOST_TRIALS // search.seeds}'
    )
  if search.halving is not None and not isinstance(search.halving, Halving):
    raise SpaceError(
      f'halving={search.halving!r}: is none; nearest: search.halving(first=100)'
    )
  names = [one.name for one in search.objectives]
  if not names or len(set(names)) < len(names):
    raise SpaceError(f'objective={names}: needs one metric or more, each once')


def _is_int(value: Any) -> bool:
  return type(value) is int


def _check_sampler(search: Search) -> None:
  """Refuse what a sampler cannot do."""
  sampler = search.sampler
  if sampler not in SAMPLERS:
    raise SpaceError(
      f'sampler={sampler!r}: unknown'
      + names_lib.tail(sampler, SAMPLERS, "sampler='{}'".format)
    )
  if search.halving and len(search.objectives) > 1:
    raise SpaceError(
      'halving of several objectives: nothing says which trials are the better '
      'half; nearest: one objective'
    )
  if sampler != 'cmaes':
    return
  if search.halving or len(search.objectives) > 1:
    what = 'halving' if search.halving else 'several objectives'
    raise SpaceError(
      f"sampler='cmaes': ranks the trials of a generation by one number at the "
      f"same time, which {what} does not leave; nearest: sampler='tpe'"
    )
  unordered = [
    name for name, one in search.fields.items() if isinstance(one, Choice)
  ]
  if unordered or len(search.fields) < 2:
    why = (
      f'{unordered[0]} is categorical'
      if unordered
      else 'there is but one field'
    )
    raise SpaceError(
      f"sampler='cmaes': needs two fields or more, all of them numbers; {why}; "
      "nearest: sampler='tpe'"
    )
  if search.batch < _LEAST_CMAES or search.trials % search.batch:
    batch = max(search.batch, _LEAST_CMAES)
    trials = -(-search.trials // batch) * batch
    raise SpaceError(
      f"sampler='cmaes': needs whole generations of {_LEAST_CMAES} trials or "
      f'more; nearest: batch={batch}, trials={trials}'
    )
