"""Spike trains with random intervals: drawn, placed, counted.

T(n) = T(n−1) + F + I(n), T(0) = 0 before the first step, I(n) drawn from
{0, …, symbols − 1}: interval n takes F + I(n) steps, its spike is the last.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants.tasks import base, measures

# A stream is right when all its absolute errors are below this.
TOLERANCE = 0.49
# What is as close to its limit stays there.
_SETTLED = 1e-9
SPIKE = base.channels('spike')
DELAY = base.channels('delay')
# F from here on: the first step of an interval is never its last.
SMALLEST_PERIOD = 2
PERIOD = base.Option(10, SMALLEST_PERIOD, 10_000, 'F, least steps to a spike')
SYMBOLS = base.Option(2, 2, 11, 'I is drawn from {0, ..., symbols - 1}')
measure = functools.partial(measures.regression, tolerance=TOLERANCE)


def draw(
  key: jax.Array, batch_size: int, num_steps: int, period: int, symbols: int
) -> tuple[jax.Array, jax.Array]:
  """Draw intervals until they fill the time axis.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    num_steps: the time axis.
    period: F in steps.
    symbols: of which I is drawn.

  Returns:
    I(n) and T(n) in steps, `[batch, n]`, for all n that can begin by the end.
  """
  count = num_steps // period + 1
  delays = jax.random.randint(key, (batch_size, count), 0, symbols)
  return delays, jnp.cumsum(period + delays, axis=1)


def place(
  steps: jax.Array, values: jax.Array, length: base.Length, num_steps: int
) -> jax.Array:
  """Return zeros with the values at those of the steps that are below T.

  Args:
    steps: from 0 on, `[batch, n]`, each row without repeats.
    values: `[batch, n]`.
    length: T in steps.
    num_steps: the time axis.

  Returns:
    `[batch, num_steps]`.
  """
  rows = jnp.arange(steps.shape[0])[:, None]
  steps = jnp.where(steps < length, steps, num_steps)
  zeros = jnp.zeros((steps.shape[0], num_steps), values.dtype)
  return zeros.at[rows, steps].set(values, mode='drop')


def intervals_begun(last: int, period: int, symbols: int) -> np.ndarray:
  """Return the expected number of intervals begun by time t, `[last + 1]`.

  Interval n begins at T(n−1); a spike at t ends one and begins another. With
  u(t) the probability of T(n) = t for some n, u(0) = 1, it is the sum of u up
  to t, and u(t) is the mean of u(t − F − i) over i.
  """
  before = period + symbols
  mean = period + (symbols - 1) / 2
  begun = np.zeros(before + last + 1)
  begun[before : before + period] = 1.0
  for start in range(before + period, len(begun), period):
    time = np.arange(start, min(start + period, len(begun)))
    chance = (begun[time - period] - begun[time - period - symbols]) / symbols
    begun[time] = begun[start - 1] + np.cumsum(chance)
    if _is_settled(chance, mean) and _is_settled(
      np.diff(begun[start - before : start]), mean
    ):
      rest = begun[start + period :]
      rest[:] = begun[time[-1]] + np.arange(1, rest.size + 1) / mean
      break
  return begun[before:]


def _is_settled(chance: np.ndarray, mean: float) -> bool:
  """Tell whether spikes are as likely at every step, once in `mean` steps."""
  return bool(np.all(np.abs(chance * mean - 1) < _SETTLED))


def check_room(spec: base.Spec, period: int) -> None:
  """Refuse a T in which the longest interval does not fit.

  Raises:
    SpecError: with the shortest T in which it does.
  """
  longest = period + spec.symbols - 1
  if spec.shortest < longest:
    # A nearest `shortest` above the longest T would be refused in turn.
    field = 'length' if spec.length < longest else 'shortest'
    raise base.SpecError(
      field,
      getattr(spec, field),
      f'an interval takes up to period + symbols - 1 = {longest} steps; '
      f'nearest: {longest}',
    )


def build(
  spec: base.Spec,
  sample: Callable[..., base.Batch],
  num_steps: int,
  **rest: Any,
) -> base.Task:
  """Return a task over spike trains.

  Args:
    spec: with F and the number of values of I.
    sample: `(key, batch_size, length, num_steps, period, symbols) -> Batch`.
    num_steps: the time axis.
    **rest: further fields of the `Task`.
  """
  return base.Task(
    length=spec.length,
    num_steps=num_steps,
    sample=base.sampler(
      sample, spec, num_steps, period=spec.period, symbols=spec.symbols
    ),
    measure=measure,
    sequence_errors=measures.absolute_errors,
    success=base.LastSequences(window=100, tolerance=TOLERANCE),
    reference='Gers, Schraudolph & Schmidhuber, JMLR 3, 2002',
    **rest,
  )
