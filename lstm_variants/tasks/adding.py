"""The adding problem: remember two marked numbers and return their sum.

Each step brings a pair (value, marker). Two pairs are marked; at the end of the
sequence the model is to return the sum of the two marked values. The error is
that of the last step alone.

Worked example, dialects `urnn16`, `tallec18` and `janet18` (the same
sequences), T = 6, one mark in each half:

    value    0.3  0.8  0.1  0.5  0.9  0.2
    marker   0    1    0    0    0    1
    target                              0.8 + 0.2 = 1.0

Dialect `tcn18`, T = 6, the two marks anywhere:

    value    0.3  0.8  0.1  0.5  0.9  0.2
    marker   0    1    1    0    0    0
    target                              0.8 + 0.1 = 0.9

Worked example, dialect `hs97`, T = 12: the first and the last pair carry the
sentinel −1, the second mark falls among the first T/2 − 1 unmarked pairs.

    value    0.4 -0.7  0.2  0.6 ... -0.1
    marker  -1    1    0    1   ... -1
    target                           0.5 + (-0.7 + 0.6) / 4 = 0.475

The output of 1997 is logistic; here it is linear in every dialect.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from lstm_variants.tasks import base, marked_pairs

OUTPUTS = base.channels('sum')


def sample_urnn16(
  key: jax.Array, batch_size: int, length: base.Length, num_steps: int
) -> base.Batch:
  """Draw values from U[0, 1], one mark in each half; the target is the sum.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T in steps; if T is odd, the second half is longer by one.
    num_steps: the size of the time axis, at least T; padding follows T.

  Returns:
    A `Batch`: inputs `[batch, num_steps, 2]`, targets `[batch, num_steps, 1]`.

  Reference:
    Arjovsky, Shah & Bengio, ICML 2016, arXiv:1511.06464, section 5.2.
  """
  value_key, first_key, second_key = jax.random.split(key, 3)
  values = jax.random.uniform(value_key, (batch_size, num_steps))
  values = jnp.where(jnp.arange(num_steps) < length, values, 0.0)
  half = length // 2
  first = jax.random.randint(first_key, (batch_size,), 0, half)
  second = jax.random.randint(second_key, (batch_size,), half, length)
  markers = jax.nn.one_hot(first, num_steps) + jax.nn.one_hot(second, num_steps)
  total = jnp.sum(values * markers, axis=1)
  last = jnp.full((batch_size,), length - 1)
  return marked_pairs.to_batch(values, markers, total, last)


def sample_tcn18(
  key: jax.Array, batch_size: int, length: base.Length, num_steps: int
) -> base.Batch:
  """Draw values from U[0, 1], two of the T pairs are marked; target: the sum.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T in steps.
    num_steps: the time axis, at least T; what follows T is padding.

  Returns:
    A `Batch`: inputs `[batch, num_steps, 2]`, targets `[batch, num_steps, 1]`.

  Reference:
    Bai, Kolter & Koltun 2018, arXiv:1803.01271, section 4; that the two marks
    are drawn without replacement is from the authors' program (locuslab/TCN).
  """
  value_key, first_key, second_key = jax.random.split(key, 3)
  values = jax.random.uniform(value_key, (batch_size, num_steps))
  values = jnp.where(jnp.arange(num_steps) < length, values, 0.0)
  first = jax.random.randint(first_key, (batch_size,), 0, length)
  other = jax.random.randint(second_key, (batch_size,), 0, length - 1)
  second = other + (other >= first)
  markers = jax.nn.one_hot(first, num_steps) + jax.nn.one_hot(second, num_steps)
  total = jnp.sum(values * markers, axis=1)
  last = jnp.full((batch_size,), length - 1)
  return marked_pairs.to_batch(values, markers, total, last)


def sample_hs97(
  key: jax.Array, batch_size: int, length: base.Length, num_steps: int
) -> base.Batch:
  """Draw the sequences of 1997: values U[−1, 1], length U{T, …, T + T/10}.

  The first mark falls among the first ten pairs, the second among the first
  T/2 − 1 pairs still unmarked. The first and the last pair have marker −1.
  Target: 0.5 + (X1 + X2) / 4. For the rare mark on the first pair the paper
  sets X1 to zero and leaves the marker open: here it stays −1, and the pair's
  value is zero both in the input and in the target.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T in steps.
    num_steps: the time axis, at least T + T/10.

  Returns:
    A `Batch`: inputs `[batch, num_steps, 2]`, targets `[batch, num_steps, 1]`;
    the mask is 1 at each sequence's own last step.

  Reference:
    Hochreiter & Schmidhuber, Neural Computation 9(8), 1997, section 5.4.
  """
  pairs = marked_pairs.draw(
    key, batch_size, length, num_steps, lowest=-1.0, first=0.0
  )
  target = 0.5 + jnp.sum(pairs.values * pairs.marks, axis=1) / 4
  return marked_pairs.grade(pairs, target)


def _build_sum(
  spec: base.Spec, dialect: str, draw: Callable[..., base.Batch], **texts: Any
) -> base.Task:
  """Build a version whose target is the plain sum of two values of U[0, 1].

  Chance: the constant 1 has MSE Var(X1 + X2) = 1/6; the sum has the density
  1 − |sum − 1|, so the constant is off by 0.04 or more with probability 0.96².
  """
  return base.Task(
    name='adding',
    dialect=dialect,
    length=spec.length,
    num_steps=spec.length,
    inputs=marked_pairs.INPUTS,
    outputs=OUTPUTS,
    sample=base.sampler(draw, spec, spec.length),
    measure=marked_pairs.measure,
    sequence_errors=marked_pairs.sequence_errors,
    baselines={'loss': 1 / 6, 'wrong': (1 - marked_pairs.TOLERANCE) ** 2},
    success=base.HeldOut('loss', 0.001),
    **texts,
  )


def build_urnn16(spec: base.Spec) -> base.Task:
  """Return the version of Arjovsky et al. at length T.

  Chance: as of the constant 1, 1/6. The paper has no rule of success: here it
  is an MSE below 0.001.
  """
  return _build_sum(
    spec,
    'urnn16',
    sample_urnn16,
    summary='sum of two marked values from U[0, 1], one in each half',
    reference='Arjovsky, Shah & Bengio, ICML 2016, arXiv:1511.06464',
  )


def build_tallec18(spec: base.Spec) -> base.Task:
  """Return the version of Tallec & Ollivier, whose T is 200 and 750.

  Chance: as of the constant 1, 1/6 (the paper: 0.167). The sequences are those
  of `urnn16`. The paper has curves, no numbers, and no rule of success: here
  it is that of `urnn16`.
  """
  return _build_sum(
    spec,
    'tallec18',
    sample_urnn16,
    summary='sum of two marked values from U[0, 1], one in each half',
    reference='Tallec & Ollivier, ICLR 2018, arXiv:1804.11188',
  )


def build_janet18(spec: base.Spec) -> base.Task:
  """Return the version of van der Westhuizen & Lasenby.

  Chance: as of the constant 1, 1/6. The definition is that of the authors'
  program (JosvanderWesthuizen/janet, T = 200 by default): of an even T the
  sequences are those of `urnn16`. Of an odd T the program never marks the last
  pair; here it is marked as any other. No rule of success: that of `urnn16`.
  """
  return _build_sum(
    spec,
    'janet18',
    sample_urnn16,
    summary='sum of two marked values from U[0, 1], one in each half',
    reference='van der Westhuizen & Lasenby 2018, arXiv:1804.04849',
  )


def build_tcn18(spec: base.Spec) -> base.Task:
  """Return the version of Bai et al., whose T is 200, 400 and 600.

  Chance: as of the constant 1, 1/6. The paper has no rule of success: here it
  is that of `urnn16`.
  """
  return _build_sum(
    spec,
    'tcn18',
    sample_tcn18,
    summary='sum of two marked values from U[0, 1], anywhere',
    reference='Bai, Kolter & Koltun 2018, arXiv:1803.01271',
    published=(
      base.Published(
        600,
        0.164,
        'test loss',
        'Bai, Kolter & Koltun 2018, table 1',
        'LSTM of about 70,000 weights; GRU: 5.3e-5, simple RNN: 0.177',
      ),
    ),
  )


def build_hs97(spec: base.Spec) -> base.Task:
  """Return the version of Hochreiter & Schmidhuber at minimal length T.

  Chance: the constant 0.5 has MSE (Var X1 + Var X2) / 16, each variance 1/3
  times the probability that the mark does not fall on the first pair: 9/10 for
  X1, 1 − 9/10 · 1/(T/2 − 1) for X2. It is right where |X1 + X2| < 4 · 0.04 = a:
  with probability a − a²/4, or a where only one of them is drawn.

  The paper's rule has a second part, a mean training error below 0.01, which
  2,000 sequences within 0.04 would meet at once as a mean squared error. It is
  taken as the mean absolute error of those sequences, the stricter reading.
  """
  drawn = marked_pairs.count_drawn(spec)
  width = 4 * marked_pairs.TOLERANCE
  num_steps = spec.length + spec.length // 10
  return base.Task(
    name='adding',
    dialect='hs97',
    length=spec.length,
    num_steps=num_steps,
    inputs=marked_pairs.INPUTS,
    outputs=OUTPUTS,
    sample=base.sampler(sample_hs97, spec, num_steps),
    measure=marked_pairs.measure,
    sequence_errors=marked_pairs.sequence_errors,
    baselines={
      'loss': drawn / 48,
      'wrong': 1 - width + (drawn - 1) * width**2 / 4,
    },
    success=base.LastSequences(
      window=2000, tolerance=marked_pairs.TOLERANCE, mean=0.01
    ),
    criterion='the last 2,000 training sequences within 0.04, a mean training '
    'error below 0.01 (section 5.4)',
    summary='scaled sum of two marked values from U[-1, 1], random length',
    reference='Hochreiter & Schmidhuber, Neural Computation 9(8), 1997',
    published=tuple(
      base.Published(
        length,
        sequences,
        'sequences to success',
        'Hochreiter & Schmidhuber 1997, table 7, mean of 10 trials',
      )
      for length, sequences in ((100, 74e3), (500, 209e3), (1000, 853e3))
    ),
  )


_DIALECTS: Mapping[str, base.Dialect] = {
  'urnn16': base.Dialect(build_urnn16, 2, 'one mark in each half'),
  'hs97': base.Dialect(
    build_hs97, 11, 'the first ten pairs must not hold the last one'
  ),
  'tallec18': base.Dialect(build_tallec18, 2, 'one mark in each half'),
  'janet18': base.Dialect(build_janet18, 2, 'one mark in each half'),
  'tcn18': base.Dialect(build_tcn18, 2, 'two marks'),
}
TASKS = {'adding': _DIALECTS}
