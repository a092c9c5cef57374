"""Language modelling: predict the next character, or the next word, of a text.

Each step brings one symbol of a window of T symbols, one-hot; at every step the
model is to name the one that follows. Windows start anywhere in the first nine
tenths of the text; those of the held-out part lie in its last tenth.

Worked example, task `characters`, dialect `next`, T = 8, "The cat sat":

    input    T h e _ c a t _
    target   h e _ c a t _ s

Worked example, task `words`, T = 5. Words are runs of letters and digits in
lower case, with their inner apostrophes; every other character but white space
is a word of its own. "It's Tom, sat" are the words: it's tom , sat

    input    it's tom , sat on
    target   tom , sat on the

The alphabet is made of the most frequent symbols of the training part, at most
`symbols` of them, the most frequent first; all others are one more, unknown.

The text is any file in UTF-8. By default it is the manual of the language that
comes with Python: about 380,000 characters in Python 3.11, other texts in other
versions (the label's hash tells). Paragraphs that it repeats are left out.
"""

from collections.abc import Callable, Mapping
import functools
import math
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants.tasks import base, data, measures

UNKNOWN = '\ufffd'
# Names of characters that cannot be seen.
SIGNS = {' ': '␣', '\n': '⏎', '\t': '⇥'}
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]|_")
# How much the unigram counts in the bigram, in occurrences.
PRIOR = 10
PATH = base.Option('', 0, 0, 'a text file in UTF-8; by default, of Python')


class Text(NamedTuple):
  """A text as indices of its symbols.

  Attributes:
    train: the first nine tenths, `[count]`.
    held_out: the last tenth, `[count]`.
    names: of the symbols; the last is unknown.
    fingerprint: of the text.
  """

  train: np.ndarray
  held_out: np.ndarray
  names: tuple[str, ...]
  fingerprint: str


def sample_windows(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  symbols: np.ndarray,
  num_symbols: int,
) -> base.Batch:
  """Draw windows of T + 1 symbols; all places are equally likely.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T in steps, less than the text has symbols.
    num_steps: the time axis, at least T; what follows T is padding.
    symbols: the text, `[count]`.
    num_symbols: the size of the alphabet.

  Returns:
    A `Batch`: inputs `[batch, num_steps, num_symbols]`, targets
    `[batch, num_steps]`.

  Reference:
    Graves, 2013, arXiv:1308.0850, section 3.
  """
  starts = jax.random.randint(key, (batch_size, 1), 0, symbols.size - length)
  places = jnp.minimum(starts + jnp.arange(num_steps + 1), symbols.size - 1)
  window = jnp.asarray(symbols)[places].astype(jnp.int32)
  inside = jnp.arange(num_steps) < length
  # An index below 0 has the zero vector.
  indices = jnp.where(inside, window[:, :-1], -1)
  return base.Batch(
    inputs=jax.nn.one_hot(indices, num_symbols),
    targets=jnp.where(inside, window[:, 1:], 0),
    mask=jnp.broadcast_to(inside.astype(jnp.float32), indices.shape),
  )


def measure(outputs: jax.Array, batch: base.Batch) -> dict[str, base.Mean]:
  """Return the means per symbol: 'loss' in nats, 'bits', and 'wrong'."""
  means = measures.classification(outputs, batch)
  loss = means['loss']
  bits = base.Mean(loss.total / math.log(2), loss.weight)
  return {'loss': loss, 'bits': bits, 'wrong': means['wrong']}


def sequence_errors(outputs: jax.Array, batch: base.Batch) -> jax.Array:
  """Return the share of wrong symbols in each window, `[batch]`."""
  wrong = (jnp.argmax(outputs, axis=-1) != batch.targets) & (batch.mask > 0)
  return jnp.sum(wrong, axis=1) / jnp.sum(batch.mask, axis=1)


def read_text(path: str) -> str:
  """Return the text of a file, or for '' that of the manual of Python.

  Raises:
    base.SpecError: it cannot be read or is not UTF-8.
  """
  if path:
    return data.decode(data.read(path), path)
  try:
    from pydoc_data import topics
  except ImportError:
    raise data.refusal(path, 'this Python has no manual: give a text') from None
  manual = '\n\n'.join(topics.topics[name] for name in sorted(topics.topics))
  # Some sections are in several chapters, in the held-out part once more.
  return '\n\n'.join(dict.fromkeys(re.split(r'\n{2,}', manual)))


def split_characters(text: str) -> tuple[np.ndarray, Callable[[int], str]]:
  """Return the code points `[count]`, and how to name one."""
  codes = np.frombuffer(text.encode('utf-32-le'), np.dtype('<u4'))
  return codes.astype(np.int64), _name


def _name(code: int) -> str:
  sign = chr(code)
  if sign in SIGNS:
    return SIGNS[sign]
  taken = sign == UNKNOWN or sign in SIGNS.values()
  return sign if sign.isprintable() and not taken else f'U+{code:04X}'


def split_words(text: str) -> tuple[np.ndarray, Callable[[int], str]]:
  """Return the words as numbers `[count]`, and how to name one."""
  numbers: dict[str, int] = {}
  words = (match.group() for match in WORD.finditer(text.lower()))
  codes = np.fromiter(
    (numbers.setdefault(word, len(numbers)) for word in words), np.int64
  )
  return codes, tuple(numbers).__getitem__


