"""Bucket sort: return the symbols of a word in ascending order.

The alphabet is small and fixed, so that a counter for each symbol will do.

Worked example, dialect `deletang23`, T = 5 symbols out of 0 to 4, then T steps
with the token ? while the answer is given:

    input    4 2 1 3 0 ? ? ? ? ?
    target             0 1 2 3 4

Dialect `xlstm24`: T counts the word and the answer; it is even, drawn for each
sequence. As in a language model, each symbol of the answer is to be predicted
from the token before it: the first from the word's last symbol, the others from
the token _, which stands for what is not shown. Outputs are the vocabulary, _
and ten symbols. With T = 10:

    input    4 2 1 3 0 _ _ _ _
    target           0 1 2 3 4

Of `xlstm24` the paper gives the task in a sentence and the size of the
vocabulary, 11; its public code lacks this task. The layout follows the code of
the four tasks that it has (see `formal_languages`), in which 11 leaves ten
symbols; and T is at least 4, two symbols.
"""

from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants.tasks import base, formal_languages, measures


def sample_deletang23(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  *,
  symbols: int,
) -> base.Batch:
  """Draw words of T symbols, each followed by T steps for the sorted word.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T in steps.
    num_steps: the time axis, at least 2 T; what follows is padding.
    symbols: how many there are.

  Returns:
    A `Batch`: inputs `[batch, num_steps, symbols + 1]`, targets `[batch,
    num_steps]`; mask 1 from step T to step 2 T − 1.

  Reference:
    Delétang et al., ICLR 2023, arXiv:2207.02098, appendix A.3.
  """
  counts = jnp.full((batch_size,), length)
  return _batch(key, counts, num_steps, symbols, shift=0)


def sample_xlstm24(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  *,
  shortest: int,
  symbols: int,
) -> base.Batch:
  """Draw words of many lengths; the answer begins at the last symbol.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: the longest T, in tokens: the word and the sorted word.
    num_steps: the time axis, at least T − 1; what follows is padding.
    shortest: the smallest T; both, if odd, lose one.
    symbols: how many there are.

  Returns:
    A `Batch`: inputs `[batch, num_steps, symbols + 1]`, targets `[batch,
    num_steps]`, indices in the vocabulary, whose first is _; mask 1 from each
    word's last symbol on, as many steps as it has symbols.

  Reference:
    Beck et al., NeurIPS 2024, arXiv:2405.04517, appendix B.1.
  """
  key, count_key = jax.random.split(key)
  counts = jax.random.randint(
    count_key, (batch_size,), shortest // 2, length // 2 + 1
  )
  return _batch(key, counts, num_steps, symbols, shift=1)


def _batch(
  key: jax.Array, counts: jax.Array, num_steps: int, symbols: int, shift: int
) -> base.Batch:
  """Build a batch of words of `counts` symbols, `[batch]`.

  `shift`: how many steps before the end of the word the answer begins; and by
  how much its classes come after the symbols' indices.
  """
  shape = (counts.shape[0], num_steps)
  unsorted = jax.random.randint(key, shape, 0, symbols)
  time = jnp.arange(num_steps)
  count = counts[:, None]
  tokens = jnp.where(time < count, unsorted, symbols)
  inputs = jax.nn.one_hot(tokens, symbols + 1)
  # No sort: the answer's n-th symbol is the number of symbols whose buckets,
  # with those below, have at most n.
  filled = jnp.cumsum(inputs[..., : symbols - 1].sum(axis=1), axis=1)
  place = time - (count - shift)
  answer = jnp.sum(place[..., None] >= filled[:, None], axis=-1)
  graded = (place >= 0) & (place < count)
  inside = time < 2 * count - shift
  return base.Batch(
    inputs=inputs * inside[..., None],
    targets=jnp.where(graded, answer + shift, 0),
    mask=graded.astype(inputs.dtype),
  )


