"""The temporal order problem: in which order did the rare symbols come?

Two or three of the symbols are X or Y, the others are distractors. At the end
of the sequence the model is to tell the class of their order; the error is that
of the last step alone.

Worked example, dialect `hs97_6a`: the sequence begins with E and ends with the
trigger B, distractors are drawn from a, b, c, d; of XX, XY, YX, YY the classes
are Q, R, S, U. With T = 20 in place of 100, counted from 1, the first X or Y is
at step 2, 3 or 4, the second at 10, 11 or 12:

    step     1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20
    input    E c X a a d b c a d  Y  b  d  c  a  a  b  d  c  B
    target                                                   R

Dialect `hs97_6b` has three of them, and eight classes Q, R, S, U, V, A, B, C,
for XXX, XXY, XYX, XYY, YXX, YXY, YYX, YYY.

The paper counts steps from 1: only so is the last X or Y of 6a (6b), at step 60
(76) at the latest, 40 (24) steps before the end, as its table 10 has it.

Dialect `pascanu13`: A and B in place of X and Y, distractors c, d, e, f, no
start, no trigger, and exactly T steps. With T = 10:

    input    d A f c c B e d d c
    target                     AB

The paper's section 4.1.1 says that the symbols come at the beginning and in the
middle. Where exactly is here as in the authors' program, which drew the paper's
results: the first among steps T/10, …, 2T/10 − 1 and the second among steps
5T/10, …, 6T/10 − 1, counted from 0. Its comment begins the first range at 1,
and elsewhere the second one is given as 4T/10 to 5T/10.
"""

from collections.abc import Mapping
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp

from lstm_variants.tasks import base, measures

HS97_INPUTS = base.symbols('E', 'B', 'a', 'b', 'c', 'd', 'X', 'Y')
PASCANU13_INPUTS = base.symbols('A', 'B', 'c', 'd', 'e', 'f')
# Of T, in percent: between which steps, counted from 1, each X or Y comes.
WINDOWS_6A = ((10, 20), (50, 60))
WINDOWS_6B = ((10, 20), (33, 43), (66, 76))
DISTRACTORS = 4