def index_text(text: str, split, spec: base.Spec) -> Text:
  """Return a text as indices into the alphabet of its training part.

  Raises:
    base.SpecError: there are too few symbols, or too few different ones.
  """
  codes, name = split(text)
  border = codes.size * 9 // 10
  held_out = codes.size - border
  if held_out < 2:
    raise data.refusal(
      spec.path, f'too short: {codes.size} symbols, 11 are needed at least'
    )
  if spec.length >= held_out:
    raise base.SpecError(
      'length',
      spec.length,
      f'the last tenth of the text has {held_out} symbols, T + 1 are needed; '
      f'nearest: {held_out - 1}',
    )
  counts = np.bincount(codes[:border], minlength=codes.max() + 1)
  kept = np.argsort(-counts, kind='stable')[: spec.symbols]
  kept = kept[counts[kept] > 0]
  if kept.size < 2:
    raise data.refusal(spec.path, 'has fewer than 2 different symbols')
  index = np.full(counts.size, kept.size, np.min_scalar_type(kept.size))
  index[kept] = np.arange(kept.size)
  return Text(
    train=index[codes[:border]],
    held_out=index[codes[border:]],
    names=(*(name(int(code)) for code in kept), UNKNOWN),
    fingerprint=data.fingerprint(text.encode()),
  )


def unigram(text: Text) -> np.ndarray:
  """Return each symbol's probability in the training part, `[symbols]`.

  One is added to every count.
  """
  counts = np.bincount(text.train, minlength=len(text.names)) + 1.0
  return counts / counts.sum()


def bigram_costs(text: Text) -> np.ndarray:
  """Return −ln P(symbol | the one before) in the held-out part, `[count − 1]`.

  P is counted in the training part, on top of `PRIOR` occurrences that are
  shared out as the unigram has it.
  """
  size = len(text.names)
  before = text.train[:-1].astype(np.int64)
  pairs = np.bincount(before * size + text.train[1:], minlength=size * size)
  given = np.bincount(before, minlength=size)
  last, following = text.held_out[:-1].astype(np.int64), text.held_out[1:]
  seen = pairs[last * size + following] + PRIOR * unigram(text)[following]
  return -np.log(seen / (given[last] + PRIOR))


def mean_over_windows(costs: np.ndarray, spec: base.Spec) -> float:
  """Return the mean cost of a step, over all windows and all T.

  Args:
    costs: of the symbols that can be targets, `[count]`.
    spec: T is drawn from U{shortest, …, length}.
  """
  lengths = np.arange(spec.shortest, spec.length + 1)
  # The windows at places 0 … n − 1 have the sum of costs up to place + T less
  # that up to place; these are summed over the places in turn.
  sums = np.cumsum(np.r_[0.0, costs])
  twice = np.r_[0.0, np.cumsum(sums)]
  places = costs.size + 1 - lengths
  totals = twice[-1] - twice[lengths] - twice[places]
  return float(np.sum(totals / places) / np.sum(lengths))


def build(spec: base.Spec, name: str, split: Callable, what: str) -> base.Task:
  """Return the task of predicting the next symbol.

  No paper sets a rule: success is a held-out loss below that of the bigram,
  the predictor that sees one symbol and remembers none (`bigram_costs`). In
  the text of Python 3.11, in nats per symbol: characters 2.39 where the unigram
  has 3.25, words 3.21 where it has 4.41.

  Chance: the unigram of the training part (`unigram`), on the held-out part.

  Args:
    spec: what is chosen.
    name: of the task.
    split: `text -> (codes, code -> name)`.
    what: a symbol is.
  """
  text = index_text(read_text(spec.path), split, spec)
  chances, following = unigram(text), text.held_out[1:]
  loss = mean_over_windows(-np.log(chances[following]), spec)
  wrong = mean_over_windows(following != np.argmax(chances), spec)
  return base.Task(
    name=name,
    dialect='next',
    length=spec.length,
    num_steps=spec.length,
    inputs=base.symbols(*text.names),
    outputs=base.symbols(*text.names),
    sample=base.sampler(
      sample_windows,
      spec,
      spec.length,
      symbols=text.held_out if spec.held_out else text.train,
      num_symbols=len(text.names),
    ),
    measure=measure,
    sequence_errors=sequence_errors,
    baselines={'loss': loss, 'bits': loss / math.log(2), 'wrong': wrong},
    success=base.HeldOut(
      'loss', mean_over_windows(bigram_costs(text), spec), solves=False
    ),
    summary=f'predict the next {what} of a text',
    reference='Graves, 2013, arXiv:1308.0850, section 3',
    variation=text.fingerprint,
    nats_per=what,
  )


def _dialects(
  name: str, split: Callable, what: str, usual: int
) -> Mapping[str, base.Dialect]:
  kept = base.Option(usual, 2, 4096, f'the most frequent {what}s')
  dialect = base.Dialect(
    functools.partial(build, name=name, split=split, what=what),
    1,
    'one step',
    options={'symbols': kept, 'path': PATH},
    causal=True,
  )
  return {'next': dialect}


TASKS = {
  'characters': _dialects('characters', split_characters, 'character', 96),
  'words': _dialects('words', split_words, 'word', 1000),
}
