"""Counting tasks: the languages aⁿbⁿ and aⁿbⁿcⁿ, one next step at a time.

A string begins with S and ends with T. After each symbol, T excepted, the model
is to name the set of symbols that may come next: an a can be followed by an a
or by the first b; how many symbols follow that, the a's have told.

Worked example, n = 3; under each input the set that is to be named:

    anbn     input   S a  a  a  b b b
             target  a ab ab ab b b T
    anbncn   input   S a  a  a  b b b c c c
             target  a ab ab ab b b c c c T

Inputs are one-hot (S, a, b, …), outputs are a logit per symbol (a, b, …, T): a
symbol is in the set that the model names if its logit is above 0. n is drawn
for each string from U{1, …, T}; T here is the largest n. A shorter string is
followed by padding. Strings of other n, to test on what was never counted, are
had by the shortest: n is U{shortest, …, T}.

What is chosen here: n begins at 1, so only an a may follow S; each output is a
Bernoulli probability with cross-entropy as its loss. The paper trains with n up
to 10, 20, … 50, and tests how far beyond it all strings are still right.
"""

import math

import jax
import jax.numpy as jnp
import optax

from lstm_variants.tasks import base, measures


def sample_gers01(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  shortest: base.Length,
  letters: int,
) -> base.Batch:
  """Draw n for each string from U{shortest, …, T}.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T, the largest n.
    num_steps: the time axis, at least `letters` · T + 1.
    shortest: the smallest n.
    letters: 2 for aⁿbⁿ, 3 for aⁿbⁿcⁿ.

  Returns:
    A `Batch`: inputs (S, a, b, …) and targets (a, b, …, T), both
    `[batch, num_steps, letters + 1]`; a string has `letters` · n + 1 steps, the
    rest is padding.

  Reference:
    Gers & Schmidhuber, IEEE Transactions on Neural Networks 12(6), 2001.
  """
  counts = jax.random.randint(key, (batch_size, 1), shortest, length + 1)
  time = jnp.arange(num_steps)
  # 0 at S, 1 at an a, 2 at a b, …; `letters` + 1 at T, which is never shown.
  here = (time + counts - 1) // counts
  following = (time + counts) // counts
  mask = (here <= letters).astype(jnp.float32)
  inputs = jax.nn.one_hot(here, letters + 1)
  targets = jax.nn.one_hot(following - 1, letters + 1)
  either = jnp.zeros(letters + 1).at[:2].set(1.0)
  targets = jnp.where((here == 1)[..., None], either, targets)
  return base.Batch(inputs, targets * mask[..., None], mask)


def measure(outputs: jax.Array, batch: base.Batch) -> dict[str, base.Mean]:
  """Return cross-entropy and mistakes.

  Args:
    outputs: logits `[batch, time, letters + 1]`.
    batch: targets 0 or 1, of the same shape.

  Returns:
    'loss': the mean over steps of the cross-entropies in nats, summed over the
    outputs; 'wrong': the share of steps at which not every output is on its
    side of 0; 'failed': the share of strings with a wrong step.
  """
  entropy = jnp.sum(
    optax.sigmoid_binary_cross_entropy(outputs, batch.targets), axis=-1
  )
  sides = jnp.where(batch.targets > 0, outputs > 0, outputs < 0)
  wrong = ~jnp.all(sides, axis=-1) & (batch.mask > 0)
  steps = jnp.sum(batch.mask)
  failed = jnp.any(wrong, axis=1)
  return {
    'loss': base.Mean(jnp.sum(jnp.where(batch.mask > 0, entropy, 0.0)), steps),
    'wrong': base.Mean(jnp.sum(wrong, dtype=entropy.dtype), steps),
    'failed': base.Mean(
      jnp.sum(failed, dtype=entropy.dtype),
      jnp.asarray(failed.size, entropy.dtype),
    ),
  }


def sequence_errors(outputs: jax.Array, batch: base.Batch) -> jax.Array:
  """Return each string's largest |σ(output) − target|, `[batch]`."""
  errors = jnp.max(jnp.abs(jax.nn.sigmoid(outputs) - batch.targets), axis=-1)
  return jnp.max(jnp.where(batch.mask > 0, errors, 0.0), axis=1)


def baselines(spec: base.Spec, letters: int) -> dict[str, float]:
  """Return the metrics of who sees the symbol but does not count.

  After S and a the set is known. After one of the other letters it is the same
  letter with probability 1 − q, the next with q = 1 / mean n: two outputs of
  entropy H(q) each.
  """
  mean = spec.mean_length
  last = 1 / mean
  entropy = -last * math.log(last)
  if last < 1:
    entropy -= (1 - last) * math.log1p(-last)
  steps = letters * mean + 1
  counted = letters - 1
  # Who always names the next letter is right where n = 1.
  single = 1 / (spec.length - spec.shortest + 1) if spec.shortest == 1 else 0.0
  return {
    'loss': 2 * entropy * counted * mean / steps,
    'wrong': counted * min(1.0, mean - 1) / steps,
    'failed': 1 - single,
  }


def _build(
  spec: base.Spec, name: str, inputs: str, outputs: str, summary: str
) -> base.Task:
  letters = len(inputs) - 1
  num_steps = letters * spec.length + 1
  # n is drawn for each string, not for each batch.
  largest = spec._replace(shortest=spec.length)
  return base.Task(
    name=name,
    dialect='gers01',
    length=spec.length,
    num_steps=num_steps,
    inputs=base.symbols(*inputs),
    outputs=base.channels(*outputs),
    sample=base.sampler(
      sample_gers01,
      largest,
      num_steps,
      shortest=spec.shortest,
      letters=letters,
    ),
    measure=measure,
    sequence_errors=sequence_errors,
    baselines=baselines(spec, letters),
    success=base.HeldOut('failed', measures.NONE),
    criterion='every string of the training set right; what counts is up to '
    'which n all are (as quoted by others)',
    summary=summary,
    reference='Gers & Schmidhuber, IEEE Trans. Neural Networks 12(6), 2001',
  )


def build_anbn(spec: base.Spec) -> base.Task:
  """Return aⁿbⁿ with n up to T.

  Chance: with m the mean of n, 2 H(1/m) m / (2m + 1) nats per step; the last b
  is wrong, 1 / (2m + 1) of the steps, in all strings but that of n = 1, where
  it is as good to name T.

  Success: every held-out string is right.
  """
  return _build(spec, 'anbn', 'Sab', 'abT', 'a^n b^n: as many b as a')


def build_anbncn(spec: base.Spec) -> base.Task:
  """Return aⁿbⁿcⁿ with n up to T.

  Chance: with m the mean of n, 4 H(1/m) m / (3m + 1) nats per step; the last b
  and the last c are wrong, 2 / (3m + 1) of the steps, in all strings but that
  of n = 1.

  Success: every held-out string is right.
  """
  summary = 'a^n b^n c^n: as many b as a, as many c'
  return _build(spec, 'anbncn', 'Sabc', 'abcT', summary)


_WHY = 'n begins at 1'
TASKS = {
  name: {
    'gers01': base.Dialect(build, 1, _WHY, drawn=True, usual=10, causal=True)
  }
  for name, build in (('anbn', build_anbn), ('anbncn', build_anbncn))
}
