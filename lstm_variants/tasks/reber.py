"""Embedded Reber grammar: predict what may come next in a string of symbols.

Every string is B, T or P, a Reber string from B to E, the same T or P again,
and E. Where the grammar leaves a choice, each of the two has probability 1/2.
The model predicts the next symbol at every step: right if all the symbols that
may follow are more active than all the others. The second T or P follows from
the first, which lies 6 or more steps back; all else follows from what has been
read of the inner string.

Worked example, task `embedded_reber`, dialect `hs97`, the shortest string: 9
symbols. The last E is an input without a target.

    input    B  T  B  T  X  S  E  T  E
    may be   TP B  TP SX XS E  T  E  -

Task `continual_reber`, dialect `gers00`: string after string, with no mark
between and no reset; after E comes the next B. The stream is cut at T symbols.

    input    B  T  B  T  X  S  E  T  E  B  P  B  ...
    may be   TP B  TP SX XS E  T  E  B  TP B  TP ...

The symbol that does follow, on which the loss is taken, is the next input.

The paper gives 9 as the minimal lag; in the shortest string, above, the two
that must agree are 6 steps apart.
"""

from collections.abc import Mapping
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lstm_variants.tasks import base, measures, reber_grammar

NAMES = reber_grammar.NAMES
B, E = NAMES.index('B'), NAMES.index('E')


def sample_hs97(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  held_out: bool,
) -> base.Batch:
  """Draw strings of up to T symbols from the 256 of the training set.

  Args:
    key: a PRNG key.
    batch_size: number of strings.
    length: T; longer strings are left out.
    num_steps: the time axis, at least that of the longest string that is kept.
    held_out: draw from the 256 test strings as well.

  Returns:
    A `Batch`: inputs and targets `[batch, num_steps, 7]`; targets are 1 for
    every symbol that may come next. The mask is 1 but for the last symbol.

  Reference:
    Hochreiter & Schmidhuber, Neural Computation 9(8), 1997, section 5.1; the
    grammar: Cleeremans, Servan-Schreiber & McClelland, Neural Computation
    1(3), 1989.
  """
  strings = reber_grammar.lay_out(held_out)
  kept = jnp.searchsorted(strings.lengths, length, side='right')
  chosen = jax.random.randint(key, (batch_size,), 0, kept)
  return pick_strings(chosen, num_steps, held_out)


def pick_strings(
  numbers: jax.Array, num_steps: int, held_out: bool
) -> base.Batch:
  """Return strings by their numbers, in the order of their lengths.

  Args:
    numbers: `[batch]`.
    num_steps: the time axis, at least that of the longest string picked.
    held_out: number the 256 test strings as well.
  """
  strings = reber_grammar.lay_out(held_out)
  inputs = jnp.asarray(strings.inputs[:, :num_steps])[numbers]
  targets = jnp.asarray(strings.targets[:, :num_steps])[numbers]
  return base.Batch(inputs, targets, jnp.max(targets, axis=-1))


def sample_gers00(
  key: jax.Array, batch_size: int, length: base.Length, num_steps: int
) -> base.Batch:
  """Draw streams of strings, cut after T symbols.

  Args:
    key: a PRNG key.
    batch_size: number of streams.
    length: T in steps.
    num_steps: the time axis, at least T; what follows T is padding.

  Returns:
    A `Batch` as that of `sample_hs97`; the mask is 1 but for the last of the T
    symbols.

  Reference:
    Gers, Schmidhuber & Cummins, Neural Computation 12(10), 2000, section 4.
  """
  choices = jax.random.bits(key, (num_steps, batch_size), 'uint8') & 1
  edges = jnp.asarray(reber_grammar.FOLLOWING)

  def follow(node, choice):
    return edges[node, choice], node

  start = jnp.zeros((batch_size,), jnp.int32)
  _, nodes = jax.lax.scan(follow, start, choices)
  symbols = jnp.asarray(reber_grammar.SYMBOL)[nodes, choices].T
  time = jnp.arange(num_steps)
  symbols = jnp.where(time < length, symbols, -1)
  mask = jnp.tile(jnp.float32(time < length - 1), (batch_size, 1))
  targets = jnp.asarray(reber_grammar.POSSIBLE)[jnp.roll(nodes.T, -1, axis=1)]
  return base.Batch(
    inputs=jax.nn.one_hot(symbols, len(NAMES)),
    targets=targets * mask[..., None],
    mask=mask,
  )


def _wrong(outputs: jax.Array, batch: base.Batch) -> jax.Array:
  """Return where a symbol that may come is no more active than another."""
  possible = batch.targets > 0
  least = jnp.min(jnp.where(possible, outputs, jnp.inf), -1, keepdims=True)
  most = jnp.max(jnp.where(possible, -jnp.inf, outputs), -1, keepdims=True)
  # Each is compared on its own: what is not a number is wrong.
  right = jnp.where(possible, outputs > most, outputs < least)
  return ~jnp.all(right, axis=-1) & (batch.mask > 0)


def measure(outputs: jax.Array, batch: base.Batch) -> dict[str, base.Mean]:
  """Return cross-entropy and mistakes.

  'loss' is the mean cross-entropy in nats to the symbol that follows; 'wrong'
  the share of steps where a symbol that may come is not among the most active;
  'failed' the share of sequences with such a step; 'lag_wrong' the share of
  such steps among those before a second T or P.
  """
  following = jnp.roll(batch.inputs, -1, axis=1)
  entropy = optax.softmax_cross_entropy(outputs, following)
  wrong = _wrong(outputs, batch)
  lag = batch.mask * batch.inputs[..., E] * (1 - batch.targets[..., B])
  failed = jnp.any(wrong, axis=1).astype(entropy.dtype)
  steps = jnp.sum(batch.mask)
  return {
    'loss': base.Mean(jnp.sum(jnp.where(batch.mask > 0, entropy, 0.0)), steps),
    'wrong': base.Mean(jnp.sum(wrong, dtype=entropy.dtype), steps),
    'failed': base.Mean(
      jnp.sum(failed), jnp.asarray(failed.size, failed.dtype)
    ),
    'lag_wrong': base.Mean(jnp.sum(wrong * lag), jnp.sum(lag)),
  }


