"""The copy task: repeat ten symbols after a long wait.

Alphabet: 0 is the blank, 1 to 8 are the symbols, 9 is the marker that asks for
the answer. Inputs are one-hot over these 10 classes; outputs are logits over
the 9 classes 0 to 8, one answer per step.

Worked example, dialect `urnn16`, T = 4, with 3 symbols in place of 10: T − 1
blanks, one marker, then blanks while the answer is given.

    input    5 2 7 0 0 0 9 0 0 0
    target   0 0 0 0 0 0 0 5 2 7

Dialect `variable`: the number of blanks before the marker is drawn from
U{1, …, T} for each sequence, and the rest of the batch's time axis is padding
(inputs are the zero vector, mask 0). With 1 blank:

    input    5 2 7 0 9 0 0 0 - -
    target   0 0 0 0 0 5 2 7 - -
"""

from collections.abc import Mapping
import functools
import math
import types

import jax
import jax.numpy as jnp
import optax

from lstm_variants.tasks import base

SYMBOLS = 8
ANSWER = 10
MARKER = SYMBOLS + 1


def sample_urnn16(key: jax.Array, batch_size: int, length: int) -> base.Batch:
  """Draw ten symbols, T − 1 blanks, a marker and ten blanks: T + 20 steps.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T, the steps from the last symbol to the marker.

  Returns:
    A `Batch`: inputs `[batch, T + 20, 10]`, targets `[batch, T + 20]`.

  Reference:
    Arjovsky, Shah & Bengio, ICML 2016, arXiv:1511.06464, section 5.1.
  """
  gaps = jnp.full((batch_size,), length - 1)
  return _batch(key, gaps, num_steps=length + 2 * ANSWER)


def sample_variable(key: jax.Array, batch_size: int, length: int) -> base.Batch:
  """Draw the number of blanks before the marker from U{1, …, T}.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T, the largest number of blanks.

  Returns:
    A `Batch`: inputs `[batch, T + 21, 10]`, targets `[batch, T + 21]`; a
    sequence with n blanks has n + 21 steps, the rest is padding.

  Reference:
    Tallec & Ollivier, ICLR 2018, arXiv:1804.11188, section 4 (after Henaff,
    Szlam & LeCun 2016, arXiv:1602.06662).
  """
  key, gap_key = jax.random.split(key)
  gaps = jax.random.randint(gap_key, (batch_size,), 1, length + 1)
  return _batch(key, gaps, num_steps=length + 1 + 2 * ANSWER)


def _batch(key: jax.Array, gaps: jax.Array, num_steps: int) -> base.Batch:
  """Build a batch whose marker follows `gaps` blanks, `[batch]`."""
  symbols = jax.random.randint(key, (gaps.shape[0], ANSWER), 1, SYMBOLS + 1)
  time = jnp.arange(num_steps)
  marker = ANSWER + gaps[:, None]
  padded = jnp.pad(symbols, ((0, 0), (0, num_steps - ANSWER)))
  tokens = jnp.where(time == marker, MARKER, padded)
  recall = time - (marker + 1)
  answer = jnp.take_along_axis(symbols, jnp.clip(recall, 0, ANSWER - 1), axis=1)
  targets = jnp.where((recall >= 0) & (recall < ANSWER), answer, 0)
  mask = (recall < ANSWER).astype(jnp.float32)
  inputs = jax.nn.one_hot(tokens, SYMBOLS + 2) * mask[..., None]
  return base.Batch(inputs, targets, mask)


def measure(outputs: jax.Array, batch: base.Batch) -> dict[str, base.Mean]:
  """Return the cross-entropies in nats and the share of wrong symbols.

  'loss' is the mean over all the steps of the sequences, as in the papers;
  'recall_loss' and 'wrong' are means over the ten steps of the answer.
  """
  entropy = optax.softmax_cross_entropy_with_integer_labels(
    outputs, batch.targets
  )
  recall = (batch.targets > 0).astype(entropy.dtype)
  wrong = (jnp.argmax(outputs, axis=-1) != batch.targets) * recall
  return {
    'loss': base.Mean(jnp.sum(entropy * batch.mask), jnp.sum(batch.mask)),
    'recall_loss': base.Mean(jnp.sum(entropy * recall), jnp.sum(recall)),
    'wrong': base.Mean(jnp.sum(wrong), jnp.sum(recall)),
  }


def sequence_errors(outputs: jax.Array, batch: base.Batch) -> jax.Array:
  """Return the share of wrong symbols in each sequence's answer, `[batch]`."""
  wrong = (jnp.argmax(outputs, axis=-1) != batch.targets) & (batch.targets > 0)
  return jnp.sum(wrong, axis=1, dtype=outputs.dtype) / ANSWER


def _build(
  length: int, dialect: str, sample, mean_steps: float, num_steps: int, **texts
) -> base.Task:
  return base.Task(
    name='copy',
    dialect=dialect,
    length=length,
    num_steps=num_steps,
    in_features=SYMBOLS + 2,
    out_features=SYMBOLS + 1,
    sample=functools.partial(sample, length=length),
    measure=measure,
    sequence_errors=sequence_errors,
    baselines=types.MappingProxyType(
      {
        'loss': ANSWER * math.log(SYMBOLS) / mean_steps,
        'recall_loss': math.log(SYMBOLS),
        'wrong': 1 - 1 / SYMBOLS,
      }
    ),
    success=base.HeldOut('wrong', 0.01),
    **texts,
  )


def build_urnn16(length: int) -> base.Task:
  """Return the version of Arjovsky et al. at length T.

  Chance: blanks are certain, symbols a guess: 10 ln 8 / (T + 20) nats per step.
  """
  steps = length + 2 * ANSWER
  return _build(
    length,
    'urnn16',
    sample_urnn16,
    mean_steps=steps,
    num_steps=steps,
    summary='ten of eight symbols, repeated after T steps',
    reference='Arjovsky, Shah & Bengio, ICML 2016, arXiv:1511.06464',
  )


def build_variable(length: int) -> base.Task:
  """Return the version of Tallec & Ollivier with up to T blanks.

  Chance: 10 ln 8 nats per sequence over (T + 1)/2 + 21 steps on average; the
  loss divides the batch's sum by the batch's steps.
  """
  return _build(
    length,
    'variable',
    sample_variable,
    mean_steps=(length + 1) / 2 + 2 * ANSWER + 1,
    num_steps=length + 2 * ANSWER + 1,
    summary='ten of eight symbols, repeated after a random wait of up to T',
    reference='Tallec & Ollivier, ICLR 2018, arXiv:1804.11188',
  )


DIALECTS: Mapping[str, base.Dialect] = types.MappingProxyType(
  {
    'urnn16': base.Dialect(build_urnn16, 1, 'T - 1 blanks'),
    'variable': base.Dialect(build_variable, 1, 'at least one blank'),
  }
)
