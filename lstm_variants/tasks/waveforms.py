"""Periodic function generation: a wave out of nothing.

There is no input (one feature that is always 0); the model is to put out, step
by step, a function f of period F, from f(0) at its first step on. Every
sequence is the same, and the key is not used.

Worked example, F = 10, one period; τ = t mod F:

    cosine     0  .10  .35  .65  .90  1  .90  .65  .35  .10
    triangle   0  .2   .4   .6   .8   1  .8   .6   .4   .2
    rectangle  0  0    0    0    0    0  1    1    1    1

    cosine     (1 − cos 2πτ/F) / 2
    triangle   2τ/F up to τ = F/2, then 2 − 2τ/F
    rectangle  1 if τ > F/2, else 0

What is chosen here. The account of the paper that could be read gives the two
halves of the triangle the other way round, which leaves [0, 1]; here it rises
first, as the cosine does. The step at which t = 0 is the first. A stream of the
paper ends at the first error or when long enough; here it has T steps.

The paper's F are 10 and 25. Without peepholes it solves the cosine of F = 10
alone, and that slowly.
"""

from collections.abc import Callable, Mapping
import functools

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants.tasks import base, measures

# A stream is right when all its absolute errors are below this.
TOLERANCE = 0.3
INPUTS = base.channels('nothing')
OUTPUTS = base.channels('wave')
measure = functools.partial(measures.regression, tolerance=TOLERANCE)


def cosine(phase: np.ndarray, period: int) -> np.ndarray:
  """Return (1 − cos 2πτ/F) / 2."""
  return (1 - np.cos(2 * np.pi * phase / period)) / 2


def triangle(phase: np.ndarray, period: int) -> np.ndarray:
  """Return a rise from 0 to 1 at τ = F/2, and as long a fall."""
  return 1 - np.abs(1 - 2 * phase / period)


def rectangle(phase: np.ndarray, period: int) -> np.ndarray:
  """Return 1 where τ > F/2, else 0."""
  return (2 * phase > period).astype(float)


# phase τ in steps [time], period in steps -> f [time].
SHAPES: Mapping[str, Callable[[np.ndarray, int], np.ndarray]] = {
  'cosine': cosine,
  'triangle': triangle,
  'rectangle': rectangle,
}


def sample_pfg(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  shape: str,
  period: int,
) -> base.Batch:
  """Return the first T steps of a wave, the same for every sequence and key.

  Args:
    key: a PRNG key, not used.
    batch_size: number of sequences.
    length: T in steps.
    num_steps: the time axis, at least T; what follows T is padding.
    shape: a key of `SHAPES`.
    period: F in steps.

  Returns:
    A `Batch`: inputs (zeros) and targets `[batch, num_steps, 1]`; the mask is 1
    at each of the T steps.

  Reference:
    Gers, Schraudolph & Schmidhuber, JMLR 3, 2002, experiment PFG.
  """
  del key
  mask = (jnp.arange(num_steps) < length).astype(jnp.float32)
  wave = SHAPES[shape](np.arange(num_steps) % period, period)
  targets = mask * jnp.asarray(wave, jnp.float32)
  axes = (batch_size, num_steps)
  return base.Batch(
    jnp.zeros((*axes, 1)),
    jnp.broadcast_to(targets, axes)[..., None],
    jnp.broadcast_to(mask, axes),
  )


def baselines(spec: base.Spec, shape: str) -> dict[str, float]:
  """Return the metrics of the best constants, each for its own metric."""
  wave = SHAPES[shape](np.arange(spec.period), spec.period)
  # How often a step is there, over the T that are drawn; then a phase.
  time = np.arange(spec.length)
  drawn = spec.length - spec.shortest + 1
  weights = np.minimum(1.0, (spec.length - time) / drawn)
  weights = np.bincount(time % spec.period, weights / weights.sum())
  mean = weights @ wave
  order = np.argsort(wave)
  below = np.concatenate(([0.0], np.cumsum(weights[order])))
  # A constant is right for values less than twice the tolerance apart.
  reach = wave[order] + 2 * TOLERANCE - 1e-9
  right = below[np.searchsorted(wave[order], reach)] - below[:-1]
  return {
    'loss': float(weights @ (wave - mean) ** 2),
    'wrong': 1 - float(right.max()),
    'failed': float(np.ptp(wave) >= 2 * TOLERANCE),
  }


def build_pfg(spec: base.Spec, shape: str) -> base.Task:
  """Return PFG with streams of T steps, at least a period.

  Chance: a constant. The loss is the variance of the wave, over whole periods
  1/8 for the cosine, 1/12 + 2/(3F²) for the triangle of an even F; a constant
  is right where the wave is within 0.3 of it, never for a whole period.

  Success: 100 streams right in a row. All are the same one, of T / F periods,
  so it must come right in 100 / batch size updates in a row; the paper asks for
  100 right periods of one stream. Judge longer ones by the evaluation length.
  """
  if spec.period > spec.length:
    raise base.SpecError(
      'period',
      spec.period,
      f'above length={spec.length}; nearest: {spec.shortest}',
    )
  if spec.period > spec.shortest:
    raise base.SpecError(
      'shortest',
      spec.shortest,
      f'below period={spec.period}; nearest: {spec.period}',
    )
  return base.Task(
    name='periodic_function',
    dialect=shape,
    length=spec.length,
    num_steps=spec.length,
    inputs=INPUTS,
    outputs=OUTPUTS,
    sample=base.sampler(
      sample_pfg, spec, spec.length, shape=shape, period=spec.period
    ),
    measure=measure,
    sequence_errors=measures.absolute_errors,
    baselines=baselines(spec, shape),
    success=base.LastSequences(window=100, tolerance=TOLERANCE),
    criterion='100 right periods in a row of one stream, each step within 0.3, '
    'then 1,000 in a test (as quoted by others)',
    summary=f'PFG: put out a {shape} of period F, with no input',
    reference='Gers, Schraudolph & Schmidhuber, JMLR 3, 2002',
  )


_OPTIONS = {'period': base.Option(10, 3, 10_000, 'F, the steps of one period')}
_DIALECTS: Mapping[str, base.Dialect] = {
  shape: base.Dialect(
    functools.partial(build_pfg, shape=shape),
    10,
    'one period',
    options=_OPTIONS,
  )
  for shape in SHAPES
}
TASKS = {'periodic_function': _DIALECTS}
