"""Forecasting: continue a series of measured numbers.

T successive values of a series are shown, one per step; at the last step the
model is to return what follows: one value in dialect `one_step`, the next
`horizon` values at once, one output each, in dialect `multi_step`. Values are
standardised: less the mean, over the standard deviation of the training part.

Worked example, T = 4, the yearly sunspots from 1700 on, not yet standardised:

    step        1    2    3    4
    input       5   11   16   23
    `one_step`                36
    `multi_step` of horizon 3 36 58 29

The series is cut in time: its first four fifths are for training, inputs and
targets alike; the targets of the held-out part are all in the last fifth, but
their inputs may lie before it.

The series is a column of any CSV file in UTF-8: commas, a first row with the
names of the columns, then rows in the order of time. By default it is the
yearly mean sunspot number of 1700 to 2008 (309 values), in the public domain,
a file of the package statsmodels.
"""

from collections.abc import Mapping
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants.tasks import base, data, measures

SUNSPOTS, SUNSPOTS_PERIOD = 'SUNACTIVITY', 11
LARGEST_HORIZON = 1000


class Series(NamedTuple):
  """A standardised series.

  Attributes:
    values: `[count]`, float32.
    border: where the held-out part begins.
    mean: that of the training part, in original units.
    scale: the standard deviation of the training part, in original units.
    period: of the seasonal forecast.
    fingerprint: of the file, with the number of the column.
  """

  values: np.ndarray
  border: int
  mean: float
  scale: float
  period: int
  fingerprint: str


def sample_series(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  values: np.ndarray,
  first: int,
  horizon: int,
) -> base.Batch:
  """Draw the place where the forecast begins; all are equally likely.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T in steps.
    num_steps: the time axis, at least T; what follows T is padding.
    values: the series, `[count]`.
    first: the smallest place of a target; T where that is larger.
    horizon: how many values follow.

  Returns:
    A `Batch`: inputs `[batch, num_steps, 1]`, targets
    `[batch, num_steps, horizon]`; the mask is 1 at step T alone.
  """
  count = values.shape[0]
  begin = jax.random.randint(
    key, (batch_size, 1), jnp.maximum(first, length), count - horizon + 1
  )
  series = jnp.asarray(values)
  time = jnp.arange(num_steps)
  places = jnp.clip(begin - length + time, 0, count - 1)
  inputs = jnp.where(time < length, series[places], 0.0)
  answer = series[begin + jnp.arange(horizon)]
  mask = jnp.broadcast_to(
    (time == length - 1).astype(jnp.float32), (batch_size, num_steps)
  )
  return base.Batch(
    inputs[..., None], mask[..., None] * answer[:, None, :], mask
  )


def measure(
  outputs: jax.Array, batch: base.Batch, scale: float
) -> dict[str, base.Mean]:
  """Return the errors of the answers, means over sequences and horizon.

  Args:
    outputs: `[batch, time, horizon]`.
    batch: targets `[batch, time, horizon]`.
    scale: the original units that are 1.

  Returns:
    'loss': the mean squared error in standardised units; 'mae': the mean
    absolute error in original units.
  """
  errors = jnp.where(batch.mask[..., None] > 0, outputs - batch.targets, 0.0)
  steps = jnp.sum(batch.mask)
  squares, sizes = (
    jnp.sum(jnp.mean(each, axis=-1)) for each in (errors**2, jnp.abs(errors))
  )
  return {
    'loss': base.Mean(squares, steps),
    'mae': base.Mean(sizes * scale, steps),
  }


def resolve(spec: base.Spec) -> base.Spec:
  """Return the spec with its period and what its column is called."""
  if not spec.path:
    return spec._replace(period=spec.period or SUNSPOTS_PERIOD)
  text = data.decode(data.read(spec.path), spec.path)
  return spec._replace(
    period=spec.period or 1,
    column=data.name_column(text, spec.column, spec.path),
  )


def read_series(spec: base.Spec) -> Series:
  """Return what the spec asks for, standardised.

  Raises:
    base.SpecError: the file, the column or its numbers cannot be used.
  """
  path, column = spec.path, spec.column
  if not path:
    if column:
      raise base.SpecError('column', column, 'needs a path')
    path = str(
      data.find_bundled(
        'forecasting', 'statsmodels', 'datasets', 'sunspots', 'sunspots.csv'
      )
    )
    column = SUNSPOTS
  content = data.read(path)
  numbers, index = data.read_column(data.decode(content, path), column, path)
  border = len(numbers) - len(numbers) // 5
  _check_fit(spec, len(numbers), border, path)
  known = np.array(numbers[:border])
  with np.errstate(over='ignore', invalid='ignore', divide='ignore'):
    mean, scale = float(known.mean()), float(known.std())
    values = ((np.array(numbers) - mean) / scale).astype(np.float32)
  if not np.isfinite(values).all():
    raise data.refusal(
      path, f'column {index} is constant or has no finite variance'
    )
  return Series(
    values,
    border,
    mean,
    scale,
    spec.period,
    data.fingerprint(content) + (f'-column{index}' if spec.path else ''),
  )


