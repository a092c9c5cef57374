"""The multiplication problem: remember two marked numbers, return the product.

Experiment 5 of 1997: the adding problem of 1997 (see `adding`) with values from
U[0, 1] and their product as the target, which no cell state adds up by itself.

Worked example, T = 12: the first and the last pair carry the sentinel −1, the
second mark falls among the first T/2 − 1 unmarked pairs.

    value    0.4  0.7  0.2  0.6 ...  0.1
    marker  -1    1    0    1   ... -1
    target                           0.7 · 0.6 = 0.42

Where the first pair is marked, the paper sets X1 to 1 and leaves the marker
open: here it stays −1, and the pair's value is 1 in the input and the target.

The dialects differ in the rule of success: `hs97` allows fewer than 13 wrong of
the last 2,000 sequences, `hs97_coarse` fewer than 140, which the paper finds
enough to have learnt what to store, but not the precise product. The paper's
text has test errors "always below" 0.026 and 0.013, its table 8 means of 0.0223
and 0.0139; neither is part of the rule. Its output is logistic, here linear.
"""

from collections.abc import Mapping
import math

import jax
import jax.numpy as jnp

from lstm_variants.tasks import base, marked_pairs

WINDOW = 2000


def sample_hs97(
  key: jax.Array, batch_size: int, length: base.Length, num_steps: int
) -> base.Batch:
  """Draw values from U[0, 1], length U{T, …, T + T/10}; target: X1 · X2.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T in steps.
    num_steps: the time axis, at least T + T/10.

  Returns:
    A `Batch`: inputs `[batch, num_steps, 2]`, targets `[batch, num_steps, 1]`;
    the mask is 1 at each sequence's own last step.

  Reference:
    Hochreiter & Schmidhuber, Neural Computation 9(8), 1997, section 5.5.
  """
  pairs = marked_pairs.draw(
    key, batch_size, length, num_steps, lowest=0.0, first=1.0
  )
  factors = jnp.where(pairs.marks > 0, pairs.values, 1.0)
  return marked_pairs.grade(pairs, jnp.prod(factors, axis=1))


def chance(drawn: float) -> dict[str, float]:
  """Return what the best constant of each metric is worth.

  That is the mean of the target for the loss, and 0.04 for the share of wrong
  sequences.

  Args:
    drawn: how many of the two factors are drawn, on average; the other is 1.

  Returns:
    The metrics: with p = `drawn` − 1, the probability that both are, the target
    is X1 · X2 with p and X with 1 − p, X from U[0, 1]. Its mean is p/4 + (1 −
    p)/2, its mean square p/9 + (1 − p)/3, and P(X1 · X2 ≤ x) is x (1 − ln x).
  """
  both, one = drawn - 1, 2 - drawn
  mean = both / 4 + one / 2
  # −ln x falls: most targets lie within the tolerance of the tolerance itself.
  width = 2 * marked_pairs.TOLERANCE
  right = both * _product_cdf(width) + one * width
  return {'loss': both / 9 + one / 3 - mean**2, 'wrong': 1 - right}


def _product_cdf(x: float) -> float:
  return x * (1 - math.log(x))


def _build(
  spec: base.Spec, dialect: str, limit: int, sequences: float
) -> base.Task:
  """Build a version that allows fewer than `limit` wrong sequences."""
  num_steps = spec.length + spec.length // 10
  result = base.Published(
    100,
    sequences,
    'sequences to success',
    'Hochreiter & Schmidhuber 1997, table 8, mean of 10 trials',
    '93 weights: two blocks of two cells, learning rate 0.1',
  )
  return base.Task(
    name='multiplication',
    dialect=dialect,
    length=spec.length,
    num_steps=num_steps,
    inputs=marked_pairs.INPUTS,
    outputs=base.channels('product'),
    sample=base.sampler(sample_hs97, spec, num_steps),
    measure=marked_pairs.measure,
    sequence_errors=marked_pairs.sequence_errors,
    baselines=chance(marked_pairs.count_drawn(spec)),
    success=base.LastSequences(
      WINDOW, marked_pairs.TOLERANCE, allowed=limit - 1
    ),
    criterion=f'fewer than {limit} of the last 2,000 training sequences with '
    'an error above 0.04 (section 5.5)',
    summary='product of two marked values from U[0, 1], random length',
    reference='Hochreiter & Schmidhuber, Neural Computation 9(8), 1997',
    published=(result,),
  )


def build_hs97(spec: base.Spec) -> base.Task:
  """Return the version of 1997 that is solved with n_seq = 13.

  Chance: that of the mean target, MSE 0.0592 at T = 100. It is 7/144 = 0.0486
  where neither mark falls on the first pair, as in long sequences nine times
  of ten.
  """
  return _build(spec, 'hs97', limit=13, sequences=1273e3)


def build_hs97_coarse(spec: base.Spec) -> base.Task:
  """Return the version of 1997 that is solved with n_seq = 140.

  Chance: that of `hs97`; the rule is the looser one.
  """
  return _build(spec, 'hs97_coarse', limit=140, sequences=482e3)


_WHY = 'the first ten pairs must not hold the last one'
_DIALECTS: Mapping[str, base.Dialect] = {
  'hs97': base.Dialect(build_hs97, 11, _WHY),
  'hs97_coarse': base.Dialect(build_hs97_coarse, 11, _WHY),
}
TASKS = {'multiplication': _DIALECTS}