def sequence_errors(outputs: jax.Array, batch: base.Batch) -> jax.Array:
  """Return the share of wrong steps in each sequence, `[batch]`."""
  wrong = jnp.sum(_wrong(outputs, batch), axis=1)
  return wrong / jnp.sum(batch.mask, axis=1)


def _build(expected: reber_grammar.Expected, **fields) -> base.Task:
  unsure = math.log(2) * (expected.choices + expected.recalls)
  baselines = {
    'loss': unsure / expected.steps,
    'wrong': expected.recalls / 2 / expected.steps,
    'failed': 1 - expected.unfailed,
    'lag_wrong': 0.5,
  }
  return base.Task(
    inputs=base.symbols(*NAMES),
    outputs=base.symbols(*NAMES),
    measure=measure,
    sequence_errors=sequence_errors,
    baselines=baselines,
    success=base.HeldOut('failed', measures.NONE),
    **fields,
  )


# Blocks and cells, learning rate, trials in % that succeed, sequences.
_TABLE_1 = (
  ('3 blocks of 2 cells', 0.5, 100, 8440),
  ('4 blocks of 1 cell', 0.5, 97, 9500),
  ('3 blocks of 2 cells', 0.2, 97, 14060),
  ('3 blocks of 2 cells', 0.1, 100, 21730),
  ('4 blocks of 1 cell', 0.1, 100, 39740),
)


def build_hs97(spec: base.Spec) -> base.Task:
  """Return the embedded Reber grammar, strings of up to T symbols.

  Chance: who knows the grammar and the place in it, but not the first T or P,
  has ln 2 nats at each choice and at the second T or P, and guesses the latter:
  half are wrong. Counted in the strings that are drawn from.

  The 256 training strings are drawn once and for all as the grammar has them,
  repeats included; the 256 test strings likewise, none of them a training
  string. (The paper: the mean over three such pairs.) The longest of both has
  28 symbols, the time axis; a lower T leaves out what is longer.

  Success: no mistake in training strings and test strings: a held-out set has
  all 512 of them (which are 259 different ones). One that is drawn, of n
  strings, misses a given one with probability (1 - 1/512)^n.
  """
  num_steps = reber_grammar.longest(spec.length)
  held_out = spec.held_out
  lengths = reber_grammar.lay_out(held_out).lengths
  return _build(
    reber_grammar.expect_strings(spec),
    name='embedded_reber',
    dialect='hs97',
    length=spec.length,
    num_steps=num_steps,
    criterion='no mistake in 256 training strings and 256 test strings '
    '(section 5.1)',
    sample=base.sampler(sample_hs97, spec, num_steps, held_out=held_out),
    cases=base.Cases(
      number=int(np.sum(lengths <= spec.length)),
      pick=functools.partial(
        pick_strings, num_steps=num_steps, held_out=held_out
      ),
    ),
    summary='next symbol in strings of a grammar, one of them 6 or more back',
    reference='Hochreiter & Schmidhuber, Neural Computation 9(8), 1997',
    published=tuple(
      base.Published(
        100,
        sequences,
        'sequences to success',
        'Hochreiter & Schmidhuber 1997, table 1, mean of 30 trials',
        f'{cells}, learning rate {rate}, {share} % of the trials succeed',
      )
      for cells, rate, share, sequences in _TABLE_1
    ),
  )


def build_gers00(spec: base.Spec) -> base.Task:
  """Return streams of embedded Reber strings, T symbols long.

  Chance: that of `build_hs97`, from the probabilities of the grammar's nodes at
  each step; a stream fails if one of the guesses in it is wrong.

  Success: no mistake in the held-out streams, T symbols long or as long as the
  evaluation's. In the paper a stream goes on up to the first mistake, a network
  is perfect if it makes none in 10^6 symbols, and an output is right if its
  error is below 0.49; here the streams are as long as T says, and right is as
  in 1997.
  """
  rows = (
    (18, 'with forget gates'),
    (62, 'with forget gates, decaying learning rate'),
    (74, 'without forget gates, reset at every string'),
  )
  return _build(
    reber_grammar.expect_stream(spec),
    name='continual_reber',
    dialect='gers00',
    length=spec.length,
    num_steps=spec.length,
    criterion='no output off by 0.49 or more in 10 test streams of 1,000,000 '
    'symbols (section 4)',
    sample=base.sampler(sample_gers00, spec, spec.length),
    summary='next symbol in a stream of strings of a grammar, never reset',
    reference='Gers, Schmidhuber & Cummins, Neural Computation 12(10), 2000',
    published=tuple(
      base.Published(
        10**6,
        share,
        '% of networks without a mistake',
        'Gers, Schmidhuber & Cummins 2000, table 2, 100 networks',
        f'{cells}; 4 blocks of 2 cells, at most 30,000 training streams',
      )
      for share, cells in rows
    ),
  )


_WHY = 'the shortest string has 9 symbols'
_HS97: Mapping[str, base.Dialect] = {
  'hs97': base.Dialect(build_hs97, 9, _WHY, causal=True)
}
_GERS00: Mapping[str, base.Dialect] = {
  'gers00': base.Dialect(build_gers00, 9, _WHY, causal=True)
}
TASKS = {'embedded_reber': _HS97, 'continual_reber': _GERS00}
