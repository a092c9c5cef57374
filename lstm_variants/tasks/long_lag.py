"""Long time lags without noise and with it: carry one symbol to the end.

The first symbol of a sequence (in `hs97_2c` the second) is x or y, equally
likely, and comes again as the last one, which is only a target. What lies
between says nothing of it. p, q and k are the paper's.

Worked example, dialect `hs97_2a`, T = p = 5: the next symbol is to be predicted
at every step; between the two stands always a_1 … a_4.

    input    x 1 2 3 4
    target   1 2 3 4 x

Dialect `hs97_2b`, T = p = 5: the p − 1 symbols between are drawn from the same
alphabet, with repetition. There is an error at every step, but only the last
can be predicted, and it alone decides on success.

    input    y 3 1 1 4
    target   3 1 1 4 y

Dialect `hs97_2c`, T = q = 5, p = 3: b comes first, then x or y, then q + k
distractors, drawn from a_1 … a_p; e asks for the answer, x or y, which has the
only error. After q distractors another one follows with probability 9/10.

    input    b x 3 1 1 2 3 2 e
    target                   x

In 2c the paper's formula draws from a_1 … a_q, its text and table from p
distractors, as here. Its text stops and goes on with 1/10 each, its sum goes on
with 9/10, as here; that sum is q + 13, not q + 14, the expected length. The lag
of 2c is q + 1 in text and table 3, q in table 10. For 2a the text asks for
small errors at all steps, as here, table 11 at the end; the text tests 10,000
sequences, table 11 none.

The paper's outputs are logistic, trained on squared errors; here they have a
softmax and cross-entropy, and the limits are for its probabilities.
"""

from collections.abc import Mapping
import math

import jax
import jax.numpy as jnp

from lstm_variants.tasks import base, measures

# Of 2c: the probability that e follows, after the first q distractors.
STOP = 0.1
# k above it are drawn again, which concerns 1 in 42,000 sequences of the paper.
MOST_EXTRA = 100


def sample_2a(
  key: jax.Array, batch_size: int, length: base.Length, num_steps: int
) -> base.Batch:
  """Draw x or y, then a_1 … a_{p−1}; what comes next is to be predicted.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: p in steps.
    num_steps: the time axis, at least p; what follows p is padding.

  Returns:
    A `Batch`: inputs `[batch, num_steps, num_steps + 1]`, targets
    `[batch, num_steps]`. Classes: a_1 …, then x, then y.

  Reference:
    Hochreiter & Schmidhuber, Neural Computation 9(8), 1997, section 5.2.
  """
  middle = jnp.arange(num_steps - 1)
  return _predict_next(key, jnp.tile(middle, (batch_size, 1)), length)


def sample_2b(
  key: jax.Array, batch_size: int, length: base.Length, num_steps: int
) -> base.Batch:
  """Draw x or y, then p − 1 of the symbols a_1 … a_{p−1} with repetition.

  Arguments and shapes are those of `sample_2a`; p sets the alphabet, too.
  """
  key, middle_key = jax.random.split(key)
  shape = (batch_size, num_steps - 1)
  middle = jax.random.randint(middle_key, shape, 0, length - 1)
  return _predict_next(key, middle, length)


def _predict_next(
  key: jax.Array, middle: jax.Array, length: base.Length
) -> base.Batch:
  """Put x or y before and behind the first p − 1 of `[batch, time − 1]`."""
  batch_size, num_steps = middle.shape[0], middle.shape[1] + 1
  choice = jax.random.randint(key, (batch_size, 1), 0, 2) + num_steps - 1
  time = jnp.arange(num_steps)
  tokens = jnp.concatenate((choice, middle), axis=1)
  following = jnp.concatenate((middle, choice), axis=1)
  return base.Batch(
    # There is no class −1: its code is the zero vector.
    inputs=jax.nn.one_hot(jnp.where(time < length, tokens, -1), num_steps + 1),
    targets=jnp.where(time == length - 1, choice, following) * (time < length),
    mask=jnp.tile(jnp.float32(time < length), (batch_size, 1)),
  )


