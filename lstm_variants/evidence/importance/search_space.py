"""The hyper-parameters that vary among trials, each in an even coordinate."""

from collections.abc import Callable, Mapping, Sequence
import math
import numbers
from typing import Any, NamedTuple

import numpy as np

from lstm_variants.config import fields

# A field that takes fewer values within each model was compared, not searched.
LEAST_VALUES = 4
RATE, MOMENTUM = 'optimizer.learning_rate', 'optimizer.momentum'
MODEL = 'model'
# Values are so many times others where scales differ enough to tell them.
_WIDE = 3.0
# These follow from the task and the model, or have no measurable influence.
_LEFT_OUT = ('seed', 'task', 'model.toggles', 'training.evaluation_seed')
_LABELS = {
  RATE: 'learning rate',
  MOMENTUM: 'momentum',
  'model.hidden_features': 'width (units)',
  'training.input_noise': 'input noise (st. dev.)',
}


class Axis(NamedTuple):
  """One hyper-parameter.

  Attributes:
    name: dotted, of the config's field; `MODEL` for the model.
    label: a few words.
    scale: 'linear', x; 'log', log10 x; 'complement', -log10 (1 - x); 'level',
      the place among `levels`.
    low: the smallest coordinate.
    high: the largest.
    rescaled: a learning rate counts as rate / (1 - momentum).
    levels: names of models, the best first.
  """

  name: str
  label: str
  scale: str
  low: float
  high: float
  rescaled: bool = False
  levels: tuple[str, ...] = ()

  def coordinate(self, row: Mapping[str, Any]) -> float:
    """Return a run's coordinate."""
    if self.scale == 'level':
      return float(self.levels.index(row['model']))
    value = _value(row, self.name, self.rescaled)
    return float(_SCALES[self.scale](np.asarray(value, float)))

  def values(self, coordinates: np.ndarray) -> np.ndarray:
    """Return coordinates in the hyper-parameter's unit."""
    if self.scale == 'log':
      return 10**coordinates
    if self.scale == 'complement':
      return 1 - 10**-coordinates
    return coordinates

  def grid(self, count: int) -> np.ndarray:
    """Return coordinates from end to end, of a model those of its levels."""
    if self.scale == 'level':
      return np.arange(float(len(self.levels)))
    return np.linspace(self.low, self.high, count)


_SCALES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
  'linear': lambda x: x,
  'log': np.log10,
  'complement': lambda x: -np.log10(1 - x),
}


def axes(rows: Sequence[Mapping[str, Any]]) -> list[Axis]:
  """Return the numeric hyper-parameters that were searched in one task.

  These are the fields that hold finite numbers throughout and at least four
  different ones among the runs of some model. A field that only differs from
  model to model, as widths of equal parameter counts do, is none.

  Each is measured in the coordinate (x, log x, log (1 - x)) in which the runs
  lie most evenly between their ends, by the largest distance of shares.

  A learning rate that was drawn as ε (1 - momentum), as Greff et al. do, is not
  independent of the momentum, but ε is: of the rate and ε the one counts whose
  logarithm has the smaller correlation with that of 1 - momentum.

  Args:
    rows: of `results.read_runs`, of one task; all models.
  """
  flat = [dict(fields.flatten(row['config'])) for row in rows]
  names = [
    name for name in (flat[0] if flat else ()) if _is_searched(name, rows, flat)
  ]
  rescaled = RATE in names and MOMENTUM in names and _is_rescaled(rows)
  searched = []
  for name in names:
    values = np.array([_value(row, name, rescaled) for row in rows], float)
    scale, low, high = _most_even(values)
    label = _LABELS.get(name, name.rpartition('.')[2].replace('_', ' '))
    if rescaled and name == RATE:
      label += ' / (1 − momentum)'
    searched.append(Axis(name, label, scale, low, high, rescaled))
  return searched


