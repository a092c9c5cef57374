"""Warped and padded sequences: what was the character before this one?

A random sequence of characters, no two neighbours alike, is stretched in time;
the answer is the sequence's previous character. Inputs are one-hot over an
alphabet of 10, the dummy '.' and 9 characters; outputs are logits over the same
10. Before the first character comes the dummy. `period` is the paper's maximum
warping; the stretched sequence is cut off after T steps.

Worked example, dialect `uniform_warp`, period 3, T = 10: every character lasts
3 steps, and so does its answer.

    input    d d d a a a f f f b
    target   . . . d d d a a a f

Dialect `variable_warp`: each character's time is drawn from U{1, …, period}.

    input    d d a f f f b g g d
    target   . . d a a a f b b g

Dialect `uniform_pad`: each character is followed by `period` dummies. Only the
characters' own steps are graded (-: no error signal).

    input    d . . . a . . . f .
    target   . - - - d - - - a -

Dialect `variable_pad`: by a number of dummies drawn from U{1, …, period}.

    input    d . . a . . . f . b
    target   . - - d - - - a - f

Open in the paper: whether a padding of length n has n dummies or n − 1 (here n,
as it is worded), and whether the steps between the characters are graded. The
output is asked for each time the input is not 0, and the losses of figure 1
come close to ln 9, as they could not if known dummies were graded: here they
are not.
"""

from collections.abc import Callable, Mapping
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants.tasks import base, measures

PERIOD = 10
SYMBOLS = 10
NAMES = ('.', *'abcdefghijklmnopqrstuvwxyz')
# Chances that differ by less are the same.
_SETTLED = 1e-15
REFERENCE = 'Tallec & Ollivier, ICLR 2018, arXiv:1804.11188'


def sample_uniform(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  period: int,
  symbols: int,
  padded: bool,
) -> base.Batch:
  """Draw characters that all take the same time.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T in steps.
    num_steps: the time axis, at least T; what follows T is padding.
    period: the steps of a character; padded, the dummies that follow it.
    symbols: the size of the alphabet, the dummy included.
    padded: dummies follow a character; otherwise it is repeated.

  Returns:
    A `Batch`: inputs `[batch, num_steps, symbols]`, targets
    `[batch, num_steps]`.

  Reference:
    Tallec & Ollivier, ICLR 2018, arXiv:1804.11188, section 4, pure warpings and
    paddings.
  """
  spent = period + padded
  starts = jnp.arange(num_steps) % spent == 0
  starts = jnp.broadcast_to(starts, (batch_size, num_steps))
  return _batch(key, starts, length, symbols, padded)


