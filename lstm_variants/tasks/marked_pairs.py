"""Sequences of pairs (value, marker), two of them marked, graded at the end.

What adding and multiplication share: drawing the sequences of 1997, and the
error of the last step.
"""

import statistics
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.tasks import base

# A sequence is right when its absolute error is below this (1997, section 5.4).
TOLERANCE = 0.04
INPUTS = base.channels('value', 'marker')


class Pairs(NamedTuple):
  """The pairs of 1997, before they are graded and padded.

  Attributes:
    values: `[batch, time]`.
    marks: 1 at the two marked pairs, the first one included, `[batch, time]`.
    last: each sequence's last step, `[batch]`.
  """

  values: jax.Array
  marks: jax.Array
  last: jax.Array


def draw(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  *,
  lowest: float,
  first: float,
) -> Pairs:
  """Draw values and marks of 1997, for the sum and for the product.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T in steps.
    num_steps: the time axis, at least T + T/10.
    lowest: values are drawn from U[lowest, 1].
    first: the value of the first pair where it is marked.

  Returns:
    The pairs.
  """
  value_key, length_key, first_key, second_key = jax.random.split(key, 4)
  longest = length + length // 10
  values = jax.random.uniform(value_key, (batch_size, num_steps), minval=lowest)
  lengths = jax.random.randint(length_key, (batch_size,), length, longest + 1)
  early = jax.random.randint(first_key, (batch_size,), 0, 10)
  unmarked = jax.random.randint(second_key, (batch_size,), 0, length // 2 - 1)
  late = unmarked + (unmarked >= early)
  marks = jax.nn.one_hot(early, num_steps) + jax.nn.one_hot(late, num_steps)
  hidden = (jnp.arange(num_steps) == 0) & (marks > 0)
  return Pairs(jnp.where(hidden, first, values), marks, lengths - 1)


def grade(pairs: Pairs, target: jax.Array) -> base.Batch:
  """Return the pairs with sentinels, padding and a target, `[batch]`."""
  time = jnp.arange(pairs.values.shape[1])
  sentinel = (time == 0) | (time == pairs.last[:, None])
  markers = jnp.where(sentinel, -1.0, pairs.marks)
  inside = time <= pairs.last[:, None]
  return to_batch(
    jnp.where(inside, pairs.values, 0.0),
    jnp.where(inside, markers, 0.0),
    target,
    pairs.last,
  )


def to_batch(
  values: jax.Array, markers: jax.Array, target: jax.Array, last: jax.Array
) -> base.Batch:
  """Return values and markers, graded at the steps `last` alone, `[batch]`."""
  mask = jax.nn.one_hot(last, values.shape[1])
  return base.Batch(
    inputs=jnp.stack((values, markers), axis=-1),
    targets=(mask * target[:, None])[..., None],
    mask=mask,
  )


def sequence_errors(outputs: jax.Array, batch: base.Batch) -> jax.Array:
  """Return |output − target| at each sequence's end, `[batch]`."""
  errors = jnp.abs(outputs - batch.targets)[..., 0]
  return jnp.sum(jnp.where(batch.mask > 0, errors, 0.0), axis=1)


def measure(outputs: jax.Array, batch: base.Batch) -> dict[str, base.Mean]:
  """Return the squared error ('loss') and the share of wrong sequences."""
  errors = sequence_errors(outputs, batch)
  count = jnp.asarray(errors.shape[0], errors.dtype)
  return {
    'loss': base.Mean(jnp.sum(errors**2), count),
    'wrong': base.Mean(
      jnp.sum(~(errors < TOLERANCE), dtype=errors.dtype), count
    ),
  }


def count_drawn(spec: base.Spec) -> float:
  """Return how many of the two marked values of 1997 are drawn, on average.

  A mark falls on the first pair, whose value is then fixed, with probability
  1/10 (the first mark) and 9/10 · 1/(T/2 − 1) (the second one), never both.
  """
  lengths = range(spec.shortest, spec.length + 1)
  return 0.9 + statistics.mean(1 - 0.9 / (n // 2 - 1) for n in lengths)
