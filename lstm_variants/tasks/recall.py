"""Multi-query associative recall: what value came with this key?

The sequence opens with pairs of a key and its value; later each key comes once
more, and its value is to be given at that step. Of a vocabulary of V tokens 0
is the blank, 1 to V/2 − 1 are keys (k1, k2, …) and V/2 to V − 1 values
(v0, v1, …). Inputs are one-hot over the V tokens, outputs are logits over the
same V. Only the queries are graded (-: no error signal).

Worked example, dialect `zoology23`, T = 14, V = 12, with 2 pairs:

    input    k2 v2 k4 v1  .  .  .  . k4  .  .  . k2  .
    target    -  -  -  -  -  -  -  - v1  -  -  - v2  -

Keys are distinct, and so are values. Queries take every second of the steps
left, the slots g = 1, 2, …, (T − 2·pairs) // 2: the pairs draw theirs in turn,
slot g with a chance in proportion to g^(a − 1), a = 0.01, among those still
free. So the gaps are mostly short, and shortest for the first pair.

That is the definition of the authors' code, as configured for their figure 2:
there the steps between the queries are blank, while the code's later default
fills them with random tokens. An odd T, which the code refuses, is taken here:
its last step is blank.
"""

from collections.abc import Mapping
import math

import jax
import jax.numpy as jnp

from lstm_variants.tasks import base, measures, subsets

SYMBOLS = 8192
ITEMS = 4
# A pair takes two steps, and so does a query with the step after it.
STEPS_PER_ITEM = 4
POWER = 0.01


def sample_zoology23(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  items: int,
  symbols: int,
) -> base.Batch:
  """Draw pairs of key and value, and steps at which the keys come again.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T in steps, at least 4 for each pair.
    num_steps: the time axis, at least T; what follows T is padding.
    items: how many pairs, at most V/2 − 1.
    symbols: V, the size of the vocabulary, even.

  Returns:
    A `Batch`: inputs `[batch, num_steps, V]`, targets `[batch, num_steps]`; the
    mask is 1 at the queries.

  Reference:
    Arora, Eyuboglu, Timalsina, Johnson, Poli, Zou, Rudra & Ré 2023,
    arXiv:2312.04927; code HazyResearch/zoology, multiquery_ar.py.
  """
  slot_key, key_key, value_key = jax.random.split(key, 3)
  half = symbols // 2
  keys = 1 + subsets.arrange(key_key, batch_size, half - 1, items)
  values = half + subsets.arrange(value_key, batch_size, half, items)
  asked = 2 * items + 2 * _slots(
    slot_key,
    batch_size,
    (length - 2 * items) // 2,
    (num_steps - 2 * items) // 2,
    items,
  )
  rows = jnp.arange(batch_size)[:, None]
  pairs = jnp.stack((keys, values), axis=-1).reshape(batch_size, 2 * items)
  tokens = jnp.pad(pairs, ((0, 0), (0, num_steps - 2 * items)))
  tokens = tokens.at[rows, asked].set(keys)
  targets = jnp.zeros_like(tokens).at[rows, asked].set(values)
  inside = jnp.arange(num_steps) < length
  return base.Batch(
    inputs=jax.nn.one_hot(jnp.where(inside, tokens, -1), symbols),
    targets=targets,
    mask=(targets > 0).astype(jnp.float32),
  )


def _slots(
  key: jax.Array, batch_size: int, free: base.Length, most: int, items: int
) -> jax.Array:
  """Draw distinct slots from 0 to `free` − 1 in turn, `[batch, items]`.

  The largest of logarithms of the chances plus Gumbel noise, in their order,
  are draws in turn among those still free (Yellott 1977).
  """
  slot = jnp.arange(most)
  chances = (POWER - 1) * jnp.log(slot + 1.0)
  noise = jax.random.gumbel(key, (batch_size, most))
  scores = jnp.where(slot < free, chances + noise, -jnp.inf)
  return jax.lax.top_k(scores, items)[1]


def build_zoology23(spec: base.Spec) -> base.Task:
  """Return the version of Arora et al. at length T.

  Chance: who sees the query alone guesses among V/2 values: ln(V/2) nats, wrong
  in 1 − 2/V of the queries. For 'failed' the guesses for different keys differ,
  as the values do. (Who remembers the values but not their keys loses ln 4 at
  the first of 4 queries.) The paper has no rule of success; one wrong query in
  a hundred is ours.
  """
  _check(spec)
  half = spec.symbols // 2
  features = base.symbols(
    '.',
    *(f'k{n}' for n in range(1, half)),
    *(f'v{n}' for n in range(half)),
  )
  return base.Task(
    name='associative_recall',
    dialect='zoology23',
    length=spec.length,
    num_steps=spec.length,
    inputs=features,
    outputs=features,
    sample=base.sampler(
      sample_zoology23,
      spec,
      spec.length,
      items=spec.items,
      symbols=spec.symbols,
    ),
    measure=measures.classification,
    sequence_errors=measures.class_errors,
    baselines={
      'loss': math.log(half),
      'wrong': 1 - 1 / half,
      'failed': 1 - 1 / math.perm(half, spec.items),
    },
    success=base.HeldOut('wrong', 0.01),
    summary='the value that came with a key, for each of several keys',
    reference='Arora et al. 2023, arXiv:2312.04927',
  )


def _check(spec: base.Spec) -> None:
  """Refuse an odd vocabulary and more pairs than fit."""
  if spec.symbols % 2:
    raise base.SpecError(
      'symbols',
      spec.symbols,
      f'half are keys, half values: must be even; nearest: {spec.symbols - 1}',
    )
  keys = spec.symbols // 2 - 1
  if spec.items > keys:
    raise base.SpecError(
      'items',
      spec.items,
      f'more than the {keys} keys among {spec.symbols} symbols; '
      f'nearest: {keys}',
    )
  fitting = spec.shortest // STEPS_PER_ITEM
  if spec.items > fitting:
    raise base.SpecError(
      'items',
      spec.items,
      f'pairs need {STEPS_PER_ITEM} steps each, and {spec.shortest} hold '
      f'{fitting}; nearest: {fitting}',
    )


_DIALECTS: Mapping[str, base.Dialect] = {
  'zoology23': base.Dialect(
    build_zoology23,
    STEPS_PER_ITEM,
    'a pair and its query must fit in',
    options={
      'symbols': base.Option(
        SYMBOLS, 4, 65_536, 'vocabulary, half keys and half values'
      ),
      'items': base.Option(ITEMS, 1, 1024, 'pairs of key and value'),
    },
  )
}
TASKS = {'associative_recall': _DIALECTS}