def build_deletang23(spec: base.Spec) -> base.Task:
  """Return the bucket sort of Delétang et al. at lengths up to T.

  Their score, a mean over T, gives every length the same weight; 'wrong' is a
  mean over symbols. Of the LSTM the text says that it solves the task almost
  perfectly.

  Chance: the token ? tells nothing and all symbols are as likely: ln 5, 4/5
  wrong; a sequence is right only if it repeats the symbol that is guessed. (Who
  knows T and counts the steps, but not the symbols, is wrong at 0.28 up to T =
  40: below that a model has learnt to sort.)
  """
  num_steps = 2 * spec.length
  lengths = np.arange(spec.shortest, spec.length + 1)
  return base.Task(
    name='bucket_sort',
    dialect='deletang23',
    length=spec.length,
    num_steps=num_steps,
    inputs=base.symbols(*_names(spec.symbols), formal_languages.ASK),
    outputs=base.symbols(*_names(spec.symbols)),
    sample=base.sampler(
      sample_deletang23, spec, num_steps, symbols=spec.symbols
    ),
    measure=measures.classification,
    sequence_errors=measures.class_errors,
    baselines={
      'loss': float(np.log(spec.symbols)),
      'wrong': 1 - 1 / spec.symbols,
      'failed': float(1 - np.mean(float(spec.symbols) ** -lengths)),
    },
    success=formal_languages.SOLVED,
    criterion=formal_languages.CRITERION.partition(';')[0],
    summary=f'a word of {spec.symbols} symbols in ascending order',
    reference=formal_languages.DELETANG23,
  )


def build_xlstm24(spec: base.Spec) -> base.Task:
  """Return the bucket sort of Beck et al. at lengths up to T.

  Chance: the smallest symbol is guessed from the last one, the others from
  their frequencies, as _ tells nothing. A sequence of n symbols is right in at
  most n + 8 of 10^n cases: the guesses are, after 9, one symbol below it and
  then 9s; after another, that symbol and then 9s. The paper has no rule of
  success: that of Delétang et al. is used.
  """
  counts = np.arange(spec.shortest // 2, spec.length // 2 + 1)
  num_steps = int(2 * counts[-1] - 1)
  fixed = spec._replace(shortest=spec.length)
  vocabulary = (formal_languages.PAD, *_names(spec.symbols))
  return base.Task(
    name='bucket_sort',
    dialect='xlstm24',
    length=spec.length,
    num_steps=num_steps,
    inputs=base.symbols(*_names(spec.symbols), formal_languages.PAD),
    outputs=base.symbols(*vocabulary),
    # T is drawn by the sequence, not by the batch.
    sample=base.sampler(
      sample_xlstm24,
      fixed,
      num_steps,
      shortest=spec.shortest,
      symbols=spec.symbols,
    ),
    measure=measures.classification,
    sequence_errors=measures.class_errors,
    baselines=_chance_xlstm24(counts, spec.symbols),
    success=formal_languages.SOLVED,
    summary=f'a word of {spec.symbols} symbols in ascending order, at its end',
    reference=formal_languages.XLSTM24,
  )


def _chance_xlstm24(counts: np.ndarray, symbols: int) -> Mapping[str, float]:
  """Return the metrics of guesses from the last token, over all word sizes.

  Rows of what is seen: each last symbol, where the answer is the smallest of
  the word; and _, where it is any other.
  """
  least = np.arange(symbols)
  # p(no other symbol is below): of the n − 1 before the last one.
  above = (1 - least / symbols) ** (counts[:, None] - 1)
  reached = (least[:, None] >= least) * above.mean(axis=0)
  first = -np.diff(reached, axis=1, append=0) / symbols
  others = np.mean(counts) / symbols - first.sum(axis=0)
  rows = np.vstack((first, others)) / np.mean(counts)
  right = (counts + symbols - 2) * float(symbols) ** -counts
  return {**formal_languages.chance(rows), 'failed': float(1 - right.mean())}


def _names(symbols: int) -> Iterable[str]:
  return (str(n) for n in range(symbols))


def _options(default: int) -> Mapping[str, base.Option]:
  option = base.Option(default, 2, 100, 'symbols of the alphabet')
  return {'symbols': option}


TASKS = {
  'bucket_sort': {
    'deletang23': base.Dialect(
      build_deletang23,
      1,
      'a word has a symbol',
      True,
      _options(5),
      formal_languages.USUAL,
    ),
    'xlstm24': base.Dialect(
      build_xlstm24,
      4,
      'two symbols and their order',
      True,
      _options(10),
      formal_languages.USUAL,
      stride=2,
    ),
  }
}