def sample_2c(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  symbols: int,
) -> base.Batch:
  """Draw b, x or y, q + k distractors and e; x or y is the answer.

  k follows the geometric distribution with mean 9, here up to `MOST_EXTRA`.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: q, the least number of distractors.
    num_steps: the time axis, at least q + `MOST_EXTRA` + 3.
    symbols: p, the number of different distractors.

  Returns:
    A `Batch`: inputs `[batch, num_steps, symbols + 4]`, classes a_1 … a_p, e,
    b, x, y; targets `[batch, num_steps]`, 0 for x and 1 for y; the mask is 1 at
    each sequence's e.

  Reference:
    Hochreiter & Schmidhuber, Neural Computation 9(8), 1997, section 5.2.
  """
  choice_key, token_key, extra_key = jax.random.split(key, 3)
  choice = jax.random.randint(choice_key, (batch_size, 1), 0, 2)
  # k is the inverse of its distribution, 1 − 0.9^(k + 1), at random shares.
  kept = 1 - (1 - STOP) ** (MOST_EXTRA + 1)
  share = jax.random.uniform(extra_key, (batch_size, 1), maxval=kept)
  extra = jnp.int32(jnp.log1p(-share) / math.log(1 - STOP))
  last = length + jnp.clip(extra, 0, MOST_EXTRA) + 2
  time = jnp.arange(num_steps)
  drawn = jax.random.randint(token_key, (batch_size, num_steps), 0, symbols)
  tokens = jnp.select(
    [time == 0, time == 1, time == last, time > last],
    [symbols + 1, symbols + 2 + choice, symbols, -1],
    drawn,
  )
  end = time == last
  return base.Batch(
    inputs=jax.nn.one_hot(tokens, symbols + 4),
    targets=jnp.where(end, choice, 0),
    mask=jnp.float32(end),
  )


def measure(outputs: jax.Array, batch: base.Batch) -> dict[str, base.Mean]:
  """Return the cross-entropies in nats and the share of wrong last symbols.

  'loss' is the mean over all steps; 'end_loss' and 'wrong' are those of the
  last symbol of each sequence.
  """
  loss = measures.classification(outputs, batch)['loss']
  end = measures.classification(outputs, _at_end(batch))
  return {'loss': loss, 'end_loss': end['loss'], 'wrong': end['wrong']}


def end_errors(outputs: jax.Array, batch: base.Batch) -> jax.Array:
  """Return each sequence's largest output error at its last step, `[batch]`."""
  return measures.class_errors(outputs, _at_end(batch))


def _at_end(batch: base.Batch) -> base.Batch:
  following = jnp.pad(batch.mask[:, 1:], ((0, 0), (0, 1)))
  return batch._replace(mask=batch.mask * (1 - following))


def _symbols(count: int, *others: str) -> base.Features:
  return base.symbols(*(str(n + 1) for n in range(count)), *others)


def build_2a(spec: base.Spec) -> base.Task:
  """Return task 2a, the two sequences, at p = T.

  Chance: who does not remember x or y is certain of all but the last symbol,
  and guesses that: ln 2 nats per sequence, half of them wrong.

  Success is judged in training. The paper judges 10,000 sequences after it and
  does not count them.
  """
  return _build_next(
    spec,
    'hs97_2a',
    sample_2a,
    loss=math.log(2) / spec.mean_length,
    criterion='after training, 10,000 sequences with every error below 0.25 '
    '(section 5.2)',
    sequence_errors=measures.class_errors,
    sequences=5040,
    summary='the first symbol again, at the end of a sequence always the same',
  )