def sample_variable(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  period: int,
  symbols: int,
  padded: bool,
) -> base.Batch:
  """Draw characters that each take a time of their own.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T in steps.
    num_steps: the time axis, at least T; what follows T is padding.
    period: a character takes U{1, …, period} steps; padded, so many dummies
      follow it.
    symbols: the size of the alphabet, the dummy included.
    padded: dummies follow a character; otherwise it is repeated.

  Returns:
    A `Batch` as of `sample_uniform`.

  Reference:
    As of `sample_uniform`.
  """
  key, time_key = jax.random.split(key)
  # No more than every step, padded every second step, can start a character.
  most = -(-num_steps // (1 + padded))
  spent = padded + jax.random.randint(
    time_key, (batch_size, most), 1, period + 1
  )
  rows = jnp.arange(batch_size)[:, None]
  starts = jnp.zeros((batch_size, num_steps), bool).at[:, 0].set(True)
  starts = starts.at[rows, jnp.cumsum(spent, axis=1)].set(True, mode='drop')
  return _batch(key, starts, length, symbols, padded)


def _batch(
  key: jax.Array,
  starts: jax.Array,
  length: base.Length,
  symbols: int,
  padded: bool,
) -> base.Batch:
  """Build a batch from the steps that start a character, `[batch, time]`."""
  first_key, next_key = jax.random.split(key)
  batch_size, num_steps = starts.shape
  characters = symbols - 1
  first = jax.random.randint(first_key, (batch_size, 1), 0, characters)
  # From a character to the next: any shift round the alphabet but none at all.
  shifts = jax.random.randint(next_key, starts.shape, 1, characters)
  shifts = jnp.where(starts, shifts, 0).at[:, 0].set(0)
  # A character keeps the shift that led to it until the next one starts.
  time = jnp.arange(num_steps)
  began = jax.lax.cummax(jnp.where(starts, time, 0), axis=1)
  shift = jnp.take_along_axis(shifts, began, axis=1)
  current = first + jnp.cumsum(shifts, axis=1)
  previous = jnp.where(began > 0, 1 + (current - shift) % characters, 0)
  inside = time < length
  graded = starts & inside if padded else jnp.broadcast_to(inside, starts.shape)
  tokens = 1 + current % characters
  tokens = jnp.where(starts, tokens, 0) if padded else tokens
  return base.Batch(
    inputs=jax.nn.one_hot(tokens, symbols) * inside[:, None],
    targets=jnp.where(graded, previous, 0),
    mask=graded.astype(jnp.float32),
  )


def _shares_uniform(spec: base.Spec, padded: bool) -> float:
  """Return the first character's share of the graded steps."""
  lengths = np.arange(spec.shortest, spec.length + 1)
  if padded:
    return float(len(lengths) / np.sum(-(-lengths // (spec.period + 1))))
  return spec.period / spec.mean_length


def _shares_variable(spec: base.Spec, padded: bool) -> float:
  """Return the first character's expected share of the graded steps.

  The chance that a character starts at a step is 1 at step 0, and then the mean
  of that over the steps that its predecessor may have started at.
  """
  if not padded:
    return (spec.period + 1) / 2 / spec.mean_length
  if spec.period == 1:
    return _shares_uniform(spec, padded)
  begins = np.zeros(spec.length)
  begins[0] = 1.0
  for step in range(2, spec.length):
    earlier = begins[max(0, step - spec.period - 1) : step - 1]
    begins[step] = np.sum(earlier) / spec.period
    # Where all steps are alike, so are all that follow; looked at now and then.
    before = begins[max(0, step - spec.period) : step + 1]
    if step % spec.period == 0 and np.ptp(before) < _SETTLED:
      begins[step:] = begins[step]
      break
  counts = np.cumsum(begins)[spec.shortest - 1 :]
  return float(len(counts) / np.sum(counts))


def _baselines(
  spec: base.Spec, draw: Callable[..., base.Batch], padded: bool
) -> Mapping[str, float]:
  """Return the values for who sees the current character alone."""
  shares = _shares_uniform if draw is sample_uniform else _shares_variable
  q = shares(spec, padded)
  other = (1 - q) / (spec.symbols - 2)
  loss = -q * math.log(q) - (1 - q) * math.log(other)
  return {'loss': loss, 'wrong': 1 - max(q, other)}


def build(
  spec: base.Spec,
  dialect: str,
  draw: Callable[..., base.Batch],
  padded: bool,
) -> base.Task:
  """Return one of the four versions of Tallec & Ollivier.

  Chance: who sees the current character alone knows that the previous one is
  another. With q, the share of the first character, whose answer is the dummy:
  −q ln q − (1 − q) ln((1 − q)/8) nats, close to ln 8 for many characters; the
  best guess is wrong in 1 − max(q, (1 − q)/8) of the steps. The paper has no
  rule of success; one wrong step in a hundred is ours.
  """
  spent = spec.period + padded
  if spent >= spec.shortest:
    raise base.SpecError(
      'period',
      spec.period,
      f'the second character must start within {spec.shortest} steps; '
      f'nearest: {spec.shortest - 1 - padded}',
    )
  features = base.symbols(*NAMES[: spec.symbols])
  way = 'dummies follow each' if padded else 'each repeated'
  time = 'period' if draw is sample_uniform else 'up to period'
  return base.Task(
    name='warping',
    dialect=dialect,
    length=spec.length,
    num_steps=spec.length,
    inputs=features,
    outputs=features,
    sample=base.sampler(
      draw,
      spec,
      spec.length,
      period=spec.period,
      symbols=spec.symbols,
      padded=padded,
    ),
    measure=measures.classification,
    sequence_errors=measures.class_errors,
    baselines=_baselines(spec, draw, padded),
    success=base.HeldOut('wrong', 0.01),
    summary=f'the character before this one, {way} for {time} steps',
    reference=REFERENCE,
    published=(
      base.Published(
        500,
        0.0,
        'nats after 3 passes through 50,000 sequences',
        'Tallec & Ollivier 2018, figure 1',
        '64 units with tied input and forget gates, period 10 to 100, 5 trials',
      ),
    ),
  )


def _dialect(
  name: str, draw: Callable[..., base.Batch], padded: bool
) -> base.Dialect:
  return base.Dialect(
    functools.partial(build, dialect=name, draw=draw, padded=padded),
    2 + padded,
    'the second character must start',
    options={
      'period': base.Option(
        PERIOD, 1, 1000, 'longest time between characters, in steps'
      ),
      'symbols': base.Option(
        SYMBOLS, 4, len(NAMES), 'alphabet, the dummy included'
      ),
    },
  )


_DIALECTS: Mapping[str, base.Dialect] = {
  'uniform_warp': _dialect('uniform_warp', sample_uniform, padded=False),
  'variable_warp': _dialect('variable_warp', sample_variable, padded=False),
  'uniform_pad': _dialect('uniform_pad', sample_uniform, padded=True),
  'variable_pad': _dialect('variable_pad', sample_variable, padded=True),
}
TASKS = {'warping': _DIALECTS}
