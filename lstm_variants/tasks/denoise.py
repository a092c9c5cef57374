"""The denoising task: keep ten symbols out of a stream of noise.

The ten symbols lie at random places among T steps, the other T − 10 are the
noise symbol 0. A marker follows, then ten steps in which the symbols are to be
given back in order. Inputs are one-hot over noise, symbols and marker; outputs
are logits over noise and symbols.

Worked example, dialect `goru17`, T = 7, with 3 symbols in place of 10; M is the
marker. Every step is graded:

    input    0 5 0 0 2 7 0 M 0 0 0
    target   0 0 0 0 0 0 0 0 5 2 7

Worked example, dialect `nru19`: the same, but only the answer is graded (-: no
error signal), and the symbols are 1 to 8 in place of 1 to 9.

    input    0 5 0 0 2 7 0 M 0 0 0
    target   - - - - - - - - 5 2 7

Jing et al. leave the number of symbols open: 9 is that of their code. The code
departs from their text: it draws the places with replacement, so that symbols
that fall together are lost to the input but still asked for; it spreads them
over T + 9 steps, so that a sequence has T + 20; and its one-hot code is one
class too short, so that the marker is the zero vector. Here the text is
followed: T steps, distinct places, a marker with a class of its own. Chandar et
al. agree with it in the first two.
"""

from collections.abc import Callable, Mapping
import math

import jax
import jax.numpy as jnp

from lstm_variants.tasks import base, copy, measures, subsets

ITEMS = 10
OPTION_ITEMS = base.Option(ITEMS, 1, 100, 'symbols to be remembered')
MEANING = 'symbols, noise and marker not counted'


def sample_goru17(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  items: int,
  symbols: int,
) -> base.Batch:
  """Hide symbols among T steps and grade every step of the sequence.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T, the steps before the marker.
    num_steps: the time axis, at least T + 1 + items; the rest is padding.
    items: how many symbols to hide, at most T.
    symbols: how many there are to choose from.

  Returns:
    A `Batch`: inputs `[batch, num_steps, symbols + 2]`, targets
    `[batch, num_steps]`.

  Reference:
    Jing, Gulcehre, Peurifoy, Shen, Tegmark, Soljačić & Bengio, Neural
    Computation 31(4), 2019, arXiv:1706.02761, denoise task.
  """
  answer, hidden = subsets.hide(
    key, batch_size, length, num_steps, items, symbols
  )
  asked = length + 1 + jnp.arange(items)
  tokens = hidden.at[:, length].set(symbols + 1)
  inside = jnp.arange(num_steps) < length + 1 + items
  return base.Batch(
    inputs=jax.nn.one_hot(tokens, symbols + 2) * inside[:, None],
    targets=jnp.zeros_like(hidden).at[:, asked].set(answer),
    mask=jnp.broadcast_to(inside.astype(jnp.float32), hidden.shape),
  )


def sample_nru19(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  items: int,
  symbols: int,
) -> base.Batch:
  """Hide symbols among T steps and grade the answer alone.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T, the steps before the marker.
    num_steps: the time axis, at least T + 1 + items; the rest is padding.
    items: how many symbols to hide, at most T.
    symbols: how many there are to choose from.

  Returns:
    A `Batch` as of `sample_goru17`; the mask is 1 in the answer's steps.

  Reference:
    Chandar, Sankar, Vorontsov, Kahou & Bengio, AAAI 2019, arXiv:1902.06704,
    denoising task.
  """
  batch = sample_goru17(key, batch_size, length, num_steps, items, symbols)
  return batch._replace(mask=(batch.targets > 0).astype(jnp.float32))


def _build(
  spec: base.Spec,
  dialect: str,
  draw: Callable[..., base.Batch],
  measure: Callable,
  baselines: Mapping[str, float],
  **texts,
) -> base.Task:
  subsets.check_room(spec)
  names = ('.', *(str(n) for n in range(1, spec.symbols + 1)))
  num_steps = spec.length + 1 + spec.items
  return base.Task(
    name='denoise',
    dialect=dialect,
    length=spec.length,
    num_steps=num_steps,
    inputs=base.symbols(*names, '?'),
    outputs=base.symbols(*names),
    sample=base.sampler(
      draw, spec, num_steps, items=spec.items, symbols=spec.symbols
    ),
    measure=measure,
    sequence_errors=measures.class_errors,
    baselines=baselines,
    success=base.HeldOut('wrong', 0.01),
    **texts,
  )


def build_goru17(spec: base.Spec) -> base.Task:
  """Return the version of Jing et al. with T steps before the marker.

  Chance: who knows where the answer is, not what, loses ln 9 in each of its ten
  steps: 10 ln 9 / (T + 11) nats per step. The paper has no rule of success; one
  wrong symbol in a hundred is ours.
  """
  entropy = math.log(spec.symbols)
  steps = spec.mean_length + 1 + spec.items
  return _build(
    spec,
    'goru17',
    sample_goru17,
    copy.measure,
    {
      'loss': spec.items * entropy / steps,
      'recall_loss': entropy,
      'wrong': 1 - 1 / spec.symbols,
    },
    summary='ten symbols hidden in T steps of noise, given back after them',
    reference='Jing et al., Neural Computation 31(4), 2019, arXiv:1706.02761',
  )


def build_nru19(spec: base.Spec) -> base.Task:
  """Return the version of Chandar et al. with T steps before the marker.

  Chance: a guess among 8 symbols, ln 8 nats. The paper has no rule of success;
  one wrong symbol in a hundred is ours.
  """
  return _build(
    spec,
    'nru19',
    sample_nru19,
    measures.classification,
    {
      'loss': math.log(spec.symbols),
      'wrong': 1 - 1 / spec.symbols,
      'failed': 1 - spec.symbols**-spec.items,
    },
    summary='ten symbols hidden in T steps of noise, the answer alone graded',
    reference='Chandar et al., AAAI 2019, arXiv:1902.06704',
  )


def _dialect(build: Callable, symbols: int) -> base.Dialect:
  return base.Dialect(
    build,
    1,
    'a symbol must fit in',
    options={
      'symbols': base.Option(symbols, 2, 64, MEANING),
      'items': OPTION_ITEMS,
    },
  )


_DIALECTS: Mapping[str, base.Dialect] = {
  'goru17': _dialect(build_goru17, 9),
  'nru19': _dialect(build_nru19, 8),
}
TASKS = {'denoise': _DIALECTS}