def _check_fit(spec: base.Spec, count: int, border: int, path: str) -> None:
  """Refuse what asks for more values than there are."""
  horizon = max(spec.horizon, 1)
  parts = f'{border} values to train on, {count - border} held out'
  if border < 2 or count - border < 1:
    raise data.refusal(path, f'too short: {parts}')
  if horizon > count - border:
    raise base.SpecError(
      'horizon', horizon, f'{parts}; nearest: {count - border}'
    )
  if spec.length + horizon > border:
    raise base.SpecError(
      'length',
      spec.length,
      f'{parts}, T + {horizon} are needed; nearest: {border - horizon}',
    )
  if spec.period > border:
    raise base.SpecError('period', spec.period, f'{parts}; nearest: {border}')


def simple_forecasts(
  series: Series, horizon: int
) -> Mapping[str, Mapping[str, float]]:
  """Return the metrics of the forecasts that need no model.

  On all the places of the held-out part. 'mean': of the training part; 'last':
  the last value goes on; 'seasonal': the last period does.
  """
  values = series.values.astype(np.float64)
  ahead = np.arange(horizon)
  begin = np.arange(series.border, values.size - horizon + 1)[:, None]
  back = series.period * (ahead // series.period + 1)
  forecasts = {
    'mean': np.zeros(1),
    'last': values[begin - 1],
    'seasonal': values[begin + ahead - back],
  }
  errors = {
    name: values[begin + ahead] - forecast
    for name, forecast in forecasts.items()
  }
  return {
    name: {
      'loss': float(np.mean(error**2)),
      'mae': float(np.mean(np.abs(error))) * series.scale,
    }
    for name, error in errors.items()
  }


def build(spec: base.Spec, dialect: str) -> base.Task:
  """Return the task of forecasting the next `horizon` values (1 if 0).

  No paper sets a rule: success is a held-out loss below the best of
  `simple_forecasts`.

  Chance: that best one's errors on the held-out part. Of the sunspots it is
  the last value for the next year, and the last 11 years for more than that.
  """
  horizon = max(spec.horizon, 1)
  series = read_series(spec)
  simple = simple_forecasts(series, horizon).values()
  best = min(simple, key=lambda metrics: metrics['loss'])
  values = series.values if spec.held_out else series.values[: series.border]
  outputs = (f'+{n}' for n in range(1, horizon + 1))
  following = f'{horizon} values' if horizon > 1 else 'value'
  return base.Task(
    name='forecasting',
    dialect=dialect,
    length=spec.length,
    num_steps=spec.length,
    inputs=base.channels('value'),
    outputs=base.channels(*outputs),
    sample=base.sampler(
      sample_series,
      spec,
      spec.length,
      values=values,
      first=series.border if spec.held_out else 0,
      horizon=horizon,
    ),
    measure=functools.partial(measure, scale=series.scale),
    sequence_errors=measures.absolute_errors,
    baselines=best,
    success=base.HeldOut('loss', best['loss'], solves=False),
    summary=f'the next {following} of a series of measured numbers',
    reference='Hyndman & Athanasopoulos, Forecasting, 3rd ed. 2021, chapter 5',
    variation=series.fingerprint,
    mean=series.mean,
    scale=series.scale,
  )


_OPTIONS = {
  'period': base.Option(
    0, 1, 10**6, 'of the seasonal forecast; by default 11 for the sunspots, 1'
  ),
  'path': base.Option('', 0, 0, 'a CSV file; by default the sunspots'),
  'column': base.Option('', 0, 0, 'its name or number; by default the last'),
}
_HORIZON = base.Option(11, 1, LARGEST_HORIZON, 'how many values to forecast')
_DIALECTS: Mapping[str, base.Dialect] = {
  'one_step': base.Dialect(
    functools.partial(build, dialect='one_step'),
    1,
    'one value',
    options=_OPTIONS,
    causal=True,
    resolve=resolve,
  ),
  'multi_step': base.Dialect(
    functools.partial(build, dialect='multi_step'),
    1,
    'one value',
    options={'horizon': _HORIZON, **_OPTIONS},
    causal=True,
    resolve=resolve,
  ),
}
TASKS = {'forecasting': _DIALECTS}
