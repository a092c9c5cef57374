"""Selective copying: keep the data out of the noise, over thousands of steps.

Sixteen data tokens lie at random places among T steps, the others are the noise
token. Then as many markers follow, and at each of them one data token is to be
given back, in order. Inputs are one-hot over a vocabulary of 16: the noise, 14
data tokens (a, b, …), the marker; outputs are logits over the same 16. Only the
answer is graded (-: no error signal).

Worked example, dialect `mamba23`, T = 8, with 3 data tokens in place of 16:

    input    . e . . b . . n ? ? ?
    target   - - - - - - - - e b n

The paper's vocabulary of 16 is said to hold the noise token; that it holds the
marker too is taken from the generator of the same authors (state-spaces/s4).
The paper's length of 4096 is taken as T, the steps of data and noise together;
read as the noise alone, or with the markers, it would be off by 16 steps.
"""

from collections.abc import Mapping
import math

import jax
import jax.numpy as jnp

from lstm_variants.tasks import base, measures, subsets

ITEMS = 16
SYMBOLS = 16
# The noise and the marker are part of the vocabulary.
NOT_DATA = 2
# Accuracy in %, Gu & Dao 2023.
PUBLISHED = {
  'S4': 18.3,
  'S6': 97.0,
  'H3 with S4': 57.0,
  'H3 with Hyena': 30.1,
  'H3 with S6': 99.7,
  'Mamba with S4': 56.4,
  'Mamba with Hyena': 28.4,
  'Mamba with S6': 99.8,
}


def sample_mamba23(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  items: int,
  symbols: int,
) -> base.Batch:
  """Hide data tokens among T steps; a marker asks for each of them.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T, the steps before the first marker.
    num_steps: the time axis, at least T + items; the rest is padding.
    items: how many data tokens to hide, at most T.
    symbols: the size of the vocabulary, noise and marker included.

  Returns:
    A `Batch`: inputs `[batch, num_steps, symbols]`, targets
    `[batch, num_steps]`; the mask is 1 at the markers.

  Reference:
    Gu & Dao 2023, arXiv:2312.00752, section 4.1.1 and appendix E.1.
  """
  data, hidden = subsets.hide(
    key, batch_size, length, num_steps, items, symbols - NOT_DATA
  )
  asked = length + jnp.arange(items)
  tokens = hidden.at[:, asked].set(symbols - 1)
  inside = jnp.arange(num_steps) < length + items
  targets = jnp.zeros_like(hidden).at[:, asked].set(data)
  return base.Batch(
    inputs=jax.nn.one_hot(tokens, symbols) * inside[:, None],
    targets=targets,
    mask=(targets > 0).astype(jnp.float32),
  )


def build_mamba23(spec: base.Spec) -> base.Task:
  """Return the version of Gu & Dao with T steps before the answer.

  Chance: a guess among the 14 data tokens, ln 14 nats. The paper reports
  accuracies and has no rule of success; one wrong token in a hundred is ours.
  """
  subsets.check_room(spec)
  data = spec.symbols - NOT_DATA
  num_steps = spec.length + spec.items
  names = ('.', *(_name(n) for n in range(data)), '?')
  return base.Task(
    name='selective_copying',
    dialect='mamba23',
    length=spec.length,
    num_steps=num_steps,
    inputs=base.symbols(*names),
    outputs=base.symbols(*names),
    sample=base.sampler(
      sample_mamba23, spec, num_steps, items=spec.items, symbols=spec.symbols
    ),
    measure=measures.classification,
    sequence_errors=measures.class_errors,
    baselines={
      'loss': math.log(data),
      'wrong': 1 - 1 / data,
      'failed': 1 - data**-spec.items,
    },
    success=base.HeldOut('wrong', 0.01),
    summary='sixteen tokens hidden in T steps of noise, asked for one by one',
    reference='Gu & Dao 2023, arXiv:2312.00752',
    published=_published(),
  )


def _name(token: int) -> str:
  """Return a, …, z, then numbers."""
  return chr(ord('a') + token) if token < 26 else str(token + 1)


def _published() -> tuple[base.Published, ...]:
  unit = '% of tokens right'
  mamba = tuple(
    base.Published(
      4096,
      accuracy,
      unit,
      'Gu & Dao 2023, table 1',
      f'{model}, 2 layers of 64, 400,000 updates of 64 sequences',
    )
    for model, accuracy in PUBLISHED.items()
  )
  minimal = tuple(
    base.Published(
      4096,
      accuracy,
      unit,
      'Feng et al. 2024, arXiv:2410.01201',
      f'{model}, 3 layers, 400,000 updates',
    )
    for model, accuracy in (('minGRU', 99.5), ('minLSTM', 96.0))
  )
  return mamba + minimal


_DIALECTS: Mapping[str, base.Dialect] = {
  'mamba23': base.Dialect(
    build_mamba23,
    1,
    'a token must fit in',
    options={
      'symbols': base.Option(
        SYMBOLS, 4, 64, 'the vocabulary, noise and marker included'
      ),
      'items': base.Option(ITEMS, 1, 256, 'data tokens to be remembered'),
    },
  )
}
TASKS = {'selective_copying': _DIALECTS}
