"""What a held-out set is made of: drawn batches, or all there is, evenly.

Sequences that are drawn leave some out. Where T is drawn by the batch, 16
batches have 16 lengths of hundreds; where there are 512 strings, 256 draws miss
two of five. A set that is spread has them all, as far as it is large enough:

    T_j = S + ⌊(j + ½) L / N⌋      j = 0 … N − 1, L = T − S + 1 lengths S … T

is the T of sequence j of N, so that from N = L on every length comes, and none
more than once oftener than another. Where the sequences can be listed, it is
the list, as often over as its last batch needs.
"""

import math

import jax
import jax.numpy as jnp

from lstm_variants.tasks import base


def can_spread(task: base.Task, spec: base.Spec) -> bool:
  """Tell whether a held-out set of a task can be spread.

  Args:
    task: that is trained.
    spec: of the held-out set.
  """
  if task.cases is not None:
    return True
  return task.takes_length and spec.shortest < spec.length


def count_batches(task: base.Task, batch_size: int, batches: int) -> int:
  """Return how many batches a held-out set has.

  Args:
    task: of the held-out set.
    batch_size: in sequences.
    batches: as many as are wanted; a list has as many as it takes.
  """
  if task.spread is None or task.cases is None:
    return batches
  return math.ceil(task.cases.number / batch_size)


def sample(
  task: base.Task,
  key: jax.Array,
  batch_size: int,
  index: jax.Array,
  batches: int,
) -> base.Batch:
  """Return a batch of a held-out set.

  Args:
    task: of the held-out set.
    key: of the batch.
    batch_size: static.
    index: of the batch in the set, from 0; may be traced.
    batches: of the set, from `count_batches`.
  """
  if task.spread is None:
    return task.sample(key, batch_size)
  numbers = index * batch_size + jnp.arange(batch_size)
  if task.cases is not None:
    return task.cases.pick(numbers % task.cases.number)
  shortest, longest = task.spread
  count = longest - shortest + 1
  share = (numbers + 0.5) / (batches * batch_size)
  # Rounding in 32 bits must not lead beyond the longest.
  lengths = jnp.minimum(shortest + jnp.int32(share * count), longest)

  def draw(key: jax.Array, length: jax.Array) -> base.Batch:
    return jax.tree.map(lambda x: x[0], task.sample(key, 1, length=length))

  return jax.vmap(draw)(jax.random.split(key, batch_size), lengths)