def sample_hs97(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  *,
  windows: tuple[tuple[int, int], ...],
) -> base.Batch:
  """Draw E, distractors with two or three X or Y, and B.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T in steps; lengths are drawn from U{T, …, T + T/10}.
    num_steps: the time axis, at least T + T/10.
    windows: first and last step of each X or Y, in percent of T; at T = 100
      they are the paper's. Fractions of a step are dropped.

  Returns:
    A `Batch`: inputs `[batch, num_steps, 8]`, targets `[batch, num_steps]`;
    the mask is 1 at each sequence's own last step.

  Reference:
    Hochreiter & Schmidhuber, Neural Computation 9(8), 1997, section 5.6.
  """
  length_key, noise_key, rare_key = jax.random.split(key, 3)
  lengths = jax.random.randint(
    length_key, (batch_size,), length, length + length // 10 + 1
  )
  last = (lengths - 1)[:, None]
  time = jnp.arange(num_steps)
  noise = jax.random.randint(
    noise_key, (batch_size, num_steps), 2, 2 + DISTRACTORS
  )
  bounds = [
    (low * length // 100, high * length // 100) for low, high in windows
  ]
  # The paper's first step is step 0 here.
  ranges = [(low - 1, high) for low, high in bounds]
  tokens, classes = _place(rare_key, noise, ranges, first_class=6)
  tokens = jnp.where(time == 0, 0, jnp.where(time == last, 1, tokens))
  inputs = jax.nn.one_hot(tokens, 8) * (time <= last)[..., None]
  return _grade(inputs, classes, lengths - 1)


def sample_pascanu13(
  key: jax.Array, batch_size: int, length: base.Length, num_steps: int
) -> base.Batch:
  """Draw distractors, with A or B at the beginning and in the middle.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T in steps.
    num_steps: the time axis, at least T; what follows T is padding.

  Returns:
    A `Batch`: inputs `[batch, num_steps, 6]`, targets `[batch, num_steps]`.

  Reference:
    Pascanu, Mikolov & Bengio, ICML 2013, arXiv:1211.5063, section 4.1.1, and
    the authors' program (pascanur/trainingRNNs, tempOrder.py).
  """
  noise_key, rare_key = jax.random.split(key)
  noise = jax.random.randint(
    noise_key, (batch_size, num_steps), 2, 2 + DISTRACTORS
  )
  tenth, half = length // 10, length // 2
  ranges = [(tenth, 2 * tenth), (half, half + tenth)]
  tokens, classes = _place(rare_key, noise, ranges, first_class=0)
  inside = jnp.arange(num_steps) < length
  inputs = jax.nn.one_hot(tokens, 6) * inside[:, None]
  return _grade(inputs, classes, jnp.full((batch_size,), length - 1))


def _place(
  key: jax.Array,
  noise: jax.Array,
  ranges: list[tuple[base.Length, base.Length]],
  first_class: int,
) -> tuple[jax.Array, jax.Array]:
  """Put one of two rare symbols into each half-open range of steps.

  Args:
    key: a PRNG key.
    noise: the other symbols, `[batch, time]`.
    ranges: first step, and the step after the last one, of each.
    first_class: the class of the first rare symbol; the second one's is next.

  Returns:
    The symbols `[batch, time]`, and the class of their order, `[batch]`: the
    binary number whose digits are 0 for the first symbol and 1 for the second.
  """
  time = jnp.arange(noise.shape[1])
  tokens, classes = noise, jnp.zeros(noise.shape[:1], jnp.int32)
  for n, (start, stop) in enumerate(ranges):
    step_key, symbol_key = jax.random.split(jax.random.fold_in(key, n))
    step = jax.random.randint(step_key, classes.shape, start, stop)
    symbol = jax.random.randint(symbol_key, classes.shape, 0, 2)
    here = time == step[:, None]
    tokens = jnp.where(here, first_class + symbol[:, None], tokens)
    classes = 2 * classes + symbol
  return tokens, classes


def _grade(
  inputs: jax.Array, classes: jax.Array, last: jax.Array
) -> base.Batch:
  """Give each sequence its class at its last step alone."""
  mask = jax.nn.one_hot(last, inputs.shape[1])
  targets = jnp.where(mask > 0, classes[:, None], 0)
  return base.Batch(inputs, targets, mask)


def _chance(classes: int) -> Mapping[str, float]:
  """Return what a guess among equally likely classes is worth."""
  wrong = 1 - 1 / classes
  return {'loss': math.log(classes), 'wrong': wrong, 'failed': wrong}


def _build_hs97(
  spec: base.Spec,
  dialect: str,
  windows: tuple[tuple[int, int], ...],
  outputs: base.Features,
  **texts: Any,
) -> base.Task:
  """Build an experiment of 1997; its rule of success is that of both.

  The last 2,000 sequences are right, which is to have every output within 0.3
  of its target, and the mean training error is below 0.1. The paper's outputs
  are logistic and its loss is the squared error, summed over outputs (appendix
  A.1, equation 16); here they are softmax and cross-entropy, and the error of a
  sequence is that of its worst output, for both parts of the rule.
  """
  num_steps = spec.length + spec.length // 10
  return base.Task(
    name='temporal_order',
    dialect=dialect,
    length=spec.length,
    num_steps=num_steps,
    inputs=HS97_INPUTS,
    outputs=outputs,
    sample=base.sampler(sample_hs97, spec, num_steps, windows=windows),
    measure=measures.classification,
    sequence_errors=measures.class_errors,
    baselines=_chance(len(outputs.names)),
    success=base.LastSequences(2000, 0.3, mean=0.1),
    criterion='the last 2,000 training sequences right, each output within '
    '0.3, a mean training error below 0.1 (section 5.6)',
    reference='Hochreiter & Schmidhuber, Neural Computation 9(8), 1997',
    **texts,
  )


def build_hs97_6a(spec: base.Spec) -> base.Task:
  """Return experiment 6a of 1997: two symbols, four classes.

  Chance: a guess, ln 4 nats, 3/4 wrong.
  """
  result = base.Published(
    100,
    31390,
    'sequences to success',
    'Hochreiter & Schmidhuber 1997, table 9, mean of 20 trials',
    '156 weights: two blocks of two cells, learning rate 0.5; logistic outputs',
  )
  return _build_hs97(
    spec,
    'hs97_6a',
    WINDOWS_6A,
    base.symbols(*'QRSU'),
    summary='the order of two X or Y among distractors',
    published=(result,),
  )


def build_hs97_6b(spec: base.Spec) -> base.Task:
  """Return experiment 6b of 1997: three symbols, eight classes.

  Chance: a guess, ln 8 nats, 7/8 wrong.
  """
  result = base.Published(
    100,
    571100,
    'sequences to success',
    'Hochreiter & Schmidhuber 1997, table 9, mean of 10 trials',
    '308 weights: three blocks of two cells, learning rate 0.1; logistic '
    'outputs',
  )
  return _build_hs97(
    spec,
    'hs97_6b',
    WINDOWS_6B,
    base.symbols(*'QRSUVABC'),
    summary='the order of three X or Y among distractors',
    published=(result,),
  )


def build_pascanu13(spec: base.Spec) -> base.Task:
  """Return the version of Pascanu et al. at length T.

  Chance: a guess, ln 4 nats, 3/4 wrong. Success is the paper's: fewer than 1 %
  of new sequences are wrong; the paper draws 10,000 of them.
  """
  result = base.Published(
    200,
    1.0,
    'share of runs that succeed',
    'Pascanu, Mikolov & Bengio 2013, section 4.1.1, 5 seeds',
    'simple tanh RNN of 50 units, clipped SGD with a regulariser; T of each '
    'batch from 50 to 200; 0 of 10,000 wrong',
  )
  orders = (''.join(pair) for pair in itertools.product('AB', repeat=2))
  return base.Task(
    name='temporal_order',
    dialect='pascanu13',
    length=spec.length,
    num_steps=spec.length,
    inputs=PASCANU13_INPUTS,
    outputs=base.symbols(*orders),
    sample=base.sampler(sample_pascanu13, spec, spec.length),
    measure=measures.classification,
    sequence_errors=measures.class_errors,
    baselines=_chance(4),
    success=base.HeldOut('wrong', 0.01),
    criterion='fewer than 1 % of 10,000 new sequences wrong (section 4.1.1)',
    summary='the order of two A or B among distractors, T steps',
    reference='Pascanu, Mikolov & Bengio, ICML 2013, arXiv:1211.5063',
    published=(result,),
  )


_WHY = 'no X or Y at the first step'
_DIALECTS: Mapping[str, base.Dialect] = {
  'hs97_6a': base.Dialect(build_hs97_6a, 20, _WHY),
  'hs97_6b': base.Dialect(build_hs97_6b, 20, _WHY),
  'pascanu13': base.Dialect(build_pascanu13, 10, 'ten parts of a sequence'),
}
TASKS = {'temporal_order': _DIALECTS}
