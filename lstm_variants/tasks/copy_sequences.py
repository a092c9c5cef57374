"""The sequences of the copy task, drawn on the device; see `copy`."""

import jax
import jax.numpy as jnp

from lstm_variants.tasks import base


def sample_urnn16(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  *,
  symbols: int,
  items: int,
) -> base.Batch:
  """Draw ten symbols, T − 1 blanks, a marker and ten blanks: T + 20 steps.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T, the steps from the last symbol to the marker.
    num_steps: the time axis, at least T + 2 items; what follows is padding.
    symbols: how many there are in the alphabet, 8 in the paper.
    items: how many symbols are to be repeated, 10 in the paper.

  Returns:
    A `Batch`: inputs `[batch, num_steps, symbols + 2]`, targets
    `[batch, num_steps]`.

  Reference:
    Arjovsky, Shah & Bengio, ICML 2016, arXiv:1511.06464, section 5.1.
  """
  gaps = jnp.full((batch_size,), length - 1)
  return _one_hot(_draw(key, gaps, num_steps, symbols, items), symbols)


def sample_variable(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  *,
  symbols: int,
  items: int,
) -> base.Batch:
  """Draw the number of blanks before the marker from U{1, …, T}.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T, the largest number of blanks.
    num_steps: the time axis, at least T + 2 items + 1.
    symbols: how many there are in the alphabet, 8 in the paper.
    items: how many symbols are to be repeated, 10 in the paper.

  Returns:
    A `Batch`: inputs `[batch, num_steps, symbols + 2]`, targets
    `[batch, num_steps]`; a sequence with n blanks has n + 2 items + 1 steps,
    the rest is padding.

  Reference:
    Tallec & Ollivier, ICLR 2018, arXiv:1804.11188, section 4 (after Henaff,
    Szlam & LeCun 2016, arXiv:1602.06662).
  """
  key, gap_key = jax.random.split(key)
  gaps = jax.random.randint(gap_key, (batch_size,), 1, length + 1)
  return _one_hot(_draw(key, gaps, num_steps, symbols, items), symbols)


def sample_janet18(
  key: jax.Array, batch_size: int, length: base.Length, *args: int, **sizes: int
) -> base.Batch:
  """Draw ten symbols, T blanks, a marker and ten blanks: T + 21 steps.

  These are the sequences of `sample_urnn16` at T + 1.

  Reference:
    van der Westhuizen & Lasenby 2018, arXiv:1804.04849, as in the authors'
    program (JosvanderWesthuizen/janet).
  """
  return sample_urnn16(key, batch_size, length + 1, *args, **sizes)


def sample_tcn18(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  *,
  symbols: int,
  items: int,
) -> base.Batch:
  """Draw ten symbols, T − 1 blanks and eleven markers: T + 20 steps.

  Arguments and result are those of `sample_urnn16`, but for the inputs, the
  number of the class: `[batch, num_steps, 1]`.

  Reference:
    Bai, Kolter & Koltun 2018, arXiv:1803.01271, section 4; that the input is a
    number, and the loss a mean over all steps, is from the authors' program
    (locuslab/TCN).
  """
  gaps = jnp.full((batch_size,), length - 1)
  batch = _draw(key, gaps, num_steps, symbols, items)
  marked = jnp.cumsum(batch.inputs == symbols + 1, axis=1) > 0
  numbers = jnp.where(marked, symbols + 1, batch.inputs) * batch.mask
  return batch._replace(inputs=numbers[..., None])


def _draw(
  key: jax.Array, gaps: jax.Array, num_steps: int, symbols: int, items: int
) -> base.Batch:
  """Build a batch whose marker follows `gaps` blanks, `[batch]`.

  Its inputs are classes, `[batch, time]`; those of padding are blanks.
  """
  answers = jax.random.randint(key, (gaps.shape[0], items), 1, symbols + 1)
  time = jnp.arange(num_steps)
  marker = items + gaps[:, None]
  padded = jnp.pad(answers, ((0, 0), (0, num_steps - items)))
  tokens = jnp.where(time == marker, symbols + 1, padded)
  recall = time - (marker + 1)
  answer = jnp.take_along_axis(answers, jnp.clip(recall, 0, items - 1), axis=1)
  targets = jnp.where((recall >= 0) & (recall < items), answer, 0)
  return base.Batch(tokens, targets, (recall < items).astype(jnp.float32))


def _one_hot(batch: base.Batch, symbols: int) -> base.Batch:
  """Make the classes of the inputs one-hot; padding is the zero vector."""
  inputs = jax.nn.one_hot(batch.inputs, symbols + 2) * batch.mask[..., None]
  return batch._replace(inputs=inputs)