def model_axis(rows: Sequence[Mapping[str, Any]]) -> Axis:
  """Return the model as a hyper-parameter, its levels ordered by mean log loss.

  A tree then splits the models as well as over all their subsets (Fisher, JASA
  53(284), 1958). The levels have equal weights: the ends lie half a level
  outside.

  Args:
    rows: of one task, of two models at least.
  """
  losses: dict[str, list[float]] = {}
  for row in rows:
    loss = row['final'].get('loss')
    known = losses.setdefault(row['model'], [])
    if loss is not None and 0 < loss < math.inf and row['status'] != 'diverged':
      known.append(math.log(loss))
  order = sorted(
    losses, key=lambda m: np.mean(losses[m]) if losses[m] else math.inf
  )
  return Axis(
    MODEL, 'model', 'level', -0.5, len(order) - 0.5, levels=tuple(order)
  )


def _is_searched(
  name: str,
  rows: Sequence[Mapping[str, Any]],
  flat: Sequence[Mapping[str, Any]],
) -> bool:
  if any(
    f'{name}.'.startswith(f'{n}.')
    for n in (*_LEFT_OUT, *fields.OUTSIDE_IDENTITY)
  ):
    return False
  values: list[Any] = [config.get(name) for config in flat]
  if not all(_is_number(value) for value in values):
    return False
  of_models: dict[str, set[float]] = {}
  for row, value in zip(rows, values, strict=True):
    of_models.setdefault(row['model'], set()).add(value)
  return max(map(len, of_models.values())) >= LEAST_VALUES


def _is_number(value: Any) -> bool:
  return (
    isinstance(value, numbers.Real)
    and not isinstance(value, bool)
    and math.isfinite(value)
  )


def _value(row: Mapping[str, Any], name: str, rescaled: bool) -> float:
  value = _field(row, name)
  if rescaled and name == RATE:
    return value / (1 - _field(row, MOMENTUM))
  return value


def _field(row: Mapping[str, Any], name: str) -> float:
  value: Any = row['config']
  for word in name.split('.'):
    value = value[word]
  return float(value)


def _is_rescaled(rows: Sequence[Mapping[str, Any]]) -> bool:
  """Tell whether ε, rather than the rate, was drawn beside the momentum."""
  rates = np.array([_field(row, RATE) for row in rows])
  rest = 1 - np.array([_field(row, MOMENTUM) for row in rows])
  if rates.min() <= 0 or rest.min() <= 0:
    return False
  log_rates, log_left = np.log(rates), np.log(rest)
  plain, scaled = (
    abs(np.corrcoef(x, log_left)[0, 1])
    for x in (log_rates, log_rates - log_left)
  )
  return bool(scaled < plain)


def _most_even(values: np.ndarray) -> tuple[str, float, float]:
  """Return the scale in which values are most even, and its ends.

  The plain one, unless another is better, which it cannot be where the
  largest is less than thrice the smallest.
  """
  wide = {
    'log': values.min() > 0 and values.max() >= _WIDE * values.min(),
    'complement': values.min() >= 0
    and 0 < _WIDE * (1 - values.max()) <= 1 - values.min(),
  }
  chosen, least = 'linear', _unevenness(values)
  for scale, fits in wide.items():
    distance = _unevenness(_SCALES[scale](values)) if fits else math.inf
    if distance < least:
      chosen, least = scale, distance
  coordinates = _SCALES[chosen](values)
  return chosen, float(coordinates.min()), float(coordinates.max())


def _unevenness(coordinates: np.ndarray) -> float:
  """Return how far the shares of values below are from even ones.

  Equal values are below each other half the time, so that few steps that are
  evenly spread are even.
  """
  places, counts = np.unique(coordinates, return_counts=True)
  below = (np.cumsum(counts) - counts / 2) / len(coordinates)
  even = (places - places[0]) / (places[-1] - places[0])
  return float(np.max(np.abs(below - even)))