def build_2b(spec: base.Spec) -> base.Task:
  """Return task 2b, random symbols between the two, at p = T.

  Chance: who knows p and the step, and not x or y, has ln(p − 1) nats at each
  of p − 1 steps and ln 2 at the last. No model can have less than the former:
  'end_loss' and 'wrong' tell more.

  Success as of 2a, at the last step alone.
  """
  lengths = range(spec.shortest, spec.length + 1)
  total = sum((p - 1) * math.log(p - 1) + math.log(2) for p in lengths)
  return _build_next(
    spec,
    'hs97_2b',
    sample_2b,
    loss=total / sum(lengths),
    criterion='after training, 10,000 sequences with an error below 0.25 at '
    'the end (section 5.2)',
    sequence_errors=end_errors,
    sequences=5680,
    summary='the first symbol again, after a random sequence of others',
  )


def _build_next(
  spec: base.Spec, dialect: str, draw, loss, sequences, **fields
) -> base.Task:
  names = _symbols(spec.length - 1, 'x', 'y')
  return base.Task(
    name='long_lag',
    dialect=dialect,
    length=spec.length,
    num_steps=spec.length,
    inputs=names,
    outputs=names,
    sample=base.sampler(draw, spec, spec.length),
    measure=measure,
    baselines={'loss': loss, 'end_loss': math.log(2), 'wrong': 0.5},
    success=base.LastSequences(10_000, tolerance=0.25),
    reference='Hochreiter & Schmidhuber, Neural Computation 9(8), 1997',
    published=(
      base.Published(
        100,
        sequences,
        'sequences to success',
        'Hochreiter & Schmidhuber 1997, section 5.2, mean of 18 trials',
        '1 cell, 10,504 weights; without the 10,000 sequences of the rule',
      ),
    ),
    **fields,
  )


# q, p, thousands of sequences to success.
_TABLE_3 = (
  *((50, 50, 30), (100, 100, 31), (200, 200, 33), (500, 500, 38)),
  *((1000, 1000, 49), (1000, 500, 49), (1000, 200, 75), (1000, 100, 135)),
  (1000, 50, 203),
)


def build_2c(spec: base.Spec) -> base.Task:
  """Return task 2c at minimal lag T + 1, q = T; `symbols` is p, 0 for p = q.

  Chance: x and y are equally likely, ln 2 nats and half of them wrong.
  """
  symbols = spec.symbols or spec.length
  num_steps = spec.length + MOST_EXTRA + 3
  return base.Task(
    name='long_lag',
    dialect='hs97_2c',
    length=spec.length,
    num_steps=num_steps,
    inputs=_symbols(symbols, 'e', 'b', 'x', 'y'),
    outputs=base.symbols('x', 'y'),
    sample=base.sampler(sample_2c, spec, num_steps, symbols=symbols),
    measure=measures.classification,
    sequence_errors=measures.class_errors,
    baselines={'loss': math.log(2), 'wrong': 0.5, 'failed': 0.5},
    success=base.LastSequences(10_000, tolerance=0.2),
    criterion='10,000 sequences in a row with both errors below 0.2 (section '
    '5.2)',
    summary='the second symbol again, after T and more random ones and a cue',
    reference='Hochreiter & Schmidhuber, Neural Computation 9(8), 1997',
    published=tuple(
      base.Published(
        lag,
        1000 * thousands,
        'sequences to success',
        'Hochreiter & Schmidhuber 1997, table 3, mean of 20 trials',
        f'2 cells without biases, {6 * (distractors + 10) + 4:,} weights',
      )
      for lag, distractors, thousands in _TABLE_3
      if distractors == (spec.symbols or lag)
    ),
  )


_BETWEEN = 'one symbol between the two'
_P = base.Option(0, 1, 100_000, 'p, different distractors; 0: as many as T')
_DIALECTS: Mapping[str, base.Dialect] = {
  'hs97_2a': base.Dialect(build_2a, 2, _BETWEEN, causal=True),
  'hs97_2b': base.Dialect(build_2b, 2, _BETWEEN, causal=True),
  'hs97_2c': base.Dialect(
    build_2c, 1, 'one distractor', options={'symbols': _P}
  ),
}
TASKS = {'long_lag': _DIALECTS}
